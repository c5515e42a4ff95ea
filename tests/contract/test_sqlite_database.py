"""The file itself: batches, order, damage, locks, schema versions, a clean end."""

import asyncio
import os
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest

from cooee.adapters.sqlite import database as database_module
from cooee.adapters.sqlite.batch import BATCH_SIZE_BOUNDS
from cooee.adapters.sqlite.database import Database, DatabaseSettings
from cooee.adapters.sqlite.errors import FolderLocked, SchemaTooNew, StoreCorrupt, StoreUnreadable
from cooee.adapters.sqlite.migrations import Migration, known_migrations, migrate
from cooee.adapters.sqlite.store import DATABASE_FILE, open_store
from cooee.domain.errors import CooeeError, ErrorCode, not_found
from tests.contract.log import CHAT, append, fill


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await Database.open(tmp_path / DATABASE_FILE)
    opened.start()
    await opened.write(lambda connection: connection.execute("CREATE TABLE note (text TEXT) STRICT").get)
    yield opened
    await opened.aclose()


async def put(database: Database, text: str) -> None:
    await database.write(lambda connection: connection.execute("INSERT INTO note VALUES (?)", (text,)).get)


async def notes(database: Database) -> list[object]:
    return await database.read(lambda connection: [row[0] for row in connection.execute("SELECT text FROM note")])


# Batches


async def test_what_waits_is_committed_together(database: Database) -> None:
    before = database.counters.commits
    await asyncio.gather(*(put(database, str(number)) for number in range(1000)))
    counters = database.counters
    assert counters.commits - before <= 3
    assert counters.operations >= 1000
    assert sum(counters.batch_sizes) == counters.commits
    assert len(counters.batch_sizes) == len(BATCH_SIZE_BOUNDS) + 1
    assert counters.commit_seconds > 0
    assert await notes(database) == [str(number) for number in range(1000)]


