"""What `cooee listen` shows of each event, and what it marks as read."""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from cooee.cli.choices import Choices
from cooee.cli.errors import UNREACHABLE, CliError
from cooee.cli.invocation import Invocation
from cooee.cli.screen import Screen, Wishes
from cooee.client import (
    ConnectionFailed,
    ConnectionState,
    ConversationUpdated,
    ConversationView,
    HistoryPage,
    Message,
    MessageDeleted,
    Presence,
    TickChanged,
    Typing,
)
from cooee.domain.ids import DeviceRef

DM = "dm:alice:bob"
TEAM = "group:g1"


class Chats:
    """Stands in for a connection: holds some history, and notes what it is asked to do."""

    def __init__(self, *held: Message) -> None:
        self.me = DeviceRef("alice", "d1")
        self.held = held
        self.read: list[tuple[str, int | None]] = []
        self.watched: list[str] = []

    async def history(self, conversation_id: str, *, before: int | None = None, limit: int = 50) -> HistoryPage:
        found = [message for message in self.held if message.conversation_id == conversation_id]
        if not found:
            raise ConnectionFailed("gone")
        return HistoryPage(tuple(found), complete=False, from_server=False)

    async def mark_read(self, conversation_id: str, sequence_number: int | None = None) -> None:
        self.read.append((conversation_id, sequence_number))

    async def watch_presence(self, user_ids: Iterable[str]) -> None:
        self.watched = list(user_ids)


def message(number: int, text: str = "hi", sender: str = "bob", chat: str = DM, **more: Any) -> Message:
    return Message(chat, number, str(number), sender, "d9", f"c{number}", number * 60_000, "text", text, **more)


def view(chat: str = DM, *, title: str = "", read: int = 0, unread: int = 0) -> ConversationView:
    kind: Any = "group" if chat.startswith("group") else "direct"
    return ConversationView(chat, kind, title, 9, 9, read, unread, 0, False, False, False, None, 0, 0, 0, {})


def screen(chats: Chats, *views: ConversationView, as_json: bool = False, wishes: Wishes = Wishes()) -> Screen:  # noqa: B008
    choices = Choices()
    choices.as_json = as_json
    one = Screen(Invocation(choices), chats, wishes)
    one.open(views)
    return one


@pytest.fixture(autouse=True)
def _home(home: object) -> None:
    """Every test has a home of its own."""


async def test_a_message_is_shown_and_marked_as_read(capsys: pytest.CaptureFixture[str]) -> None:
    chats = Chats()
    one = screen(chats, view())
    await one.show(message(3, "hello"))
    assert capsys.readouterr().out.endswith("bob: hello\n")
    assert chats.read == [(DM, 3)]


async def test_no_read_marks_nothing_and_own_messages_are_never_marked(capsys: pytest.CaptureFixture[str]) -> None:
    chats = Chats()
    await screen(chats, view(), wishes=Wishes(read=False)).show(message(3))
    await screen(chats, view()).show(message(4, "from my phone", sender="alice"))
    assert chats.read == []
    assert capsys.readouterr().out.endswith("→ bob: from my phone\n")


async def test_nothing_is_shown_twice(capsys: pytest.CaptureFixture[str]) -> None:
    chats = Chats(message(1, "old"), message(2, "new"), message(3, "mine", sender="alice"))
    one = screen(chats, view(read=1, unread=1))
    await one.show_unread()
    await one.show(message(2, "new"))
    await one.show(message(4, "newer"))
    out = capsys.readouterr().out.splitlines()
    assert [line.rpartition(": ")[2] for line in out] == ["new", "newer"]
    assert chats.read == [(DM, 2), (DM, 2), (DM, 4)]


async def test_unread_messages_of_all_chats_come_oldest_first(capsys: pytest.CaptureFixture[str]) -> None:
    chats = Chats(message(5, "c"), message(1, "a", chat=TEAM), message(2, "b", chat=TEAM))
    one = screen(chats, view(unread=1), view(TEAM, title="Team", unread=7))
    await one.show_unread()
    captured = capsys.readouterr()
    assert [line.rpartition(": ")[2] for line in captured.out.splitlines()] == ["a", "b", "c"]
    assert "Team: 7 unread, the newest are shown" in captured.err


async def test_unread_messages_that_cannot_be_had_stop_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    await screen(Chats(), view(unread=1)).show_unread()
    assert "cannot be shown: gone" in capsys.readouterr().err


