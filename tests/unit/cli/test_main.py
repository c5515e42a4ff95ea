"""The table of commands, the options that mean the same everywhere, and wrong usage."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import click
import pytest
from click.testing import CliRunner, Result

from cooee.cli.main import cli
from cooee.client.model import Account

Cooee = Callable[..., Result]
LogIn = Callable[..., Account]
TOP = cli.list_commands(click.Context(cli))
OPERATORS = {"serve", "config", "admin", "bench", "completion"}


def commands(group: click.Group = cli, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command below ``group``, groups too."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


ALL = dict(commands())


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_has_help(cooee: Cooee, path: tuple[str, ...]) -> None:
    result = cooee(*path, "--help")
    assert result.exit_code == 0
    assert f"Usage: cooee {' '.join(path)}" in result.stdout
    assert "\x08" not in result.stdout
    assert ALL[path].help


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_help_is_a_sentence(path: tuple[str, ...]) -> None:
    command = ALL[path]
    assert str(command.help).strip().partition("\n\n")[0].endswith("."), command.help
    for option in (each for each in command.params if isinstance(each, click.Option)):
        assert option.help, f"{option.opts} says nothing"
        assert option.help[0].isupper()
        assert option.help.endswith((".", "]")), f"{option.opts}: a sentence, or what holds without it in brackets"


def test_a_group_says_of_itself_what_the_list_says(cooee: Cooee) -> None:
    shown = " ".join(cooee("--help").stdout.split())
    for name in ("conversations", "outbox", "groups", "contacts", "blocks", "devices", "profile", "account"):
        assert f"{name} {str(ALL[name,].help).partition('.')[0]}." in shown


@pytest.mark.parametrize("path", [path for path in ALL if path[0] not in OPERATORS], ids=" ".join)
def test_every_command_of_an_account_takes_the_common_options(path: tuple[str, ...]) -> None:
    options = {name for parameter in ALL[path].params for name in parameter.opts}
    assert {"--as", "--profile", "--url", "--json"} <= options


@pytest.mark.parametrize("path", [path for path in ALL if path[0] == "admin"], ids=" ".join)
def test_every_administrative_command_writes_json(path: tuple[str, ...]) -> None:
    assert "--json" in {name for parameter in ALL[path].params for name in parameter.opts}


def test_help_lists_the_commands_and_the_exit_codes(cooee: Cooee) -> None:
    shown = cooee("--help").stdout
    assert all(f"  {name} " in shown for name in TOP)
    assert "130 ended by Ctrl-C" in shown


def test_help_imports_no_client_and_no_server() -> None:
    program = (
        "import sys\nfrom cooee.cli.main import cli\n"
        "try:\n    cli(['--help'])\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('aiohttp', 'starlette', 'apsw', 'textual', 'cooee.client') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "[]"


def test_an_unknown_command_names_the_nearest(cooee: Cooee) -> None:
    result = cooee("sned")
    assert result.exit_code == 2
    assert "Did you mean 'send'?" in result.stderr
    assert "cooee --help" in cooee("xyzzy").stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("send",),
        ("send", "bob", "hi", "--nonsense"),
        ("send", "bob", "hi", "--timeout", "0"),
        ("history", "bob", "--limit", "0"),
        ("history", "bob", "--before", "-1"),
        ("groups", "role", "Team", "bob", "king"),
        ("groups", "create"),
        ("profile", "set"),
        ("profile", "set", "--last-seen", "never"),
        ("register", "Bad User"),
        ("conversations", "mute", "bob", "--until", "someday"),
        ("completion", "tcsh"),
        ("--url", "nonsense", "register", "alice"),
        ("--as", "../x", "whoami"),
    ],
)
def test_wrong_usage_is_exit_code_2(cooee: Cooee, arguments: tuple[str, ...]) -> None:
    result = cooee(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ("whoami",),
        ("send", "bob", "hi"),
        ("listen",),
        ("history", "bob"),
        ("conversations",),
        ("read", "bob"),
        ("receipts", "bob", "1"),
        ("delete", "bob", "1"),
        ("outbox",),
        ("groups",),
        ("contacts",),
        ("blocks",),
        ("users", "show", "bob"),
        ("devices",),
        ("profile",),
        ("account", "password"),
        ("account", "export"),
        ("account", "delete"),
        ("logout",),
    ],
)
def test_without_an_account_it_is_exit_code_4(cooee: Cooee, arguments: tuple[str, ...]) -> None:
    result = cooee(*arguments)
    assert result.exit_code == 4, result.output
    assert "cooee register NAME" in result.stderr
    told = json.loads(cooee(*arguments, "--json").stderr)
    assert (told["type"], told["code"], told["exitCode"]) == ("error", "unauthorized", 4)


def test_the_account_may_be_named_before_and_after_the_command(cooee: Cooee, log_in: LogIn) -> None:
    log_in("alice", token="")
    log_in("bob", token="")
    for arguments in (("--as", "bob", "whoami"), ("whoami", "--as", "bob"), ("whoami", "--profile", "bob")):
        assert "bob is logged out" in cooee(*arguments).stderr


def test_the_accounts_of_the_machine_are_listed_without_any_server(cooee: Cooee, log_in: LogIn) -> None:
    log_in("alice")
    log_in("bob", token="")
    lines = cooee("whoami", "--all").stdout.splitlines()
    assert lines[1].split() == ["alice", "alice", "http://127.0.0.1:9", "yes,", "token", "in", "file"]
    assert lines[2].split()[:4] == ["bob", "bob", "http://127.0.0.1:9", "no:"]
    told = [json.loads(line) for line in cooee("whoami", "--all", "--json").stdout.splitlines()]
    assert [(one["userId"], one["loggedIn"]) for one in told] == [("alice", True), ("bob", False)]
    assert all("token" not in one for one in told)


@pytest.mark.parametrize("code", ["-vdDmU42bfxLoIp7CCAiOA", "--hDmU42bfxLoIp7CCAiOA", "Dlf_AJNCzFemvAxDB1DDxQ"])
def test_an_invitations_code_may_begin_with_a_dash(code: str) -> None:
    command = ALL["groups", "join"]
    for arguments in ([code, "--json"], ["--json", code], ["--json", "--", code]):
        assert command.make_context("join", list(arguments)).params["code"] == code


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_ask_the_program(cooee: Cooee, shell: str) -> None:
    assert "_COOEE_COMPLETE" in cooee("completion", shell).stdout


def test_completion_knows_commands_and_options(home: object) -> None:
    environment = {"_COOEE_COMPLETE": "bash_complete", "COMP_WORDS": "cooee se", "COMP_CWORD": "1"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setitem(os.environ, name, value)
        result = CliRunner().invoke(cli, [], prog_name="cooee", complete_var="_COOEE_COMPLETE")
    assert result.stdout.splitlines() == ["plain,serve", "plain,send", "plain,search"]


def test_only_chat_pays_for_the_full_screen() -> None:
    program = (
        "import sys, click\nfrom cooee.cli.main import cli\n"
        "[cli.get_command(click.Context(cli), name) for name in cli.list_commands(click.Context(cli))]\n"
        "print('textual' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "False"
