"""Long polling over a network that loses requests and answers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from cooee.client import longpoll
from cooee.client.api import new_http_session
from cooee.client.longpoll import LongPollTransport
from cooee.client.transport import TransportClosed, TransportRefused, TransportUnreachable
from cooee.protocol.poll import PollClosed, PollRequest, PollResponse

Fault = Callable[[PollRequest], web.Response | str | None]


class Polls:
    """The server's half of §12, written from the specification alone.

    ``fault`` may refuse a request (a response), lose it before it is executed (``"request"``) or lose its answer.
    """

    def __init__(self, fault: Fault | None = None) -> None:
        self.executed: list[bytes] = []
        self.requests: list[PollRequest] = []
        self.queue: list[bytes] = []
        self.closed: PollClosed | None = None
        self._fault = fault
        self._number = 0
        self._answered = 0
        self._given: tuple[bytes, ...] = ()
        self._woken = asyncio.Event()
        self._last: PollResponse | None = None

    def say(self, *payloads: bytes) -> None:
        self.queue.extend(payloads)
        self._woken.set()

    def shut(self, code: int) -> None:
        self.closed = PollClosed(code, "over")
        self._woken.set()

    async def poll(self, request: web.Request) -> web.StreamResponse:
        assert request.headers["Authorization"] == "Bearer secret"
        poll = msgspec.json.decode(await request.read(), type=PollRequest)
        self.requests.append(poll)
        fault = self._fault(poll) if self._fault is not None else None
        if isinstance(fault, web.Response):
            return fault
        if fault == "request":
            _cut(request)
        if poll.request_number not in (self._number, self._number + 1):
            error = {"error": {"code": "conflict", "message": "out of turn", "retryable": False}}
            return web.json_response(error, status=409)
        answer = await self._answer(poll)
        if fault == "answer":
            _cut(request)
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json")

    async def _answer(self, poll: PollRequest) -> PollResponse:
        self._woken.set()
        if poll.request_number == self._number and self._last is not None:
            return self._last
        if poll.request_number == self._number + 1:
            self._number += 1
            self._last = None
            self.executed += [bytes(frame) for frame in poll.frames]
            if poll.ack >= self._answered:
                self._given = ()
        number = self._number
        self._woken = asyncio.Event()
        if not (self._given or self.queue or self.closed) and poll.wait_ms:
            await self._woken.wait()
        if self._number != number:
            return PollResponse("s1", self._answered, ())
        if not self._given and self.queue:
            self._given, self.queue = tuple(self.queue), []
            self._answered += 1
        self._last = PollResponse("s1", self._answered, tuple(map(msgspec.Raw, self._given)), self.closed)
        return self._last


def _cut(request: web.Request) -> None:
    assert request.transport is not None
    request.transport.abort()
    raise asyncio.CancelledError


@asynccontextmanager
async def polling(polls: Polls) -> AsyncIterator[LongPollTransport]:
    app = web.Application()
    app.router.add_post("/v1/poll", polls.poll)
    async with TestServer(app) as server, new_http_session() as http:
        transport = LongPollTransport(http, str(server.make_url("/v1/poll")), "secret")
        await transport.open()
        try:
            yield transport
        finally:
            await transport.close()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(longpoll, "_TRIES_S", (0.0, 0.0, 0.0))


async def receive(transport: LongPollTransport, count: int) -> list[bytes]:
    found: list[bytes] = []
    while len(found) < count:
        found += await transport.receive()
    return found


async def test_frames_go_both_ways_while_a_poll_waits() -> None:
    polls = Polls()
    async with polling(polls) as transport:
        await transport.send([b'"hello"'])
        polls.say(b'"welcome"')
        assert await receive(transport, 1) == [b'"welcome"']
        polls.say(b'"one"', b'"two"')
        assert await receive(transport, 2) == [b'"one"', b'"two"']
        await transport.send([b'"a"'])
        await transport.send([b'"b"'])
        polls.say(b'"three"')
        assert await receive(transport, 1) == [b'"three"']
        while len(polls.executed) < 3:
            polls.say(b'"more"')
            await receive(transport, 1)
    assert polls.executed == [b'"hello"', b'"a"', b'"b"']


@pytest.mark.parametrize("lost", ["request", "answer"])
async def test_nothing_is_lost_or_doubled_when_every_other_exchange_breaks(lost: str) -> None:
    count = 0

    def fault(poll: PollRequest) -> str | None:
        nonlocal count
        count += 1
        return lost if count % 2 else None

    polls = Polls(fault)
    got: list[bytes] = []
    async with polling(polls) as transport:
        for number in range(10):
            await transport.send([b'"c%d"' % number])
            polls.say(b'"s%d"' % number)
            got += await receive(transport, 1)
        while len(polls.executed) < 10:
            polls.say(b'"end"')
            await receive(transport, 1)
    assert got == [b'"s%d"' % number for number in range(10)]
    assert polls.executed == [b'"c%d"' % number for number in range(10)]


async def test_only_polls_without_frames_wait() -> None:
    polls = Polls()
    async with polling(polls) as transport:
        await transport.send([b'"hello"'])
        polls.say(b'"welcome"')
        await receive(transport, 1)
        await transport.send([b'"a"'])
        polls.say(b'"x"')
        await receive(transport, 1)
    assert all(not (poll.frames and poll.wait_ms) for poll in polls.requests)
    assert polls.requests[0].session == ""


async def test_the_reason_why_the_server_closed_is_told() -> None:
    polls = Polls()
    async with polling(polls) as transport:
        await transport.send([b'"hello"'])
        polls.say(b'"welcome"')
        await receive(transport, 1)
        polls.shut(4009)
        with pytest.raises(TransportClosed) as closed:
            await transport.receive()
        assert closed.value.code == 4009
        with pytest.raises(TransportClosed):
            await transport.send([b'"late"'])


@pytest.mark.parametrize(
    ("status", "expected"),
    [(401, TransportClosed), (403, TransportRefused), (404, TransportRefused), (503, TransportUnreachable)],
)
async def test_a_refused_first_poll(status: int, expected: type[Exception]) -> None:
    error = {"error": {"code": "unavailable", "message": "no", "retryable": False}}
    polls = Polls(lambda _: web.json_response(error, status=status))
    async with polling(polls) as transport:
        await transport.send([b'"hello"'])
        with pytest.raises(expected):
            await transport.receive()


async def test_a_lapsed_session_ends_the_connection() -> None:
    error = {"error": {"code": "not_found", "message": "no", "retryable": False}}
    polls = Polls(lambda poll: web.json_response(error, status=404) if poll.session else None)
    async with polling(polls) as transport:
        polls.say(b'"welcome"')
        await transport.send([b'"hello"'])
        await receive(transport, 1)
        with pytest.raises(TransportClosed, match="lapsed"):
            await transport.receive()


async def test_a_busy_server_is_asked_again() -> None:
    count = 0
    error = {"error": {"code": "rate_limited", "message": "wait", "retryable": True, "retryAfterMs": 1}}

    def fault(poll: PollRequest) -> web.Response | None:
        nonlocal count
        count += 1
        return web.json_response(error, status=429) if count < 3 else None

    polls = Polls(fault)
    async with polling(polls) as transport:
        polls.say(b'"welcome"')
        await transport.send([b'"hello"'])
        assert await receive(transport, 1) == [b'"welcome"']
    assert {poll.request_number for poll in polls.requests[:3]} == {1}


async def test_something_else_than_a_chat_server() -> None:
    polls = Polls(lambda _: web.Response(text="<html>welcome to our wifi</html>"))
    async with polling(polls) as transport:
        await transport.send([b'"hello"'])
        with pytest.raises(TransportRefused, match="something else"):
            await transport.receive()


async def test_many_frames_are_spread_over_requests_in_order() -> None:
    polls = Polls()
    frames = [b'"%d %s"' % (number, b"x" * 60_000) for number in range(12)]
    async with polling(polls) as transport:
        polls.say(b'"welcome"')
        await transport.send(frames)
        await receive(transport, 1)
        while len(polls.executed) < len(frames):
            polls.say(b'"more"')
            await receive(transport, 1)
    assert polls.executed == frames
    assert max(sum(map(len, map(bytes, poll.frames))) for poll in polls.requests) <= 256 * 1024