async def test_only_the_wanted_conversations_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    chats = Chats()
    one = screen(chats, view(), view(TEAM, title="Team"))
    one.only = frozenset([TEAM])
    for event in (
        message(1),
        TickChanged(DM, "read", 1),
        Typing(DM, "bob", "started"),
        MessageDeleted(DM, 1, "bob"),
        message(1, "here", chat=TEAM),
    ):
        await one.show(event)
    assert capsys.readouterr().out.endswith("[Team] bob: here\n")
    assert chats.read == [(TEAM, 1)]


async def test_it_ends_after_the_wanted_number_of_messages_from_others() -> None:
    one = screen(Chats(), view(), wishes=Wishes(count=2))
    await one.show(message(1))
    await one.show(message(2, sender="alice"))
    await one.show(message(3, silent=True))
    assert not one.full
    await one.show(message(4))
    assert one.full


async def test_ticks_typing_and_deletions_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    one = screen(Chats(), view())
    for event in (
        TickChanged(DM, "delivered", 3),
        TickChanged(DM, "read", 3),
        TickChanged(DM, "failed", None, "c1", code="blocked", reason="blocked"),
        Typing(DM, "bob", "started"),
        Typing(DM, "bob", "started", "recording"),
        Typing(DM, "bob", "stopped"),
        MessageDeleted(DM, 2, "bob"),
        MessageDeleted(DM, 3, ""),
        message(5, silent=True),
    ):
        await one.show(event)
    assert capsys.readouterr().out.splitlines() == [
        "✓✓ delivered bob up to 3",
        "✓✓ read bob up to 3",
        "✗ failed bob: blocked",
        "bob types in bob …",
        "bob records in bob …",
        "bob: bob deleted message 2",
        "bob: gone, as its timer said: message 3",
    ]


async def test_presence_tells_who_comes_and_who_goes(capsys: pytest.CaptureFixture[str]) -> None:
    chats = Chats()
    one = screen(chats, view(), view("dm:alice:carol"), view("dm:alice:alice"), view(TEAM))
    await one.watch()
    assert chats.watched == ["bob", "carol"]
    for status in ("offline", "online", "online", "offline", "offline"):
        await one.show(Presence("bob", status))
    assert capsys.readouterr().out.splitlines() == ["bob is online", "bob is offline"]


async def test_who_writes_for_the_first_time_is_watched_from_then_on() -> None:
    chats = Chats()
    one = screen(chats, view())
    await one.show(message(1, sender="dora", chat="dm:alice:dora"))
    assert chats.watched == ["bob", "dora"]


async def test_the_title_of_a_group_is_learnt_as_it_changes(capsys: pytest.CaptureFixture[str]) -> None:
    one = screen(Chats())
    renamed = {"event": "group_renamed", "actorId": "bob", "name": "First"}
    await one.show(Message(TEAM, 1, "1", "bob", "", "c", 60_000, "system", renamed))
    await one.show(message(2, chat=TEAM))
    await one.show(ConversationUpdated(view(TEAM, title="Second")))
    await one.show(ConversationUpdated(view(TEAM, title="")))
    await one.show(message(3, chat=TEAM))
    out = capsys.readouterr().out
    assert "[First] bob: hi" in out
    assert out.endswith("[Second] bob: hi\n")


async def test_the_connection_is_told_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    one = screen(Chats())
    await one.show(ConnectionState("online", "websocket"))
    await one.show(ConnectionState("waiting", "", 1_600, "the server drains"))
    await one.show(ConnectionState("online", "longpoll"))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "Connected as alice; Ctrl-C ends.",
        "The connection is gone: the server drains; the next try is in 2 s.",
        "Connected again.",
    ]


async def test_a_server_that_is_not_there_ends_it_unless_that_is_expected() -> None:
    gone = ConnectionState("waiting", "", 100, "no connection to x")
    with pytest.raises(CliError, match="no connection to x") as problem:
        await screen(Chats()).show(gone)
    assert problem.value.exit_code == UNREACHABLE
    await screen(Chats(), wishes=Wishes(retry=True)).show(gone)


async def test_with_json_every_event_is_an_object(capsys: pytest.CaptureFixture[str]) -> None:
    one = screen(Chats(), view(), as_json=True)
    for event in (
        message(1, "zwölf"),
        message(2, silent=True),
        TickChanged(DM, "read", 1),
        Typing(DM, "bob", "stopped"),
        Presence("bob", "offline", 5),
        MessageDeleted(DM, 1, "bob"),
        ConnectionState("online", "websocket"),
    ):
        await one.show(event)
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["type"] for one in told] == [
        "message",
        "message",
        "tick",
        "typing",
        "presence",
        "deleted",
        "connection",
    ]
    assert told[0]["text"] == "zwölf"
