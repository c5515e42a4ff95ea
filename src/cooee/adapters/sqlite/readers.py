"""Reads beside the writer: a few threads, each with its own read-only connection.

What waits is read together, by one thread and in one snapshot, and told to the event loop together: when thousands of
clients come back at once, going to a thread and back would cost more than the reading.
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import apsw

from cooee.domain.errors import unavailable

T = TypeVar("T")

TOGETHER = 16
"""Reads of one snapshot; a slow one holds up the others of its company."""
_TROUBLE = (apsw.IOError, apsw.BusyError, apsw.CantOpenError, apsw.CorruptError, apsw.NoMemError)


class _Read(NamedTuple):
    run: Callable[[apsw.Connection], Any]
    future: "asyncio.Future[Any]"


class ReaderPool:
    """Runs functions on read-only connections, each in a snapshot that holds all that was acknowledged before."""

    def __init__(self, connect: Callable[[], apsw.Connection], threads: int) -> None:
        self._connect = connect
        self._queue: queue.SimpleQueue[_Read | None] = queue.SimpleQueue()
        self._size = threads
        self._threads: list[threading.Thread] = []
        self._connections: list[apsw.Connection] = []

    async def read(self, run: Callable[[apsw.Connection], T]) -> T:
        """Return what ``run`` returns.

        Raises:
            CooeeError: ``unavailable`` when the file cannot be read now; or what ``run`` raises.
        """
        if len(self._threads) < self._size:
            self._start_one()
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.put(_Read(run, future))
        return await future

    def close(self) -> None:
        """Wait for what is running and waiting, end the threads and close their connections. Blocks."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _start_one(self) -> None:
        name = f"cooee-reader-{len(self._threads)}"
        thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _serve(self) -> None:
        """Run in a thread: read until told to end."""
        connection: apsw.Connection | None = None
        ended = False
        while not ended:
            company, ended = self._company()
            results: list[Any] = []
            try:
                if connection is None and company:
                    connection = self._connect()
                    self._connections.append(connection)
                if connection is not None:
                    _read_all(connection, company, results)
            except Exception as error:  # noqa: BLE001 - it is raised again at every caller that has no result yet
                results += [_refusal(error)] * (len(company) - len(results))
                self._drop(connection)
                connection = None
            _tell(company, results)
        self._drop(connection)

    def _drop(self, connection: apsw.Connection | None) -> None:
        """Close a connection of which it is not known in what state it is, or that is not needed any more."""
        if connection is not None:
            self._connections.remove(connection)
            with contextlib.suppress(apsw.Error):
                connection.close()

    def _company(self) -> tuple[list[_Read], bool]:
        """Wait for a read, and return it with what waits besides; True when this thread is to end after it."""
        first = self._queue.get()
        if first is None:
            return [], True
        company = [first]
        try:
            while len(company) < TOGETHER:
                more = self._queue.get_nowait()
                if more is None:
                    return company, True
                company.append(more)
        except queue.Empty:
            pass
        return company, False


def _read_all(connection: apsw.Connection, company: Sequence[_Read], results: list[Any]) -> None:
    connection.execute("BEGIN")
    try:
        for read in company:
            try:
                results.append(read.run(connection))
            except Exception as error:  # noqa: BLE001 - it is raised again at its caller
                results.append(_refusal(error))
    finally:
        connection.execute("COMMIT")


def _refusal(error: Exception) -> Exception:
    if isinstance(error, _TROUBLE):
        refusal = unavailable("the store cannot be read now; try again")
        refusal.__cause__ = error
        return refusal
    return error


def _tell(company: Sequence[_Read], results: Sequence[Any]) -> None:
    """Give the results to the loops that wait for them; nobody is told of a loop that has ended."""
    if not company:
        return
    try:
        company[0].future.get_loop().call_soon_threadsafe(_finish, company, results)
    except RuntimeError:
        return


def _finish(company: Sequence[_Read], results: Sequence[Any]) -> None:
    for read, result in zip(company, results, strict=True):
        if read.future.done():
            continue
        if isinstance(result, Exception):
            read.future.set_exception(result)
        else:
            read.future.set_result(result)
