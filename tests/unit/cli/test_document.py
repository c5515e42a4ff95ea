"""docs/cli.md is true: every command, option, example, exit code and JSON object of it."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
import pytest

from cooee.cli import errors, records
from cooee.cli.main import cli
from cooee.client import ConnectionState, Message, MessageDeleted, Pending, Presence, TickChanged, Typing
from cooee.protocol import admin, bots, http
from tests.unit.cli.test_records import OF_ENCRYPTION

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "cli.md").read_text("utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in TEXT.splitlines() if line.startswith("|")]
COMMANDS = {row[0].strip("`"): row[2].strip("`") for row in ROWS if row[0].startswith("`cooee ")}
OBJECTS = {
    kind: frozenset(re.findall(r"`([A-Za-z]+)`", row[2]))
    for row in ROWS
    if row[0].startswith("`") and not row[0].startswith("`cooee")
    for kind in re.findall(r"`([a-z_]+)`", row[0])
}


def leaves(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    """Yield every command that is no group."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from leaves(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


LEAVES = dict(leaves(cli, "cooee"))


def test_the_table_has_every_command_and_no_other() -> None:
    assert set(COMMANDS) == set(LEAVES)


def examples() -> list[str]:
    """Return every command line of the document, and of the commands' own help."""
    found = list(COMMANDS.values()) + [line[2:] for line in TEXT.splitlines() if line.startswith("$ ")]
    for command in LEAVES.values():
        found += re.findall(r"(?:Examples?: |^ {10,})((?:\w+ \| )?cooee .+)$", command.help or "", re.MULTILINE)
    return found


def cooee_part(line: str) -> list[str]:
    """Return the arguments of ``cooee`` in a line of shell."""
    parts = [part for part in re.split(r" \| (?=cooee|jq|source)", line) if "cooee " in part]
    words = shlex.split(re.sub(r'^eval "\$\((.*)\)"$', r"\1", parts[0]))
    assert words[0] == "cooee", line
    return words[1:]


@pytest.mark.parametrize("line", examples())
def test_every_example_is_right(line: str) -> None:
    command: click.Command = cli
    context = click.Context(cli, info_name="cooee")
    rest = cooee_part(line)
    while isinstance(command, click.Group):
        _, rest, _ = command.make_parser(context).parse_args(list(rest))
        if not rest:
            assert command.invoke_without_command
            return
        name, *rest = rest
        found = command.get_command(context, name)
        assert found is not None, name
        context = click.Context(found, parent=context, info_name=name)
        command = found
    command.make_context(command.name, list(rest), parent=context.parent)


def test_the_exit_codes_are_those_of_the_code() -> None:
    listed = re.findall(r"^\| (\d+) \| (.+) \|$", TEXT, re.MULTILINE)
    assert listed == re.findall(r"^\| (\d+) \| (.+) \|$", errors.__doc__ or "", re.MULTILINE)
    assert [code for code, _ in listed] == ["0", "1", "2", "3", "4", "130"]


def test_the_variables_are_those_of_the_code() -> None:
    source = "".join(path.read_text("utf-8") for path in (ROOT / "src" / "cooee" / "cli").glob("*.py"))
    own = set(
        re.findall(r"COOEE_(?:HOME|PROFILE|TOKEN|URL|PASSWORD|KEYRING|PASSPHRASE|BACKUP_PASSPHRASE|ENCRYPTION)", source)
    )
    for name in own | {"NO_COLOR", "XDG_STATE_HOME"}:
        assert name in TEXT


BODIES: dict[str, type[msgspec.Struct]] = {
    "conversation": http.Conversation,
    "group": http.Group,
    "invite": http.Invite,
    "contact": http.User,
    "block": http.User,
    "user": http.User,
    "profile": http.Me,
    "admin_user": admin.AdminUser,
    "registration_invite": admin.RegistrationInvite,
    "bot": bots.Bot,
    "bot_token": bots.NewBotToken,
    "incoming_hook": bots.NewIncomingHook,
}


@pytest.mark.parametrize("kind", BODIES)
def test_the_fields_of_bodies_are_listed(kind: str) -> None:
    fields = {field.encode_name for field in msgspec.structs.fields(BODIES[kind])}
    assert fields <= OBJECTS[kind]


def test_the_fields_of_events_are_listed() -> None:
    message = Message("dm:alice:bob", 1, "1", "bob", "d", "c", 5, "text", "x")
    told = [
        records.message(message, "alice", "read"),
        records.pending(Pending("c", "dm:alice:bob", "d", 5, "text", "x")),
        *(
            records.event(event, "alice") or {}
            for event in (
                message,
                TickChanged("dm:alice:bob", "read", 1),
                MessageDeleted("dm:alice:bob", 1, "bob"),
                Typing("dm:alice:bob", "bob", "started"),
                Presence("bob", "online"),
                ConnectionState("online"),
                *(event for event, _ in OF_ENCRYPTION),
            )
        ),
        records.record("device", http.Device("d", "desk", "cli", 1, 2, logged_in=True, current=True), linked=True),
    ]
    for one in told:
        assert set(one) - {"type"} <= OBJECTS[one["type"]], one["type"]


def test_every_type_that_is_written_is_listed_and_no_other() -> None:
    written = {"error", "contact_removed"}
    for path in (ROOT / "src" / "cooee" / "cli").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            written |= set(types_in(node))
    assert written == set(OBJECTS)


def types_in(node: ast.AST) -> Iterator[str]:
    """Yield the types of the objects that an expression makes."""
    if isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and key.value == "type" and isinstance(value, ast.Constant):
                yield str(value.value)
    makers = {"record", "account_record", "_each", "_show_users", "_tell_password"}
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in makers:
            yield from (
                str(argument.value)
                for argument in node.args
                if isinstance(argument, ast.Constant) and re.fullmatch("[a-z_]+", str(argument.value))
            )
