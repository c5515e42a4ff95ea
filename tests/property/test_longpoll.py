"""Long polling over a network that loses, repeats and reorders: nothing is lost or doubled in either direction."""

import asyncio
from contextlib import suppress

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from cooee.domain.errors import CooeeError
from cooee.domain.ids import DeviceRef
from cooee.domain.limits import Limits
from cooee.gateway import poll_connection
from cooee.gateway.poll_connection import PollConnection
from cooee.protocol.poll import PollRequest, PollResponse


class Executed:
    """A `Receiver` that keeps what it was given, and answers some of it at once."""

    def __init__(self, connection: PollConnection) -> None:
        self.connection = connection
        self.frames: list[int] = []
        self.said = 0

    def bytes_received(self) -> None:
        """Nothing depends on it."""

    def frame_received(self, payload: bytes) -> None:
        self.frames.append(int(payload))
        if int(payload) % 2:
            self.push()

    def binary_received(self) -> None:
        raise AssertionError("a poll carries no binary")

    def connection_lost(self) -> None:
        raise AssertionError("nobody closed the connection")

    def push(self) -> None:
        """Send the next frame to the client."""
        self.said += 1
        self.connection.send(b"%d" % self.said)


class PollingClient:
    """The client's half of PROTOCOL.md §12, as simple as it can be."""

    def __init__(self) -> None:
        self.number = 0
        self.said = 0
        self.processed = 0
        self.got: list[int] = []
        self.sent: list[PollRequest] = []

    def next_request(self, frames: int) -> PollRequest:
        """Make a new request with so many new frames."""
        self.number += 1
        raws = []
        for _ in range(frames):
            self.said += 1
            raws.append(msgspec.Raw(b"%d" % self.said))
        request = PollRequest(self.number, "s", self.processed, tuple(raws))
        self.sent.append(request)
        return request

    def process(self, answer: PollResponse) -> None:
        """Take an answer's frames, unless they were taken."""
        if answer.answer_number > self.processed:
            self.processed = answer.answer_number
            self.got += [int(bytes(frame)) for frame in answer.frames]


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("push"), st.integers(1, 4)),
        st.tuples(st.just("poll"), st.integers(0, 3)),
        st.tuples(st.just("lose answer"), st.integers(0, 3)),
        st.tuples(st.just("lose request"), st.integers(0, 3)),
        st.tuples(st.just("give up"), st.integers(0, 3)),
        st.tuples(st.just("overtake"), st.integers(0, 3)),
        st.tuples(st.just("stray"), st.integers(0, 100)),
    ),
    max_size=40,
)


@given(EVENTS, st.integers(1, 6))
def test_both_directions_are_exact(events: list[tuple[str, int]], answer_bytes: int) -> None:
    asyncio.run(_play(events, answer_bytes))


async def _play(events: list[tuple[str, int]], answer_bytes: int) -> None:
    connection = PollConnection("s", DeviceRef("alice", "d1"), "192.0.2.1", Limits())
    server, client = Executed(connection), PollingClient()
    connection.attach(server)
    usual, poll_connection.ANSWER_BYTES = poll_connection.ANSWER_BYTES, answer_bytes
    try:
        for kind, count in (*events, *[("poll", 0)] * (server.said + 2)):
            await _happen(kind, count, connection, server, client)
        while client.got != list(range(1, server.said + 1)):
            before = len(client.got)
            await _happen("poll", 0, connection, server, client)
            assert len(client.got) > before, "polling brings what is queued"
    finally:
        poll_connection.ANSWER_BYTES = usual
    assert server.frames == list(range(1, client.said + 1))


async def _happen(kind: str, count: int, connection: PollConnection, server: Executed, client: PollingClient) -> None:
    if kind == "push":
        for _ in range(count):
            server.push()
        return
    if kind == "stray":
        if client.sent:
            with suppress(CooeeError):
                await connection.exchange(client.sent[count % len(client.sent)], 0)
        return
    request = client.next_request(count)
    if kind == "lose answer":
        await connection.exchange(request, 0)
    elif kind == "give up":
        waiting = asyncio.create_task(connection.exchange(request, 60))
        await asyncio.sleep(0)
        request = client.next_request(1)
        answer = await connection.exchange(request, 0)
        client.process(await waiting)
        client.process(answer)
        return
    elif kind == "overtake":
        following = asyncio.create_task(connection.exchange(client.next_request(1), 0))
        await asyncio.sleep(0)
        client.process(await connection.exchange(request, 0))
        client.process(await following)
        return
    elif kind == "lose request":
        pass  # it never arrived; the client asks again below
    client.process(await connection.exchange(request, 0))
    assert client.got == list(range(1, len(client.got) + 1)), "frames come once and in order"
