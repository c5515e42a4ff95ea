"""A transport whose other end is in the test's hand."""

import asyncio
from typing import Any


class FakeTransport:
    """Takes what is written; ``room`` is how much the kernel takes at once (None: everything)."""

    def __init__(self, protocol: asyncio.BufferedProtocol | None = None, room: int | None = None) -> None:
        self.protocol = protocol
        self.room = room
        self.writes: list[bytes] = []
        self.unsent = 0
        self.eof = False
        self.closing = False
        self.aborted = False
        self.lost = False

    # --- what a protocol calls ----------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        assert not self.eof
        assert not self.lost
        self.writes.append(bytes(data))
        if self.room is not None:
            taken = min(self.room, len(data))
            self.room -= taken
            self.unsent += len(data) - taken

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """The kernel is always asked first."""

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.eof = True

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = self.aborted = True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    # --- what a test calls --------------------------------------------------------------------------------------------

    @property
    def written(self) -> bytes:
        """All that was written."""
        return b"".join(self.writes)

    def receive(self, data: bytes) -> None:
        """Let the protocol read ``data``, as much at once as its buffer takes."""
        assert self.protocol is not None
        while data:
            buffer = memoryview(self.protocol.get_buffer(-1))
            piece, data = data[: len(buffer)], data[len(buffer) :]
            buffer[: len(piece)] = piece
            self.protocol.buffer_updated(len(piece))

    def lose(self, problem: Exception | None = None) -> None:
        """End the connection, as the loop would after `close` or `abort`."""
        assert self.protocol is not None
        self.lost = True
        protocol, self.protocol = self.protocol, None
        protocol.connection_lost(problem)
