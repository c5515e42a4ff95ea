"""What people write for a conversation or a time."""

from collections.abc import Mapping
from datetime import datetime

import click
import pytest

from cooee.cli.errors import REFUSED, USAGE, CliError
from cooee.cli.targets import find_conversation, moment

GROUPS = {"group:g1": "Team", "group:g2": "Große Runde", "group:g3": "Twice", "group:g4": "twice"}


async def titles() -> Mapping[str, str]:
    return GROUPS


async def unasked() -> Mapping[str, str]:
    raise AssertionError("a userId needs no list of groups")


@pytest.mark.parametrize(
    ("text", "found"), [("bob", "dm:alice:bob"), ("alice", "dm:alice:alice"), ("dm:alice:bob", "dm:alice:bob")]
)
async def test_users_and_direct_ids_need_no_question(text: str, found: str) -> None:
    assert await find_conversation(text, "alice", unasked) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Team", "group:g1"),
        ("group:team", "group:g1"),
        ("group:g1", "group:g1"),
        ("GROSSE RUNDE", "group:g2"),
        ("group:unknown", "group:unknown"),
    ],
)
async def test_groups_are_found_by_id_and_title(text: str, found: str) -> None:
    assert await find_conversation(text, "alice", titles) == found


@pytest.mark.parametrize(
    ("text", "code", "told"),
    [
        ("Bob", REFUSED, "lower case: bob"),
        ("No Such Group", REFUSED, "cooee groups"),
        ("group:twice", USAGE, "group:g3, group:g4"),
        ("dm:bob:alice", USAGE, "ascending"),
        ("dm:alice", USAGE, "dm:"),
        ("group:no such group", USAGE, "group:"),
    ],
)
async def test_what_is_not_found_says_what_to_do(text: str, code: int, told: str) -> None:
    with pytest.raises(CliError, match=told) as problem:
        await find_conversation(text, "alice", titles)
    assert problem.value.exit_code == code


def convert(text: str | None) -> int:
    command = click.Command("x")
    return moment(-1)(click.Context(command), click.Option(["--until"]), text)


def test_times_are_durations_or_dates() -> None:
    assert convert(None) == -1
    assert convert("2026-01-31T18:00+00:00") == 1_769_882_400_000
    assert convert("2026-01-31") == int(datetime(2026, 1, 31).timestamp() * 1000)  # noqa: DTZ001  # local on purpose
    assert convert("2w") - convert("1w") == pytest.approx(7 * 86_400_000, abs=60_000)


@pytest.mark.parametrize("text", ["", "8", "8x", "yesterday", "-1h", "9999999h", "2026-13-01"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="no time"):
        convert(text)
