"""The public port: the first request head decides whether a connection is a WebSocket or goes to the HTTP server.

An upgrade of ``/v1/ws`` stays with `WebSocketConnection`; anything else is handed on, with the bytes already read, to
uvicorn's protocol running the ASGI application. Both live on the same transport and the same event loop. With TLS each
connection begins as a `TlsConnection`, which is the transport of those.
"""

import asyncio
import contextlib
import errno
import socket
import ssl
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
from cooee.gateway.encryption import Encryption, https_required, is_unencrypted
from cooee.gateway.first_request import FirstRequest
from cooee.gateway.handshake import acceptance, peer_of, refusal_of
from cooee.gateway.http_connection import HttpConnection, uvicorn_config
from cooee.gateway.origins import Origins
from cooee.gateway.tls import TlsConnection
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
    """Listens, counts connections and hands each to its protocol. ``app`` serves HTTP.

    With ``encryption`` the port speaks TLS, and plain HTTP only to programs on this machine.
    """

    def __init__(
        self, app: Any, new_session: NewSession, settings: FrontSettings, encryption: Encryption | None = None
    ) -> None:
        self._app = app
        self._new_session = new_session
        self.settings = settings
        self.encryption = encryption
        self.addresses = ClientAddresses(settings.trusted_proxies)
        self.connections: set[FirstRequest | HttpConnection | TlsConnection] = set()
        """Open connections that are no WebSocket (yet)."""
        self.port = settings.port
        self.tls_port = settings.port
        """Where TLS is expected: the same, unless `Encryption.port` names another."""
        self.explain: Any = None
        """The application for those who must encrypt and do not, once `start` was called."""
        self._origins = Origins(settings.public_url, settings.allowed_origins)
        self._public: list[asyncio.AbstractServer] = []
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
        limits = self.settings.limits
        self._shared = Shared(asyncio.get_running_loop(), limits.frame_bytes, limits.outbox_bytes)
        self._http = uvicorn_config(self._app)
        if self.encryption is not None:
            self.explain = uvicorn_config(self.encryption.explain).loaded_app
        self.port = self.tls_port = await self._listen(self.settings.port)
        if self.encryption is not None and self.encryption.port is not None:
            self.tls_port = await self._listen(self.encryption.port)

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
        for listener in self._public:
            listener.close()

    async def aclose(self) -> None:
        """Stop listening, let running requests end for up to `CLOSING_S`, and drop what is left."""
        self.stop_accepting()
        if self._administrative is not None:
            self._administrative.close()
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
        if self.is_unencrypted(transport, head):
            return 403, https_required()
        refusal = refusal_of(head, self._origins)
        if refusal is not None:
            return refusal
        connection = WebSocketConnection(self.shared, transport, self.addresses.of(peer_of(transport), head.headers))
        _set_protocol(transport, connection)
        transport.write(acceptance(head))
        connection.begin(lambda made: self._new_session(made, head), early)
        return None

    # --- TLS ----------------------------------------------------------------------------------------------------------

    def tls_context(self) -> ssl.SSLContext:
        """Return what a new connection is encrypted with."""
        if self.encryption is None:
            raise AssertionError("this server does not encrypt")
        return self.encryption.context()

    def is_unencrypted(self, transport: Any, head: RequestHead) -> bool:
        """Tell whether a request came over the network as plain HTTP though this server encrypts."""
        return self.encryption is not None and is_unencrypted(transport, head.headers, self.addresses)

    async def _listen(self, port: int) -> int:
        """Listen on ``port`` of the host, over IPv4 and IPv6 where it is all of them; return the port."""
        host = self.settings.host
        for address in (host,) if host else ("0.0.0.0", "::"):  # noqa: S104  # empty means all, as documented
            optional = contextlib.nullcontext() if host or address != "::" else _without_ipv6()
            with optional:
                listener = await asyncio.get_running_loop().create_server(
                    lambda: FirstRequest(self) if self.encryption is None else TlsConnection(self),
                    address,
                    port,
                    backlog=self.settings.backlog,
                    reuse_address=True,
                )
                self._public.append(listener)
                port = listener.sockets[0].getsockname()[1]
        return port


@contextlib.contextmanager
def _without_ipv6() -> Iterator[None]:
    """Be content with IPv4 on a machine that has nothing else."""
    try:
        yield
    except OSError as problem:
        if problem.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
            raise


def _set_protocol(transport: Any, protocol: asyncio.BaseProtocol) -> None:
    """Change who reads. Paused meanwhile, as a precaution: uvloop chooses how to read when it begins to."""
    transport.pause_reading()
    transport.set_protocol(protocol)
    transport.resume_reading()
