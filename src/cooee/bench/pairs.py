"""`pairs`: people who write to each other; each message is durable, acked, delivered, received and receipted."""

import asyncio
import time
from collections import deque
from typing import Any

import msgspec

from cooee.bench.connection import LoadConnection, connect
from cooee.bench.target import Target, log_in
from cooee.domain.ids import direct_conversation_id


class _Frame(msgspec.Struct, rename="camel"):
    type: str
    client_message_id: str = ""
    conversation_id: str = ""
    sequence_number: int = 0
    status: str = ""
    code: str = ""


_decode = msgspec.json.Decoder(_Frame).decode


class Pair:
    """A writer and a reader. ``window`` messages are on their way at any time, or ``rate`` a second."""

    writer: LoadConnection | None = None
    running = False

    def __init__(self, writer_id: str, reader_id: str, window: int, stats: "Stats") -> None:
        self.conversation_id = direct_conversation_id(writer_id, reader_id)
        self._window = window
        self._stats = stats
        self._sent_at: dict[int, float] = {}
        self._in_flight: deque[tuple[str, float]] = deque()
        self._number = 0
        self._complete = 0
        self._covered = 0

    def start(self) -> None:
        """Fill the window."""
        self.running = True
        for _ in range(self._window):
            self.write()

    def write(self) -> None:
        """Send one message."""
        if self.writer is None:
            raise AssertionError("not connected")
        self._number += 1
        name = f"{self._number:x}"
        self._in_flight.append((name, time.perf_counter()))
        self.writer.send(
            f'{{"type":"send","clientMessageId":"{name}","conversationId":"{self.conversation_id}",'
            f'"contentType":"text","content":"a message of usual length, about this long {name}"}}'.encode()
        )

    def on_writer(self, _connection: LoadConnection, payload: bytes) -> None:
        """Take an ack or a receipt; a receipt completes messages."""
        frame = _decode(payload)
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

    def _settle(self) -> None:
        """Count what is both acked and receipted: a receipt may overtake the ack's handling."""
        while self._complete < self._covered and self._complete + 1 in self._sent_at:
            self._complete += 1
            del self._sent_at[self._complete]
            self._stats.complete += 1
            if self.running and self._window:
                self.write()

    def on_reader(self, connection: LoadConnection, payload: bytes) -> None:
        """Acknowledge a message like a real client."""
        frame = _decode(payload)
        if frame.type != "message":
            return
        sent_at = self._sent_at.get(frame.sequence_number)
        if sent_at is None and self._in_flight:
            sent_at = next((at for name, at in self._in_flight if name == frame.client_message_id), None)
        if sent_at is not None:
            self._stats.deliveries.append(time.perf_counter() - sent_at)
        connection.send(
            f'{{"type":"received","conversationId":"{frame.conversation_id}",'
            f'"sequenceNumber":{frame.sequence_number}}}'.encode()
        )


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
    server: Target, *, pairs: int, window: int, rate: float, seconds: float, warm_up: float = 1.0
) -> dict[str, Any]:
    """Load ``server`` and return the figures. ``rate`` > 0: that many messages a second instead of a window."""
    users = [f"{side}{number}" for number in range(pairs) for side in ("w", "r")]
    tokens = await log_in(server, users)
    stats = Stats()
    people = [Pair(users[n], users[n + 1], 0 if rate else window, stats) for n in range(0, len(users), 2)]
    for index, pair in enumerate(people):
        pair.writer = await connect(server.url, tokens[2 * index], pair.on_writer)
        await connect(server.url, tokens[2 * index + 1], pair.on_reader)
    for pair in people:
        pair.start()
    pacing = asyncio.create_task(_pace(people, rate)) if rate else None
    await asyncio.sleep(warm_up)
    stats.clear()
    began, cpu = time.perf_counter(), server.cpu_s()
    await asyncio.sleep(seconds)
    took, used = time.perf_counter() - began, server.cpu_s() - cpu
    if pacing is not None:
        pacing.cancel()
    done = max(1, stats.complete)
    return {
        "scenario": "pairs",
        "pairs": pairs,
        "window": 0 if rate else window,
        "rate": rate,
        "seconds": round(took, 3),
        "messages": stats.complete,
        "errors": stats.errors,
        "messages_per_s": round(stats.complete / took, 1),
        "server_cores": round(used / took, 3) if server.pid else None,
        "server_cpu_us_per_message": round(used * 1e6 / done, 2) if server.pid else None,
        "ack_ms": percentiles(stats.acks),
        "delivery_ms": percentiles(stats.deliveries),
    }


async def _pace(people: list[Pair], rate: float) -> None:
    loop = asyncio.get_running_loop()
    began, sent = loop.time(), 0
    while True:
        due = int((loop.time() - began) * rate)
        while sent < due:
            people[sent % len(people)].write()
            sent += 1
        await asyncio.sleep(0.001)


def percentiles(seconds: list[float]) -> dict[str, float] | None:
    """Return p50 and p99 in milliseconds, or None without samples."""
    if not seconds:
        return None
    ordered = sorted(seconds)
    return {
        "p50": round(ordered[len(ordered) // 2] * 1000, 3),
        "p99": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] * 1000, 3),
    }
