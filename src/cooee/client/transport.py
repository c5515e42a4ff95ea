"""What carries frames: a WebSocket, or long polling where that is refused. Both give the same frames in order."""

from collections.abc import Sequence
from typing import Literal, Protocol

from cooee.protocol.codes import CloseCode

TransportName = Literal["websocket", "longpoll"]

ABNORMAL = 1006
"""The connection ended without a close code."""


class TransportRefused(Exception):
    """The server or something before it does not let this transport through; another one may get through."""


class TransportUnreachable(Exception):
    """The server cannot be reached at all now."""


class TransportClosed(Exception):
    """The connection ended. ``code`` is a WebSocket close code (PROTOCOL.md §10), `ABNORMAL` when there was none."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(reason or f"the connection was closed ({code})")
        self.code = code
        self.reason = reason


class Transport(Protocol):
    """One connection. It is opened once, and not used again after it has closed."""

    name: TransportName

    async def open(self) -> None:
        """Get ready to carry frames.

        Raises:
            TransportRefused: this way is closed.
            TransportUnreachable: nothing answers at all.
        """
        ...

    async def send(self, payloads: Sequence[bytes]) -> None:
        """Send frames in order. Raises TransportClosed."""
        ...

    async def receive(self) -> Sequence[bytes]:
        """Wait for the next frames. Raises TransportClosed, TransportRefused or TransportUnreachable at the end."""
        ...

    async def close(self, code: int = CloseCode.NORMAL) -> None:
        """End the connection; never raises and never waits long."""
        ...
