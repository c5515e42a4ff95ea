"""The one file of the embedded profile: opened, checked and migrated; one writer thread, a few readers."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import apsw
import msgspec

from cooee.adapters.sqlite.batch import Operation, Stage, Work, WriterCounters
from cooee.adapters.sqlite.errors import StoreCorrupt, StoreError, StoreUnreadable
from cooee.adapters.sqlite.folder_lock import FolderLock
from cooee.adapters.sqlite.migrations import migrate, recognise
from cooee.adapters.sqlite.readers import ReaderPool
from cooee.adapters.sqlite.writer import WriterThread, as_refusal
from cooee.domain.errors import unavailable

T = TypeVar("T")
_log = logging.getLogger(__name__)

_STATEMENTS = 400
"""Prepared statements that the writer keeps: each of its bulk statements in some twenty sizes."""
_CHECK_ALWAYS_BELOW = 64 * 1024 * 1024
"""A file up to this size (bytes) is checked at every start; a larger one only after an unclean end."""


class DatabaseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the file is used."""

    commit_delay_s: float = 0.001
    """How long the first operation of a batch waits for others."""
    readers: int = 2
    """Threads that read."""
    synchronous: str = "FULL"
    """Only tests weaken it, to show that they would notice."""
    checkpoint_pages: int = 4000
    """Pages of the write-ahead log after which it is copied into the file."""
    cache_bytes: int = 32 * 1024 * 1024
    """Page cache of the writer's connection; a reader has a quarter of it."""
    busy_timeout_ms: int = 5000
    """How long to wait while another program writes to the file."""
    vfs: str | None = None
    """SQLite's file layer; tests put their own in."""


