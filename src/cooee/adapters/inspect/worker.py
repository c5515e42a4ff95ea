"""The process that looks at one file and ends: ``python -I -m cooee.adapters.inspect.worker``, order in, answer out.

One process for one file: nothing that a hostile file does to it reaches the next one, and no memory is kept.
"""

import sys
import time
from pathlib import Path

import puremagic

from cooee.adapters.inspect.confinement import confine
from cooee.adapters.inspect.exchange import Answer, Order, Refused, decode_order, encode
from cooee.adapters.inspect.films import look_at_film
from cooee.adapters.inspect.pictures import FORMATS, look_at_picture
from cooee.domain.magic import HEAD_BYTES, types_of
from cooee.domain.media import is_mime_type
from cooee.ports.media_inspector import Unseen

_FOR_FILMS = 0.8
"""Part of the time that programs which decode videos and sounds may take."""


def main() -> None:
    """Read an order from standard input, look, and write the answer to standard output."""
    began = time.monotonic()
    order = decode_order(sys.stdin.buffer.read())
    programs = () if order.programs is None else (order.programs.ffmpeg, order.programs.ffprobe)
    confine(str(Path(order.path).parent), programs, order.memory_bytes, order.seconds)
    sys.stdout.buffer.write(encode(look(order, began + order.seconds * _FOR_FILMS)))
    sys.stdout.buffer.flush()


def look(order: Order, deadline: float) -> Answer:
    """Look at a file, whatever it is; ``deadline`` by the monotonic clock."""
    content_type = ""
    try:
        with Path(order.path).open("rb") as file:
            head = file.read(HEAD_BYTES)
        if not head:
            raise Refused(Unseen.BROKEN)
        types = types_of(head)
        content_type = order.content_type if order.content_type in types else _best(types, head)
        if content_type in FORMATS:
            return look_at_picture(order, content_type)
        if content_type.startswith(("video/", "audio/")) and content_type in types:
            return look_at_film(order, content_type, deadline)
        raise Refused(Unseen.FORMAT)
    except Refused as refused:
        return Answer(content_type, unseen=refused.why)
    except MemoryError:
        return Answer(content_type, unseen=Unseen.SIZE)


def _best(types: frozenset[str], head: bytes) -> str:
    """Name content: by its signature, else by what puremagic makes of it; empty: unknown."""
    if types:
        return min(types)
    try:
        found = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError):
        return ""
    return next((each.mime_type for each in found if is_mime_type(each.mime_type)), "")


if __name__ == "__main__":
    main()
