"""Backups of the store: what comes back is what was committed, or nothing comes at all."""

import os
import tracemalloc
from contextlib import closing
from pathlib import Path

import pytest
from argon2.exceptions import HashingError

from cooee.client import store_backup
from cooee.client.account import load_account
from cooee.client.changes import Edit, MessageKey, Reaction
from cooee.client.errors import BackupUnusable, StoreUnusable
from cooee.client.model import Account
from cooee.client.store import Store
from cooee.client.store_backup import backup, restore
from cooee.client.store_key import open_key, protection
from cooee.client.turn import Turn
from cooee.crypto import archive
from cooee.crypto.archive import CHUNK, ArchiveWriter, Costs, Passphrase
from cooee.domain.ids import DeviceRef
from cooee.domain.reference import reference_of
from tests.fakes.client_frames import CHAT, ME, pending, said
from tests.fakes.client_store import STORE_KEY

ACCOUNT = Account("http://localhost", "alice", "d1", "secret-token")
PASSPHRASE = "open sesame"
SECRET = "the treasure is under the third palm"


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Derive keys cheaply; what the passphrase costs really is the archive's own matter."""

    def writer(secret: Passphrase, random: object) -> ArchiveWriter:
        return ArchiveWriter(secret, os.urandom, Costs(64, 1, 1))

    monkeypatch.setattr(store_backup, "ArchiveWriter", writer)


def fill(store: Store, count: int = 300) -> None:
    turn = Turn(store.load(ME))
    for number in range(1, count + 1):
        turn.take(said(number, f"{SECRET} {number} {'x' * 800}"))
    turn.sync_token = "t1"
    turn.records = {("session", "bob/d7"): b"\x00\x01state"}
    turn.message_keys = [MessageKey(CHAT, 1, "bob", "d7", "bob-1", b"K" * 32)]
    turn.reactions = [Reaction(CHAT, reference_of("bob", "d7", "bob-1"), "bob", 5, "👍")]
    turn.edits = [Edit(CHAT, reference_of("bob", "d7", "bob-2"), "bob", 6, "edited")]
    turn.finish()
    store.commit(turn)
    store.put_pending(pending("k1"))


def made(tmp_path: Path, count: int = 300) -> Path:
    """Return a backup of a filled store."""
    (tmp_path / "old").mkdir()
    with closing(Store(tmp_path / "old", STORE_KEY)) as store:
        fill(store, count)
        backup(tmp_path / "old", STORE_KEY, ACCOUNT, tmp_path / "b.cooee", PASSPHRASE)
    return tmp_path / "b.cooee"


def rows(store: Store) -> dict[str, list[tuple[object, ...]]]:
    found = {table: store._db.execute(f"SELECT * FROM {table}").fetchall() for table in store_backup._TABLES}
    found["facts"] = [row for row in found["facts"] if row[0] not in {"restored", "sync_token"}]
    return found


def test_a_restored_store_holds_what_was_backed_up_and_knows_it_is_old(tmp_path: Path) -> None:
    path = made(tmp_path)
    account = restore(path, PASSPHRASE, tmp_path / "new")
    assert (account.user_id, account.device_id, account.token) == ("alice", "d1", "")
    assert load_account(tmp_path / "new") == account
    with (
        closing(Store(tmp_path / "old", STORE_KEY)) as old,
        closing(Store(tmp_path / "new", open_key(tmp_path / "new"))) as new,
    ):
        assert rows(new) == rows(old)
        assert (old.restored, new.restored) == (False, True)
        state = new.load(DeviceRef("alice", "d1"))
        assert state.sync_token is None
        assert [entry.client_message_id for entry in state.outbox.entries()] == ["k1"]
        assert new.load_records() == {("session", "bob/d7"): b"\x00\x01state"}
        assert new.message_key(CHAT, "bob", "d7", "bob-1") == b"K" * 32
        found = new.search("third PALM 300", None, 5)
        assert [(message.sequence_number, message.reactions) for message in found] == [(300, {})]
        assert [message.edited for message in new.search("edited", None, 5)] == [True]
        new.settle_restored()
        assert not new.restored


def test_the_new_store_has_another_key_kept_as_wished(tmp_path: Path) -> None:
    path = made(tmp_path, 3)
    restore(path, PASSPHRASE, tmp_path / "new")
    assert open_key(tmp_path / "new") != STORE_KEY
    restore(path, PASSPHRASE, tmp_path / "kept", store_key=bytes(32))
    assert protection(tmp_path / "kept") == "elsewhere"
    Store(tmp_path / "kept", open_key(tmp_path / "kept", store_key=bytes(32))).close()


