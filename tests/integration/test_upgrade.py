"""An upgrade as docs/operations.md describes it, and the way back."""

from pathlib import Path

import apsw
import pytest

from cooee.adapters.sqlite.migrations import known_migrations, migrate
from tests.integration.harness import ServerEnded, ServerProcess
from tests.integration.terminals import Shell

FORMER = 2
"""The schema of the former version. What came before accounts cannot be written to."""


def a_former_store(folder: Path) -> Path:
    """Make a data folder as the former version leaves it, with one account."""
    folder.mkdir(mode=0o700, parents=True)
    path = folder / "cooee.db"
    connection = apsw.Connection(str(path))
    migrate(connection, path, known_migrations()[:FORMER])
    connection.execute("INSERT INTO account VALUES ('alice', 'Alice', '', 1, '', '{}', 0, 0, 0, 1)")
    connection.close()
    return path


def schema_of(path: Path) -> int:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return int(connection.pragma("user_version"))
    finally:
        connection.close()


def users(server: ServerProcess) -> set[str]:
    """Return the accounts that the operator sees."""
    listed = Shell(server.folder / "home", "").json("admin", "--data-dir", str(server.data), "users", "list")
    return {one["userId"] for one in listed}


def test_an_older_store_is_copied_then_brought_up_and_the_copy_leads_back(tmp_path: Path) -> None:
    newest = known_migrations()[-1].version
    server = ServerProcess(tmp_path)
    store = a_former_store(server.data)

    with server:
        Shell(tmp_path / "home", server.url)("register", "bob", "--password-stdin", given="correct horse\n")
        assert users(server) == {"alice", "bob"}
        assert server.stop() == 0
    copy = store.with_name(f"cooee.db.before-v{newest}")
    assert (schema_of(store), schema_of(copy)) == (newest, FORMER)

    for name in ("cooee.db-wal", "cooee.db-shm"):
        (server.data / name).unlink(missing_ok=True)
    copy.replace(store)
    assert schema_of(store) == FORMER  # the former version opens it; this one brings it up again
    with server:
        assert users(server) == {"alice"}
        assert server.stop() == 0


def test_a_newer_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path)
    store = a_former_store(server.data)
    connection = apsw.Connection(str(store))
    connection.pragma("user_version", 1_000)
    connection.close()
    before = store.read_bytes()
    with pytest.raises(ServerEnded) as ended:
        server.start()
    assert ended.value.code == 1
    assert "has schema version 1000" in ended.value.output
    assert store.read_bytes() == before
