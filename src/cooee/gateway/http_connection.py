"""One HTTP connection: uvicorn's protocol, with the bounds that it leaves to a proxy, and the way back to WebSocket.

Of each request: the head is at most `MAX_HEAD` bytes and comes within ``hello_timeout_s``; a body keeps coming; what is
no body (chunk extensions, trailers) does not pile up; an answer is taken. The application bounds the body's size.
"""

import asyncio
import contextlib
from enum import Enum
from typing import TYPE_CHECKING, Any

import httptools
from uvicorn.config import Config as UvicornConfig
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from cooee.domain.errors import CooeeError, ErrorCode, bad_frame
from cooee.gateway.first_request import LINGER_S, refuse
from cooee.gateway.handshake import peer_of, wants_websocket
from cooee.protocol.request_head import MAX_HEAD, MAX_HEADERS, RequestHead

if TYPE_CHECKING:
    from cooee.gateway.server import FrontServer

KEEP_ALIVE_S = 65
"""Longer than what proxies keep a connection, so that the proxy closes first."""
MIN_BYTES = 4096
"""What must come of an unfinished body, or be taken of an answer, in each ``limits.http_request_s``."""
UNREAD_BODY_S = 5.0
"""How long the rest of a body may still come after the request was answered (and is ignored)."""
MAX_PIPELINED = 32
"""Requests of one connection that wait for the answer before theirs; one more ends it after those."""
_FRAMING = (b"content-length", b"transfer-encoding")


class _Part(Enum):
    """What the client owes us now."""

    NOTHING = 0
    HEAD = 1
    BODY = 2


