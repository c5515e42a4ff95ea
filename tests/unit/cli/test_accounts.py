"""Accounts of several servers side by side: listed, chosen, and one the usual one."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from cooee.cli.errors import NOT_LOGGED_IN, USAGE, CliError
from cooee.cli.profile import Profiles, checked_url
from cooee.client.model import Account

Cooee = Callable[..., Result]
LogIn = Callable[..., Account]
ONE, TWO = "https://one.example", "https://two.example:8443"


@pytest.fixture
def two_alices(home: Path, log_in: LogIn) -> Profiles:
    log_in("alice", url=ONE)
    log_in("alice", "alice-2", url=TWO)
    log_in("bob", url=ONE)
    return Profiles({"COOEE_HOME": str(home)})


@pytest.mark.parametrize(
    ("wanted", "url", "profile"),
    [
        ("alice", None, "alice"),
        ("alice-2", None, "alice-2"),
        ("alice@one.example", None, "alice"),
        ("alice@two.example", None, "alice-2"),
        ("alice@two.example:8443", None, "alice-2"),
        ("alice@TWO.example", None, "alice-2"),
        ("alice", TWO, "alice-2"),
        ("alice", f"{TWO.upper()}/", "alice-2"),
        (None, TWO, "alice-2"),
        ("bob@one.example", ONE, "bob"),
    ],
)
def test_each_is_told_from_the_others(two_alices: Profiles, wanted: str | None, url: str | None, profile: str) -> None:
    assert two_alices.login(wanted, url).profile == profile


@pytest.mark.parametrize(
    ("wanted", "url", "code"),
    [
        ("alice@three.example", None, NOT_LOGGED_IN),
        ("carol@one.example", None, NOT_LOGGED_IN),
        ("@one.example", None, NOT_LOGGED_IN),
        ("alice@one.example", TWO, NOT_LOGGED_IN),
        ("alice-2", ONE, USAGE),
        (None, None, USAGE),
    ],
)
def test_who_is_not_there_is_not_guessed(two_alices: Profiles, wanted: str | None, url: str | None, code: int) -> None:
    with pytest.raises(CliError) as problem:
        two_alices.login(wanted, url)
    assert problem.value.exit_code == code


def test_an_address_that_two_profiles_share_is_refused(two_alices: Profiles, log_in: LogIn) -> None:
    log_in("alice", "phone", url=ONE)
    with pytest.raises(CliError, match="alice or phone") as problem:
        two_alices.login("alice@one.example")
    assert problem.value.exit_code == USAGE


def test_the_usual_one_acts_when_nobody_is_named(two_alices: Profiles, cooee: Cooee, home: Path) -> None:
    assert cooee("accounts", "use", "alice@two.example").exit_code == 0
    assert two_alices.login(None).profile == "alice-2"
    assert two_alices.login(None, ONE.replace("one", "two") + ":8443").profile == "alice-2"
    assert two_alices.login("bob").profile == "bob"
    assert Profiles({"COOEE_HOME": str(home), "COOEE_PROFILE": "bob"}).login(None).profile == "bob"
    assert Profiles({"COOEE_HOME": str(home), "COOEE_TOKEN": "t"}).login(None).profile == "COOEE_TOKEN"
    with pytest.raises(CliError, match="Several accounts"):
        two_alices.login(None, ONE)  # the usual one is elsewhere
    listed = [json.loads(line) for line in cooee("accounts", "--json").stdout.splitlines()]
    assert [(one["profile"], one["usual"], one["tokenIn"]) for one in listed] == [
        ("alice", False, "file"),
        ("alice-2", True, "file"),
        ("bob", False, "file"),
    ]
    assert cooee("accounts", "use", "--none").exit_code == 0
    with pytest.raises(CliError, match="cooee accounts use"):
        two_alices.login(None)


def test_a_usual_one_that_is_gone_is_forgotten(two_alices: Profiles, home: Path) -> None:
    two_alices.choose("gone")
    assert two_alices.chosen() == ""
    (home / "default-profile").write_text("../../etc", "utf-8")
    assert two_alices.chosen() == ""
    (home / "default-profile").write_bytes(b"\xff")
    assert two_alices.chosen() == ""


@pytest.mark.parametrize("arguments", [("use",), ("use", "alice", "--none"), ("use", "nobody@nowhere")])
def test_a_choice_of_nobody_is_refused(two_alices: Profiles, cooee: Cooee, arguments: tuple[str, ...]) -> None:
    result = cooee("accounts", *arguments)
    assert result.exit_code in {USAGE, NOT_LOGGED_IN}
    assert two_alices.chosen() == ""


def test_a_log_in_at_an_address_finds_its_profile(two_alices: Profiles) -> None:
    assert two_alices.for_log_in("alice", TWO, "alice@two.example") == "alice-2"
    assert two_alices.for_log_in("alice", TWO, None) == "alice-2"


def test_a_url_is_the_same_however_it_is_typed() -> None:
    assert checked_url("HTTPS://Chat.Example.org:8443/Path/") == "https://chat.example.org:8443/Path"
    with pytest.raises(CliError, match=r"write it like https://chat\.example\.org:8443"):
        checked_url("chat.example.org:8443")


def test_an_account_that_cannot_be_read_is_named(two_alices: Profiles, cooee: Cooee, home: Path) -> None:
    (home / "profiles" / "bob" / "account.json").write_text("{")
    listed = cooee("accounts")
    assert "bob" not in listed.stdout
    assert f"{home}/profiles/bob cannot be read" in listed.stderr


def test_a_mistyped_name_is_put_right(two_alices: Profiles) -> None:
    with pytest.raises(CliError, match="Did you mean 'alice'"):
        two_alices.login("alise")
