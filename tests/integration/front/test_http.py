"""HTTP through the hand-over: uvicorn's protocol on a transport that began as ours, and the bounds around it."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from cooee.gateway import http_connection
from cooee.protocol.websocket import TEXT, Event
from tests.integration.front.conftest import NewFront
from tests.integration.front.stage import PATIENCE_S, Front, Raw, error_code, handshake, text


def get(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


def post(path: str, body: bytes) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def told(raw: Raw) -> Any:
    """Read an answer of the application."""
    status, headers, body = await raw.answer()
    assert status == 200
    assert "server" not in headers
    return json.loads(body)


class TestHandOver:
    async def test_the_body_may_come_with_the_head_or_in_pieces(self, front: Front) -> None:
        """The first request of each connection: its beginning was read before the hand-over."""
        body = b"a" * 300_000 + b"last"
        request = post("/a", body)
        for first in (len(request), len(request) - len(body), 20, 1000):
            async with await front.raw() as raw:
                raw.send(request[:first])
                await raw.writer.drain()
                for start in range(first, len(request), 7000):
                    await asyncio.sleep(0)
                    raw.send(request[start : start + 7000])
                    await raw.writer.drain()
                answer = await told(raw)
                assert (answer["size"], answer["ends"]) == (len(body), "last")

    async def test_aiohttp_keeps_its_connection(self, front: Front) -> None:
        async with aiohttp.ClientSession(front.url, connector=front.connector()) as http:
            for size in (0, 1, 1_000_000):
                async with http.post("/a", data=b"z" * size) as reply:
                    assert (await reply.json(content_type=None))["size"] == size
            async with http.get("/large") as reply:
                assert len(await reply.read()) == 8_000_000
            assert front.server.open_connections == 1

    async def test_aiohttp_opens_a_websocket_on_a_connection_that_served_http(self, front: Front) -> None:
        async with aiohttp.ClientSession(front.url, connector=front.connector()) as http:
            async with http.get("/a") as reply:
                await reply.read()
            async with http.ws_connect("/v1/ws") as peer:
                for each in ("x" * 60_000, "hello"):
                    await peer.send_str(each)
                    assert (await peer.receive()).data == each
                assert front.server.open_connections == 1

    async def test_pipelined_requests_are_answered_in_order_however_they_are_cut(self, front: Front) -> None:
        paths = [f"/{number}" for number in range(6)]
        data = b"".join(post(path, b"body") if int(path[1:]) % 2 else get(path) for path in paths)
        for step in (len(data), 50, 7):
            async with await front.raw() as raw:
                for start in range(0, len(data), step):
                    raw.send(data[start : start + step])
                    await raw.writer.drain()
                    await asyncio.sleep(0)
                assert [(await told(raw))["path"] for _ in paths] == paths

    async def test_chunked_bodies(self, front: Front) -> None:
        async with await front.raw() as raw:
            raw.send(b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(50):
                raw.send(b"fa0;ext=1\r\n" + b"c" * 4000 + b"\r\n")
                await raw.writer.drain()
            raw.send(b"0\r\nTrailer: dropped\r\n\r\n" + get("/b"))
            assert (await told(raw))["size"] == 200_000
            assert (await told(raw))["path"] == "/b"

    async def test_http_1_0_and_connection_close_end_the_connection(self, front: Front) -> None:
        for request in (b"GET /a HTTP/1.0\r\n\r\n", get("/a", "Connection: close")):
            async with await front.raw() as raw:
                raw.send(request)
                assert (await told(raw))["path"] == "/a"
                assert await raw.rest() == b""

    async def test_an_upgrade_to_something_else_is_served_as_http(self, front: Front) -> None:
        for request in (get("/a", "Upgrade: h2c", "Connection: Upgrade"), handshake().replace(b"/v1/ws", b"/a")):
            async with await front.raw() as raw:
                raw.send(request)
                assert (await told(raw))["path"] == "/a"


class TestLaterUpgrade:
    async def test_it_is_taken_with_the_frames_that_came_along(self, front: Front) -> None:
        async with await front.raw() as raw:
            raw.send(get("/a"))
            await told(raw)
            raw.send(handshake() + text(b"early"))
            assert (await raw.answer())[0] == 101
            assert await raw.event() == Event(TEXT, b"early")
            raw.send(text(b"z" * 60_000))
            assert await raw.event() == Event(TEXT, b"z" * 60_000)

    async def test_it_is_refused_for_the_same_reasons(self, front: Front) -> None:
        async with await front.raw() as raw:
            raw.send(get("/a"))
            await told(raw)
            raw.send(handshake("Origin: https://evil.example"))
            status, _, body = await raw.answer()
            assert (status, error_code(body)) == (403, "forbidden")
            assert await raw.rest() == b""

    async def test_behind_a_request_that_runs_it_is_not_taken(self, front: Front) -> None:
        """The answer comes whole, then the connection ends: nothing is written into it."""
        async with await front.raw() as raw:
            raw.send(get("/wait") + handshake())
            await front.app.entered.wait()
            front.app.release.set()
            assert (await told(raw))["path"] == "/wait"
            assert await raw.rest() == b""
        assert front.sessions == []


BAD = {
    "no method": (b"nonsense\r\n\r\n", 400, "bad_frame"),
    "large head": (get("/a", "X: " + "x" * 17_000), 431, "too_large"),
    "large target": (get("/" + "x" * 17_000), 431, "too_large"),
    "many headers": (get("/a", *["x: y"] * 100), 431, "too_large"),
    "endless header": (b"GET /a HTTP/1.1\r\nX: " + b"x" * 3_000_000, 431, "too_large"),
    "bad length": (get("/a", "Content-Length: -1"), 400, "bad_frame"),
    "two lengths": (get("/a", "Content-Length: 1", "Content-Length: 2"), 400, "bad_frame"),
    "length and chunks": (get("/a", "Content-Length: 1", "Transfer-Encoding: chunked"), 400, "bad_frame"),
    "bad chunk": (get("/a", "Transfer-Encoding: chunked") + b"xyz\r\n", 400, "bad_frame"),
    "endless chunk extension": (get("/a", "Transfer-Encoding: chunked") + b"1;" + b"x" * 3_000_000, 431, "too_large"),
    "endless trailers": (
        get("/a", "Transfer-Encoding: chunked") + b"0\r\n" + b"x: yyyyyyyyyyyyyyyyyyyyyy\r\n" * 100_000,
        431,
        "too_large",
    ),
}


class TestBadRequests:
    @pytest.mark.parametrize("name", BAD)
    async def test_a_later_request_is_refused_like_a_first_one(self, front: Front, name: str) -> None:
        data, status, code = BAD[name]
        async with await front.raw() as raw:
            raw.send(get("/good"))
            await told(raw)
            raw.send(data)
            got, headers, body = await raw.answer()
            assert (got, error_code(body), headers["connection"]) == (status, code, "close")
            assert await raw.rest() == b""
            assert not raw.was_reset
        await front.emptied()

    @pytest.mark.parametrize("name", ["no method", "large head", "bad length"])
    async def test_a_request_before_it_still_gets_its_answer(self, front: Front, name: str) -> None:
        async with await front.raw() as raw:
            raw.send(get("/good") + BAD[name][0])
            assert (await told(raw))["path"] == "/good"
            assert await raw.rest() == b""

    async def test_the_application_learns_at_once_that_a_broken_body_will_not_come(
        self, front: Front, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(http_connection, "LINGER_S", 1000)
        async with await front.raw() as raw:
            raw.send(get("/a", "Transfer-Encoding: chunked") + b"1\r\nx\r\nxyz\r\n")
            assert (await raw.answer())[0] == 400
            async with asyncio.timeout(PATIENCE_S):
                await front.app.disconnected.wait()


class TestSlowness:
    @pytest.mark.parametrize(
        "rest", [b"GET /b HTTP/1.1\r\nHost:", b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabc"]
    )
    async def test_a_later_request_must_come_in_time(self, new_front: NewFront, rest: bytes) -> None:
        front = await new_front(limits={"hello_timeout_s": 0.05})
        async with await front.raw() as raw:
            raw.send(get("/a"))
            await told(raw)
            raw.send(rest)
            assert await raw.rest() == b""

    async def test_a_long_body_may_take_its_time_as_long_as_it_comes(self, new_front: NewFront) -> None:
        front = await new_front(limits={"hello_timeout_s": 0.2, "http_request_s": 0.2})
        async with await front.raw() as raw:
            raw.send(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 400000\r\n\r\n")
            for _ in range(20):
                raw.send(b"x" * 20_000)
                await asyncio.wait([asyncio.ensure_future(asyncio.sleep(0.03))])
            assert (await told(raw))["size"] == 400_000

    async def test_a_request_that_runs_long_is_not_slow(self, new_front: NewFront) -> None:
        """A long poll: the client owes nothing."""
        front = await new_front(limits={"hello_timeout_s": 0.05})
        async with await front.raw() as raw, await front.raw() as slow:
            raw.send(get("/wait"))
            await front.app.entered.wait()
            await slow.rest()
            front.app.release.set()
            assert (await told(raw))["path"] == "/wait"

    async def test_pipelining_behind_a_long_request_is_not_slow(self, new_front: NewFront) -> None:
        front = await new_front(limits={"hello_timeout_s": 0.05})
        async with await front.raw() as raw, await front.raw() as slow:
            raw.send(get("/wait") + get("/b") + b"GET /c HTTP/1.1\r\nHost:")
            await front.app.entered.wait()
            await slow.rest()
            front.app.release.set()
            assert [(await told(raw))["path"] for _ in range(2)] == ["/wait", "/b"]

    async def test_empty_lines_keep_no_connection(self, front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(http_connection, "KEEP_ALIVE_S", 0.05)
        async with await front.raw() as raw:
            raw.send(get("/a"))
            await told(raw)
            raw.send(b"\r\n")
            assert await raw.rest() == b""

    async def test_a_client_that_does_not_take_its_answer_is_dropped(self, new_front: NewFront) -> None:
        front = await new_front(limits={"http_request_s": 0.1})
        async with await front.raw() as raw:
            raw.reader._transport.pause_reading()  # type: ignore[attr-defined]
            raw.send(get("/large") + get("/large"))
            await front.app.entered.wait()
            await front.emptied()

    async def test_a_client_that_takes_its_answer_is_not(self, front: Front) -> None:
        async with await front.raw() as raw:
            raw.send(get("/large"))
            assert len((await raw.answer())[2]) == 8_000_000
            raw.send(get("/b"))
            await told(raw)
            (connection,) = front.server.connections
            assert isinstance(connection, http_connection.HttpConnection)
            assert connection._stall is None
            assert connection._progress is None

    async def test_a_body_that_nobody_reads_ends_the_connection_after_the_answer(
        self, front: Front, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(http_connection, "UNREAD_BODY_S", 0.1)
        async with await front.raw() as raw:
            raw.send(b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
            assert (await told(raw))["path"] == "/early"
            end = asyncio.ensure_future(raw.rest())
            while not end.done():
                raw.send(b"x" * 10_000)
                await asyncio.wait([end], timeout=0.005)
            assert await end == b""

    async def test_a_short_one_that_comes_late_is_swallowed(self, front: Front) -> None:
        async with await front.raw() as raw:
            raw.send(b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nlate")
            assert (await told(raw))["path"] == "/early"
            raw.send(b"body" + get("/b"))
            assert (await told(raw))["path"] == "/b"

    async def test_a_refused_client_that_stays_is_dropped(self, front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(http_connection, "LINGER_S", 0.05)
        async with await front.raw() as raw:
            raw.send(get("/a"))
            await told(raw)
            raw.send(b"nonsense\r\n\r\n")
            await raw.answer()
            await front.emptied()


class TestTheEnd:
    async def test_running_requests_are_answered(self, front: Front) -> None:
        async with await front.raw() as raw, await front.raw() as idle:
            idle.send(get("/a"))
            await told(idle)
            front.app.entered.clear()
            raw.send(get("/wait"))
            await front.app.entered.wait()
            closing = asyncio.ensure_future(front.server.aclose())
            assert await idle.rest() == b""
            front.app.release.set()
            assert (await told(raw))["path"] == "/wait"
            assert await raw.rest() == b""
            await closing
            assert front.server.open_connections == 0

    async def test_requests_that_do_not_end_are_cancelled(self, front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
        """Silently: the client is gone by then."""
        monkeypatch.setattr("cooee.gateway.server.CLOSING_S", 0.05)
        async with await front.raw() as raw:
            raw.send(get("/wait"))
            await front.app.entered.wait()
            async with asyncio.timeout(PATIENCE_S):
                await front.server.aclose()
            assert front.app.cancelled
            assert await raw.rest() == b""