class Database:
    """One SQLite file in WAL mode. Open it with `open`, close it with `aclose`."""

    def __init__(self, path: Path, lock: FolderLock, connection: apsw.Connection, settings: DatabaseSettings) -> None:
        """Take over what `open` has prepared."""
        self.path = path
        self._lock = lock
        self._connection = connection
        self._settings = settings
        self._readers = ReaderPool(self._connect_reader, settings.readers)
        self._writer: WriterThread | None = None
        self._closed = False

    @classmethod
    async def open(cls, path: Path, settings: DatabaseSettings | None = None) -> "Database":
        """Lock the folder, open or create the file, check it and bring its schema up to date.

        Call `start` before the first write.

        Raises:
            StoreError: the folder is in use, the file damaged, newer than this program or not to be opened; the
                message names it, and nothing was changed.
        """
        return await asyncio.to_thread(cls._open, path, settings or DatabaseSettings())

    @classmethod
    def _open(cls, path: Path, settings: DatabaseSettings) -> "Database":
        lock = FolderLock(path.parent)
        try:
            connection = open_file(path, settings)
        except BaseException:
            lock.release()
            raise
        return cls(path, lock, connection, settings)

    def start(self, stage: Stage | None = None) -> None:
        """Start the writer thread, on the running event loop, with the stage for hot operations."""
        if self._writer is not None:
            raise AssertionError("the writer thread runs already")
        self._writer = WriterThread(
            self._connection,
            stage,
            asyncio.get_running_loop(),
            delay_s=self._settings.commit_delay_s,
            checkpoint_pages=self._settings.checkpoint_pages,
        )

    @property
    def counters(self) -> WriterCounters:
        """What the writer thread did so far."""
        return self._running().counters

    @property
    def writer_thread(self) -> int:
        """The system's id of the writer thread."""
        return self._running().native_id

    @property
    def setup_connection(self) -> apsw.Connection:
        """The writer's connection, for preparations before `start`; afterwards it is the writer thread's alone."""
        return self._connection

    def submit(self, operation: Operation) -> None:
        """Queue ``operation``; its ``done`` is called on the event loop when it is durable or refused.

        Operations take effect in the order in which they were submitted. No task, future or coroutine.
        """
        if self._writer is None or self._closed:
            operation.result = unavailable("the store is closed")
            asyncio.get_running_loop().call_soon(operation.done, operation.result)
            return
        self._writer.submit(operation)

    def submit_write(self, run: Callable[[apsw.Connection], Any], done: Callable[[Any], None]) -> None:
        """Have ``run`` called like `write` does; ``done`` gets what it returns, or a CooeeError, once durable."""
        self.submit(Work(lambda result: done(as_refusal(result)), run))

    async def write(self, run: Callable[[apsw.Connection], T]) -> T:
        """Return what ``run(connection)`` returns, called in the writer thread inside the batch's transaction.

        Durable before it returns. What ``run`` raises undoes only its own changes and is raised here. It may be called
        again when another operation of the batch broke the transaction. A caller that is cancelled does not stop it.

        Raises:
            CooeeError: ``unavailable`` when the store takes nothing now: nothing was stored, a retry is safe.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def done(result: Any) -> None:
            if future.cancelled():
                return
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)

        self.submit(Work(done, run))
        return await future

    async def read(self, run: Callable[[apsw.Connection], T]) -> T:
        """Return what ``run(connection)`` returns, called in a reader thread on one snapshot.

        The snapshot holds all that was acknowledged before the call.
        """
        if self._closed:
            raise unavailable("the store is closed")
        return await self._readers.read(run)

    async def aclose(self) -> None:
        """Commit what was submitted, copy the log into the file, note the clean end. Idempotent."""
        if self._closed:
            return
        self._closed = True
        if self._writer is not None:
            self._writer.hand_over()
        await asyncio.to_thread(self._close)
        await asyncio.sleep(0)  # the last results were handed to the loop before this call returned to it

    def _close(self) -> None:
        try:
            if self._writer is not None:
                self._writer.stop()
            self._readers.close()
            close_file(self._connection)
        finally:
            self._lock.release()

    def _running(self) -> WriterThread:
        if self._writer is None:
            raise AssertionError("the writer thread was not started")
        return self._writer

    def _connect_reader(self) -> apsw.Connection:
        connection = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READONLY, vfs=self._settings.vfs)
        connection.set_busy_timeout(self._settings.busy_timeout_ms)
        connection.pragma("cache_size", -self._settings.cache_bytes // 4096)
        return connection


def open_file(path: Path, settings: DatabaseSettings) -> apsw.Connection:
    """Open, check and migrate the file, and note that it is in use."""
    try:
        # The file is its owner's alone, and SQLite gives its journals the same mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = apsw.Connection(str(path), vfs=settings.vfs, statementcachesize=_STATEMENTS)
    except OSError as error:
        raise StoreUnreadable(path, error.strerror or str(error)) from error
    except apsw.Error as error:
        raise StoreUnreadable(path, str(error)) from error
    try:
        connection.set_busy_timeout(settings.busy_timeout_ms)
        recognise(connection, path)  # before anything is changed: the journal mode stands in the file
        configure(connection, settings)
        check(connection, path)
        migrate(connection, path)
        connection.execute("REPLACE INTO meta VALUES ('clean', 0)")
    except (apsw.CorruptError, apsw.NotADBError) as error:
        connection.close()
        raise StoreCorrupt(path, str(error)) from error
    except apsw.Error as error:
        connection.close()
        raise StoreUnreadable(path, str(error)) from error
    except StoreError:
        connection.close()
        raise
    return connection


def configure(connection: apsw.Connection, settings: DatabaseSettings) -> None:
    """Set what SQLite keeps per connection; the journal mode is kept in the file."""
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", settings.synchronous)
    connection.pragma("cache_size", -settings.cache_bytes // 1024)
    connection.pragma("secure_delete", "fast")  # erased content is overwritten where that costs no further I/O
    connection.pragma("foreign_keys", 0)
    connection.pragma("recursive_triggers", 0)
    connection.wal_autocheckpoint(0)


def check(connection: apsw.Connection, path: Path) -> None:
    """Have SQLite look for damage when that is cheap or due.

    Raises:
        StoreCorrupt: it found some.
    """
    size = int(connection.pragma("page_count")) * int(connection.pragma("page_size"))
    clean = connection.table_exists("main", "meta") and bool(
        connection.execute("SELECT value FROM meta WHERE name = 'clean'").get
    )
    if clean and size > _CHECK_ALWAYS_BELOW:
        return
    verdict = connection.execute("PRAGMA quick_check(1)").get
    if verdict != "ok":
        raise StoreCorrupt(path, str(verdict).removeprefix("*** in database main ***\n"))


def close_file(connection: apsw.Connection) -> None:
    """Note the clean end, empty the write-ahead log and close. A full disk only leaves the end unclean."""
    try:
        connection.execute("REPLACE INTO meta VALUES ('clean', 1)")
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    except apsw.Error as error:
        _log.warning("the data file could not be closed cleanly; the next start checks it: %s", error)
    with contextlib.suppress(apsw.Error):  # a last attempt to copy the log, which may fail like the first
        connection.close()