class HttpConnection(HttpToolsProtocol):
    """Counts as one of the server's connections. ``administrative``: on the Unix socket, not the public port."""

    def __init__(
        self, server: "FrontServer", config: UvicornConfig, state: ServerState, *, administrative: bool = False
    ) -> None:
        super().__init__(config, state, {})
        self._front = server
        self._administrative = administrative
        self._part = _Part.NOTHING
        self._part_bytes = 0
        self._body_bytes = 0
        self._fields_bytes = 0
        self._too_large = False
        self._deaf = False
        self._parsing_on = False
        self._unsent = 0
        self._progress: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None

    # --- transport ----------------------------------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """Take the connection."""
        self._front.connections.add(self)
        transport.set_write_buffer_limits(high=0)  # the least that a client does not take starts its time
        super().connection_made(transport)
        self.client = ("unix" if self._administrative else peer_of(transport), 0)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection; the application is told when it next receives."""
        self._forget()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, and hold the client to what it owes."""
        if self._deaf:
            return
        self._unset_keepalive_if_required()
        self._part_bytes += len(data)
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self._fail()
        if self._deaf:
            return
        if self._part is not _Part.NOTHING and self._part_bytes > MAX_HEAD:
            self._too_large = True
            self._fail()
            return
        self._watch()

    def pause_writing(self) -> None:
        """Wait until the client takes what was sent, but not for ever."""
        super().pause_writing()
        if self._stall is None:
            self._watch_answer()

    def resume_writing(self) -> None:
        """Go on."""
        super().resume_writing()
        _cancel(self._stall)
        self._stall = None

    def end(self) -> None:
        """End after the request that runs, if one does."""
        self.shutdown()

    def abort(self) -> None:
        """End at once."""
        self.transport.abort()

    # --- parser -------------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Begin a head."""
        if self._parsing_on:
            return
        super().on_message_begin()
        self._owe(_Part.HEAD)
        self._fields_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        if self._parsing_on:
            return
        self._count(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; a trailer is counted and dropped."""
        if self._parsing_on:
            return
        self._count(name)
        self._count(value)
        if self._part is _Part.HEAD:
            if len(self.headers) >= MAX_HEADERS:
                self._too_large = True
                raise ValueError("too many headers")
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the request; its client is who a trusted proxy says."""
        if self._parsing_on:
            return
        self._check_head()
        self._owe(_Part.BODY)
        if not self._administrative:
            head = self._head()
            self.scope["client"] = (self._front.addresses.of(peer_of(self.transport), head.headers), 0)
            self._choose_app(head)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._part_bytes = 0
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that the client owes nothing more."""
        if self.parser.should_upgrade() and not self._should_upgrade() and self._framing():
            return  # only for llhttp: see `_parse_on`
        self._owe(_Part.NOTHING)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Keep the connection for the next request; one that goes on with this one's body is given a short time."""
        super().on_response_complete()
        if self._part is _Part.BODY and not self.transport.is_closing():
            _cancel(self._progress)
            self._progress = self.loop.call_later(UNREAD_BODY_S, self.transport.close)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _parse(self, data: bytes) -> None:
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
            else:
                return
            if self._should_upgrade():
                self._upgrade(data)
                return
            self._parse_on()

    def _parse_on(self) -> None:
        """Go on behind an upgrade that is not for us: a server may ignore it (RFC 9110 §7.8), and clients ask for h2c.

        llhttp takes all that follows for the other protocol, the request's body too, and would then take the body for
        the next request. So a new parser is told how the body is framed.
        """
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's, for pipelined requests
        framing = self._framing()
        if framing:
            self._parsing_on = True
            self.parser.feed_data(b"POST / HTTP/1.1\r\n" + framing + b"\r\n")
            self._parsing_on = False

    def _choose_app(self, head: RequestHead) -> None:
        """Let those who must encrypt, and do not, have the explanation instead of the application."""
        if self._front.explain is not None:
            unencrypted = self._front.is_unencrypted(self.transport, head)
            self.app = self._front.explain if unencrypted else self.config.loaded_app

    def _framing(self) -> bytes:
        """Return the headers that say where the request's body ends."""
        return b"".join(b"%b: %b\r\n" % (name, value) for name, value in self.headers if name in _FRAMING)

    def _check_head(self) -> None:
        """Hold a later request to what `parse_head` demands of the first, where llhttp is more lenient."""
        version = self.parser.get_http_version()
        hosts = sum(name == b"host" for name, _ in self.headers)
        if version not in {"1.0", "1.1"} or hosts > 1 or (version == "1.1" and not hosts):
            raise ValueError("not an HTTP/1.1 request")
        if len(self.pipeline) >= MAX_PIPELINED:
            raise ValueError("too many requests at once")

    @property
    def _busy(self) -> bool:
        return not getattr(self.cycle, "response_complete", True)

    def _count(self, field: bytes) -> None:
        self._fields_bytes += len(field)
        if self._fields_bytes > MAX_HEAD:
            self._too_large = True
            raise ValueError("too large")

    def _owe(self, part: _Part) -> None:
        self._part = part
        self._part_bytes = self._body_bytes = 0
        if part is not _Part.BODY:
            _cancel(self._progress)
            self._progress = None

    def _watch(self) -> None:
        """Keep a timer as long as the client owes us bytes, or has sent some that are nothing (empty lines)."""
        if self._part is not _Part.NOTHING:
            if self._progress is None:
                self._progress = self.loop.call_later(self._front.settings.limits.hello_timeout_s, self._look)
        elif not self._busy and self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(KEEP_ALIVE_S, self.timeout_keep_alive_handler)

    def _look(self) -> None:
        """End the connection when too little has come, unless the client waits for us, too."""
        waits = self.flow.read_paused or (self._part is _Part.HEAD and self._busy)
        if waits or self._body_bytes >= MIN_BYTES:
            self._body_bytes = 0
            self._progress = self.loop.call_later(self._front.settings.limits.http_request_s, self._look)
        else:
            self.abort()

    def _watch_answer(self) -> None:
        self._unsent = self.transport.get_write_buffer_size()
        self._stall = self.loop.call_later(self._front.settings.limits.http_request_s, self._look_at_answer)

    def _look_at_answer(self) -> None:
        """End the connection when the client has taken too little."""
        if self.transport.get_write_buffer_size() > self._unsent - MIN_BYTES:
            self.abort()
        else:
            self._watch_answer()

    def _fail(self) -> None:
        """Refuse what is no request. What came before it is still answered; its own half-read request is dropped."""
        self._deaf = True
        if self._busy:
            if self._part is not _Part.BODY:
                self.shutdown()
                return
            if self.pipeline or self.cycle.response_started:
                self.abort()
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self._too_large:
            self._refuse(431, CooeeError(ErrorCode.TOO_LARGE, f"request heads have at most {MAX_HEAD} bytes"))
        else:
            self._refuse(400, bad_frame("not an HTTP/1.1 request"))

    def _refuse(self, status: int, error: CooeeError) -> None:
        self._deaf = True
        refuse(self.transport, status, error)
        _cancel(self._progress)
        self._progress = self.loop.call_later(LINGER_S, self.abort)

    def _should_upgrade(self) -> bool:
        return not self._administrative and wants_websocket(self._head())

    def _upgrade(self, early: bytes) -> None:
        """Take a handshake that came on a connection that had served HTTP before."""
        self._deaf = True
        if self._busy:
            self.shutdown()
            return
        problem = self._front.upgrade(self.transport, self._head(), early)
        if problem is None:
            self.connections.discard(self)
            self._forget()
            self.parser = None  # type: ignore[assignment]  # it refers to us
        else:
            self._refuse(*problem)

    def _head(self) -> RequestHead:
        headers: dict[str, str] = {}
        for name, value in self.headers:
            key, text = name.decode("latin-1"), value.decode("latin-1").strip()
            headers[key] = f"{headers[key]}, {text}" if key in headers else text
        method, version = self.parser.get_method().decode("ascii"), self.parser.get_http_version()
        return RequestHead(method, self.url.decode("latin-1"), headers, version)

    def _forget(self) -> None:
        self._front.connections.discard(self)
        _cancel(self._progress)
        _cancel(self._stall)
        self._progress = self._stall = None


def uvicorn_config(app: Any) -> UvicornConfig:
    """Return what uvicorn's protocol needs to know. It logs nothing that a client or our own end can cause."""

    async def run(scope: Any, receive: Any, send: Any) -> None:
        with contextlib.suppress(asyncio.CancelledError):  # the server ends, and has dropped the client already
            await app(scope, receive, send)

    config = UvicornConfig(
        run,
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level="error",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
    )
    config.load()
    return config


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
