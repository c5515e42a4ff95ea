"""`pairs`: people who write to each other; each message is durable, acked, delivered, received and receipted."""

import asyncio
import itertools
import time
from collections import deque

from cooee.bench import traffic
from cooee.bench.connection import LoadConnection, connect_all, ignore
from cooee.bench.figures import Figures, Progress, no_progress, percentiles, rounded
from cooee.bench.target import Target
from cooee.domain.ids import direct_conversation_id

_TICK_S = 0.001
_WATCH_S = 0.25


class Pair:
    """A writer and a reader. ``window`` messages are on their way at any time, or as many as `write` is called for."""

    def __init__(self, writer_id: str, reader_id: str, window: int, stats: "Stats") -> None:
        self.conversation_id = direct_conversation_id(writer_id, reader_id)
        self.writer: LoadConnection | None = None
        self.running = False
        self._window = window
        self._stats = stats
        self._sent_at: dict[int, float] = {}
        self._in_flight: deque[tuple[str, float]] = deque()
        self._names = itertools.count()
        self._complete = 0
        self._covered = 0
        self._owed = 0

    def start(self) -> None:
        """Fill the window."""
        self.running = True
        for _ in range(self._window):
            self.write()

    def write(self) -> None:
        """Send one message."""
        if self.writer is None:
            raise AssertionError("not connected")
        name = traffic.message_name(next(self._names))
        self._in_flight.append((name, time.perf_counter()))
        self.writer.send(traffic.send(self.conversation_id, name))

    def on_writer(self, _connection: LoadConnection, payload: bytes) -> None:
        """Take an ack or a receipt; a receipt completes messages."""
        frame = traffic.read(payload)
        if frame.type == "ack":
            sent_at = self._in_flight.popleft()[1]
            self._sent_at[frame.sequence_number] = sent_at
            self._stats.acks.append(time.perf_counter() - sent_at)
            self._settle()
        elif frame.type == "receipt":
            self._covered = max(self._covered, frame.sequence_number)
            self._settle()
        elif frame.type == "error":
            self._stats.errors += 1
            self._in_flight.popleft()

    def on_reader(self, connection: LoadConnection, payload: bytes) -> None:
        """Acknowledge messages like a client in a hurry: at once, and those that came together by one frame (§4)."""
        frame = traffic.read(payload)
        if frame.type != "message":
            return
        if not self._owed:
            asyncio.get_running_loop().call_soon(self._tell, connection)
        self._owed = frame.sequence_number
        sent_at = self._sent_at.get(frame.sequence_number)
        if sent_at is None:  # it overtook the ack
            sent_at = next((at for name, at in self._in_flight if name == frame.client_message_id), None)
        if sent_at is not None:
            self._stats.deliveries.append(time.perf_counter() - sent_at)

    def _tell(self, connection: LoadConnection) -> None:
        number, self._owed = self._owed, 0
        connection.send(traffic.received(self.conversation_id, number))

    def _settle(self) -> None:
        """Count what is both acked and receipted: a receipt may overtake the ack's handling."""
        while self._complete < self._covered and self._complete + 1 in self._sent_at:
            self._complete += 1
            del self._sent_at[self._complete]
            self._stats.complete += 1
            if self.running and self._window:
                self.write()


class Stats:
    """What was counted."""

    def __init__(self) -> None:
        self.complete = 0
        self.errors = 0
        self.acks: list[float] = []
        self.deliveries: list[float] = []

    def clear(self) -> None:
        """Begin anew, after the warm-up."""
        self.complete = self.errors = 0
        self.acks.clear()
        self.deliveries.clear()


async def run(
    server: Target,
    *,
    pairs: int,
    window: int,
    rate: float,
    seconds: float,
    warm_up: float = 1.0,
    progress: Progress = no_progress,
) -> Figures:
    """Load ``server`` and return the figures. ``rate`` > 0: that many messages a second instead of a window."""
    stats = Stats()
    people = await _meet(server, pairs, 0 if rate else window, stats, progress)
    for pair in people:
        pair.start()
    pacing = asyncio.create_task(_pace(people, rate)) if rate else None
    await asyncio.sleep(warm_up)
    stats.clear()
    began, cpu = time.perf_counter(), server.cpu_s()
    while (gone := time.perf_counter() - began) < seconds:
        progress("Messages", gone, seconds)
        await asyncio.sleep(min(_WATCH_S, seconds - gone))
    took, used = time.perf_counter() - began, server.cpu_s() - cpu
    if pacing is not None:
        pacing.cancel()
    return {
        "scenario": "pairs",
        "pairs": pairs,
        "window": 0 if rate else window,
        "rate": rate,
        "connections": 2 * pairs,
        "seconds": round(took, 3),
        "messages": stats.complete,
        "errors": stats.errors,
        "messages_per_s": round(stats.complete / took, 1),
        "server_cores": round(used / took, 3) if server.pid else None,
        "server_cpu_us_per_message": rounded(used * 1e6 / max(1, stats.complete), 2) if server.pid else None,
        "ack_ms": percentiles(stats.acks),
        "delivery_ms": percentiles(stats.deliveries),
    }


async def _meet(server: Target, pairs: int, window: int, stats: Stats, progress: Progress) -> list[Pair]:
    """Make the accounts and connect them all."""
    users = await server.enrol(2 * pairs, progress)
    connections = await connect_all(server.url, [token for _, token in users], ignore, progress=progress)
    people = []
    for index in range(0, 2 * pairs, 2):
        pair = Pair(users[index][0], users[index + 1][0], window, stats)
        pair.writer, reader = connections[index : index + 2]
        pair.writer.on_frame, reader.on_frame = pair.on_writer, pair.on_reader
        people.append(pair)
    return people


async def _pace(people: list[Pair], rate: float) -> None:
    loop = asyncio.get_running_loop()
    began, sent = loop.time(), 0
    while True:
        due = int((loop.time() - began) * rate)
        while sent < due:
            people[sent % len(people)].write()
            sent += 1
        await asyncio.sleep(_TICK_S)