def test_nothing_is_in_the_clear_and_the_token_is_not_in_it(tmp_path: Path) -> None:
    written = made(tmp_path).read_bytes()
    assert len(written) > 3 * CHUNK
    for plain in (b"treasure", b"secret-token", b"alice", b"K" * 32, b"SQLite"):
        assert plain not in written
    assert (tmp_path / "b.cooee").stat().st_mode & 0o777 == 0o600


def test_it_is_of_one_moment_though_the_store_goes_on(tmp_path: Path) -> None:
    with closing(Store(tmp_path, STORE_KEY)) as store:
        fill(store, 50)

        def more(done: int, total: int) -> None:
            if done == 0:
                store.put_pending(pending("later"))

        backup(tmp_path, STORE_KEY, ACCOUNT, tmp_path / "b", PASSPHRASE, more)
        assert len(list(store.load(ME).outbox.entries())) == 2
    restore(tmp_path / "b", PASSPHRASE, tmp_path / "new")
    with closing(Store(tmp_path / "new", open_key(tmp_path / "new"))) as new:
        assert [entry.client_message_id for entry in new.load(ME).outbox.entries()] == ["k1"]


def test_progress_ends_with_all_of_it(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    with closing(Store(tmp_path, STORE_KEY)) as store:
        fill(store)
        backup(tmp_path, STORE_KEY, ACCOUNT, tmp_path / "b", PASSPHRASE, lambda *step: told.append(step))
    assert told == sorted(told)
    assert told[0][0] == 0
    assert told[-1][0] == told[-1][1] > 300
    again: list[tuple[int, int]] = []
    restore(tmp_path / "b", PASSPHRASE, tmp_path / "new", lambda *step: again.append(step))
    assert again[-1] == told[-1]


def test_no_more_than_a_part_is_held_however_large_the_store(tmp_path: Path) -> None:
    with closing(Store(tmp_path, STORE_KEY)) as store:
        fill(store, 5000)
        size = sum(len(row[0]) for row in store._db.execute("SELECT message FROM messages"))
    largest = []
    for work in (
        lambda: backup(tmp_path, STORE_KEY, ACCOUNT, tmp_path / "b", PASSPHRASE),
        lambda: restore(tmp_path / "b", PASSPHRASE, tmp_path / "new"),
    ):
        tracemalloc.start()
        work()
        largest.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert size > 5_000_000
    assert max(largest) < 10 * store_backup.PART


def left(tmp_path: Path) -> set[str]:
    return {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("wrong", ["open barley", "", "OPEN SESAME"])
def test_another_passphrase_restores_nothing(tmp_path: Path, wrong: str) -> None:
    path = made(tmp_path, 3)
    before = left(tmp_path)
    with pytest.raises(BackupUnusable, match="not the passphrase"):
        restore(path, wrong, tmp_path / "new")
    assert left(tmp_path) == before


def test_cut_anywhere_it_restores_nothing(tmp_path: Path) -> None:
    whole = made(tmp_path).read_bytes()
    cut = tmp_path / "cut"
    chunk = CHUNK + 16
    lengths = {0, 1, 50, 82, 83, 90, len(whole) - 1, len(whole) - 17, *range(83 + chunk, len(whole), chunk)}
    before = left(tmp_path) | {"cut"}
    for length in lengths:
        cut.write_bytes(whole[:length])
        with pytest.raises(BackupUnusable):
            restore(cut, PASSPHRASE, tmp_path / "new")
        assert left(tmp_path) == before


def test_changed_anywhere_or_continued_it_restores_nothing(tmp_path: Path) -> None:
    whole = made(tmp_path).read_bytes()
    bad = tmp_path / "bad"
    before = left(tmp_path) | {"bad"}
    for place in (0, 8, 9, 20, 45, 60, 100, CHUNK, 2 * CHUNK, len(whole) - 1):
        bad.write_bytes(whole[:place] + bytes((whole[place] ^ 1,)) + whole[place + 1 :])
        with pytest.raises(BackupUnusable):
            restore(bad, PASSPHRASE, tmp_path / "new")
    bad.write_bytes(whole + b"x")
    with pytest.raises(BackupUnusable):
        restore(bad, PASSPHRASE, tmp_path / "new")
    assert left(tmp_path) == before


def forged(path: Path, *frames: object) -> Path:
    """Write an archive with frames of a stranger's, whole and under the right passphrase."""
    writer = ArchiveWriter(Passphrase(PASSPHRASE), os.urandom, Costs(64, 1, 1))
    packed = [frame if isinstance(frame, bytes) else store_backup._encode(frame) for frame in frames]
    content = b"".join(len(frame).to_bytes(4, "big") + frame for frame in packed)
    path.write_bytes(writer.start() + writer.update(content) + writer.finish())
    return path


def head(count: int = 0, tables: int = 3, version: int = 1) -> store_backup.Head:
    return store_backup.Head("cooee-store", version, tables, "http://localhost", "alice", "d1", count)


@pytest.mark.parametrize(
    "frames",
    [
        (),
        (b"",),
        (b"\xc1",),
        (head(),),
        (head(1), 1),
        (head(), 0, 0),
        (head(version=2), 0),
        (head(tables=2), 0),
        (head(tables=999), 0),
        (head(1), ("uploads", [[1, "a", "b"]]), 1),
        (head(1), ("sqlite_master", [[1]]), 1),
        (head(1), ("facts", [["a", "b", "c"]]), 1),
        (head(1), ("facts", [[]]), 1),
        (head(1), ("facts", [["a", None]]), 1),
        (head(2), ("facts", [["a", "b"], ["a", "b"]]), 2),
        (head(1), ("facts", [["a", {}]]), 1),
        (head(1), ("facts", "ab"), 1),
        (head(1), ("facts", [["a", 1 << 63]]), 1),
        (head(1), b"\x92\xa5facts\x91" + b"\x91" * 100_000, 1),
    ],
)
def test_what_is_no_backup_though_well_encrypted_restores_nothing(tmp_path: Path, frames: tuple[object, ...]) -> None:
    path = forged(tmp_path / "forged", *frames)
    with pytest.raises(BackupUnusable):
        restore(path, PASSPHRASE, tmp_path / "new")
    assert left(tmp_path) == {"forged"}


def test_the_smallest_backup_restores(tmp_path: Path) -> None:
    path = forged(tmp_path / "forged", head(1), ("facts", [["a", "b"]]), 1)
    assert restore(path, PASSPHRASE, tmp_path / "new").user_id == "alice"


def test_a_part_that_is_too_long_is_refused_before_it_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_backup, "MAX_FRAME", 1000)
    with pytest.raises(BackupUnusable, match="too long"):
        restore(made(tmp_path, 3), PASSPHRASE, tmp_path / "new")


def test_a_store_is_never_restored_over(tmp_path: Path) -> None:
    path = made(tmp_path, 3)
    before = (tmp_path / "old" / "store.db").read_bytes()
    with pytest.raises(StoreUnusable, match="not empty"):
        restore(path, PASSPHRASE, tmp_path / "old")
    assert (tmp_path / "old" / "store.db").read_bytes() == before
    (tmp_path / "empty").mkdir()
    restore(path, PASSPHRASE, tmp_path / "empty")
    assert load_account(tmp_path / "empty") is not None


def test_a_backup_that_cannot_be_written_leaves_the_former_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made(tmp_path, 3)
    before, names = path.read_bytes(), left(tmp_path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreUnusable, match="No space"):
        backup(tmp_path / "old", STORE_KEY, ACCOUNT, path, PASSPHRASE)
    with pytest.raises(StoreUnusable, match="No space"):
        restore(path, PASSPHRASE, tmp_path / "new")
    assert path.read_bytes() == before
    assert left(tmp_path) == names


def test_an_empty_passphrase_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackupUnusable, match="empty"):
        backup(tmp_path, STORE_KEY, ACCOUNT, tmp_path / "b", "")
    assert left(tmp_path) == set()


def test_memory_that_is_not_there_is_not_told_as_a_damaged_backup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made(tmp_path, 1)
    whole = path.read_bytes()

    def nothing_left(*_: object, **__: object) -> bytes:
        raise HashingError("Memory allocation error")

    monkeypatch.setattr(archive, "hash_secret_raw", nothing_left)
    with pytest.raises(StoreUnusable, match="memory"):
        restore(path, PASSPHRASE, tmp_path / "new")
    with pytest.raises(StoreUnusable, match="memory"):
        backup(tmp_path / "old", STORE_KEY, ACCOUNT, path, PASSPHRASE)
    assert path.read_bytes() == whole
    assert left(tmp_path) == {"old", "b.cooee"}
