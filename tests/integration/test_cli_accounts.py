"""Accounts on this machine against real servers: two servers, tokens in a keyring, and programs that have none."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import keyring
import pytest

from tests.integration.harness import ServerProcess
from tests.integration.terminals import PASSWORD, Shell, a_name, whole
from tests.unit.cli.keyrings import LockedKeyring, OpenKeyring

NewServer = Callable[..., ServerProcess]


@pytest.fixture
def system() -> Iterator[OpenKeyring]:
    """A system whose keyring works."""
    former = keyring.get_keyring()
    backend = OpenKeyring()
    keyring.set_keyring(backend)
    yield backend
    keyring.set_keyring(former)


@pytest.fixture
def shell(server: ServerProcess, tmp_path: Path, system: OpenKeyring) -> Shell:
    """A shell whose accounts may use the keyring."""
    shell = Shell(tmp_path / "home", server.url)
    shell.environment["COOEE_KEYRING"] = "on"
    return shell


def account_file(shell: Shell, profile: str) -> dict[str, str]:
    return dict(json.loads((shell.home / "profiles" / profile / "account.json").read_text()))


def files_with(shell: Shell, secret: str) -> list[Path]:
    """Return the files of a home that hold ``secret``."""
    return [path for path in shell.home.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


def test_a_token_in_the_keyring_is_in_no_file_and_every_command_has_it(shell: Shell, system: OpenKeyring) -> None:
    alice, bob = shell.register("alice"), shell.register("bob")
    secrets = list(system.kept.values())
    assert len(secrets) == 4  # two tokens, and the keys of two stores
    shell("--as", alice, "send", bob, "hello")
    assert "hello" in shell("--as", bob, "listen", "--count", "1", "--timeout", "30").stdout
    shell("--as", bob, "history", alice)
    shell("--as", bob, "outbox")
    shell("--as", bob, "read", alice)
    shell("--as", bob, "export", alice)
    assert [files_with(shell, secret) for secret in secrets] == [[]] * 4
    assert shell.json("--as", alice, "whoami")[0]["tokenIn"] == "keyring"
    assert "the system's keyring" in shell("--as", alice, "whoami").stdout
    shell("--as", alice, "logout")
    shell("--as", bob, "logout", "--erase")
    assert len(system.kept) == 1  # alice's messages stay, and so does what opens them
    assert not any(account_file(shell, alice).get(name) for name in ("token", "tokenDigest"))


def test_a_token_moves_into_the_keyring_and_out_of_it_when_that_is_meant(shell: Shell, system: OpenKeyring) -> None:
    alice = a_name("alice")
    shell("register", alice, "--no-keyring", given=f"{PASSWORD}\n")
    token = account_file(shell, alice)["token"]
    assert (bool(token), system.kept) == (True, {})
    shell("whoami")
    assert account_file(shell, alice)["token"] == token
    assert "into the keyring" in shell("login", alice).stdout
    assert list(system.kept.values()) == [token]
    assert files_with(shell, token) == []
    assert "moved" not in shell("login", alice).stdout
    assert "into a file" in shell("login", alice, "--no-keyring").stdout
    assert (account_file(shell, alice)["token"], system.kept) == (token, {})
    shell("whoami")


def test_a_locked_keyring_is_said_and_a_file_does(shell: Shell) -> None:
    keyring.set_keyring(LockedKeyring())
    alice = a_name("alice")
    told = shell("register", alice, given=f"{PASSWORD}\n")
    assert "The keyring does not take the token (the collection is locked): it is kept in a file." in told.stderr
    assert shell.json("whoami")[0]["tokenIn"] == "file"


def test_what_the_keyring_does_not_give_is_asked_for_anew(shell: Shell, system: OpenKeyring) -> None:
    alice = shell.register("alice")
    keyring.set_keyring(LockedKeyring())
    refused = shell.json("whoami", code=1)[0]
    assert refused["code"] == "keyring"
    assert f"cooee login {alice}" in refused["message"]
    told = shell("login", alice, given=f"{PASSWORD}\n")
    assert "is locked" in told.stderr
    shell("whoami")
    keyring.set_keyring(system)
    system.kept.clear()
    shell("login", alice)
    system.kept.clear()
    assert shell.json("whoami", code=4)[0]["code"] == "unauthorized"


def test_the_same_name_at_two_servers_is_two_accounts(new_server: NewServer, tmp_path: Path) -> None:
    one, two = new_server(), new_server()
    shell = Shell(tmp_path / "home", one.url)
    at_one, at_two = (url.url.removeprefix("http://") for url in (one, two))
    for server in (one, two):
        shell("register", "alice", "--url", server.url, given=f"{PASSWORD}\n")
        shell("register", "bob", "--url", server.url, "--as", f"bob-{server.url[-4:]}", given=f"{PASSWORD}\n")
    shell("--as", f"alice@{at_one}", "send", "bob", "at one")
    shell("--as", "alice", "--url", two.url, "send", "bob", "at two")
    for address, text in ((at_one, "at one"), (at_two, "at two")):
        told = shell.json("--as", f"bob@{address}", "history", "alice")
        assert [line["text"] for line in told] == [text]
    assert "Several accounts" in shell("whoami", code=2).stderr
    shell("accounts", "use", f"alice@{at_two}")
    assert shell.json("whoami")[0]["url"] == two.url
    listed = {line["profile"]: (line["url"], line["usual"]) for line in shell.json("accounts")}
    assert (listed["alice"], listed["alice-2"]) == ((one.url, False), (two.url, True))
    assert "alice is logged in here already" in shell("login", "alice", "--url", two.url).stdout


def test_a_program_in_the_background_needs_a_token_and_nothing_else(server: ServerProcess, tmp_path: Path) -> None:
    shell = Shell(tmp_path / "home", server.url)
    alice, bob = shell.register("alice"), shell.register("bob")
    shell("--as", alice, "send", "--plain", bob, "wake up")
    environment = whole({"COOEE_URL": server.url, "COOEE_HOME": str(tmp_path / "state")})
    environment |= {"COOEE_TOKEN": account_file(shell, bob)["token"], "PYTHON_KEYRING_BACKEND": "no.such.Backend"}
    environment.pop("HOME", None)
    run = subprocess.run(
        [sys.executable, "-m", "cooee", "listen", "--json", "--count", "1", "--timeout", "60"],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    told = [json.loads(line) for line in run.stdout.splitlines()]
    assert [line["text"] for line in told if line["type"] == "message"] == ["wake up"]
    assert run.stderr == ""
