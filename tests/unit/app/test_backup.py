"""Backups of a folder on which no server runs: whole or not there, and believed only when all of it is as written."""

import shutil
import stat
import subprocess
import tarfile
from pathlib import Path
from typing import NoReturn

import apsw
import pytest

from cooee.adapters.sqlite import copies
from cooee.adapters.sqlite.folder_lock import FolderLock
from cooee.adapters.sqlite.store import open_store
from cooee.app.backup import BackupFailed, Progress
from cooee.app.config import Config, ServerConfig
from cooee.app.house import LOOKS_FOLDER
from cooee.app.wiring import backup_offline, restore_offline
from cooee.ports.accounts import Account
from cooee.ports.preferences import ConversationFlags

PINNED = ConversationFlags(0, pinned=True, archived=False)


class Place:
    """A data folder with something in it, and a place for backups."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.file = folder / "backup.tar"

    def backup(self, *, replace: bool = False) -> Progress:
        progress = Progress()
        backup_offline(Config(ServerConfig(data_dir=str(self.data))), self.file, progress, replace=replace)
        return progress

    def restore(self, into: Path, *, force: bool = False) -> dict[str, int]:
        return restore_offline(self.file, into, Progress(), force=force).rows


@pytest.fixture
async def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    place.data.mkdir()
    store = await open_store(place.data)
    await store.accounts.create(Account("alice", "Alice", "hash", 1))
    await store.preferences.set_flags("alice", "dm:alice:bob", PINNED)
    await store.aclose()
    (place.data / "secrets" / "push").mkdir(parents=True)
    (place.data / "secrets" / "push" / "vapid.key").write_bytes(b"\x00secret\xff")
    return place


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def contents(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


# --- whole or not there -----------------------------------------------------------------------------------------------


async def test_everything_that_a_restore_needs_is_in_it(place: Place, tmp_path: Path) -> None:
    (place.data / "cooee.db.before-v2").write_bytes(b"old")
    assert place.backup().state == "done"
    assert stat.S_IMODE(place.file.stat().st_mode) == 0o600
    with tarfile.open(place.file) as tar:
        assert tar.getnames() == ["cooee.db", "secrets/push/vapid.key", "backup.json", "SHA256SUMS"]
    rows = place.restore(tmp_path / "restored")
    assert rows["account"] == rows["own_change"] == 1
    for path in (tmp_path / "restored", *(tmp_path / "restored").rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
    assert (tmp_path / "restored" / "secrets" / "push" / "vapid.key").read_bytes() == b"\x00secret\xff"
    store = await open_store(tmp_path / "restored")
    found = await store.accounts.find("alice")
    await store.aclose()
    assert found is not None
    assert found.display_name == "Alice"


def test_the_usual_tools_read_it_too(place: Place, tmp_path: Path) -> None:
    place.backup()
    (tmp_path / "by-hand").mkdir()
    subprocess.run(["tar", "-xf", place.file, "-C", tmp_path / "by-hand"], check=True)
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], check=True, cwd=tmp_path / "by-hand")


async def test_files_of_messages_are_in_it_and_what_is_still_uploaded_is_not(place: Place, tmp_path: Path) -> None:
    looked_at = f"{LOOKS_FOLDER}/cooee-1/media"
    for name in ("media/ab/abcd", "media/ab/abcd.stat", "media/incoming/abcd.partial", "media.key", looked_at):
        (place.data / name).parent.mkdir(parents=True, exist_ok=True)
        (place.data / name).write_bytes(name.encode())
    place.backup()
    place.restore(tmp_path / "restored")
    assert {name for name in contents(tmp_path / "restored") if "media" in name} == {
        *("media", "media/ab", "media/ab/abcd", "media/ab/abcd.stat", "media.key"),
    }
    assert (tmp_path / "restored" / "media" / "ab" / "abcd").read_bytes() == b"media/ab/abcd"


async def test_nothing_but_the_backup_is_left_beside_it(place: Place, tmp_path: Path) -> None:
    for litter in ("backup.tar.partial", "backup.tar.partial-store", "backup.tar.partial-store-journal"):
        (tmp_path / litter).write_bytes(b"of one that was killed")
    place.backup()
    assert names(tmp_path) == {"data", "backup.tar"}


async def test_what_is_there_is_replaced_only_when_told_so(place: Place) -> None:
    place.file.write_bytes(b"precious")
    with pytest.raises(BackupFailed, match="--force"):
        place.backup()
    assert place.file.read_bytes() == b"precious"
    place.backup(replace=True)
    assert tarfile.is_tarfile(place.file)


async def test_a_failure_leaves_nothing(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Progress, _size: int, _took_s: float) -> NoReturn:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Progress, "account", broken)
    with pytest.raises(BackupFailed, match="No space left"):
        place.backup()
    assert names(tmp_path) == {"data"}


async def test_where_there_is_no_room_nothing_is_begun(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 99, 1))
    with pytest.raises(BackupFailed, match="MiB free"):
        place.backup()


async def test_no_backup_lies_in_the_folder_that_it_is_of(place: Place) -> None:
    place.file = place.data / "secrets" / "backup.tar"
    with pytest.raises(BackupFailed, match="elsewhere"):
        place.backup()


async def test_a_folder_in_use_is_left_alone(place: Place, tmp_path: Path) -> None:
    place.backup()
    lock = FolderLock(place.data)
    try:
        with pytest.raises(BackupFailed, match="in use"):
            place.backup(replace=True)
        with pytest.raises(BackupFailed, match="in use"):
            place.restore(place.data, force=True)
    finally:
        lock.release()


# --- believed only when all of it is as written -----------------------------------------------------------------------


async def test_a_backup_that_was_cut_short_is_refused(place: Place, tmp_path: Path) -> None:
    place.backup()
    whole = place.file.read_bytes()
    content_ends = len(whole.rstrip(b"\0"))
    for length in [*range(0, content_ends, 7919), content_ends - 1]:
        place.file.write_bytes(whole[:length])
        with pytest.raises(BackupFailed, match="damaged"):
            place.restore(tmp_path / "restored")
        assert contents(tmp_path / "restored") <= {"cooee.lock"}


async def test_a_changed_byte_is_noticed_wherever_it_is(place: Place, tmp_path: Path) -> None:
    place.backup()
    whole = place.file.read_bytes()
    with tarfile.open(place.file) as tar:
        spots = [
            spot for entry in tar for spot in (entry.offset + 3, entry.offset_data, entry.offset_data + entry.size - 2)
        ]
    for spot in [*spots, *range(600, spots[2], 9973)]:
        damaged = bytearray(whole)
        damaged[spot] ^= 0x40
        place.file.write_bytes(damaged)
        with pytest.raises(BackupFailed, match="damaged"):
            place.restore(tmp_path / "restored")
        assert contents(tmp_path / "restored") <= {"cooee.lock"}


@pytest.mark.parametrize("name", ["../cooee.db", "/cooee.db", "a/../../b", "./cooee.db"])
async def test_nothing_leaves_the_folder(place: Place, tmp_path: Path, name: str) -> None:
    with tarfile.open(place.file, "w") as tar:
        tar.addfile(tarfile.TarInfo(name))
    with pytest.raises(BackupFailed, match="damaged"):
        place.restore(tmp_path / "restored")
    assert names(tmp_path) == {"backup.tar", "data", "restored"}
    assert contents(tmp_path / "restored") == {"cooee.lock"}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
async def test_only_files_are_put_back(place: Place, tmp_path: Path, kind: bytes) -> None:
    entry = tarfile.TarInfo("cooee.db")
    entry.type, entry.linkname = kind, "/etc/passwd"
    with tarfile.open(place.file, "w") as tar:
        tar.addfile(entry)
    with pytest.raises(BackupFailed, match="damaged"):
        place.restore(tmp_path / "restored")


async def test_a_newer_backup_is_refused(place: Place, tmp_path: Path) -> None:
    connection = apsw.Connection(str(place.data / "cooee.db"))
    connection.pragma("user_version", 999)
    connection.close()
    with pytest.raises(BackupFailed, match="schema version 999"):
        place.backup()


# --- the way back -----------------------------------------------------------------------------------------------------


async def test_a_used_folder_is_refused_or_kept_aside(place: Place, tmp_path: Path) -> None:
    place.backup()
    restored = tmp_path / "restored"
    restored.mkdir()
    (restored / "cooee.db").write_bytes(b"precious")
    with pytest.raises(BackupFailed, match="--force"):
        place.restore(restored)
    assert (restored / "cooee.db").read_bytes() == b"precious"
    place.restore(restored, force=True)
    (aside,) = restored.glob("replaced-*")
    assert (aside / "cooee.db").read_bytes() == b"precious"
    assert (restored / "cooee.db").stat().st_size > 1000


async def test_a_damaged_backup_moves_nothing_aside(place: Place, tmp_path: Path) -> None:
    place.backup()
    place.file.write_bytes(place.file.read_bytes()[:-20_000])
    before = contents(place.data)
    with pytest.raises(BackupFailed, match="damaged"):
        place.restore(place.data, force=True)
    assert contents(place.data) == before


async def test_tokens_of_the_former_store_are_foreign_and_new_ones_are_not(place: Place, tmp_path: Path) -> None:
    store = await open_store(place.data)
    before = await store.preferences.position("alice")
    await store.aclose()
    place.backup()
    for name in ("first", "second"):
        place.restore(tmp_path / name)
    first, second = await open_store(tmp_path / "first"), await open_store(tmp_path / "second")
    try:
        own = await first.preferences.position("alice")
        assert await first.preferences.changes_after("alice", before, 10) is None
        assert await second.preferences.changes_after("alice", own, 10) is None
        assert await first.preferences.changes_after("alice", own, 10) == []
        changes = await first.preferences.changes_after("alice", 0, 10)
        assert changes is not None
        assert [change.conversation_id for change in changes] == ["dm:alice:bob"]
        later = await first.preferences.set_flags("alice", "dm:alice:carol", PINNED)
        assert later > own
        assert len(await first.preferences.changes_after("alice", own, 10) or ()) == 1
    finally:
        await first.aclose()
        await second.aclose()


# --- the copy itself --------------------------------------------------------------------------------------------------


async def test_the_copy_is_of_one_moment_though_the_store_changes(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    await store.accounts.create(Account("alice", "Alice", "hash", 1))
    writing = apsw.Connection(str(tmp_path / "cooee.db"))
    wrote: list[float] = []

    def meanwhile(took_s: float) -> None:
        wrote.append(took_s)
        writing.execute("DELETE FROM account")
        writing.execute("REPLACE INTO meta VALUES ('size', zeroblob(3000000))")

    facts = copies.copy_file(tmp_path / "cooee.db", tmp_path / "copy", lambda _done, _total: None, meanwhile)
    writing.close()
    assert wrote
    assert facts[1]["account"] == 1
    assert copies.check_copy(tmp_path / "copy") == facts
    assert copies.check_live(tmp_path / "cooee.db", full=True) == (facts[0], "")
    await store.aclose()


def test_an_empty_folder_has_nothing_to_copy(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.data.mkdir()
    with pytest.raises(BackupFailed):
        place.backup()
    assert contents(tmp_path) == {"data", "data/cooee.lock"}


async def test_a_full_disk_is_told_as_such(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> NoReturn:
        raise apsw.FullError("database or disk is full")

    monkeypatch.setattr(copies, "_copy", full)
    with pytest.raises(BackupFailed, match="no room for"):
        place.backup()
    assert names(tmp_path) == {"data"}
