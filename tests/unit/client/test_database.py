"""The database file: nothing of it can be read without the key, and one in the clear is encrypted without loss."""

import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from cooee.client.database import DATABASE_NAME, DRAFT_NAME, connect, encrypt_former, is_encrypted
from cooee.client.errors import StoreUnusable
from cooee.client.key_wrap import StoreKey
from cooee.client.outbox import failed
from cooee.client.store import Store
from cooee.client.turn import Turn
from tests.fakes.client_frames import CHAT, ME, pending, said
from tests.fakes.client_store import STORE_KEY
from tests.fakes.former_store import SECRET, write_former_store

STEPS = ["begun", "folded", "exported", "synced", "renamed"]


def on_disk(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


def texts(store: Store) -> list[str]:
    return [message.text for message in store.search("", None, 100)]


def test_nothing_of_what_is_written_stands_in_the_files(tmp_path: Path) -> None:
    store = Store(tmp_path, STORE_KEY)
    state = store.load(ME)
    turn = Turn(state)
    for number in range(1, 40):
        turn.take(said(number, f"{SECRET} {number}"))
    turn.finish()
    store.commit(turn)
    store.put_pending(failed(pending("k1", text=SECRET), "blocked", "no"))
    while_open = on_disk(tmp_path)
    store.close()
    for written in (while_open, on_disk(tmp_path)):
        assert len(written) > 10_000
        for plain in (b"treasure", b"palm", b"CREATE TABLE", b"SQLite", CHAT.encode(), STORE_KEY.raw):
            assert plain not in written


def test_the_same_store_under_the_same_key_never_looks_the_same(tmp_path: Path) -> None:
    heads = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Store(tmp_path / name, STORE_KEY).close()
        heads.append((tmp_path / name / DATABASE_NAME).read_bytes()[:64])
    assert heads[0] != heads[1]


def test_another_key_opens_nothing_and_changes_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Store(tmp_path, STORE_KEY).close()
    before = (tmp_path / DATABASE_NAME).read_bytes()
    with pytest.raises(StoreUnusable, match="of another key"):
        Store(tmp_path, StoreKey(bytes(32)))
    assert (tmp_path / DATABASE_NAME).read_bytes() == before
    Store(tmp_path, STORE_KEY).close()
    assert capfd.readouterr() == ("", ""), "the library keeps its log to itself"


def test_a_changed_page_is_refused_not_read(tmp_path: Path) -> None:
    Store(tmp_path, STORE_KEY).close()
    path = tmp_path / DATABASE_NAME
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    with pytest.raises(StoreUnusable, match="damaged"):
        Store(tmp_path, STORE_KEY)


def test_the_format_is_pinned(tmp_path: Path) -> None:
    with closing(Store(tmp_path, STORE_KEY)):
        db = connect(tmp_path / DATABASE_NAME, STORE_KEY, read_only=True)
        settings = " ".join(row[0] for row in db.execute("PRAGMA cipher_settings"))
        assert "cipher_page_size = 4096" in settings
        assert "cipher_use_hmac = 1" in settings
        assert "HMAC_SHA512" in settings
        assert db.execute("PRAGMA secure_delete").fetchone() == (1,)
        assert ("TEMP_STORE=2",) in db.execute("PRAGMA compile_options").fetchall()
        db.close()


def test_a_store_of_an_earlier_version_is_encrypted_and_holds_what_it_held(tmp_path: Path) -> None:
    write_former_store(tmp_path / DATABASE_NAME)
    assert not is_encrypted(tmp_path)
    store = Store(tmp_path, STORE_KEY)
    assert is_encrypted(tmp_path)
    assert texts(store) == ["Text 3", "Text 2", SECRET]
    assert [message.sequence_number for message in store.search("TEXT", None, 9)] == [3, 2]
    assert [message.text for message in store.search("THIRD palm", CHAT, 9)] == [SECRET]
    assert store.find_by_id(CHAT, "1002") is not None
    assert all(
        [found] == store.find_targets(CHAT, found.reference)
        for found in (store.find_message(CHAT, number) for number in (1, 2, 3))
        if found is not None
    )
    assert store.load(ME).sync_token == "t9"
    assert store._db.execute("PRAGMA application_id").fetchone() == (0x434F4F45,)
    store.close()
    assert b"palm" not in on_disk(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [DATABASE_NAME]
    assert (tmp_path / DATABASE_NAME).stat().st_mode & 0o777 == 0o600


def test_what_stood_only_in_the_log_of_an_earlier_version_comes_along(tmp_path: Path) -> None:
    write_former_store(tmp_path / DATABASE_NAME, fold_in=False)
    assert b"palm" not in (tmp_path / DATABASE_NAME).read_bytes()
    store = Store(tmp_path, STORE_KEY)
    assert len(texts(store)) == 3
    store.close()
    assert b"palm" not in on_disk(tmp_path)


def test_what_is_encrypted_or_not_there_is_left_alone(tmp_path: Path) -> None:
    assert not encrypt_former(tmp_path, STORE_KEY)
    assert list(tmp_path.iterdir()) == []
    Store(tmp_path, STORE_KEY).close()
    before = on_disk(tmp_path)
    assert not encrypt_former(tmp_path, STORE_KEY)
    assert on_disk(tmp_path) == before


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_it_leaves_one_good_store(tmp_path: Path, step: str) -> None:
    write_former_store(tmp_path / DATABASE_NAME, 50, fold_in=False)
    program = (
        "import os, signal, sys; from pathlib import Path; from cooee.client.database import encrypt_former;"
        "from cooee.client.key_wrap import StoreKey;"
        "encrypt_former(Path(sys.argv[1]), StoreKey(bytes(range(32))),"
        " lambda step: os.kill(os.getpid(), signal.SIGKILL) if step == sys.argv[2] else None)"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(tmp_path), step], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert is_encrypted(tmp_path) == (step == "renamed")
    store = Store(tmp_path, STORE_KEY)
    assert len(texts(store)) == 50
    assert store._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    store.close()
    assert [path.name for path in tmp_path.iterdir()] == [DATABASE_NAME]


def test_a_half_written_draft_of_a_killed_run_is_not_used(tmp_path: Path) -> None:
    write_former_store(tmp_path / DATABASE_NAME)
    (tmp_path / DRAFT_NAME).write_bytes(b"half of it")
    (tmp_path / f"{DRAFT_NAME}-journal").write_bytes(b"half of it")
    store = Store(tmp_path, STORE_KEY)
    assert len(texts(store)) == 3
    store.close()


def test_a_store_in_use_by_another_program_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cooee.client.database.WAIT_S", 0.05)
    write_former_store(tmp_path / DATABASE_NAME)
    program = (
        "import sqlite3, sys; db = sqlite3.connect(sys.argv[1], isolation_level=None); db.execute('BEGIN');"
        "db.execute('SELECT * FROM messages').fetchall(); print('reading', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path / DATABASE_NAME)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"reading\n"
        with pytest.raises(StoreUnusable):
            Store(tmp_path, STORE_KEY)
        assert not is_encrypted(tmp_path)
        other.communicate(b"")
    store = Store(tmp_path, STORE_KEY)
    assert len(texts(store)) == 3
    store.close()


def test_without_room_it_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_former_store(tmp_path / DATABASE_NAME)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(StoreUnusable, match="free some space"):
            Store(tmp_path, STORE_KEY)
    assert [path.name for path in tmp_path.iterdir()] == [DATABASE_NAME]
    assert not is_encrypted(tmp_path)
    Store(tmp_path, STORE_KEY).close()
    assert is_encrypted(tmp_path)
