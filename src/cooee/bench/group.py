"""`group`: one member writes, all the others are online and get it."""

import asyncio
import itertools
import time

import aiohttp

from cooee.bench import traffic
from cooee.bench.connection import LoadConnection, connect_all
from cooee.bench.figures import Figures, Progress, no_progress, percentiles, rounded
from cooee.bench.target import Target

_MESSAGE = b'{"type":"message"'
_NUMBER = b'"sequenceNumber":'
_TELL_AFTER_S = 0.4
_TELL_EVERY = 100
_WATCH_S = 0.25
_BEGIN_S = 30.0


class Audience:
    """The members that read. Each tells what it received after 0.4 s or 100 messages, like a real client (§4)."""

    def __init__(self, conversation_id: str, size: int) -> None:
        self.conversation_id = conversation_id
        self._size = size
        self.deliveries = 0
        self.hints = 0
        self.latencies: list[float] = []
        self.on_complete = self._nothing
        self.began = asyncio.Event()
        """Every reader has the message that founded the group, and so follows it live."""
        self._waiting: dict[int, tuple[int, float]] = {}
        self._seen: dict[LoadConnection, int] = {}
        self._told: dict[LoadConnection, int] = {}

    def expect(self, number: int, sent_at: float) -> None:
        """Note a message that every reader will get."""
        left, _ = self._waiting.get(number, (self._size, 0.0))
        self._waiting[number] = (left, sent_at)
        self._check(number)

    def on_frame(self, connection: LoadConnection, payload: bytes) -> None:
        """Count a delivery. Read by its bytes: 100,000 of these come a second."""
        if not payload.startswith(_MESSAGE):
            self._on_other(connection, payload)
            return
        at = payload.index(_NUMBER) + len(_NUMBER)
        self._delivered(connection, int(payload[at : payload.index(b",", at)]))

    def _on_other(self, connection: LoadConnection, payload: bytes) -> None:
        """Fetch what a hint tells of: a member of a large group that lags, or begins, is only hinted at (§5)."""
        frame = traffic.read(payload)
        if frame.type == "timeline":
            self.hints += 1
            connection.send(traffic.fetch(self.conversation_id, self._seen.get(connection, 0)))
        for message in frame.messages:
            self._delivered(connection, message.sequence_number)
        if frame.messages:
            self._tell(connection, self._seen[connection])
            if len(self._seen) == self._size:
                self.began.set()

    def _delivered(self, connection: LoadConnection, number: int) -> None:
        if number <= self._seen.get(connection, 0):
            return
        self.deliveries += 1
        self._seen[connection] = number
        if number - self._told.get(connection, 0) >= _TELL_EVERY:
            self._tell(connection, number)
        left, sent_at = self._waiting.get(number, (self._size, 0.0))
        self._waiting[number] = (left - 1, sent_at)
        if sent_at:
            self.latencies.append(time.perf_counter() - sent_at)
        if left == 1:
            self._check(number)

    async def keep_telling(self) -> None:
        """Tell what was received, until cancelled."""
        while True:
            await asyncio.sleep(_TELL_AFTER_S)
            for connection, number in self._seen.items():
                if number > self._told.get(connection, 0):
                    self._tell(connection, number)

    def _tell(self, connection: LoadConnection, number: int) -> None:
        self._told[connection] = number
        connection.send(traffic.received(self.conversation_id, number))

    def _check(self, number: int) -> None:
        left, sent_at = self._waiting[number]
        if left == 0 and sent_at:
            del self._waiting[number]
            self.on_complete()

    def _nothing(self) -> None:
        """Do nothing when a message has reached everybody."""


class Speaker:
    """The member that writes: ``window`` messages are on their way to somebody at any time."""

    def __init__(self, audience: Audience) -> None:
        self.connection: LoadConnection | None = None
        self.acks: list[float] = []
        self.errors = 0
        self._audience = audience
        self._names = itertools.count()
        self._sent_at: dict[str, float] = {}

    def write(self) -> None:
        """Send one message."""
        if self.connection is None:
            raise AssertionError("not connected")
        name = traffic.message_name(next(self._names))
        self._sent_at[name] = time.perf_counter()
        self.connection.send(traffic.send(self._audience.conversation_id, name))

    def on_frame(self, _connection: LoadConnection, payload: bytes) -> None:
        """Take the ack."""
        frame = traffic.read(payload)
        if frame.type == "ack":
            sent_at = self._sent_at.pop(frame.client_message_id)
            self.acks.append(time.perf_counter() - sent_at)
            self._audience.expect(frame.sequence_number, sent_at)
        elif frame.type == "error":
            self.errors += 1


async def run(
    server: Target,
    *,
    members: int,
    window: int,
    seconds: float,
    warm_up: float = 1.0,
    progress: Progress = no_progress,
) -> Figures:
    """Load ``server`` with a group of ``members`` and return the figures."""
    users = await server.enrol(members, progress)
    audience = Audience(await _found(server, users), members - 1)
    speaker = Speaker(audience)
    tokens = [token for _, token in users]
    await connect_all(server.url, tokens[1:], audience.on_frame, progress=progress)
    (speaker.connection,) = await connect_all(server.url, tokens[:1], speaker.on_frame)
    await asyncio.wait_for(audience.began.wait(), _BEGIN_S)
    audience.on_complete = speaker.write
    telling = asyncio.create_task(audience.keep_telling())
    for _ in range(window):
        speaker.write()
    await asyncio.sleep(warm_up)
    audience.latencies.clear()
    audience.hints = 0
    speaker.acks.clear()
    began, cpu, delivered = time.perf_counter(), server.cpu_s(), audience.deliveries
    while (gone := time.perf_counter() - began) < seconds:
        progress("Messages", gone, seconds)
        await asyncio.sleep(min(_WATCH_S, seconds - gone))
    took, used, delivered = time.perf_counter() - began, server.cpu_s() - cpu, audience.deliveries - delivered
    telling.cancel()
    return {
        "scenario": "group",
        "members": members,
        "window": window,
        "connections": members,
        "seconds": round(took, 3),
        "deliveries": delivered,
        "hints": audience.hints,
        "errors": speaker.errors,
        "messages_per_s": round(delivered / max(1, members - 1) / took, 1),
        "deliveries_per_s": round(delivered / took, 1),
        "server_cores": round(used / took, 3) if server.pid else None,
        "server_cpu_us_per_delivery": rounded(used * 1e6 / max(1, delivered), 2) if server.pid else None,
        "ack_ms": percentiles(speaker.acks),
        "delivery_ms": percentiles(audience.latencies),
    }


async def _found(server: Target, users: list[tuple[str, str]]) -> str:
    """Found the group, by its first member, with all the others."""
    body = {"name": "bench", "memberIds": [user_id for user_id, _ in users[1:]]}
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {users[0][1]}"}) as http,
        http.post(f"{server.url}/v1/groups", json=body) as answer,
    ):
        if answer.status != 201:
            raise ConnectionError(f"no group: {await answer.text()}")
        return str((await answer.json())["conversationId"])
