"""What a client may hold of the server's memory and time, and what it may not be denied for being slow."""

import asyncio
from collections.abc import Callable

import pytest

from cooee.gateway import http_connection
from cooee.gateway.http_connection import MIN_BYTES, HttpConnection
from cooee.protocol.websocket import TEXT, Event
from tests.integration.front.conftest import NewFront
from tests.integration.front.stage import PATIENCE_S, Front, Raw, handshake, text

POST = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"


async def until(happened: Callable[[], bool]) -> None:
    """Let the loop turn until it has happened."""
    async with asyncio.timeout(PATIENCE_S):
        while not happened():  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0)


async def trickle(raw: Raw, piece: bytes) -> bytes:
    """Send ``piece`` over and over until the server ends it; return what came."""
    end = asyncio.ensure_future(raw.rest())
    async with asyncio.timeout(PATIENCE_S):
        while not end.done():
            raw.send(piece)
            await asyncio.wait([end], timeout=0.01)
    return await end


@pytest.mark.parametrize("reused", [False, True], ids=["fresh", "reused"])
@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"GET /", b"a"),
        (b"GET /a HTTP/1.1\r\nHost: x\r\nX: ", b"y"),
        (POST, b"x"),
        (b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
    ],
    ids=["request line", "header", "body", "chunks", "size of a chunk"],
)
async def test_a_trickle_is_ended(new_front: NewFront, head: bytes, piece: bytes, reused: bool) -> None:
    """Each byte is a sign of life, but a request has to get on."""
    front = await new_front(limits={"hello_timeout_s": 0.1, "http_request_s": 0.1})
    async with await front.raw() as raw:
        if reused:
            raw.send(b"GET /first HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await raw.answer())[0] == 200
        raw.send(head)
        assert await trickle(raw, piece) == b""
    await front.emptied()


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\x00", b"nonsense", b"\r\n", b"GET / HTTP/1.1\nHost: x\n\n"])
async def test_what_cannot_become_a_request_is_refused_at_once(front: Front, data: bytes) -> None:
    async with await front.raw() as raw:
        raw.send(data)
        assert (await raw.answer())[0] == 400
        assert await raw.rest() == b""


async def test_a_websocket_inherits_no_time_from_the_http_before_it(
    new_front: NewFront, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_connection, "KEEP_ALIVE_S", 0.05)
    front = await new_front(limits={"hello_timeout_s": 0.05, "http_request_s": 0.05})
    async with await front.raw() as raw, await front.raw() as idle:
        for each in (raw, idle):
            each.send(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await each.answer())[0] == 200
        raw.send(handshake())
        assert (await raw.answer())[0] == 101
        idle.send(b"\r\n")
        assert await idle.rest() == b"", "what is still HTTP has ended"
        raw.send(text(b"still here"))
        assert await raw.event() == Event(TEXT, b"still here")


async def test_a_body_that_begins_well_and_then_trickles_is_ended(new_front: NewFront) -> None:
    front = await new_front(limits={"hello_timeout_s": 0.1, "http_request_s": 0.1})
    async with await front.raw() as raw:
        raw.send(POST + b"x" * 500_000)
        assert await trickle(raw, b"x") == b""
        async with asyncio.timeout(PATIENCE_S):
            await front.app.disconnected.wait()


async def test_an_answer_may_be_taken_slowly_as_long_as_it_is_taken(new_front: NewFront) -> None:
    front = await new_front(limits={"http_request_s": 0.2})
    async with await front.raw() as raw:
        raw.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        size = 0
        async with asyncio.timeout(PATIENCE_S):
            while size < 8_000_000:
                size += len(await raw.reader.read(100_000))
                await asyncio.wait([asyncio.ensure_future(asyncio.sleep(0.01))])


async def test_an_answer_that_is_taken_in_drops_is_ended(new_front: NewFront) -> None:
    front = await new_front(limits={"http_request_s": 0.1})
    async with await front.raw() as raw:
        raw.reader._transport.pause_reading()  # type: ignore[attr-defined]
        raw.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
        await front.app.entered.wait()
        (connection,) = front.server.connections
        assert isinstance(connection, HttpConnection)
        await until(lambda: connection.transport.get_write_buffer_size() > MIN_BYTES)
        await front.emptied()


async def test_not_even_a_small_rest_of_an_answer_keeps_a_connection(new_front: NewFront) -> None:
    """The time runs from the first byte that the kernel does not take, not from some full buffer on."""
    front = await new_front()
    async with await front.raw() as raw:
        raw.send(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        await raw.answer()
        (connection,) = front.server.connections
        assert isinstance(connection, HttpConnection)
        assert connection.transport.get_write_buffer_limits() == (0, 0)


async def test_a_burst_larger_than_the_outbox_reaches_a_peer_that_reads(new_front: NewFront) -> None:
    """Only what the kernel does not take counts, on either event loop."""
    front = await new_front(limits={"outbox_bytes": 1000})
    async with await front.socket() as raw:
        for _ in range(20):
            raw.send(text(b"y" * 10_000))
            assert await raw.event() == Event(TEXT, b"y" * 10_000)
    assert front.server.shared.counters.closed == {}


async def test_a_flood_of_frames_to_a_closing_connection_ends_it(new_front: NewFront) -> None:
    front = await new_front()
    async with await front.socket(early=text(b"close 4008")) as raw:
        assert (await raw.event()).payload[:2] == (4008).to_bytes(2, "big")
        end = asyncio.ensure_future(raw.rest())
        async with asyncio.timeout(PATIENCE_S):
            while not end.done():
                raw.send(text(b"") * 5000)
                await asyncio.wait([end], timeout=0.005)
    await front.emptied()
    assert front.sessions[0].frames == [b"close 4008"]
