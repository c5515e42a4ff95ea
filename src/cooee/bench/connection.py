"""A lean client for load: one protocol object per connection, no task, frames handed to a callback."""

import asyncio
import base64
import itertools
import secrets
import socket
import ssl
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from cooee.bench.figures import Progress, no_progress
from cooee.protocol import websocket
from cooee.protocol.codec import encode
from cooee.protocol.frames import Hello

_REQUEST = (
    "GET /v1/ws HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
)
_KEY = b"\x00\x00\x00\x00"
"""Load over loopback need not hide its bytes from proxies; a zero mask costs the server what any mask costs."""


MAX_SOCKETS = 19_000
"""Connections of one process, on either side: what remains of 20,000 files."""
PER_ADDRESS = 15_000
"""Connections from one source address: the system gives some 28,000 ports, and closed ones rest for a minute."""
CONNECT_AT_ONCE = 256
_BIND_ADDRESS_NO_PORT = 24
"""Linux' IP_BIND_ADDRESS_NO_PORT: the port is chosen when the other end is known."""

OnFrame = Callable[["LoadConnection", bytes], None]
"""Takes a frame that is no part of the opening."""


class LoadConnection(asyncio.Protocol):
    """One device's connection. Frames to send leave in one write per loop turn, like a good client's."""

    __slots__ = ("_head", "_loop", "_out", "_parser", "_token", "_transport", "closed", "on_frame", "welcomed")

    def __init__(self, token: str, on_frame: OnFrame) -> None:
        self._token = token
        self.on_frame = on_frame
        self._loop = asyncio.get_running_loop()
        self._parser = websocket.FrameParser(16 * 1024 * 1024, masked=False)
        self._head: bytes | None = b""
        self._out: list[bytes] = []
        self._transport: Any = None
        self.welcomed: asyncio.Future[None] | None = self._loop.create_future()
        self.closed = False

    def connection_made(self, transport: Any) -> None:
        """Ask for the upgrade."""
        self._transport = transport
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        transport.write(_REQUEST.format(host="127.0.0.1", key=key).encode())

    def data_received(self, data: bytes) -> None:
        """Finish the handshake, then hand frames to the callback."""
        if self._head is not None:
            self._head += data
            head, end, rest = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self._head = None
            if not head.startswith(b"HTTP/1.1 101"):
                self._fail(head.split(b"\r\n")[0].decode("latin-1"))
                return
            self.send(encode(Hello(self._token, "cooee-bench")))
            data = rest
        for event in self._parser.feed(data):
            if event.opcode == websocket.TEXT:
                if self.welcomed is not None and event.payload.startswith(b'{"type":"caught_up"'):
                    done, self.welcomed = self.welcomed, None
                    done.set_result(None)
                else:
                    self.on_frame(self, event.payload)
            elif event.opcode == websocket.PING:
                self._put(websocket.client_frame(websocket.PONG, event.payload, _KEY))
            elif event.opcode == websocket.CLOSE:
                self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end."""
        self.closed = True
        self._fail("the connection was closed")

    def send(self, payload: bytes) -> None:
        """Send one text frame."""
        self._put(websocket.head(websocket.TEXT, len(payload), masked=True) + _KEY + payload)

    def close(self) -> None:
        """Drop the connection."""
        if self._transport is not None:
            self._transport.abort()

    def _put(self, frame: bytes) -> None:
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(frame)

    def _flush(self) -> None:
        out, self._out = self._out, []
        if not self.closed:
            self._transport.write(b"".join(out))

    def _fail(self, reason: str) -> None:
        if self.welcomed is not None and not self.welcomed.done():
            self.welcomed.set_exception(ConnectionError(reason))


async def connect(url: str, token: str, on_frame: OnFrame, source: str | None = None) -> LoadConnection:
    """Connect, say hello and catch up. ``source`` is the address to come from.

    Raises:
        ConnectionError: the server refused.
    """
    loop = asyncio.get_running_loop()
    place = urlsplit(url)
    tls = _unchecked() if place.scheme == "https" else None
    host, port = place.hostname or "127.0.0.1", place.port or (443 if tls else 80)
    if source is None:
        _, connection = await loop.create_connection(lambda: LoadConnection(token, on_frame), host, port, ssl=tls)
    else:  # without a look at names, which would take a thread for each
        own = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        own.setblocking(False)
        own.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
        own.bind((source, 0))
        await loop.sock_connect(own, (host, port))
        _, connection = await loop.create_connection(
            lambda: LoadConnection(token, on_frame), sock=own, ssl=tls, server_hostname=host if tls else None
        )
    if connection.welcomed is not None:
        await connection.welcomed
    return connection


@cache
def _unchecked() -> ssl.SSLContext:
    """Return TLS that takes any certificate: load says nothing that is worth stealing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def connect_all(
    url: str,
    tokens: Sequence[str],
    on_frame: OnFrame,
    *,
    at_once: int = CONNECT_AT_ONCE,
    progress: Progress = no_progress,
    what: str = "Connecting",
) -> list[LoadConnection]:
    """Connect all, some at the same time, from as many loopback addresses as their ports need; in the order given.

    Raises:
        ConnectionError: the server refused one.
    """
    gate = asyncio.Semaphore(at_once)
    done = itertools.count(1)
    loopback = (urlsplit(url).hostname or "").startswith("127.")

    async def one(index: int) -> LoadConnection:
        source = f"127.0.0.{1 + index // PER_ADDRESS}" if loopback else None
        async with gate:
            connection = await connect(url, tokens[index], on_frame, source)
        progress(what, next(done), len(tokens))
        return connection

    return list(await asyncio.gather(*map(one, range(len(tokens)))))


def ignore(_connection: LoadConnection, _payload: bytes) -> None:
    """Take a frame that nobody waits for."""