async def test_a_failure_undoes_only_itself(database: Database) -> None:
    def fail(connection: apsw.Connection) -> None:
        connection.execute("INSERT INTO note VALUES ('undone')")
        raise ZeroDivisionError

    def refuse(connection: apsw.Connection) -> None:
        connection.execute("INSERT INTO note VALUES ('undone too')")
        raise not_found("it")

    outcomes = await asyncio.gather(
        put(database, "a"), database.write(fail), put(database, "b"), database.write(refuse), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [type(None), ZeroDivisionError, type(None), CooeeError]
    assert await notes(database) == ["a", "b"]


async def test_a_failing_statement_undoes_only_itself(database: Database) -> None:
    with pytest.raises(apsw.SQLError):
        await database.write(lambda connection: connection.execute("NO SQL").get)
    with pytest.raises(apsw.ConstraintError):
        await database.write(lambda connection: connection.execute("INSERT INTO note VALUES (x'00')").get)
    await put(database, "a")
    assert await notes(database) == ["a"]


async def test_results_come_in_order(database: Database) -> None:
    told: list[int] = []
    for number in range(100):
        database.submit_write(lambda _connection, number=number: number, told.append)  # type: ignore[misc]
    await put(database, "last")
    assert told == list(range(100))


async def test_a_failing_callback_stops_no_other(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []

    def fail(_result: object) -> None:
        raise ZeroDivisionError

    database.submit_write(lambda _connection: "a", told.append)
    database.submit_write(lambda _connection: "b", fail)
    database.submit_write(lambda _connection: "c", told.append)
    await put(database, "last")
    assert told == ["a", "c"]
    assert "a callback failed" in caplog.text


async def test_a_submitted_failure_is_told_as_a_refusal(database: Database) -> None:
    told: list[object] = []
    database.submit_write(lambda connection: connection.execute("NO SQL").get, told.append)
    await put(database, "last")
    assert isinstance(told[0], CooeeError)
    assert told[0].code is ErrorCode.UNAVAILABLE


async def test_a_cancelled_writer_is_stored_all_the_same(database: Database) -> None:
    writing = asyncio.create_task(put(database, "a"))
    await asyncio.sleep(0)
    writing.cancel()
    await put(database, "b")
    assert await notes(database) == ["a", "b"]


async def test_a_read_sees_what_was_acknowledged_before(database: Database) -> None:
    for number in range(50):
        await put(database, str(number))
        assert len(await notes(database)) == number + 1


async def test_a_reader_cannot_write(database: Database) -> None:
    with pytest.raises(apsw.ReadOnlyError):
        await database.read(lambda connection: connection.execute("INSERT INTO note VALUES ('x')").get)


async def test_a_closed_database_refuses(database: Database) -> None:
    await database.aclose()
    await database.aclose()
    with pytest.raises(CooeeError):
        await put(database, "a")
    with pytest.raises(CooeeError):
        await notes(database)


async def test_another_program_may_read_the_file_meanwhile(database: Database) -> None:
    await put(database, "a")
    other = apsw.Connection(str(database.path))
    assert other.execute("SELECT text FROM note").get == "a"
    other.close()


# The folder


async def test_a_folder_has_one_server(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    with pytest.raises(FolderLocked) as refused:
        await open_store(tmp_path)
    assert str(tmp_path) in str(refused.value)
    assert str(os.getpid()) in str(refused.value)
    await store.aclose()
    await (await open_store(tmp_path)).aclose()


async def test_a_killed_server_leaves_no_lock_and_loses_nothing(tmp_path: Path) -> None:
    script = f"""
import asyncio, os
from pathlib import Path
from cooee.adapters.sqlite.store import open_store
from tests.contract.log import append
async def main():
    store = await open_store(Path({str(tmp_path)!r}))
    await append(store)
    os.kill(os.getpid(), 9)
asyncio.run(main())
"""
    root = Path(__file__).parents[2]
    run = subprocess.run([sys.executable, "-c", script], cwd=root, check=False, timeout=60)  # noqa: ASYNC221
    assert run.returncode == -9
    store = await open_store(tmp_path)
    assert (await store.timeline.head(CHAT)).last == 1
    await store.aclose()


async def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    await append(store)
    assert {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in names_in(tmp_path)} == {
        DATABASE_FILE: 0o600,
        f"{DATABASE_FILE}-shm": 0o600,
        f"{DATABASE_FILE}-wal": 0o600,
        "cooee.lock": 0o600,
    }
    await store.aclose()


async def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / DATABASE_FILE).mkdir()
    with pytest.raises(StoreUnreadable) as refused:
        await open_store(tmp_path)
    assert DATABASE_FILE in str(refused.value)


async def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreUnreadable) as refused:
        await open_store(tmp_path / "missing")
    assert "missing" in str(refused.value)


# Damage


def damage(path: Path, offset: int, data: bytes) -> bytes:
    content = bytearray(path.read_bytes())
    content[offset : offset + len(data)] = data
    path.write_bytes(content)
    return bytes(content)


@pytest.mark.parametrize(
    ("offset", "data"),
    [(0, b"this is no database, but text " * 40), (0, b"\xff" * 16), (4096 * 3, b"\xff" * 4096), (100, b"\x00" * 500)],
)
async def test_a_damaged_file_is_refused_by_name_and_left_alone(tmp_path: Path, offset: int, data: bytes) -> None:
    store = await open_store(tmp_path)
    await fill(store, 500)
    await store.aclose()
    path = tmp_path / DATABASE_FILE
    content = damage(path, offset, data)
    for _ in range(2):
        with pytest.raises(StoreCorrupt) as refused:
            await open_store(tmp_path)
        assert str(path) in str(refused.value)
    assert path.read_bytes() == content


async def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    await fill(store, 500)
    await store.aclose()
    path = tmp_path / DATABASE_FILE
    path.write_bytes(path.read_bytes()[:30_000])
    with pytest.raises(StoreCorrupt):
        await open_store(tmp_path)


async def test_a_large_file_is_checked_after_an_unclean_end_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "_CHECK_ALWAYS_BELOW", 0)
    store = await open_store(tmp_path)
    await fill(store, 500)
    await store.aclose()
    path = tmp_path / DATABASE_FILE
    with apsw.Connection(str(path)) as connection:
        root = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'envelope'").get
    connection.close()
    assert isinstance(root, int)
    damage(path, 4096 * (root - 1), b"\xff" * 4096)
    store = await open_store(tmp_path)
    store.database._connection.execute("REPLACE INTO meta VALUES ('clean', 0)")
    store.database._closed = True
    store.database._close()
    with apsw.Connection(str(path)) as connection:
        connection.execute("REPLACE INTO meta VALUES ('clean', 0)")
    connection.close()
    with pytest.raises(StoreCorrupt):
        await open_store(tmp_path)


