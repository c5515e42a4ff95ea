"""The account file and the lock."""

import os
from pathlib import Path

import msgspec
import pytest

from cooee.client.account import ACCOUNT_NAME, StoreLock, load_account, make_folder, save_account
from cooee.client.api import Api
from cooee.client.client import Client
from cooee.client.errors import NotLoggedIn, StoreLocked, StoreMismatch, StoreUnusable
from cooee.client.login import adopt_token, check_owner
from cooee.client.model import Account

ACCOUNT = Account("http://127.0.0.1:8080", "alice", "d1", "secret-token")


def test_the_account_is_kept_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "alice"
    make_folder(folder)
    save_account(folder, ACCOUNT)
    assert load_account(folder) == ACCOUNT
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / ACCOUNT_NAME).stat().st_mode & 0o777 == 0o600


def test_a_new_account_replaces_the_old_one_and_leaves_no_draft(tmp_path: Path) -> None:
    save_account(tmp_path, ACCOUNT)
    (tmp_path / "account.new").write_text("left by a crash")
    (tmp_path / "account.new").chmod(0o644)
    save_account(tmp_path, Account(ACCOUNT.url, "alice", "d1", ""))
    found = load_account(tmp_path)
    assert found is not None
    assert found.token == ""
    assert (tmp_path / ACCOUNT_NAME).stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == [ACCOUNT_NAME]


def test_nobody_has_logged_in_here(tmp_path: Path) -> None:
    assert load_account(tmp_path) is None


def test_an_account_file_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / ACCOUNT_NAME).write_text("{}")
    with pytest.raises(StoreUnusable, match=ACCOUNT_NAME):
        load_account(tmp_path)


def test_a_token_does_not_show(tmp_path: Path) -> None:
    assert "secret" not in repr(ACCOUNT)
    assert "secret" not in f"{ACCOUNT}"


def test_a_store_has_one_writer(tmp_path: Path) -> None:
    lock = StoreLock(tmp_path)
    with pytest.raises(StoreLocked, match=f"process {os.getpid()}"):
        StoreLock(tmp_path)
    lock.release()
    StoreLock(tmp_path).release()


def test_a_store_of_somebody_else_is_refused(tmp_path: Path) -> None:
    check_owner(tmp_path, ACCOUNT, ACCOUNT.url, "alice")
    check_owner(tmp_path, None, ACCOUNT.url, "bob")
    with pytest.raises(StoreMismatch, match="belongs to alice"):
        check_owner(tmp_path, ACCOUNT, ACCOUNT.url, "bob")
    with pytest.raises(StoreMismatch, match="belongs to http"):
        check_owner(tmp_path, ACCOUNT, "https://chat.example.org", "alice")


async def test_a_token_that_is_kept_elsewhere_is_known_by_its_digest_and_not_written(tmp_path: Path) -> None:
    save_account(tmp_path, ACCOUNT.without_token())
    assert b"secret-token" not in (tmp_path / ACCOUNT_NAME).read_bytes()
    kept = load_account(tmp_path)
    assert kept is not None
    assert (kept.token, kept.logged_in) == ("", True)
    assert kept.owns("secret-token")
    assert not kept.owns("another")
    assert not kept.owns("")
    async with Api("http://127.0.0.1:9") as api:  # nobody is there to be asked
        assert await adopt_token(api, tmp_path, "secret-token") == msgspec.structs.replace(kept, token="secret-token")
    assert load_account(tmp_path) == kept


async def test_a_store_without_its_token_says_how_to_give_it(tmp_path: Path) -> None:
    save_account(tmp_path, ACCOUNT.without_token())
    with pytest.raises(NotLoggedIn, match=r"Client\(token=…\)"):
        async with Client(ACCOUNT.url, store=tmp_path, live=False):
            pass
    async with Client(ACCOUNT.url, store=tmp_path, token="secret-token", live=False) as client:
        assert client.me == ACCOUNT.me


def test_a_logged_out_account_owns_no_token() -> None:
    out = Account(ACCOUNT.url, "alice", "d1", "")
    assert not out.logged_in
    assert not out.owns("")
    assert out.without_token() == out


@pytest.mark.parametrize("former", [None, False, True])
async def test_a_person_becomes_no_bot_by_the_servers_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, former: bool | None
) -> None:
    if former is not None:
        save_account(tmp_path, msgspec.structs.replace(ACCOUNT, bot=former))
    async with Api(ACCOUNT.url) as api:

        async def session() -> Account:
            return msgspec.structs.replace(ACCOUNT, bot=True)

        monkeypatch.setattr(api, "session", session)
        assert (await adopt_token(api, tmp_path, "another token")).bot is (former is not False)
