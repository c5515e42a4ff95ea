"""What a session and its connection owe each other, whatever carries the bytes.

A *connection* is one WebSocket or one long-polling session; a *receiver* is the session on top of it.
Neither knows the other's class, so both transports run the same session code.
"""

from typing import Protocol


class Connection(Protocol):
    """The sending side, as a session sees it. All calls are made on the event loop and never block."""

    @property
    def peer(self) -> str:
        """The client's address, already taken from a trusted proxy's header where that applies."""
        ...

    @property
    def buffered(self) -> int:
        """Bytes handed to `send` that the kernel (or the poll) has not taken yet."""
        ...

    def send(self, payload: bytes) -> None:
        """Queue one text frame; all frames of one loop turn leave in one write. Dropped once closed."""
        ...

    def ping(self) -> None:
        """Ask for a sign of life. The answer shows only as `Receiver.bytes_received`."""
        ...

    def close(self, code: int, reason: str = "") -> None:
        """Flush what is queued, then close with ``code`` (PROTOCOL.md §10). Idempotent."""
        ...

    def abort(self) -> None:
        """Drop the connection at once, without a closing handshake: the peer is gone or floods us."""
        ...


class Receiver(Protocol):
    """The receiving side: what a connection calls. Must not raise; must not block."""

    def bytes_received(self) -> None:
        """Bytes of any kind arrived (also pongs and partial frames): the peer is alive."""
        ...

    def frame_received(self, payload: bytes) -> None:
        """One complete text message of valid UTF-8, at most ``limits.frame_bytes`` long."""
        ...

    def binary_received(self) -> None:
        """A complete binary message arrived where text is due (its content is dropped)."""
        ...

    def connection_lost(self) -> None:
        """The connection is gone. Called exactly once; nothing follows."""
        ...
