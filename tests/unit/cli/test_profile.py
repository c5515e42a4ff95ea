"""Which account a command uses: nobody is guessed, nothing is readable for others."""

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from cooee.cli.errors import NOT_LOGGED_IN, REFUSED, USAGE, CliError
from cooee.cli.profile import DEFAULT_URL, Profiles, checked_name, checked_url, home, login_command
from cooee.client.model import Account

LogIn = Callable[..., Account]


def profiles(folder: Path, **environment: str) -> Profiles:
    return Profiles({"COOEE_HOME": str(folder), **environment})


def code_of(problem: pytest.ExceptionInfo[CliError]) -> int:
    return problem.value.exit_code


@pytest.mark.parametrize(
    ("environment", "platform", "end"),
    [
        ({"COOEE_HOME": "/somewhere"}, "linux", "/somewhere"),
        ({"XDG_STATE_HOME": "/state"}, "linux", "/state/cooee"),
        ({}, "linux", ".local/state/cooee"),
        ({}, "darwin", "Library/Application Support/cooee"),
        ({"LOCALAPPDATA": "/local"}, "win32", "/local/cooee"),
    ],
)
def test_accounts_are_kept_where_the_platform_keeps_state(environment: dict[str, str], platform: str, end: str) -> None:
    assert home(environment, platform).as_posix().endswith(end)


def test_the_only_account_is_used(home: Path, log_in: LogIn) -> None:
    log_in("alice")
    login = profiles(home).login(None)
    assert (login.user_id, login.profile, login.token) == ("alice", "alice", "a-token")
    assert "a-token" not in repr(login)


def test_a_logged_out_account_does_not_stand_in_the_way(home: Path, log_in: LogIn) -> None:
    log_in("alice")
    log_in("bob", token="")
    assert profiles(home).login(None).user_id == "alice"


def test_with_several_accounts_nobody_is_guessed(home: Path, log_in: LogIn) -> None:
    log_in("alice")
    log_in("bob")
    with pytest.raises(CliError, match="--as alice") as problem:
        profiles(home).login(None)
    assert code_of(problem) == USAGE
    assert profiles(home).login("bob").user_id == "bob"
    assert profiles(home, COOEE_PROFILE="bob").login(None).user_id == "bob"
    assert profiles(home, COOEE_PROFILE="bob").login("alice").user_id == "alice"


def test_a_profile_may_be_named_by_its_user(home: Path, log_in: LogIn) -> None:
    log_in("alice", "phone")
    assert profiles(home).login("alice").profile == "phone"


def test_the_server_tells_one_of_several_accounts(home: Path, log_in: LogIn) -> None:
    log_in("alice", url="https://one.example")
    log_in("alice", "alice-2", url="https://two.example")
    assert profiles(home).login(None, "https://two.example/").profile == "alice-2"
    assert profiles(home).login("alice", "https://TWO.example").profile == "alice-2"
    with pytest.raises(CliError, match="not at") as problem:
        profiles(home).login("alice", "https://three.example")
    assert code_of(problem) == USAGE
    with pytest.raises(CliError, match="Nobody is logged in here at") as problem:
        profiles(home).login(None, "https://three.example")
    assert code_of(problem) == NOT_LOGGED_IN


def test_nobody_logged_in_says_what_to_do(home: Path, log_in: LogIn) -> None:
    with pytest.raises(CliError, match="cooee register NAME") as problem:
        profiles(home).login(None)
    assert code_of(problem) == NOT_LOGGED_IN
    with pytest.raises(CliError, match="cooee login carol") as problem:
        profiles(home).login("carol")
    assert code_of(problem) == NOT_LOGGED_IN
    log_in("bob", token="", url="https://one.example")
    with pytest.raises(CliError, match=r"cooee login bob --url https://one\.example") as problem:
        profiles(home).login(None)
    assert code_of(problem) == NOT_LOGGED_IN


def test_a_token_in_the_environment_needs_no_account(home: Path, log_in: LogIn) -> None:
    log_in("alice")
    login = profiles(home, COOEE_TOKEN="t1", COOEE_URL="https://one.example/").login(None)
    assert (login.url, login.token, login.user_id) == ("https://one.example", "t1", "")
    assert login.store.parent == home / "tokens"
    assert "t1" not in login.store.name
    assert profiles(home, COOEE_TOKEN="t1").login("alice").token == "a-token"


def test_a_log_in_finds_its_profile_again_or_makes_one(home: Path, log_in: LogIn) -> None:
    kept = profiles(home)
    assert kept.for_log_in("alice", DEFAULT_URL, None) == "alice"
    log_in("alice", url=DEFAULT_URL, token="")
    assert kept.for_log_in("alice", DEFAULT_URL, None) == "alice"
    assert kept.for_log_in("alice", "https://two.example", None) == "alice-2"
    assert kept.for_log_in("alice", "https://two.example", "work") == "work"
    with pytest.raises(CliError, match="alice's") as problem:
        kept.for_log_in("bob", DEFAULT_URL, "alice")
    assert code_of(problem) == REFUSED
    assert profiles(home, COOEE_PROFILE="alice").for_log_in("bob", DEFAULT_URL, None) == "bob"
    assert profiles(home, COOEE_PROFILE="desk").for_log_in("bob", DEFAULT_URL, None) == "desk"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "-x", "a b", "ä", "x" * 65])
def test_a_profile_name_is_never_a_path(name: str) -> None:
    with pytest.raises(CliError):
        checked_name(name)


@pytest.mark.parametrize("url", ["", "chat.example.org", "ftp://x", "http://", "http://a b", "javascript:x"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(CliError, match="URL") as problem:
        checked_url(url)
    assert code_of(problem) == USAGE


def test_the_account_is_readable_for_its_owner_alone(home: Path, log_in: LogIn) -> None:
    log_in("alice")
    folder = home / "profiles" / "alice"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "account.json").stat().st_mode) == 0o600


def test_a_broken_account_file_hides_no_other(home: Path, log_in: LogIn) -> None:
    log_in("alice")
    log_in("bob")
    (home / "profiles" / "bob" / "account.json").write_text("{")
    assert list(profiles(home).all()) == ["alice"]


def test_the_command_that_logs_in_again_names_what_is_not_usual() -> None:
    assert login_command("alice", Account(DEFAULT_URL, "alice", "d1", "")) == "cooee login alice"
    assert login_command("p", Account("https://one.example", "alice", "d1", "")) == (
        "cooee --as p login alice --url https://one.example"
    )
