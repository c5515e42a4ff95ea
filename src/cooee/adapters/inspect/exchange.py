"""What a process that looks at a file is told, and what it answers: a stranger's word, which is checked."""

from typing import Annotated

import msgspec

from cooee.ports.media_inspector import WAVEFORM_BYTES, Unseen

ANSWER_BYTES = 16 * 1024
"""Most bytes of an answer that are read."""
THUMBNAIL_BYTES = 4 * 1024 * 1024
"""Most bytes of a file that the process may write."""
THUMBNAIL_TYPE = "image/webp"
SUFFIX = ".thumb"

_Side = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
_TYPE = r"^([a-z0-9][a-z0-9!#$&^_.+-]{0,62}/[a-z0-9][a-z0-9!#$&^_.+-]{0,62})?$"


class Programs(msgspec.Struct, frozen=True):
    """Where the system's ffmpeg and ffprobe lie."""

    ffmpeg: str
    ffprobe: str


class Order(msgspec.Struct, frozen=True):
    """What to look at, and within which bounds. ``path`` is absolute; ``seconds`` of wall time."""

    path: str
    content_type: str
    pixels: int
    memory_bytes: int
    seconds: float
    programs: Programs | None = None


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was found. With ``thumbnail`` it was written beside the file."""

    content_type: Annotated[str, msgspec.Meta(pattern=_TYPE, max_length=127)] = ""
    width: _Side | None = None
    height: _Side | None = None
    duration_ms: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)] | None = None
    blurhash: Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z#$%*+,\-.:;=?@\[\]^_{|}~]{6,128}$")] | None = None
    waveform: Annotated[bytes, msgspec.Meta(min_length=1, max_length=WAVEFORM_BYTES)] | None = None
    thumbnail: bool = False
    unseen: Unseen | None = None


class Refused(Exception):
    """Nothing can be shown of the file, and why."""

    def __init__(self, why: Unseen) -> None:
        super().__init__(why)
        self.why = why


decode_order = msgspec.json.Decoder(Order).decode
decode_answer = msgspec.json.Decoder(Answer).decode
encode = msgspec.json.Encoder().encode
