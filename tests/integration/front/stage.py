"""A front server whose sessions and HTTP application do what a test asks for, and a client without manners."""

import asyncio
import contextlib
import json
import ssl
from typing import Any, Self

import aiohttp
import msgspec

from cooee.domain.limits import Limits
from cooee.gateway.connection import Connection
from cooee.gateway.encryption import Encryption
from cooee.gateway.server import FrontServer, FrontSettings
from cooee.protocol import websocket
from cooee.protocol.request_head import RequestHead
from tests.fakes.certificates import Certified

KEY = b"\x12\x34\x56\x78"
PATIENCE_S = 30
"""How long a test waits for what must come: a guard against hanging, not a measure."""
HANDSHAKE = (
    "GET /v1/ws HTTP/1.1",
    "Host: chat.example",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


class Session:
    """A `Receiver` that echoes; some texts are commands."""

    def __init__(self, connection: Connection, head: RequestHead) -> None:
        self.connection = connection
        self.head = head
        self.heard = self.lost = self.binaries = 0
        self.frames: list[bytes] = []
        self.most_buffered = 0
        self.gone = asyncio.Event()
        self.heard_now = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    def bytes_received(self) -> None:
        self.heard += 1
        self.heard_now.set()

    def frame_received(self, payload: bytes) -> None:
        self.frames.append(payload)
        command, _, argument = payload.partition(b" ")
        if command == b"raise":
            raise KeyError(payload)
        if command == b"close":
            self.connection.close(int(argument), "as told")
        elif command == b"abort":
            self.connection.abort()
        elif command == b"ping":
            self.connection.ping()
        elif command == b"many":
            for number in range(int(argument)):
                self.connection.send(b"%d" % number)
        elif command == b"burst":
            for _ in range(int(argument)):
                self._send_much()
        elif command == b"flood":
            self.task = asyncio.ensure_future(self._flood())
        else:
            self.connection.send(payload)

    def binary_received(self) -> None:
        self.binaries += 1
        self.connection.close(1003, "text only")

    def connection_lost(self) -> None:
        self.lost += 1
        self.gone.set()

    def _send_much(self) -> None:
        self.connection.send(b"x" * 10_000)
        self.most_buffered = max(self.most_buffered, self.connection.buffered)

    async def _flood(self) -> None:
        while not self.gone.is_set():
            self._send_much()
            await asyncio.sleep(0)


class App:
    """An ASGI application: says what it was asked. Paths: ``/wait`` until released, ``/early`` reads no body."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.release = asyncio.Event()
        self.cancelled = False
        self.disconnected = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while scope["path"] != "/early":
            message = await receive()
            if message["type"] == "http.disconnect":
                self.disconnected.set()
                return
            body += message["body"]
            if not message["more_body"]:
                break
        self.entered.set()
        if scope["path"] == "/wait":
            try:
                await self.release.wait()
            except asyncio.CancelledError:
                self.cancelled = True
                raise
        told = {"path": scope["path"], "client": scope["client"][0], "size": len(body), "ends": body[-4:].decode()}
        out = b"y" * 8_000_000 if scope["path"] == "/large" else json.dumps(told).encode()
        length = str(len(out)).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        await send({"type": "http.response.body", "body": out})


class Front:
    """A running server and what it made."""

    def __init__(
        self, server: FrontServer, app: App, sessions: list[Session], client_tls: ssl.SSLContext | None = None
    ) -> None:
        self.server = server
        self.client_tls = client_tls
        self.explained = App()
        """Answers who must encrypt and does not."""
        self.app = app
        self.sessions = sessions

    @property
    def url(self) -> str:
        return f"{'https' if self.client_tls else 'http'}://127.0.0.1:{self.server.port}"

    @property
    def ws_url(self) -> str:
        return f"{'wss' if self.client_tls else 'ws'}://127.0.0.1:{self.server.port}/v1/ws"

    def connector(self) -> aiohttp.TCPConnector:
        """What one connection of aiohttp is made by."""
        return aiohttp.TCPConnector(limit=1, ssl=self.client_tls or True)

    async def raw(self) -> "Raw":
        """Connect, and send nothing."""
        return Raw(*await asyncio.open_connection("127.0.0.1", self.server.port, ssl=self.client_tls))

    async def socket(self, *headers: str, early: bytes = b"") -> "Raw":
        """Connect and do the handshake."""
        raw = await self.raw()
        raw.send(handshake(*headers) + early)
        status, _, _ = await raw.answer()
        assert status == 101
        return raw

    async def emptied(self) -> None:
        """Wait until no connection is open."""
        async with asyncio.timeout(PATIENCE_S):
            while self.server.open_connections:  # noqa: ASYNC110  # the server tells nobody
                await asyncio.sleep(0.005)


async def make_front(
    *,
    limits: dict[str, Any] | None = None,
    new_session: Any = None,
    certified: Certified | None = None,
    **settings: Any,
) -> Front:
    sessions: list[Session] = []

    def make(connection: Connection, head: RequestHead) -> Session:
        sessions.append(Session(connection, head))
        return sessions[-1]

    app = App()
    made = msgspec.structs.replace(Limits(), **(limits or {}))
    explained = App()
    encryption = None if certified is None else Encryption(lambda: certified.server, explained)
    server = FrontServer(app, new_session or make, FrontSettings(port=0, limits=made, **settings), encryption)
    await server.start()
    front = Front(server, app, sessions, certified and certified.client)
    front.explained = explained
    return front


def handshake(*headers: str, without: str = "") -> bytes:
    """An opening handshake with ``headers`` added, and without the line that begins with ``without``."""
    lines = [line for line in HANDSHAKE if not without or not line.startswith(without)]
    return "\r\n".join([*lines, *headers, "", ""]).encode("latin-1")


def text(payload: bytes) -> bytes:
    """A client's text frame."""
    return websocket.client_frame(websocket.TEXT, payload, KEY)


class Raw:
    """A socket that sends what it is told and reads answers or frames."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._parser = websocket.FrameParser(1 << 24, masked=False)
        self._events: list[websocket.Event] = []
        self.was_reset = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.abort()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def abort(self) -> None:
        self.writer.transport.abort()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Read one HTTP answer: status, headers, body."""
        async with asyncio.timeout(PATIENCE_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return int(first.split(" ")[1]), headers, body

    async def event(self) -> websocket.Event:
        """Read one frame."""
        async with asyncio.timeout(PATIENCE_S):
            while not self._events:
                data = await self.reader.read(1 << 16)
                if not data:
                    raise EOFError
                self._events += self._parser.feed(data)
                assert self._parser.violation is None
        return self._events.pop(0)

    async def closing(self, *, answers: bool = True) -> int:
        """Read up to the close frame, answer it, and read the end; return the code."""
        while True:
            event = await self.event()
            if event.opcode == websocket.CLOSE:
                if answers:
                    self.send(websocket.client_frame(websocket.CLOSE, event.payload[:2], KEY))
                assert await self.rest() == b""
                return websocket.parse_close(event.payload)

    async def rest(self) -> bytes:
        """Read to the end. ``was_reset`` tells afterwards whether it was orderly."""
        data = b""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while piece := await self.reader.read(1 << 16):
                    data += piece
        except ConnectionError:
            self.was_reset = True
        return data


def error_code(body: bytes) -> str:
    """The code in a JSON error, whose shape is the project's."""
    error = json.loads(body)["error"]
    assert set(error) >= {"code", "message", "retryable"}
    return str(error["code"])