async def test_the_file_of_another_application_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / DATABASE_FILE
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    with pytest.raises(StoreCorrupt, match="not a Cooee data file"):
        await open_store(tmp_path)


async def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    (tmp_path / DATABASE_FILE).touch()
    store = await open_store(tmp_path)
    assert (await append(store)).sequence_number == 1
    await store.aclose()


# Schema versions


async def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    await (await open_store(tmp_path)).aclose()
    path = tmp_path / DATABASE_FILE
    connection = apsw.Connection(str(path))
    connection.pragma("user_version", 9999)
    connection.close()
    with pytest.raises(SchemaTooNew) as refused:
        await open_store(tmp_path)
    assert str(path) in str(refused.value)
    assert "9999" in str(refused.value)


def test_migrations_are_numbered_without_holes() -> None:
    assert [step.version for step in known_migrations()] == list(range(1, len(known_migrations()) + 1))


STEPS = (Migration(1, "1", "CREATE TABLE a (x); INSERT INTO a VALUES (1);"), Migration(2, "2", "CREATE TABLE b (x)"))


def test_an_older_file_is_copied_before_it_is_changed(tmp_path: Path) -> None:
    path = tmp_path / "data.db"
    connection = apsw.Connection(str(path))
    assert migrate(connection, path, STEPS[:1]) == 0
    assert list(tmp_path.iterdir()) == [path]
    assert migrate(connection, path, STEPS) == 1
    assert migrate(connection, path, STEPS) == 2
    assert connection.table_exists("main", "b")
    connection.close()
    copy = apsw.Connection(str(tmp_path / "data.db.before-v2"))
    assert copy.execute("SELECT x FROM a").get == 1
    assert copy.pragma("user_version") == 1
    assert not copy.table_exists("main", "b")
    copy.close()


def test_a_failing_migration_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "data.db"
    connection = apsw.Connection(str(path))
    migrate(connection, path, STEPS[:1])
    broken = (STEPS[0], STEPS[1], Migration(3, "3", "CREATE TABLE c (x); NO SQL"))
    with pytest.raises(apsw.SQLError):
        migrate(connection, path, broken)
    assert connection.pragma("user_version") == 1
    assert not connection.table_exists("main", "b")
    connection.close()


# The end


def names_in(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir())


async def test_a_clean_end_leaves_one_file(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    await fill(store, 100)
    await store.aclose()
    assert names_in(tmp_path) == [DATABASE_FILE, "cooee.lock"]


async def test_the_log_of_writes_does_not_grow_without_end(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / DATABASE_FILE, DatabaseSettings(checkpoint_pages=20, commit_delay_s=0))
    database.start()
    await database.write(lambda connection: connection.execute("CREATE TABLE note (text TEXT) STRICT").get)
    for number in range(400):
        await put(database, f"{number}" * 200)
    assert database.counters.wal_pages < 100
    await database.aclose()
