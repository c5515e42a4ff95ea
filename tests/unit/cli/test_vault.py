"""Tokens in the system's keyring: only in one that can be trusted, and a clear word when it fails."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import keyring
import pytest
from click.testing import Result
from keyring.backend import KeyringBackend
from keyring.backends import fail, null

from cooee.cli.errors import NOT_LOGGED_IN, REFUSED, USAGE, CliError
from cooee.cli.profile import Profiles
from cooee.cli.vault import Vault, VaultFailed
from cooee.client.account import load_account, save_account
from cooee.client.model import Account
from tests.unit.cli.keyrings import (
    Chain,
    ForgetfulKeyring,
    LockedKeyring,
    OpenKeyring,
    PlaintextKeyring,
    PoorKeyring,
    SilentKeyring,
)

Cooee = Callable[..., Result]
LogIn = Callable[..., Account]
ALICE = Account("https://one.example", "alice", "d1", "a-secret-token")


@pytest.fixture(autouse=True)
def system() -> Iterator[OpenKeyring]:
    """A system whose keyring works."""
    former = keyring.get_keyring()
    backend = OpenKeyring()
    keyring.set_keyring(backend)
    yield backend
    keyring.set_keyring(former)


@pytest.fixture
def unlocked(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of accounts, where the keyring may be asked."""
    monkeypatch.delenv("COOEE_KEYRING")
    return home


def in_keyring(store: Path, account: Account) -> None:
    """Put an account where its token is in the keyring."""
    Vault({}).put(account)
    save_account(store, account.without_token())


def test_what_is_put_is_given_back_and_dropped(system: OpenKeyring) -> None:
    vault = Vault({})
    assert vault.usable()
    vault.put(ALICE)
    kept = ALICE.without_token()
    assert (kept.token, kept.logged_in, kept.owns("a-secret-token")) == ("", True, True)
    assert vault.token(kept) == "a-secret-token"
    vault.drop(kept)
    vault.drop(kept)
    assert system.kept == {}
    with pytest.raises(CliError, match="log in again: cooee login alice") as problem:
        vault.token(kept)
    assert problem.value.exit_code == NOT_LOGGED_IN


def test_the_same_user_of_two_servers_and_devices_has_several_tokens() -> None:
    vault = Vault({})
    others = [
        Account("https://two.example", "alice", "d1", "second"),
        Account("https://one.example", "alice", "d2", "third"),
    ]
    for account in (ALICE, *others):
        vault.put(account)
    assert [vault.token(account.without_token()) for account in (ALICE, *others)] == [
        "a-secret-token",
        "second",
        "third",
    ]


@pytest.mark.parametrize("backend", [fail.Keyring, null.Keyring, PlaintextKeyring, PoorKeyring])
def test_what_keeps_no_secret_is_not_used(backend: Callable[[], KeyringBackend]) -> None:
    keyring.set_keyring(backend())
    assert not Vault({}).usable()
    with pytest.raises(VaultFailed, match="no keyring that keeps secrets locked"):
        Vault({}).put(ALICE)


def test_of_a_chain_only_the_trusted_one_is_used() -> None:
    good, poor = OpenKeyring(), PoorKeyring()
    keyring.set_keyring(Chain(poor, good))
    Vault({}).put(ALICE)
    assert (len(good.kept), poor.kept) == (1, {})
    keyring.set_keyring(Chain(poor, PlaintextKeyring()))
    assert not Vault({}).usable()


def test_one_that_forgets_is_found_out() -> None:
    keyring.set_keyring(ForgetfulKeyring())
    with pytest.raises(VaultFailed, match="forgets"):
        Vault({}).put(ALICE)


def test_one_that_cannot_be_loaded_is_told_from_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> KeyringBackend:
        raise ImportError("no module named there")

    monkeypatch.setattr(keyring, "get_keyring", broken)
    with pytest.raises(VaultFailed, match="no module named there"):
        Vault({}).usable()


def test_a_locked_one_is_named_with_what_to_do() -> None:
    keyring.set_keyring(LockedKeyring())
    with pytest.raises(VaultFailed, match="the collection is locked") as problem:
        Vault({}).token(ALICE.without_token())
    assert (problem.value.code, problem.value.exit_code) == ("keyring", REFUSED)
    assert "Unlock it, or log in again: cooee login alice --url https://one.example" in problem.value.message


def test_one_that_never_answers_is_given_up(capsys: pytest.CaptureFixture[str]) -> None:
    silent = SilentKeyring()
    keyring.set_keyring(silent)
    with pytest.raises(VaultFailed, match="does not answer"):
        Vault({}, patience_s=0.01).token(ALICE.without_token())
    assert "unlock it" in capsys.readouterr().err
    silent.ended.set()


def test_switched_off_it_is_never_asked(system: OpenKeyring) -> None:
    vault = Vault({"COOEE_KEYRING": "off"})
    assert not vault.usable()
    for ask in (vault.token, vault.drop):
        with pytest.raises(VaultFailed, match="COOEE_KEYRING=off"):
            ask(ALICE.without_token())
    with pytest.raises(CliError, match="on or off") as problem:
        Vault({"COOEE_KEYRING": "perhaps"})
    assert problem.value.exit_code == USAGE


def test_a_token_of_another_account_is_not_taken(system: OpenKeyring) -> None:
    Vault({}).put(ALICE)
    for entry in system.kept:
        system.kept[entry] = "of somebody else"
    with pytest.raises(CliError, match="no token of alice any more"):
        Vault({}).token(ALICE.without_token())


# --- the accounts of this machine


def test_a_command_takes_the_token_out_of_the_keyring(unlocked: Path, log_in: LogIn) -> None:
    account = log_in("alice", token="a-secret-token")
    in_keyring(unlocked / "profiles" / "alice", account)
    chosen = Profiles({"COOEE_HOME": str(unlocked)}).login(None)
    assert chosen.token == "a-secret-token"
    for file in (unlocked / "profiles" / "alice").iterdir():
        assert b"a-secret-token" not in file.read_bytes()


def test_a_list_of_accounts_asks_no_keyring(unlocked: Path, cooee: Cooee, log_in: LogIn) -> None:
    in_keyring(unlocked / "profiles" / "alice", log_in("alice"))
    keyring.set_keyring(LockedKeyring())
    assert "yes, token in keyring" in cooee("accounts").stdout
    told = cooee("whoami")
    assert told.exit_code == 1
    assert "is locked" in told.stderr


def test_a_log_out_without_the_keyring_is_possible_when_it_is_meant(
    unlocked: Path, cooee: Cooee, log_in: LogIn
) -> None:
    in_keyring(unlocked / "profiles" / "alice", log_in("alice"))
    keyring.set_keyring(LockedKeyring())
    assert "--forget" in cooee("logout").stderr
    assert cooee("logout", "--forget").exit_code == 0
    account = load_account(unlocked / "profiles" / "alice")
    assert account is not None
    assert not account.logged_in


def test_help_and_lists_do_not_import_the_keyring(unlocked: Path) -> None:

    program = (
        "import sys\nfrom cooee.cli.main import cli\n"
        "try:\n    cli(['accounts'])\nexcept SystemExit:\n    pass\nprint('keyring' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "False"
