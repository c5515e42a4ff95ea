"""What the embedded store costs: complete messages through the real ports, without sockets.

``python -m cooee.bench.storage [--pairs 200] [--window 1] [--seconds 5]``

Each of the pairs keeps ``window`` messages in flight. A message is complete when it is durable and numbered and its
receiver's ``received`` is durable too: message row, dedup key, head, both lists, the sender's own and the receiver's
watermark. CPU is the process's own, so it includes this script (about 2 µs a message).
"""

import argparse
import asyncio
import resource
import sys
import tempfile
import threading
import time
from itertools import count
from pathlib import Path

import msgspec
import uvloop

from cooee.adapters.sqlite.store import SqliteStore, StoreSettings, open_store
from cooee.domain.errors import CooeeError
from cooee.domain.ids import DeviceRef
from cooee.domain.message import LogRecord, Placed
from cooee.ports.cursors import CursorChange, CursorUpdate


class Pair:
    """One sender and one receiver with messages in flight."""

    def __init__(self, store: SqliteStore, number: int, body: bytes) -> None:
        self._log, self._cursors = store.message_log, store.cursors
        self.sender, self.receiver = DeviceRef(f"a{number:07}", "d1"), DeviceRef(f"b{number:07}", "d1")
        self.conversation_id = f"dm:{self.sender.user_id}:{self.receiver.user_id}"
        self._ids = count()
        self._body = body
        self.complete = 0
        self.stopped = False
        self.in_flight = 0
        self.refusal: CooeeError | None = None

    def send(self) -> None:
        """Append the next message."""
        now_ms = time.time_ns() // 1_000_000
        # The form of a UUIDv7: time first, so that the dedup index grows at its end.
        client_message_id = f"{now_ms:012x}-{next(self._ids):08x}-{self.sender.user_id}"
        self.in_flight += 1
        self._log.append(
            LogRecord(self.conversation_id, *self.sender, client_message_id, now_ms, "text", self._body), self._placed
        )

    def _placed(self, result: Placed | CooeeError | None) -> None:
        if isinstance(result, Placed):
            number = result.sequence_number
            self._cursors.advance(CursorUpdate(self.conversation_id, *self.receiver, number), self._received)
        elif result is not None:
            self._fail(result)

    def _received(self, result: CursorChange | CooeeError) -> None:
        if isinstance(result, CooeeError):
            self._fail(result)
            return
        self.complete += 1
        self.in_flight -= 1
        if not self.stopped:
            self.send()

    def _fail(self, refusal: CooeeError) -> None:
        self.refusal = refusal
        self.stopped = True
        self.in_flight -= 1


class Figures(msgspec.Struct, frozen=True):
    """What one run yields."""

    pairs: int
    window: int
    messages_per_s: float
    cpu_us_per_message: float
    writer_cpu_us_per_message: float
    operations_per_commit: float
    commit_ms: float
    seconds: float


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _writer_cpu_s() -> float:
    """Return the CPU seconds of the writer thread, from its own clock."""
    for thread in threading.enumerate():
        if thread.name == "cooee-writer" and thread.ident is not None:
            return time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
    return 0.0


async def measure(folder: Path, options: argparse.Namespace) -> Figures:
    """Run one scenario on a new store in ``folder``."""
    store = await open_store(folder, StoreSettings())
    try:
        pairs = [Pair(store, number, options.body) for number in range(options.pairs)]
        devices = [device for pair in pairs for device in (pair.sender, pair.receiver)]
        await asyncio.gather(*map(store.cursors.start_device, devices))
        for pair in pairs:
            for _ in range(options.window):
                pair.send()
        await asyncio.sleep(1)
        counters = store.database.counters
        before = (sum(pair.complete for pair in pairs), _cpu_s(), _writer_cpu_s(), time.perf_counter())
        commits, operations, commit_s = counters.commits, counters.operations, counters.commit_seconds
        await asyncio.sleep(options.seconds)
        after = (sum(pair.complete for pair in pairs), _cpu_s(), _writer_cpu_s(), time.perf_counter())
        commits, operations = counters.commits - commits, counters.operations - operations
        commit_s = counters.commit_seconds - commit_s
        for pair in pairs:
            pair.stopped = True
        await store.database.write(lambda _connection: None)  # comes back after all that was submitted
        await store.database.write(lambda _connection: None)  # and after the receipts that those led to
        refusals = [pair.refusal for pair in pairs if pair.refusal is not None]
        if refusals:
            raise refusals[0]
        messages, cpu_s, writer_s, seconds = (new - old for new, old in zip(after, before, strict=True))
        if not messages or not commits:
            sys.exit("nothing was completed while measuring; give more --seconds")
        return Figures(
            options.pairs,
            options.window,
            round(messages / seconds),
            round(cpu_s / messages * 1e6, 2),
            round(writer_s / messages * 1e6, 2),
            round(operations / commits, 1),
            round(commit_s / commits * 1e3, 3),
            round(seconds, 2),
        )
    finally:
        await store.aclose()


def main() -> None:
    """Measure and print one JSON object per line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--window", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--body-bytes", type=int, default=60)
    options = parser.parse_args()
    options.body = msgspec.json.encode({"content": "x" * options.body_bytes})
    for window in options.window:
        options.window = window
        with tempfile.TemporaryDirectory(prefix="cooee-bench-", dir=Path.cwd()) as folder:
            figures = uvloop.run(measure(Path(folder), options))
        sys.stdout.write(msgspec.json.encode(figures).decode() + "\n")


if __name__ == "__main__":
    main()
