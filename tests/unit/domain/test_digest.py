"""From what a device lacks to what it shows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooee.domain.digest import (
    DAY_MIN,
    Notice,
    NotificationSettings,
    Pending,
    QuietHours,
    collapse_key,
    counted,
    digest,
    is_muted,
    preview_of,
)

MINUTE = 60_000
ALL = NotificationSettings()


def lack(conversation: str = "dm:alice:bob", count: int = 1, **facts: object) -> Pending:
    given_facts: dict[str, object] = {"sender": "Alice", "preview": "hello"} | facts
    return Pending(conversation, 5, count, **given_facts)  # type: ignore[arg-type]  # as the tests below write them


@pytest.mark.parametrize(
    ("pending", "settings", "shown"),
    [
        ([lack()], ALL, ("Alice", "hello")),
        ([lack(preview="")], ALL, ("Alice", "New message")),
        ([lack()], NotificationSettings(preview=False), ("Alice", "New message")),
        ([lack(encrypted=True, preview="", content_type="encrypted")], ALL, ("Alice", "New message")),
        ([lack(encrypted=True, content_type="encrypted")], ALL, ("Alice", "hello")),
        ([lack(encrypted=True)], NotificationSettings(preview=False), ("Alice", "New message")),
        ([lack(preview=" two\nlines ")], ALL, ("Alice", "two lines")),
        ([lack(preview="", content_type="image")], ALL, ("Alice", "Picture")),
        ([lack(preview="the cat", content_type="image")], ALL, ("Alice", "the cat")),
        ([lack(content_type="image")], NotificationSettings(preview=False), ("Alice", "New message")),
        ([lack(group="Tea")], ALL, ("Alice in Tea", "hello")),
        ([lack(count=3)], ALL, ("Alice", "3 messages")),
        ([lack(count=3, group="Tea")], ALL, ("Tea", "3 messages")),
        ([lack(), lack("dm:bob:carol", 49)], ALL, ("Cooee", "50 messages from 2 conversations")),
        ([lack(count=999), lack("x", 999)], ALL, ("Cooee", "999+ messages from 2 conversations")),
        ([lack(muted=True), lack("x", sender="Carol")], ALL, ("Carol", "hello")),
        ([lack(muted=True, mentioned=True)], ALL, ("Alice", "hello")),
    ],
)
def test_what_is_shown(pending: list[Pending], settings: NotificationSettings, shown: tuple[str, str]) -> None:
    notice = digest("bob", pending, settings)
    assert notice is not None
    assert (notice.title, notice.body) == shown


@pytest.mark.parametrize(
    ("pending", "settings"),
    [
        ([], ALL),
        ([lack(count=0)], ALL),
        ([lack(muted=True)], ALL),
        ([lack(muted=True, mentioned=True)], NotificationSettings(mentions=False)),
        ([lack(muted=True, mentioned=True, encrypted=True)], ALL),
    ],
)
def test_what_is_not_shown(pending: list[Pending], settings: NotificationSettings) -> None:
    assert digest("bob", pending, settings) is None


def test_one_conversation_leads_somewhere_and_replaces_itself() -> None:
    one = digest("bob", [lack(count=2)], ALL)
    assert one == Notice("Alice", "2 messages", collapse_key("bob", "dm:alice:bob"), "dm:alice:bob", 5)
    several = digest("bob", [lack(), lack("x")], ALL)
    assert several is not None
    assert (several.collapse_key, several.conversation_id) == (collapse_key("bob"), "")


@given(st.text(max_size=80), st.text(max_size=80))
def test_collapse_keys_fit_every_platform_and_differ(user: str, conversation: str) -> None:
    key = collapse_key(user, conversation)
    assert len(key) == 22
    assert key.isascii()
    assert key.replace("-", "").replace("_", "").isalnum()
    assert collapse_key(user + "x", conversation) != key
    assert collapse_key(user, conversation + "x") != key


@given(st.integers(0, DAY_MIN - 1), st.integers(0, DAY_MIN - 1), st.integers(-840, 840), st.integers(0, 10**13))
def test_quiet_hours_end_once_and_not_before(start: int, end: int, offset: int, now: int) -> None:
    hours = QuietHours(start, end, offset)
    ends = hours.ends_at(now)
    if ends is None:
        return
    assert now < ends <= now + DAY_MIN * MINUTE
    assert (ends // MINUTE + offset) % DAY_MIN == end
    assert hours.ends_at(ends) is None
    assert hours.ends_at(ends - 1) == ends


def test_quiet_hours_are_local_and_go_over_midnight() -> None:
    hours = QuietHours(22 * 60, 7 * 60, 60)
    noon, night = 11 * 60 * MINUTE, 22 * 60 * MINUTE
    assert hours.ends_at(noon) is None
    assert hours.ends_at(night) == (24 + 6) * 60 * MINUTE
    assert QuietHours(5, 5).ends_at(5 * MINUTE) is None


@pytest.mark.parametrize(("until", "muted"), [(0, False), (-1, True), (999, False), (1000, False), (1001, True)])
def test_a_mute_ends(until: int, muted: bool) -> None:
    assert is_muted(until, 1000) is muted


@pytest.mark.parametrize(("number", "text"), [(1, "1 message"), (0, "0 messages"), (998, "998 messages")])
def test_counts(number: int, text: str) -> None:
    assert counted(number, "message") == text


@given(st.text(st.characters(codec="utf-8"), max_size=600))
def test_a_preview_is_one_short_line(text: str) -> None:
    preview = preview_of(text)
    assert len(preview.encode()) <= 200
    assert preview == " ".join(preview.split()) or preview.endswith("…")
    assert "\n" not in preview


def test_a_preview_is_the_beginning() -> None:
    assert preview_of(" two\nlines ") == "two lines"
    assert preview_of("ж" * 300) == "ж" * 98 + "…"
