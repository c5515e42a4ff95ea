"""The writer thread: the only one that writes to the file. All that waits is committed together."""

import asyncio
import logging
import queue
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

import apsw

from cooee.adapters.sqlite.batch import BATCH_SIZE_BOUNDS, Operation, Stage, WriterCounters
from cooee.domain.errors import CooeeError, unavailable

_log = logging.getLogger(__name__)

MAX_BATCH = 10_000
"""Operations in one transaction, about; the rest waits for the next."""
FULL_ENOUGH = 256
"""So many operations at once make a good batch: no delay."""

STORE_TROUBLE = (
    apsw.FullError,
    apsw.IOError,
    apsw.BusyError,
    apsw.LockedError,
    apsw.ReadOnlyError,
    apsw.CantOpenError,
    apsw.NoMemError,
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.ProtocolError,
    apsw.PermissionsError,
)
"""What is the disk's fault and not an operation's: the whole batch is refused with ``unavailable``."""


class WriterThread:
    """Takes operations in order, commits them in batches, and gives the results back to the event loop.

    One `call_soon_threadsafe` per commit runs every ``done`` of the batch, in order.
    """

    def __init__(
        self,
        connection: apsw.Connection,
        stage: Stage | None,
        loop: asyncio.AbstractEventLoop,
        *,
        delay_s: float,
        checkpoint_pages: int,
    ) -> None:
        self.counters = WriterCounters()
        self._connection = connection
        self._stage = stage
        self._loop = loop
        self._delay_s = delay_s
        self._checkpoint_pages = checkpoint_pages
        self._pending: list[Operation] = []
        self._queue: queue.SimpleQueue[list[Operation] | None] = queue.SimpleQueue()
        self._stopped = False
        self._committed_at = -1.0
        self._thread = threading.Thread(target=self._run, name="cooee-writer", daemon=True)
        connection.set_wal_hook(self._note_wal)
        self._thread.start()

    @property
    def native_id(self) -> int:
        """The system's id of the thread."""
        return self._thread.native_id or 0  # `start` returned, so it has one

    def submit(self, operation: Operation) -> None:
        """Queue one operation: called on the event loop, never blocks.

        All of a turn of the loop go over together: waking the thread for the first would have both fight for the
        interpreter over the others.
        """
        pending = self._pending
        if not pending:
            self._loop.call_soon(self.hand_over)
        pending.append(operation)

    def hand_over(self) -> None:
        """Give the thread what was submitted."""
        if self._pending:
            pending, self._pending = self._pending, []
            self._queue.put(pending)

    def stop(self) -> None:
        """Commit all that was handed over, then end the thread; returns when it has ended. Blocks."""
        self._queue.put(None)
        self._thread.join()

    def _note_wal(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self.counters.wal_pages = pages
        return apsw.SQLITE_OK

    def _run(self) -> None:
        while not self._stopped:
            batch = self._collect()
            if batch:
                self._write(batch)
                self._committed_at = time.monotonic()
                if self.counters.wal_pages >= self._checkpoint_pages:
                    self._checkpoint()

    def _collect(self) -> list[Operation]:
        """Wait for the first operations, then until the delay since the last commit is over; return what came by then.

        Who comes after a pause is not delayed at all.
        """
        batch = self._queue.get()
        if batch is None:
            self._stopped = True
            return []
        if self._delay_s and len(batch) < FULL_ENOUGH:
            pause = self._committed_at + self._delay_s - time.monotonic()
            if pause > 0:
                time.sleep(pause)
        try:
            while len(batch) < MAX_BATCH:
                more = self._queue.get_nowait()
                if more is None:
                    self._stopped = True
                    break
                batch += more
        except queue.Empty:
            pass
        return batch

    def _write(self, batch: Sequence[Operation]) -> None:
        started = time.perf_counter()
        try:
            follow_up = self._transact(batch)
        except STORE_TROUBLE as error:
            self._refuse(batch, f"{type(error).__name__}: {error}")
            return
        except Exception:  # noqa: BLE001 - whatever an operation raises, the thread lives on
            if len(batch) == 1:
                _log.exception("an operation failed in the writer thread")
                self._refuse(batch, "an operation failed")
                return
            # One of them is the culprit, and the others must not suffer for it: halve until it is alone.
            self._roll_back()
            middle = len(batch) // 2
            self._write(batch[:middle])
            self._write(batch[middle:])
            return
        counters = self.counters
        counters.commits += 1
        counters.operations += len(batch)
        counters.commit_seconds += time.perf_counter() - started
        counters.batch_sizes[bisect_left(BATCH_SIZE_BOUNDS, len(batch))] += 1
        self._call(batch, follow_up)

    def _transact(self, batch: Sequence[Operation]) -> Callable[[], None] | None:
        connection, stage = self._connection, self._stage
        connection.execute("BEGIN IMMEDIATE")
        if stage is not None and False not in [operation.hot for operation in batch]:  # as nearly always
            stage.apply(connection, batch)
        else:
            self._apply_mixed(batch)
        if stage is not None:
            stage.flush(connection)
        connection.execute("COMMIT")
        return stage.committed() if stage is not None else None

    def _apply_mixed(self, batch: Sequence[Operation]) -> None:
        connection, stage = self._connection, self._stage
        for hot, run in groupby(batch, attrgetter("hot")):
            if hot:
                if stage is None:
                    raise AssertionError("a hot operation needs a stage")
                stage.apply(connection, list(run))
            else:
                if stage is not None:
                    stage.flush(connection)
                for work in run:
                    self._run_in_savepoint(work)

    def _checkpoint(self) -> None:
        """Copy the write-ahead log into the file: after the results were told, so that no ``ack`` waits for it."""
        self.counters.wal_pages = 0
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.Error as error:
            _log.warning("the write-ahead log could not be copied into the file: %s", error)

    def _run_in_savepoint(self, work: Any) -> None:
        connection, stage = self._connection, self._stage
        mark = stage.mark() if stage is not None else None
        connection.execute("SAVEPOINT work")
        try:
            work.result = work.run(connection)
            if stage is not None:
                stage.flush(connection)
        except STORE_TROUBLE:
            raise
        except Exception as error:  # noqa: BLE001 - it is raised again at the caller
            connection.execute("ROLLBACK TO work")
            if stage is not None:
                stage.rewind(mark)
            work.result = error
        connection.execute("RELEASE work")

    def _roll_back(self) -> None:
        if self._stage is not None:
            self._stage.discard()
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except apsw.Error:
            _log.exception("the transaction could not be rolled back")

    def _refuse(self, batch: Sequence[Operation], reason: str) -> None:
        self._roll_back()
        self.counters.failures += 1
        _log.warning("the store took nothing: %s", reason)
        error = unavailable("the store takes nothing now; what it acknowledged is safe; try again")
        for operation in batch:
            operation.result = error
        self._call(batch, None)

    def _call(self, batch: Sequence[Operation], follow_up: Callable[[], None] | None) -> None:
        try:
            self._loop.call_soon_threadsafe(finish, batch, follow_up)
        except RuntimeError:
            _log.warning("the event loop was closed before %d results could be told", len(batch))


def finish(batch: Sequence[Operation], follow_up: Callable[[], None] | None) -> None:
    """Tell every operation's result, in order; a callback that fails does not stop the others."""
    for operation in batch:
        try:
            operation.done(operation.result)
        except Exception:  # noqa: BLE001 - the other callbacks must run
            _log.exception("a callback failed")
    if follow_up is not None:
        follow_up()


def as_refusal(result: object) -> object:
    """Return ``result``, or for an exception that is no `CooeeError` the refusal that may be told."""
    if isinstance(result, Exception) and not isinstance(result, CooeeError):
        _log.error("an operation failed in the writer thread", exc_info=result)
        return unavailable("the operation failed; try again")
    return result
