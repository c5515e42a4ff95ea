"""The public port: the first request head decides whether a connection is a WebSocket or goes to the HTTP server.

An upgrade of ``/v1/ws`` stays with `WebSocketConnection`; anything else is handed on, with the bytes already read, to
uvicorn's protocol running the ASGI application. Both live on the same transport and the same event loop.
"""

import asyncio
import socket
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httptools
import msgspec
from uvicorn.config import Config as UvicornConfig
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from cooee.domain.errors import CooeeError, ErrorCode, bad_frame
from cooee.domain.limits import Limits
from cooee.gateway.addresses import ClientAddresses
from cooee.gateway.connection import Connection, Receiver
from cooee.gateway.origins import Origins
from cooee.gateway.websocket import Shared, WebSocketConnection
from cooee.protocol.codec import encode
from cooee.protocol.http import ErrorBody, ErrorObject
from cooee.protocol.request_head import END, MAX_HEAD, BadHead, RequestHead, parse_head
from cooee.protocol.websocket import accept_key, is_valid_key

WEBSOCKET_PATH = "/v1/ws"

NewSession = Callable[[Connection, RequestHead], Receiver]
"""Makes the session of a new WebSocket connection."""


class FrontSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the port behaves."""

    host: str = "127.0.0.1"
    port: int = 8080
    backlog: int = 4096
    public_url: str = ""
    allowed_origins: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    limits: Limits = Limits()


class FrontServer:
    """Listens, counts connections and hands each to its protocol. ``app`` serves HTTP."""

    def __init__(self, app: Any, new_session: NewSession, settings: FrontSettings) -> None:
        self._app = app
        self.new_session = new_session
        self.settings = settings
        self.addresses = ClientAddresses(settings.trusted_proxies)
        self.origins = Origins(settings.public_url, settings.allowed_origins)
        self.connections: set[_Opening | _HttpConnection] = set()
        self._listeners: list[asyncio.AbstractServer] = []
        self._shared: Shared | None = None
        self._http: UvicornConfig | None = None
        self._http_state = ServerState()
        self.port = settings.port

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

    async def start(self) -> None:
        """Listen on the public port.

        Raises:
            OSError: the address is taken or may not be used.
        """
        loop = asyncio.get_running_loop()
        limits = self.settings.limits
        self._shared = Shared(loop, limits.frame_bytes, limits.outbox_bytes)
        self._http = _uvicorn_config(self._app)
        listener = await loop.create_server(
            lambda: _Opening(self),
            self.settings.host,
            self.settings.port,
            backlog=self.settings.backlog,
            reuse_address=True,
        )
        self._listeners.append(listener)
        self.port = listener.sockets[0].getsockname()[1]

    async def listen_for_administration(self, path: Path, app: Any) -> None:
        """Serve ``app`` on a Unix socket that only this user may open. A stale socket is replaced."""
        loop = asyncio.get_running_loop()
        config = _uvicorn_config(app)
        path.unlink(missing_ok=True)  # noqa: ASYNC240  # once, at the start
        unix = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            unix.bind(str(path))
            path.chmod(0o600)  # noqa: ASYNC240  # once, at the start
        except OSError:
            unix.close()
            raise
        self._listeners.append(
            await loop.create_unix_server(
                lambda: _HttpConnection(self, config, ServerState(), administrative=True), sock=unix
            )
        )

    def stop_accepting(self) -> None:
        """Close the listening sockets of the public port; open connections go on."""
        if self._listeners:
            self._listeners[0].close()

    async def aclose(self) -> None:
        """Stop listening and end what is left."""
        for listener in self._listeners:
            listener.close()
        for connection in list(self.connections):
            connection.end()
        for websocket in list(self._shared.connections if self._shared else ()):
            websocket.abort()
        for _ in range(100):
            if not self.connections and not self.shared.connections:
                break
            await asyncio.sleep(0.01)
        for connection in list(self.connections):
            connection.abort()
        await asyncio.sleep(0)

    def is_full(self) -> bool:
        """Tell whether no further connection may be taken."""
        return self.open_connections > self.settings.limits.max_connections

    def hand_to_http(self, transport: Any, early: bytes) -> None:
        """Give the connection to the HTTP server, beginning with the bytes that were read already."""
        if self._http is None:
            raise AssertionError("the server was not started")
        protocol = _HttpConnection(self, self._http, self._http_state)
        transport.pause_reading()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        transport.resume_reading()
        protocol.data_received(early)

    def upgrade(self, transport: Any, head: RequestHead, early: bytes) -> tuple[int, CooeeError] | None:
        """Answer a WebSocket handshake; return why it is refused, or None when a session has taken over."""
        refusal = _refusal(head, self)
        if refusal is None:
            self.hand_to_websocket(transport, head, self.addresses.of(_peer(transport), head.headers), early)
        return refusal

    def hand_to_websocket(self, transport: Any, head: RequestHead, peer: str, early: bytes) -> None:
        """Answer the opening handshake and give the connection to a session."""
        connection = WebSocketConnection(self.shared, transport, peer)
        transport.pause_reading()
        transport.set_protocol(connection)
        transport.resume_reading()
        transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept_key(head.headers["sec-websocket-key"]).encode() + b"\r\n\r\n"
        )
        connection.begin(lambda made: self.new_session(made, head), early)


class _Opening(asyncio.BufferedProtocol):
    """A connection whose first request head has not come completely."""

    __slots__ = ("_head", "_server", "_timer", "_transport")

    def __init__(self, server: FrontServer) -> None:
        self._server = server
        self._head = b""
        self._transport: Any = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        server = self._server
        self._transport = transport
        server.connections.add(self)
        if server.is_full():
            refusal = CooeeError(ErrorCode.UNAVAILABLE, "the server is full; try again", retry_after_ms=5000)
            self._refuse(503, refusal)
            return
        self._timer = server.shared.loop.call_later(server.settings.limits.hello_timeout_s, self.abort)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._server.shared.view

    def buffer_updated(self, nbytes: int) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._head += self._server.shared.view[:nbytes]
        end = self._head.find(END)
        if end < 0 and len(self._head) <= MAX_HEAD:
            return
        if not 0 <= end <= MAX_HEAD:
            self._refuse(431, CooeeError(ErrorCode.TOO_LARGE, f"request heads have at most {MAX_HEAD} bytes"))
            return
        try:
            head = parse_head(self._head[:end])
        except BadHead as problem:
            self._refuse(problem.status, CooeeError(ErrorCode.BAD_FRAME, str(problem)))
            return
        self._decide(head, end + len(END))

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()

    def end(self) -> None:
        self.abort()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _decide(self, head: RequestHead, length: int) -> None:
        server, transport, data = self._server, self._transport, self._head
        if not _wants_websocket(head):
            self._leave()
            server.hand_to_http(transport, data)
            return
        refusal = server.upgrade(transport, head, data[length:])
        if refusal is None:
            self._leave()
        else:
            self._refuse(*refusal)

    def _leave(self) -> None:
        self._server.connections.discard(self)
        self._transport = None
        self._head = b""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, status: int, error: CooeeError) -> None:
        _answer_and_close(self._transport, status, error)


class _HttpConnection(HttpToolsProtocol):
    """uvicorn's protocol, which counts as one of our connections and knows the client behind a proxy."""

    def __init__(
        self, server: FrontServer, config: UvicornConfig, state: ServerState, *, administrative: bool = False
    ) -> None:
        super().__init__(config, state, {})
        self._front = server
        self._administrative = administrative

    def connection_made(self, transport: Any) -> None:
        self._front.connections.add(self)
        super().connection_made(transport)
        if self._administrative:
            self.client = ("unix", 0)

    def connection_lost(self, exc: Exception | None) -> None:
        self._front.connections.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._should_upgrade():
                self._upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            _answer_and_close(self.transport, 400, bad_frame("not an HTTP/1.1 request"))

    def on_headers_complete(self) -> None:
        if not self._administrative:
            self.scope["client"] = (self._front.addresses.of(_peer(self.transport), self._head().headers), 0)
        super().on_headers_complete()

    def _should_upgrade(self) -> bool:
        return not self._administrative and _wants_websocket(self._head())

    def _upgrade(self, early: bytes) -> None:
        """Take a handshake that came on a connection that had served HTTP before."""
        busy = not getattr(self.cycle, "response_complete", True)
        refusal = None if busy else self._front.upgrade(self.transport, self._head(), early)
        if busy or refusal is not None:
            _answer_and_close(self.transport, *(refusal or (400, bad_frame("a request is still being answered"))))
            return
        self.connections.discard(self)
        self._front.connections.discard(self)

    def _head(self) -> RequestHead:
        headers: dict[str, str] = {}
        for name, value in self.headers:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1").strip()
            headers[key] = f"{headers[key]}, {text}" if key in headers else text
        return RequestHead(self.parser.get_method().decode("ascii"), self.url.decode("latin-1"), headers)

    def end(self) -> None:
        """End after the request that runs, if one does."""
        self.shutdown()

    def abort(self) -> None:
        """End at once."""
        self.transport.abort()


