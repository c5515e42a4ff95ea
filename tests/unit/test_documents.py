"""The documents are true as far as a machine can tell: links lead somewhere, tables are fresh, commands exist."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from cooee.app import config
from cooee.app.telemetry import METRICS
from cooee.cli.main import cli
from cooee.cli.serve import serve
from cooee.gateway.http.admin import ADMIN_ROUTES
from scripts import reference

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "spec/vectors/e2ee/README.md"])
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_CODE = re.compile(r"`([^`\n]+)`")
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_TEST = re.compile(r"tests/[\w/]+\.py(?:::(\w+))?")


def text(name: str) -> str:
    """Return a document."""
    return (ROOT / name).read_text("utf-8")


def document_name(path: Path) -> str:
    """Return a document's path, as the test's id."""
    return path.relative_to(ROOT).as_posix()


def anchors(document: str) -> set[str]:
    """Return the anchors of a document's headings, as code hosts make them."""
    prose = _FENCE.sub("", document)
    lowered = (re.sub(r"[`*]", "", heading).lower() for heading in _HEADING.findall(prose))
    return {re.sub(r"[^\w\- ]", "", heading).strip().replace(" ", "-") for heading in lowered}


@pytest.mark.parametrize("path", DOCUMENTS, ids=document_name)
def test_links_lead_somewhere(path: Path) -> None:
    document = path.read_text("utf-8")
    broken = []
    for link in _LINK.findall(_FENCE.sub("", document)):
        target, _, anchor = link.partition("#")
        if "://" in target:
            continue
        found = (path.parent / target).resolve() if target else path
        if not found.exists() or (anchor and anchor not in anchors(found.read_text("utf-8"))):
            broken.append(link)
    assert broken == []


# --- tables from the code ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", reference.DOCUMENTS)
def test_tables_are_as_the_code_has_them(name: str) -> None:
    assert reference.document(text(name)) == text(name), "run scripts/docs"


def test_every_setting_and_every_metric_is_documented() -> None:
    configuration = text("docs/configuration.md")
    assert reference.table_names(configuration) == [f"settings {section}" for section in config.SECTIONS]
    assert [setting.env for setting in config.settings() if f"`{setting.env}`" not in configuration] == []
    assert [metric.name for metric in METRICS if f"| `{metric.name}` |" not in text("docs/metrics.md")] == []


def test_a_stale_table_is_noticed() -> None:
    stale = text("docs/metrics.md").replace("cooee_acks", "cooee_hacks")
    assert reference.document(stale) != stale


def test_metrics_that_are_recommended_exist() -> None:
    names = {metric.name for metric in METRICS}
    assert set(re.findall(r"cooee_\w+", text("docs/metrics.md"))) <= names


def test_variables_and_flags_beside_the_settings_are_documented() -> None:
    configuration = text("docs/configuration.md")
    others = configuration.partition("## Other variables")[2]
    assert set(re.findall(r"^\| `(COOEE_\w+)`", others, re.MULTILINE)) == set(config._NOT_SETTINGS)
    flags = {option for parameter in serve.params for option in parameter.opts if option.startswith("--")}
    assert {flag for flag in flags if f"`{flag}" not in configuration} == set()


def test_administration_is_documented() -> None:
    operations = text("docs/operations.md")
    missing = [f"{route.method} {route.path}" for route in ADMIN_ROUTES if route.path.startswith("/v1")]
    assert [route for route in missing if f"`{route}`" not in operations] == []


# --- commands ---------------------------------------------------------------------------------------------------------


def commands(group: click.Group, prefix: str) -> Iterator[tuple[str, click.Command]]:
    """Yield every command below ``group`` with its words."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield f"{prefix} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix} {name}")


ALL_COMMANDS: dict[str, click.Command] = {"cooee": cli, **dict(commands(cli, "cooee"))}


def written_commands(document: str) -> Iterator[str]:
    """Yield the calls of the command line that a document shows."""
    for code in _CODE.findall(_FENCE.sub("", document)):
        yield from re.findall(r"(?:^|\| )(?:\.venv/bin/)?(cooee(?: [^|]*)?)$", code)
    for fence in _FENCE.findall(document):
        if fence.startswith("```console"):
            yield from re.findall(r"^\$ (cooee .*)$", fence, re.MULTILINE)


def wrong_in(call: str) -> str:
    """Return what is wrong with a call: an unknown command or option; empty: nothing is."""
    words = shlex.split(call, comments=True)
    at, command, known = "cooee", ALL_COMMANDS["cooee"], set[str]()
    skip = False
    for word in words[1:]:
        options = {option: one for one in command.params for option in (*one.opts, *one.secondary_opts)}
        known |= options.keys()
        if word == "|":
            break
        if skip:
            skip = False
        elif word.startswith("--"):
            if word not in known and word not in {"--help", "--version"}:
                return f"{call}: {at} has no option {word}"
            parameter = options.get(word)
            skip = isinstance(parameter, click.Option) and not parameter.is_flag
        elif isinstance(command, click.Group) and re.fullmatch(r"[a-z-]+", word):
            at = f"{at} {word}"
            if at not in ALL_COMMANDS:
                return f"{call}: there is no {at}"
            command = ALL_COMMANDS[at]
    return ""


@pytest.mark.parametrize("path", DOCUMENTS, ids=document_name)
def test_commands_that_are_shown_exist(path: Path) -> None:
    assert [wrong for call in written_commands(path.read_text("utf-8")) if (wrong := wrong_in(call))] == []


def test_a_wrong_command_is_noticed() -> None:
    assert wrong_in("cooee --as bob listen --no-read") == ""
    assert wrong_in("cooee lissen")
    assert wrong_in("cooee listen --nope")
    assert wrong_in("cooee admin users crate")
    assert wrong_in("cooee listen --json | jq --arg x 1 .text") == ""


def test_every_command_is_documented() -> None:
    documented = text("docs/cli.md")
    assert [name for name in ALL_COMMANDS if name.count(" ") == 1 and f"{name}" not in documented] == []
    administration = [name for name, command in ALL_COMMANDS.items() if name.startswith("cooee admin ")]
    operations = text("docs/operations.md")
    leaves = [name for name in administration if not isinstance(ALL_COMMANDS[name], click.Group)]
    assert [name for name in leaves if f"`{name}`" not in operations] == []


# --- code and tests ---------------------------------------------------------------------------------------------------


def test_the_python_of_the_readme_is_python() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", text("README.md"), re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        ast.parse(block)


def test_the_tests_that_hold_the_invariants_exist() -> None:
    missing = []
    for match in _TEST.finditer(text("ARCHITECTURE.md") + text("PROTOCOL.md")):
        path = ROOT / match[0].partition("::")[0]
        if not path.exists() or (match[1] and f"def {match[1]}(" not in path.read_text("utf-8")):
            missing.append(match[0])
    assert missing == []


def test_every_room_of_the_house_is_in_the_architecture() -> None:
    rooms = {path.parent.name for path in (ROOT / "src/cooee").glob("*/__init__.py")}
    named = set(re.findall(r"^\| `(\w+)/` \|", text("ARCHITECTURE.md"), re.MULTILINE))
    assert named == rooms


def test_every_port_is_in_the_architecture() -> None:
    ports = {path.stem for path in (ROOT / "src/cooee/ports").glob("*.py")} - {"__init__"}
    table = text("ARCHITECTURE.md").partition("## Ports")[2].partition("\n## ")[0]
    named = {name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    assert named == ports
