"""Where the key of a store is, and how it is had: each way opens it, and no other does."""

import os
from pathlib import Path

import pytest
from argon2.exceptions import HashingError

from cooee.client import key_wrap, store_key
from cooee.client.errors import (
    StoreKeyElsewhere,
    StoreKeyLost,
    StoreLockedByPassphrase,
    StoreUnusable,
    WrongPassphrase,
    WrongProtection,
    WrongStoreKey,
)
from cooee.client.key_wrap import NotAKey, StoreKey
from cooee.client.store import Store
from cooee.client.store_key import KEY_NAME, open_key, protect, protection

RAW = bytes(range(32))


def test_without_more_a_new_key_stands_in_its_file_for_its_owner_alone(tmp_path: Path) -> None:
    assert protection(tmp_path) is None
    key = open_key(tmp_path)
    assert protection(tmp_path) == "file"
    assert (tmp_path / KEY_NAME).stat().st_mode & 0o777 == 0o600
    assert open_key(tmp_path) == key
    assert [path.name for path in tmp_path.iterdir()] == [KEY_NAME]


def test_every_store_has_a_key_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert open_key(tmp_path / "a") != open_key(tmp_path / "b")


def test_a_passphrase_opens_what_it_made_and_nothing_else_does(tmp_path: Path) -> None:
    key = open_key(tmp_path, passphrase="open sesame")
    assert protection(tmp_path) == "passphrase"
    assert open_key(tmp_path, passphrase="open sesame") == key
    with pytest.raises(StoreLockedByPassphrase, match="passphrase"):
        open_key(tmp_path)
    with pytest.raises(WrongPassphrase, match="try again"):
        open_key(tmp_path, passphrase="open barley")
    with pytest.raises(WrongStoreKey):
        open_key(tmp_path, store_key=RAW)


def test_a_key_that_the_caller_keeps_is_written_nowhere(tmp_path: Path) -> None:
    assert open_key(tmp_path, store_key=RAW) == StoreKey(RAW)
    assert protection(tmp_path) == "elsewhere"
    assert RAW not in (tmp_path / KEY_NAME).read_bytes()
    assert open_key(tmp_path, store_key=RAW).raw == RAW
    with pytest.raises(StoreKeyElsewhere, match="keyring"):
        open_key(tmp_path)
    with pytest.raises(StoreKeyElsewhere):
        open_key(tmp_path, passphrase="open sesame")
    with pytest.raises(WrongStoreKey):
        open_key(tmp_path, store_key=bytes(32))


def test_a_passphrase_for_a_store_that_has_none_is_not_taken_as_if_it_protected(tmp_path: Path) -> None:
    open_key(tmp_path)
    with pytest.raises(WrongProtection, match="protect it"):
        open_key(tmp_path, passphrase="open sesame")


def test_senseless_wishes_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(WrongProtection):
        open_key(tmp_path, passphrase="a", store_key=RAW)
    with pytest.raises(WrongProtection, match="empty"):
        open_key(tmp_path, passphrase="")
    with pytest.raises(NotAKey):
        open_key(tmp_path, store_key=b"short")
    assert list(tmp_path.iterdir()) == []


def test_the_protection_changes_and_the_database_stays_as_it_is(tmp_path: Path) -> None:
    key = open_key(tmp_path)
    Store(tmp_path, key).close()
    before = (tmp_path / "store.db").read_bytes()
    protect(tmp_path, key, passphrase="open sesame")
    assert open_key(tmp_path, passphrase="open sesame") == key
    protect(tmp_path, key, elsewhere=True)
    assert open_key(tmp_path, store_key=key.raw) == key
    protect(tmp_path, key, passphrase="another")
    with pytest.raises(WrongPassphrase):
        open_key(tmp_path, passphrase="open sesame")
    protect(tmp_path, key)
    assert open_key(tmp_path) == key
    assert (tmp_path / "store.db").read_bytes() == before


def test_only_the_key_of_the_store_is_kept_for_it(tmp_path: Path) -> None:
    key = open_key(tmp_path)
    with pytest.raises(WrongStoreKey):
        protect(tmp_path, StoreKey(RAW))
    with pytest.raises(WrongProtection):
        protect(tmp_path, key, passphrase="a", elsewhere=True)
    assert open_key(tmp_path) == key


@pytest.mark.parametrize("text", [b"", b"nonsense", b'{"version":9,"protection":"file","check":""}', b"x" * 10_000])
def test_a_damaged_file_is_said_to_be_that_and_is_never_replaced(tmp_path: Path, text: bytes) -> None:
    (tmp_path / KEY_NAME).write_bytes(text)
    with pytest.raises(StoreKeyLost, match=r"store\.key is damaged"):
        open_key(tmp_path)
    with pytest.raises(StoreKeyLost):
        protect(tmp_path, StoreKey(RAW))
    assert (tmp_path / KEY_NAME).read_bytes() == text


def test_no_new_key_is_made_for_a_store_whose_key_is_lost(tmp_path: Path) -> None:
    key = open_key(tmp_path)
    Store(tmp_path, key).close()
    (tmp_path / KEY_NAME).unlink()
    with pytest.raises(StoreKeyLost, match="missing"):
        open_key(tmp_path)
    assert not (tmp_path / KEY_NAME).exists()
    assert open_key(tmp_path, store_key=key.raw) == key, "who has it may still give it"


def test_an_interrupted_or_impossible_change_leaves_the_former_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = open_key(tmp_path)
    (tmp_path / f"{KEY_NAME}.new").write_bytes(b"half of")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(StoreUnusable, match="No space"):
            protect(tmp_path, key, passphrase="open sesame")
    assert open_key(tmp_path) == key
    protect(tmp_path, key, elsewhere=True)
    assert protection(tmp_path) == "elsewhere"


def test_the_text_of_an_error_holds_no_key(tmp_path: Path) -> None:
    open_key(tmp_path, store_key=RAW)
    with pytest.raises(WrongStoreKey) as refused:
        open_key(tmp_path, store_key=bytes(range(1, 33)))
    for key in (RAW, bytes(range(1, 33))):
        assert key.hex() not in str(refused.value)
    assert store_key.KEY_NAME not in repr(StoreKey(RAW))


def test_memory_that_is_not_there_is_not_told_as_a_damaged_or_lost_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else somebody is told to move his store away, which is as good as ever."""
    key = open_key(tmp_path, passphrase="open sesame")
    before = (tmp_path / KEY_NAME).read_bytes()

    def nothing_left(*_: object) -> bytes:
        raise HashingError("Memory allocation error")

    with monkeypatch.context() as patch:
        patch.setattr(key_wrap, "hash_secret_raw", nothing_left)
        with pytest.raises(StoreUnusable, match="memory"):
            open_key(tmp_path, passphrase="open sesame")
        with pytest.raises(StoreUnusable, match="memory"):
            protect(tmp_path, key, passphrase="open barley")
    assert (tmp_path / KEY_NAME).read_bytes() == before
    assert open_key(tmp_path, passphrase="open sesame") == key
