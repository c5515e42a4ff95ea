"""The public port: the first request head decides whether a connection is a WebSocket or goes to the HTTP server.

An upgrade of ``/v1/ws`` stays with `WebSocketConnection`; anything else is handed on, with the bytes already read, to
uvicorn's protocol running the ASGI application. Both live on the same transport and the same event loop.
"""

import asyncio
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from uvicorn.config import Config as UvicornConfig
from uvicorn.server import ServerState

from cooee.domain.errors import CooeeError
from cooee.domain.limits import Limits
from cooee.gateway.addresses import ClientAddresses
from cooee.gateway.connection import Connection, Receiver
from cooee.gateway.first_request import FirstRequest
from cooee.gateway.handshake import acceptance, peer_of, refusal_of
from cooee.gateway.http_connection import HttpConnection, uvicorn_config
from cooee.gateway.origins import Origins
from cooee.gateway.websocket import Shared, WebSocketConnection
from cooee.protocol.request_head import RequestHead

CLOSING_S = 1.0
"""How long running HTTP requests may take when the server ends."""

NewSession = Callable[[Connection, RequestHead], Receiver]
"""Makes the session of a new WebSocket connection."""


class FrontSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the port behaves."""

    host: str = "127.0.0.1"
    """Address to listen on; empty: all."""
    port: int = 8080
    """0: any free port; `FrontServer.port` tells which."""
    backlog: int = 4096
    """Connections that wait to be accepted; the kernel may allow fewer."""
    public_url: str = ""
    """Where browsers find this server; its origin may use it. Empty: pages of the host that was asked may."""
    allowed_origins: tuple[str, ...] = ()
    """Further origins whose pages may use it."""
    trusted_proxies: tuple[str, ...] = ()
    """Networks of proxies whose ``X-Forwarded-For`` is believed."""
    limits: Limits = Limits()
    """Frames, outbox, connections, and the time for a head."""


class FrontServer:
    """Listens, counts connections and hands each to its protocol. ``app`` serves HTTP."""

    def __init__(self, app: Any, new_session: NewSession, settings: FrontSettings) -> None:
        self._app = app
        self._new_session = new_session
        self.settings = settings
        self.addresses = ClientAddresses(settings.trusted_proxies)
        self.connections: set[FirstRequest | HttpConnection] = set()
        """Open connections that are no WebSocket (yet)."""
        self.port = settings.port
        self._origins = Origins(settings.public_url, settings.allowed_origins)
        self._public: asyncio.AbstractServer | None = None
        self._administrative: asyncio.AbstractServer | None = None
        self._shared: Shared | None = None
        self._http: UvicornConfig | None = None
        self._http_state = ServerState()

    @property
    def shared(self) -> Shared:
        """What the WebSocket connections share; there once `start` was called."""
        if self._shared is None:
            raise AssertionError("the server was not started")
        return self._shared

    @property
    def open_connections(self) -> int:
        """Open connections of all kinds."""
        return len(self.connections) + len(self.shared.connections)

    @property
    def room(self) -> int:
        """How many more connections may be taken; negative: so many are too many."""
        return self.settings.limits.max_connections - self.open_connections

    def websockets(self) -> Iterator[WebSocketConnection]:
        """Iterate over the WebSocket connections that are open now; they may close meanwhile."""
        return iter(tuple(self.shared.connections))

    async def start(self) -> None:
        """Listen on the public port.

        Raises:
            OSError: the address is taken or may not be used.
        """
        loop = asyncio.get_running_loop()
        limits = self.settings.limits
        self._shared = Shared(loop, limits.frame_bytes, limits.outbox_bytes)
        self._http = uvicorn_config(self._app)
        self._public = await loop.create_server(
            lambda: FirstRequest(self),
            self.settings.host or None,
            self.settings.port,
            backlog=self.settings.backlog,
            reuse_address=True,
        )
        self.port = self._public.sockets[0].getsockname()[1]

    async def listen_for_administration(self, path: Path, app: Any) -> None:
        """Serve ``app`` on a Unix socket that only this user may open. A stale socket is replaced.

        Raises:
            OSError: the socket cannot be made.
        """
        config = uvicorn_config(app)
        path.unlink(missing_ok=True)  # noqa: ASYNC240  # once, at the start
        unix = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            unix.bind(str(path))
            path.chmod(0o600)  # noqa: ASYNC240  # before it listens, so nobody else ever connects
        except OSError:
            unix.close()
            raise
        self._administrative = await asyncio.get_running_loop().create_unix_server(
            lambda: HttpConnection(self, config, self._http_state, administrative=True), sock=unix
        )

    def stop_accepting(self) -> None:
        """Close the listening sockets of the public port; open connections and the administration go on."""
        if self._public is not None:
            self._public.close()

    async def aclose(self) -> None:
        """Stop listening, let running requests end for up to `CLOSING_S`, and drop what is left."""
        for listener in (self._public, self._administrative):
            if listener is not None:
                listener.close()
        if self._shared is None:
            return
        for connection in tuple(self.connections):
            connection.end()
        for websocket in self.websockets():
            websocket.abort()
        requests = set(self._http_state.tasks)
        if requests:
            _, unfinished = await asyncio.wait(requests, timeout=CLOSING_S)
        else:
            unfinished = set()
        for connection in tuple(self.connections):
            connection.abort()
        await asyncio.sleep(0)  # the loop tells the protocols
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)

    def hand_to_http(self, transport: Any, early: bytes) -> None:
        """Give the connection to the HTTP server, beginning with the bytes that were read already."""
        if self._http is None:
            raise AssertionError("the server was not started")
        protocol = HttpConnection(self, self._http, self._http_state)
        _set_protocol(transport, protocol)
        protocol.connection_made(transport)
        protocol.data_received(early)

    def upgrade(self, transport: Any, head: RequestHead, early: bytes) -> tuple[int, CooeeError] | None:
        """Answer a WebSocket handshake; return why it is refused, or None when a session has taken over."""
        refusal = refusal_of(head, self._origins)
        if refusal is not None:
            return refusal
        connection = WebSocketConnection(self.shared, transport, self.addresses.of(peer_of(transport), head.headers))
        _set_protocol(transport, connection)
        transport.write(acceptance(head))
        connection.begin(lambda made: self._new_session(made, head), early)
        return None


def _set_protocol(transport: Any, protocol: asyncio.BaseProtocol) -> None:
    """Change who reads. Paused meanwhile, as a precaution: uvloop chooses how to read when it begins to."""
    transport.pause_reading()
    transport.set_protocol(protocol)
    transport.resume_reading()
