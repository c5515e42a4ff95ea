"""What `cooee doctor` finds: each figure, judged."""

from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Literal

import pytest

from cooee.cli.doctor import (
    CLOCK_PROBLEM_S,
    CLOCK_WARNING_S,
    FEW_KEYS,
    MOST_PEOPLE,
    OLD_KEY_MS,
    Fares,
    clock,
    clock_offset,
    connection,
    contacts,
    encryption,
    outbox,
    people,
    stopped,
)
from cooee.client import ConversationView
from cooee.client.e2ee.results import Diagnostics
from cooee.domain.receipt import Watermark

NOW = 1_800_000_000_000
HEALTHY = Diagnostics("linked", 2, 100, 100, NOW, 5, 3, 0, 0, 0, {})
FARES = Fares("online", "websocket", "", HEALTHY, "d1", 0, 0)


def levels(told: Diagnostics) -> dict[str, str]:
    """Return the worst level of each check."""
    found: dict[str, str] = {}
    for finding in encryption(told, NOW):
        if finding.level != "ok" or finding.check not in found:
            found[finding.check] = finding.level
            assert bool(finding.advice) == (finding.level != "ok"), finding
    return found


def test_a_healthy_device_has_no_complaints() -> None:
    assert set(levels(HEALTHY).values()) == {"ok"}


@pytest.mark.parametrize(
    ("changes", "check", "level"),
    [
        ({"standing": "unlinked"}, "device", "problem"),
        ({"standing": "preparing"}, "device", "warning"),
        ({"one_time_pre_keys": FEW_KEYS - 1}, "keys", "warning"),
        ({"one_time_kem_keys": FEW_KEYS - 1}, "keys", "warning"),
        ({"one_time_kem_keys": FEW_KEYS}, "keys", "ok"),
        ({"signed_pre_key_at": NOW - OLD_KEY_MS - 1}, "keys", "warning"),
        ({"signed_pre_key_at": NOW - OLD_KEY_MS}, "keys", "ok"),
        ({"waiting": 1}, "messages", "warning"),
        ({"outbound": 3}, "devices", "ok"),
    ],
)
def test_what_is_not_well_is_found(changes: dict[str, Any], check: str, level: str) -> None:
    assert levels(HEALTHY._replace(**changes))[check] == level


@pytest.mark.parametrize(
    ("offset", "level"),
    [
        (None, "ok"),
        (CLOCK_WARNING_S - 0.1, "ok"),
        (-CLOCK_WARNING_S, "warning"),
        (CLOCK_PROBLEM_S, "problem"),
        (-CLOCK_PROBLEM_S, "problem"),
    ],
)
def test_the_clock_is_held_against_the_servers(offset: float | None, level: str) -> None:
    [finding] = clock(offset)
    assert finding.level == level


def test_what_waits_at_an_unlinked_device_waits_for_the_link() -> None:
    [told] = [
        one for one in encryption(HEALTHY._replace(waiting=1, standing="unlinked"), NOW) if one.check == "messages"
    ]
    assert "link" in told.advice


def test_a_date_that_is_none_tells_nothing() -> None:
    when = datetime(2026, 3, 11, 12, tzinfo=UTC)
    assert clock_offset({"Date": format_datetime(when, usegmt=True)}, when.timestamp() + 60.5) == 60
    assert clock_offset({}, 0) is None
    assert clock_offset({"Date": "yesterday"}, 0) is None


@pytest.mark.parametrize(
    ("state", "transport", "level"),
    [("online", "websocket", "ok"), ("online", "longpoll", "warning"), ("waiting", "", "problem")],
)
def test_the_connection_is_judged(state: str, transport: str, level: str) -> None:
    [finding] = connection(Fares(state, transport, "gone", None, "d1", 0, 0))
    assert finding.level == level


@pytest.mark.parametrize(("waits", "failed", "level"), [(0, 0, "ok"), (2, 0, "warning"), (2, 1, "warning")])
def test_the_outbox_is_judged(waits: int, failed: int, level: str) -> None:
    [finding] = outbox(Fares("online", "websocket", "", None, "d1", waits, failed))
    assert finding.level == level


def test_who_was_compared_and_has_another_key_is_named_with_what_to_do() -> None:
    assert list(contacts(FARES)) == []
    [bob, carol] = contacts(Fares("online", "websocket", "", HEALTHY, "d1", 0, 0, ("bob", "carol")))
    assert (bob.level, carol.level) == ("problem", "problem")
    assert "bob's key has changed" in bob.text
    assert "cooee verify carol --accept" in carol.advice


def view(conversation_id: str, *members: str) -> ConversationView:
    kind: Literal["group", "direct"] = "group" if conversation_id.startswith("group:") else "direct"
    marks = {member: Watermark() for member in members}
    return ConversationView(conversation_id, kind, "", 0, 0, 0, 0, 0, False, False, False, None, 0, 0, 0, marks)


def test_whom_one_writes_to_is_looked_at_once_and_not_without_end() -> None:
    views = [view("group:g", "alice", "dave", "bob"), view("dm:alice:bob"), view("dm:alice:alice")]
    assert people(views, "alice") == ["bob", "dave"]
    many = view("group:h", *(f"u{number}" for number in range(MOST_PEOPLE + 1)))
    assert len(people([many, *views], "alice")) == MOST_PEOPLE
    assert people([many, *views], "alice")[0] == "bob"


def test_a_revoked_device_is_told_to_log_in_again_and_is_not_linked() -> None:
    revoked = Fares("stopped", "", "the device was revoked", HEALTHY, "d1", 0, 0)
    assert stopped(revoked)
    assert not stopped(FARES)
    [told] = connection(revoked, "cooee login alice")
    assert (told.level, told.advice) == ("problem", "cooee login alice")
    [device] = encryption(HEALTHY, NOW, logged_out="cooee login alice")
    assert (device.check, device.level) == ("device", "problem")
    assert "linked (" not in device.text
    assert "cooee login alice" in device.advice
