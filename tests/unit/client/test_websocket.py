"""The WebSocket as a transport."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer, unused_port

from cooee.client.api import new_http_session
from cooee.client.transport import ABNORMAL, TransportClosed, TransportRefused, TransportUnreachable
from cooee.client.websocket import WebSocketTransport

Serve = Callable[[web.WebSocketResponse], Awaitable[None]]


@asynccontextmanager
async def websocket(serve: Serve, open_s: float = 5.0) -> AsyncIterator[WebSocketTransport]:
    async def endpoint(request: web.Request) -> web.WebSocketResponse:
        peer = web.WebSocketResponse()
        await peer.prepare(request)
        await serve(peer)
        return peer

    app = web.Application()
    app.router.add_get("/v1/ws", endpoint)
    async with TestServer(app) as server, new_http_session() as http:
        transport = WebSocketTransport(http, str(server.make_url("/v1/ws")), open_s)
        try:
            yield transport
        finally:
            await transport.close()


async def echo(peer: web.WebSocketResponse) -> None:
    async for message in peer:
        if message.type is WSMsgType.TEXT:
            await peer.send_str(message.data)


async def test_frames_go_both_ways_in_order() -> None:
    async with websocket(echo) as transport:
        await transport.open()
        await transport.send([b'{"a":1}', '{"b":"grüß"}'.encode()])
        assert await transport.receive() == (b'{"a":1}',)
        assert await transport.receive() == ('{"b":"grüß"}'.encode(),)


@pytest.mark.parametrize("code", [1001, 4003, 4008, 4009])
async def test_the_close_code_is_told(code: int) -> None:
    async def shut(peer: web.WebSocketResponse) -> None:
        await peer.close(code=code, message=b"why")

    async with websocket(shut) as transport:
        await transport.open()
        with pytest.raises(TransportClosed) as closed:
            await transport.receive()
        assert (closed.value.code, closed.value.reason) == (code, "why")


async def test_a_cut_connection_has_no_code() -> None:
    async def cut(peer: web.WebSocketResponse) -> None:
        transport = peer._req.transport if peer._req is not None else None
        assert transport is not None
        transport.abort()

    async with websocket(cut) as transport:
        await transport.open()
        with pytest.raises(TransportClosed) as closed:
            await transport.receive()
        assert closed.value.code == ABNORMAL


async def test_binary_data_ends_the_connection() -> None:
    async def binary(peer: web.WebSocketResponse) -> None:
        await peer.send_bytes(b"x")
        await echo(peer)

    async with websocket(binary) as transport:
        await transport.open()
        with pytest.raises(TransportClosed, match="binary"):
            await transport.receive()


async def test_a_refusal_is_told_from_a_server_that_is_not_there() -> None:
    async with TestServer(web.Application()) as server, new_http_session() as http:
        with pytest.raises(TransportRefused, match="404"):
            await WebSocketTransport(http, str(server.make_url("/v1/ws")), 5.0).open()
        with pytest.raises(TransportUnreachable):
            await WebSocketTransport(http, f"http://127.0.0.1:{unused_port()}/v1/ws", 5.0).open()


async def test_a_websocket_that_does_not_open_in_time_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with new_http_session() as http:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1/ws"
            with pytest.raises(TransportRefused, match="did not open"):
                await WebSocketTransport(http, url, 0.05).open()


async def test_what_is_not_open_cannot_carry_anything() -> None:
    async with new_http_session() as http:
        transport = WebSocketTransport(http, "http://127.0.0.1:1/v1/ws", 5.0)
        with pytest.raises(TransportClosed):
            await transport.send([b"{}"])
        with pytest.raises(TransportClosed):
            await transport.receive()
        await transport.close()
