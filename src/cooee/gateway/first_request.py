"""A new connection, until its first request head has come and decides who serves it. Slow and endless heads end it."""

import asyncio
from typing import TYPE_CHECKING, Any

from cooee.domain.errors import CooeeError, ErrorCode, bad_frame, unavailable
from cooee.gateway.handshake import refusal, wants_websocket
from cooee.protocol.request_head import END, MAX_HEAD, BadHead, RequestHead, is_hopeless, parse_head

if TYPE_CHECKING:
    from cooee.gateway.server import FrontServer

LINGER_S = 1.0
"""How long a refused client is still listened to (and ignored): closing at once could lose the answer on its way."""
MAX_LINGERING = 128
"""Refused clients that may linger beyond the limit of connections."""


class FirstRequest(asyncio.BufferedProtocol):
    """Reads one request head of at most `MAX_HEAD` bytes within ``hello_timeout_s``."""

    __slots__ = ("_head", "_refused", "_server", "_timer", "_transport")

    def __init__(self, server: "FrontServer") -> None:
        self._server = server
        self._head = b""
        self._refused = False
        self._transport: Any = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Take the connection, if there is room."""
        server = self._server
        self._transport = transport
        server.connections.add(self)
        if server.room < -MAX_LINGERING:
            transport.abort()
        elif server.room < 0:
            self._refuse(503, unavailable("the server is full; try again", 5000))
        else:
            self._timer = server.shared.loop.call_later(server.settings.limits.hello_timeout_s, self.abort)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the buffer that all connections read into."""
        return self._server.shared.view

    def buffer_updated(self, nbytes: int) -> None:
        """Look whether the head is complete."""
        if self._refused or self._transport is None:
            return
        self._head += self._server.shared.view[:nbytes]
        end = self._head.find(END)
        if end < 0 and len(self._head) <= MAX_HEAD:
            if is_hopeless(self._head):
                self._refuse(400, bad_frame("not an HTTP/1.1 request"))
            return
        if not 0 <= end <= MAX_HEAD:
            self._refuse(431, CooeeError(ErrorCode.TOO_LARGE, f"request heads have at most {MAX_HEAD} bytes"))
            return
        try:
            head = parse_head(self._head[:end])
        except BadHead as problem:
            code = ErrorCode.TOO_LARGE if problem.status == 431 else ErrorCode.BAD_FRAME
            self._refuse(problem.status, CooeeError(code, str(problem)))
            return
        self._decide(head, end + len(END))

    def eof_received(self) -> bool:
        """Let the transport close itself."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._leave()

    def end(self) -> None:
        """End at once: there is no request yet."""
        self.abort()

    def abort(self) -> None:
        """End at once."""
        if self._transport is not None:
            self._transport.abort()

    def _decide(self, head: RequestHead, length: int) -> None:
        server, transport, data = self._server, self._transport, self._head
        if not wants_websocket(head):
            self._leave()
            server.hand_to_http(transport, data)
            return
        problem = server.upgrade(transport, head, data[length:])
        if problem is None:
            self._leave()
        else:
            self._refuse(*problem)

    def _leave(self) -> None:
        self._server.connections.discard(self)
        self._transport = None
        self._head = b""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, status: int, error: CooeeError) -> None:
        self._refused = True
        self._head = b""
        if self._timer is not None:
            self._timer.cancel()
        refuse(self._transport, status, error)
        self._timer = self._server.shared.loop.call_later(LINGER_S, self.abort)


def refuse(transport: Any, status: int, error: CooeeError) -> None:
    """Answer, and send nothing more. The caller ends the connection after `LINGER_S` if the client does not."""
    transport.write(refusal(status, error))
    if transport.can_write_eof():
        transport.write_eof()
    else:
        transport.close()
