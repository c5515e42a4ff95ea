"""Frames over a WebSocket (PROTOCOL.md §2)."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import aiohttp

from cooee.client.reasons import reason_of
from cooee.client.transport import ABNORMAL, TransportClosed, TransportName, TransportRefused, TransportUnreachable
from cooee.protocol.codes import CloseCode

_LARGEST_FRAME = 16 * 1024 * 1024
"""Pages of history are larger than what a client may send; the bound is against a broken peer."""

_CLOSE_S = 2.0


class WebSocketTransport:
    """One WebSocket to ``url`` (``http…/v1/ws``). ``open_s``: how long it has to open."""

    name: TransportName = "websocket"

    def __init__(self, http: aiohttp.ClientSession, url: str, open_s: float) -> None:
        self._http = http
        self._url = url
        self._open_s = open_s
        self._socket: aiohttp.ClientWebSocketResponse | None = None

    async def open(self) -> None:
        """Do the opening handshake."""
        try:
            async with asyncio.timeout(self._open_s):
                self._socket = await self._http.ws_connect(
                    self._url,
                    autoclose=True,
                    autoping=True,
                    max_msg_size=_LARGEST_FRAME,
                    timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_S),
                )
        except aiohttp.ClientConnectorError as problem:
            raise TransportUnreachable(str(reason_of(problem))) from None
        except aiohttp.WSServerHandshakeError as problem:
            raise TransportRefused(f"the WebSocket was refused with status {problem.status}") from None
        except TimeoutError:
            raise TransportRefused(f"the WebSocket did not open within {self._open_s:g} s") from None
        except (aiohttp.ClientError, OSError) as problem:
            raise TransportRefused(f"the WebSocket did not open: {problem}") from None

    async def send(self, payloads: Sequence[bytes]) -> None:
        """Send each frame as one text message."""
        if self._socket is None:
            raise TransportClosed(ABNORMAL, "the WebSocket is not open")
        try:
            for payload in payloads:
                await self._socket.send_str(payload.decode())
        except (aiohttp.ClientError, OSError) as problem:
            raise TransportClosed(self._socket.close_code or ABNORMAL, str(problem)) from None

    async def receive(self) -> Sequence[bytes]:
        """Wait for the next frame; pings are answered meanwhile."""
        if self._socket is None:
            raise TransportClosed(ABNORMAL, "the WebSocket is not open")
        try:
            message = await self._socket.receive()
        except (aiohttp.ClientError, OSError) as problem:
            raise TransportClosed(ABNORMAL, str(problem)) from None
        if message.type is aiohttp.WSMsgType.TEXT:
            return (message.data.encode(),)
        if message.type is aiohttp.WSMsgType.CLOSE:
            raise TransportClosed(int(message.data or ABNORMAL), str(message.extra or ""))
        if message.type is aiohttp.WSMsgType.BINARY:
            await self.close(CloseCode.UNSUPPORTED)
            raise TransportClosed(CloseCode.UNSUPPORTED, "the server sent binary data")
        raise TransportClosed(self._socket.close_code or ABNORMAL)

    async def close(self, code: int = CloseCode.NORMAL) -> None:
        """Close with ``code``."""
        if self._socket is not None:
            with suppress(aiohttp.ClientError, OSError, TimeoutError):
                await self._socket.close(code=code)
