"""Copies of the file: taken while it is used, checked afterwards, and given an epoch of their own for their return.

Everything here blocks; call it in a thread.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import apsw

from cooee.adapters.sqlite.errors import StoreCorrupt, StoreError, StoreUnreadable
from cooee.adapters.sqlite.migrations import recognise

Report = Callable[[int, int], None]
"""Takes the bytes done, and the bytes in all."""
Rest = Callable[[float], None]
"""Is called between two pieces of work with the seconds that the last one took; it waits, or raises to stop."""
Facts = tuple[int, dict[str, int]]
"""The schema's version, and the number of rows of every table."""

_PIECE_PAGES = 256
_SYNC_EVERY = 16
"""Pieces after which what was written is forced to the disk, so that no other fsync finds all of it waiting."""
_BUSY_MS = 5000
_SAME_EPOCH = "UPDATE own_change SET position = (position & ?) | ?"
_COUNTER_MASK = (1 << 33) - 1
_EPOCH_MASK = (1 << 29) - 1

_HAS_KEYS = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'one_time_key'"


def copy_file(source: Path, target: Path, report: Report, rest: Rest) -> Facts:
    """Copy the file as it is now to ``target``, which does not exist, and return what is in it.

    One snapshot: all that was acknowledged before the call, and nothing half. The source may be written to meanwhile;
    its write-ahead log is not emptied before the copy ends. The target is durable, complete in one file, mode 0600.

    Raises:
        StoreError: one of them cannot be used; the target is to be removed.
    """
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with _closing(apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READWRITE)) as reading:
            reading.set_busy_timeout(_BUSY_MS)
            version = recognise(reading, source)
            if not version:
                raise StoreUnreadable(source, "there is no store in it yet")
            reading.execute("BEGIN")
            rows = _rows(reading)  # the first read takes the snapshot, which lasts until COMMIT
            with _closing(apsw.Connection(str(target))) as writing:
                writing.pragma("journal_mode", "off")  # nothing to go back to
                writing.pragma("synchronous", "off")  # forced to the disk below, whole
                _copy(reading, writing, target, report, rest)
                writing.pragma("journal_mode", "delete")  # one file, without a log beside it
            reading.execute("COMMIT")
    except apsw.FullError as error:
        raise StoreError(f"there is no room for {target}; make some, or name a file elsewhere") from error
    except apsw.Error as error:
        raise StoreError(f"the data file {source} cannot be copied to {target}: {error}") from error
    _force(target)
    return version, rows


def check_copy(path: Path) -> Facts:
    """Have SQLite examine a copy from end to end, and return what is in it. Changes nothing.

    Raises:
        StoreError: it is damaged, not ours, or newer than this program.
    """
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    try:
        with _closing(apsw.Connection(f"file:{quote(str(path))}?immutable=1", flags=flags)) as connection:
            version = recognise(connection, path)
            verdict = connection.execute("PRAGMA integrity_check(1)").get
            if verdict != "ok" or not version:
                raise StoreCorrupt(path, str(verdict).removeprefix("*** in database main ***\n"))
            return version, _rows(connection)
    except apsw.Error as error:
        raise StoreCorrupt(path, str(error)) from error


def check_live(path: Path, *, full: bool = False) -> tuple[int, str]:
    """Return the schema's version, and what SQLite finds wrong in a file that may be in use, empty when nothing is.

    ``full`` compares every index with its table too. Nothing is changed.

    Raises:
        StoreError: it cannot be read, is not ours, or newer than this program.
    """
    version = 0
    try:
        with _closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)) as connection:
            connection.set_busy_timeout(_BUSY_MS)
            connection.pragma("query_only", value=True)
            version = recognise(connection, path)
            verdict = str(connection.execute(f"PRAGMA {'integrity' if full else 'quick'}_check(1)").get)
            return version, "" if verdict == "ok" else verdict.removeprefix("*** in database main ***\n")
    except (apsw.CorruptError, apsw.NotADBError) as error:
        return version, str(error)
    except apsw.Error as error:
        raise StoreUnreadable(path, str(error)) from error


def begin_epoch(path: Path) -> None:
    """Give a copy that nobody uses an epoch of its own: sync tokens of the copied file are foreign to it.

    One-time keys in it may have been given out since it was made, and go; devices bring new ones.
    Durable before it returns.

    Raises:
        StoreError: it cannot be written.
    """
    try:
        with _closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)) as connection:
            connection.pragma("synchronous", "full")
            with connection:
                former: str = connection.execute("SELECT value FROM meta WHERE name = 'epoch'").get
                base = former_base = int(former, 16) & _EPOCH_MASK
                epoch = former
                while base in (0, former_base):
                    epoch = os.urandom(8).hex()
                    base = int(epoch, 16) & _EPOCH_MASK
                connection.execute("REPLACE INTO meta VALUES ('epoch', ?)", (epoch,))
                connection.execute(_SAME_EPOCH, (_COUNTER_MASK, base << 33))
                connection.execute("REPLACE INTO meta VALUES ('clean', 1)")
                if connection.execute(_HAS_KEYS).get:
                    connection.execute("DELETE FROM one_time_key")
    except apsw.Error as error:
        raise StoreUnreadable(path, str(error)) from error
    _force(path)


def _copy(reading: apsw.Connection, writing: apsw.Connection, target: Path, report: Report, rest: Rest) -> None:
    page_bytes = int(reading.pragma("page_size"))
    descriptor = os.open(target, os.O_RDONLY)
    try:
        with writing.backup("main", reading, "main") as copy:
            pieces = 0
            while not copy.done:
                started = time.perf_counter()
                copy.step(_PIECE_PAGES)
                pieces += 1
                if pieces % _SYNC_EVERY == 0:
                    os.fdatasync(descriptor)
                report((copy.page_count - copy.remaining) * page_bytes, copy.page_count * page_bytes)
                rest(time.perf_counter() - started)
    finally:
        os.close(descriptor)


def _rows(connection: apsw.Connection) -> dict[str, int]:
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
    names = sorted(str(name) for (name,) in tables)
    return {name: int(connection.execute(f'SELECT count(*) FROM "{name}"').get) for name in names}  # noqa: S608  # of the schema


def _force(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _closing(connection: apsw.Connection) -> Iterator[apsw.Connection]:
    try:
        yield connection
    finally:
        connection.close(force=True)