def _wants_websocket(head: RequestHead) -> bool:
    return head.path == WEBSOCKET_PATH and head.has_token("upgrade", "websocket")


def _answer_and_close(transport: Any, status: int, error: CooeeError) -> None:
    body = encode(ErrorBody(ErrorObject(error.code, error.message, error.retryable, error.retry_after_ms)))
    more = "Sec-WebSocket-Version: 13\r\n" if status == HTTPStatus.UPGRADE_REQUIRED else ""
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n{more}Connection: close\r\n\r\n"
    )
    transport.write(head.encode() + body)
    transport.close()


def _refusal(head: RequestHead, server: FrontServer) -> tuple[int, CooeeError] | None:
    """Return why the handshake is not taken (RFC 6455 §4.2.1), or None."""
    headers = head.headers
    if head.method != "GET" or not head.has_token("connection", "upgrade"):
        return 400, CooeeError(ErrorCode.BAD_FRAME, "this is not a WebSocket handshake")
    if headers.get("sec-websocket-version") != "13":
        return 426, CooeeError(ErrorCode.BAD_FRAME, "the WebSocket version must be 13")
    if not is_valid_key(headers.get("sec-websocket-key", "")):
        return 400, CooeeError(ErrorCode.BAD_FRAME, "Sec-WebSocket-Key must be 16 bytes in base64")
    origin = headers.get("origin")
    if origin is not None and not server.origins.allows(origin, headers.get("host", "")):
        return 403, CooeeError(ErrorCode.FORBIDDEN, "pages of this origin may not use this server")
    return None


def _peer(transport: Any) -> str:
    name = transport.get_extra_info("peername")
    return str(name[0]) if isinstance(name, tuple) else "unix"


def _uvicorn_config(app: Any) -> UvicornConfig:
    config = UvicornConfig(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=65,
    )
    config.load()
    return config
