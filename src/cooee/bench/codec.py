"""What one WebSocket frame costs in CPU, without a socket: unmasking, parsing, sending. See docs/adr/0001.

``python -m cooee.bench.codec [--json]``
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from cooee.gateway.websocket import Shared, WebSocketConnection
from cooee.protocol import websocket

_LIMIT = 1024 * 1024
_ROUNDS = 15
_ROUND_S = 0.01
FRAME_SIZES = (20, 200, 2000, 48 * 1024)
UNMASK_SIZES = (20, 100, 200, 400, 1000, 4096, 48 * 1024)
PER_READ = (1, 10)


def run() -> Iterator[tuple[str, float]]:
    """Yield figures one by one: what was done, and its microseconds of CPU."""
    for size in UNMASK_SIZES:
        for name, way in _ways_to_unmask().items():
            yield f"unmask {size} B, {name}", _us(_unmasking(way, size))
    for size in FRAME_SIZES:
        for count in PER_READ:
            yield f"parse {size} B, {count} a read", _us(_parsing(size, count), count)
    for size in FRAME_SIZES:
        for count in PER_READ:
            yield f"send {size} B, {count} a turn", _us(_sending(size, count), count)


def _us(work: Callable[[], object], count: int = 1) -> float:
    """Return the CPU time of one of the ``count`` things that ``work`` does: of many rounds the fastest."""
    clock = time.process_time
    repeat = 1
    while True:
        start = clock()
        for _ in range(repeat):
            work()
        took = clock() - start
        if took >= _ROUND_S:
            break
        repeat *= 2
    best = took
    for _ in range(_ROUNDS):
        start = clock()
        for _ in range(repeat):
            work()
        best = min(best, clock() - start)
    return round(best / repeat / count * 1e6, 3)


# --- parsing ----------------------------------------------------------------------------------------------------------


def _parsing(size: int, count: int) -> Callable[[], object]:
    parser = websocket.FrameParser(_LIMIT, masked=True)
    data = memoryview(bytearray(websocket.client_frame(websocket.TEXT, b"x" * size, os.urandom(4)) * count))
    return lambda: parser.feed(data)


# --- unmasking --------------------------------------------------------------------------------------------------------


def _ways_to_unmask() -> dict[str, Callable[[bytes, bytes], bytes]]:
    ways: dict[str, Callable[[bytes, bytes], bytes]] = {
        "ours": websocket.unmask,
        "big integer": by_big_integer,
        "table per lane": by_table,
    }
    try:
        from websockets.speedups import apply_mask  # noqa: PLC0415  # a test's dependency: only to compare
    except ImportError:
        return ways
    return ways | {"C extension": apply_mask}


def _unmasking(way: Callable[[bytes, bytes], bytes], size: int) -> Callable[[], object]:
    data, key = os.urandom(size), os.urandom(4)
    return lambda: way(data, key)


def by_big_integer(data: bytes, key: bytes) -> bytes:
    """Unmask with one XOR of two integers as long as the payload."""
    size = len(data)
    repeated = (key * ((size + 3) >> 2))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(repeated, "little")).to_bytes(size, "little")


def by_table(data: bytes, key: bytes) -> bytes:
    """Unmask every fourth byte with one table."""
    out = bytearray(data)
    for lane in range(4):
        out[lane::4] = out[lane::4].translate(_TABLES[key[lane]])
    return bytes(out)


_TABLES = [bytes(byte ^ each for each in range(256)) for byte in range(256)]


# --- sending ----------------------------------------------------------------------------------------------------------


class _Sink:
    """A transport that takes everything and does nothing: what is measured is ours."""

    def write(self, data: bytes) -> None:
        """Take it."""

    def get_write_buffer_size(self) -> int:
        """Nothing stays."""
        return 0

    def is_closing(self) -> bool:
        """Never."""
        return False


class _Turns:
    """The part of an event loop that sending uses."""

    def __init__(self) -> None:
        self._soon: list[Callable[[], object]] = []

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Note it for the end of the turn."""
        self._soon.append(callback)

    def turn(self) -> None:
        """End the turn."""
        self._soon.pop()()


def _sending(size: int, count: int) -> Callable[[], object]:
    turns = _Turns()
    loop: Any = turns
    connection = WebSocketConnection(Shared(loop, _LIMIT, _LIMIT), _Sink(), "")
    payload = b"x" * size
    times = range(count)

    def work() -> None:
        for _ in times:
            connection.send(payload)
        turns.turn()

    return work


def main() -> None:
    """Print the figures, one a line, or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    figures: dict[str, float] = {}
    as_json = parser.parse_args().json
    for name, us in run():
        figures[name] = us
        if not as_json:
            sys.stdout.write(f"{name:<36}{us:>10.3f} µs\n")
            sys.stdout.flush()
    if as_json:
        sys.stdout.write(f"{json.dumps(figures)}\n")


if __name__ == "__main__":
    main()
