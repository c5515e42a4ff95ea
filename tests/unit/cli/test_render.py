"""What people see: ticks, times, messages, and nothing that steers their terminal."""

from datetime import UTC, datetime
from typing import Any

import pytest

from cooee.cli.render import Look, Naming, chat_name, clock, message_line, safe, system_text, table, tick, width
from cooee.client.model import Message

COLOUR = Look(colour=True)
PIPED = Look(colour=False)
ASCII = Look(colour=False, unicode=False)
NOW = datetime(2026, 1, 31, 18, 0, tzinfo=UTC)
AT = int(NOW.timestamp() * 1000)
ME = Naming("alice", {"group:g1": "Team"})


def message(**changes: Any) -> Message:
    fields: dict[str, Any] = {
        "conversation_id": "dm:alice:bob",
        "sequence_number": 7,
        "message_id": "70",
        "sender_id": "bob",
        "sender_device_id": "d1",
        "client_message_id": "c1",
        "timestamp": AT,
        "content_type": "text",
        "content": "hello",
    }
    return Message(**fields | changes)


@pytest.mark.parametrize(
    ("look", "status", "shown"),
    [
        (PIPED, "pending", "·"),
        (PIPED, "sent", "✓"),
        (PIPED, "delivered", "✓✓"),
        (PIPED, "read", "✓✓ read"),
        (PIPED, "failed", "✗ failed"),
        (ASCII, "sent", "+"),
        (ASCII, "delivered", "++"),
        (ASCII, "read", "++ read"),
    ],
)
def test_ticks_without_colour(look: Look, status: str, shown: str) -> None:
    assert tick(look, status) == shown


def test_a_terminal_of_another_charset_shows_its_own_letters() -> None:
    western = Look(unicode=False, charset="cp1252")
    assert western.plain("Grüße … ✓✓ – 👍 日本") == "Grüße ... ++ – ? ??"
    assert ASCII.plain("Grüße → ✓") == "Gr??e -> +"


def test_read_is_blue_where_there_is_colour_and_needs_no_word() -> None:
    assert tick(COLOUR, "read") == "\x1b[94m\x1b[1m✓✓\x1b[0m"
    assert tick(COLOUR, "delivered") == "\x1b[2m✓✓\x1b[0m"


def test_words_stand_beside_the_ticks_when_wanted() -> None:
    assert [tick(PIPED, status, words=True) for status in ("sent", "delivered", "read")] == [
        "✓ sent",
        "✓✓ delivered",
        "✓✓ read",
    ]


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[2J\x07", "\\x1b[2J\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("abc\u202etxt.exe", "abc\\u202etxt.exe"),
        ("a\r\nb", "a b"),
        ("a\rb", "a\\x0db"),
        ("a\tb", "a b"),
        ("\ud800", "\\ud800"),
        ("père 日本 👍", "père 日本 👍"),
    ],
)
def test_nothing_that_others_wrote_steers_the_terminal(hostile: str, shown: str) -> None:
    assert safe(hostile) == shown


def test_a_second_line_is_indented() -> None:
    assert message_line(PIPED, message(content="one\ntwo"), ME, NOW) == "18:00 bob: one\n      two"


def test_an_own_message_names_the_other_and_carries_its_ticks() -> None:
    own = message(sender_id="alice", content="hi")
    assert message_line(PIPED, own, ME, NOW, status="delivered") == "18:00 → bob: hi  ✓✓"
    assert message_line(ASCII, own, ME, NOW, status="read") == "18:00 -> bob: hi  ++ read"


def test_a_message_in_a_group_names_the_group() -> None:
    assert message_line(PIPED, message(conversation_id="group:g1"), ME, NOW) == "18:00 [Team] bob: hello"


def test_a_hostile_sender_and_title_are_written_out() -> None:
    naming = Naming("alice", {"group:g1": "\x1b]0;x\x07"})
    line = message_line(PIPED, message(conversation_id="group:g1", sender_id="\x1bbob"), naming, NOW)
    assert "\x1b" not in line
    assert "\x07" not in line


def test_deleted_and_media_messages_say_what_they_are() -> None:
    assert message_line(PIPED, message(content_type="deleted", content=None), ME, NOW) == (
        "18:00 bob: this message was deleted"
    )
    picture = message(content_type="image", content={"mediaKey": "k", "caption": "us"})
    assert message_line(PIPED, picture, ME, NOW) == "18:00 bob: [image] us"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"event": "group_created", "actorId": "bob", "name": "Team"}, "bob created the group Team"),
        ({"event": "group_renamed", "actorId": "bob", "name": "T2"}, "bob renamed the group to T2"),
        ({"event": "member_added", "actorId": "bob", "userIds": ["a1", "a2"]}, "bob added a1, a2"),
        ({"event": "member_added", "actorId": "a1", "userIds": ["a1"], "byLink": True}, "a1 joined by an invitation"),
        ({"event": "member_removed", "actorId": "bob", "userIds": ["a1"]}, "bob removed a1"),
        (
            {"event": "member_removed", "actorId": "bob", "userIds": ["a1"], "groupDeleted": True},
            "bob deleted the group",
        ),
        ({"event": "member_left", "actorId": "a1", "userIds": ["a1"]}, "a1 left"),
        ({"event": "role_changed", "actorId": "bob", "userId": "a1", "role": "admin"}, "bob made a1 admin"),
        ({"event": "owner_changed", "actorId": "bob", "userId": "a1"}, "a1 owns the group now"),
        ({"event": "message_deleted", "actorId": "bob"}, "bob deleted a message"),
        ({"event": "of_a_newer_server"}, "of_a_newer_server"),
    ],
)
def test_system_messages_are_sentences(content: dict[str, Any], told: str) -> None:
    assert system_text(message(content_type="system", content=content)) == told


def test_times_are_local_with_the_date_on_another_day() -> None:
    assert clock(AT - 60_000, NOW) == "17:59"
    assert clock(AT - 86_400_000, NOW) == "2026-01-30 18:00"
    assert clock(2**62, NOW) == "?"


def test_a_direct_chat_is_called_after_the_other() -> None:
    assert chat_name("dm:alice:bob", "alice") == "bob"
    assert chat_name("dm:alice:bob", "bob") == "alice"
    assert chat_name("group:g1", "bob", "Team") == "Team"
    assert chat_name("group:g1", "bob") == "group:g1"


def test_columns_stand_below_each_other_also_with_wide_and_styled_text() -> None:
    rows = [("日本", "1"), (COLOUR.paint("ab", bold=True), "2"), ("e\u0301", "")]
    assert [width(line) for line in table(PIPED, ("NAME", "N"), rows)] == [7, 7, 7, 1]
    assert table(PIPED, ("NAME", "N"), []) == []


def test_ascii_terminals_get_ascii_only() -> None:
    assert table(ASCII, ("NAME",), [["né — ✓ …"]])[1] == "n? - + ..."
