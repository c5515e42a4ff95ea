"""The session over a real local store without any server: windows on a long chat, and what is written offline."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cooee.cli.tui.book import Book
from cooee.cli.tui.items import Bubble
from cooee.cli.tui.session import PAGE, Session
from cooee.client import Client, Message, MessageDeleted, SendFailed, StoreLocked, TickChanged
from cooee.client.account import save_account
from cooee.client.model import Account
from cooee.client.turn import Turn
from tests.unit.cli.tui.cases import DIRECT, NOW, message, updated, view

URL = "http://127.0.0.1:9"
LONG = 1_500


@pytest.fixture
async def session(tmp_path: Path) -> AsyncIterator[Session]:
    """Alice's session; her store holds 1,500 messages of Bob, of which she has read 1,000."""
    save_account(tmp_path, Account(URL, "alice", "d1", "token"))

    def fill(turn: Turn) -> None:
        turn.change(DIRECT, learned=True, position=LONG, head=LONG, read=1_000, title="Bob")
        for number in range(1, LONG + 1):
            turn.messages[DIRECT, number] = message(number)

    async with Client(URL, store=tmp_path, live=False) as client:
        await client._step(fill)
        one = Session(client, Book("alice"))
        await one.load()
        yield one


def numbers(session: Session) -> list[int]:
    """Return the numbers in the window."""
    assert session.timeline is not None
    return [shown.sequence_number for shown in session.timeline.messages]


async def test_a_chat_opens_where_the_unread_begins(session: Session) -> None:
    await session.open(DIRECT)
    shown = numbers(session)
    assert len(shown) == PAGE
    assert shown[0] < 1_001 < shown[-1]
    assert (session.unread_above, session.unread_count) == (1_000, 500)
    assert session.timeline is not None
    assert not session.timeline.at_end


async def test_all_of_a_long_chat_can_be_looked_through(session: Session) -> None:
    await session.open(DIRECT)
    assert session.timeline is not None
    while not session.timeline.at_end:
        await session.newer()
    assert numbers(session)[-1] == LONG
    while not session.timeline.complete:
        await session.older()
    shown = numbers(session)
    assert shown == list(range(1, shown[-1] + 1))
    await session.newer()
    assert await session.go_to(None)
    assert numbers(session) == list(range(LONG - PAGE + 1, LONG + 1))


async def test_jumping_shows_what_lies_around_a_number(session: Session) -> None:
    await session.open(DIRECT)
    assert await session.go_to(77)
    shown = numbers(session)
    assert shown[0] < 77 < shown[-1]
    assert await session.go_to(78)
    assert numbers(session) == shown
    assert not await session.go_to(LONG + 1)


async def test_what_is_found_here_is_found_without_a_server(session: Session) -> None:
    found = await session.search("text 1499", None)
    assert [one.sequence_number for one in found] == [1_499]
    assert await session.search("text", "dm:alice:carol") == []


async def test_what_is_written_waits_behind_everything(session: Session) -> None:
    await session.open(DIRECT)
    await session.send(DIRECT, "one")
    await session.send(DIRECT, "two", answered=LONG)
    shown = [item for item in session.items(NOW) if isinstance(item, Bubble)]
    assert [(item.content, item.status) for item in shown[-2:]] == [("one", "pending"), ("two", "pending")]
    assert shown[-1].quote == ("bob", f"text {LONG}")
    assert session.book.queued == 2
    assert [entry.text for entry in await session.client.outbox()] == ["one", "two"]
    with pytest.raises(SendFailed):
        await session.send(DIRECT, "x" * 1_000_000)


async def test_a_message_goes_to_the_chat_in_which_it_was_written(session: Session) -> None:
    await session.open(DIRECT)
    await session.send("dm:alice:carol", "to carol", answered=LONG)
    [entry] = await session.client.outbox()
    assert (entry.conversation_id, entry.reply_to) == ("dm:alice:carol", None)
    assert all(item.number for item in session.items(NOW) if isinstance(item, Bubble))


async def test_an_own_message_takes_its_place_among_the_others(session: Session) -> None:
    session.book.take(updated(read=LONG, position=LONG, head=LONG))
    await session.open(DIRECT)
    await session.send(DIRECT, "mine")
    [entry] = await session.client.outbox()

    def place(turn: Turn) -> None:
        turn._place(entry, "1502", LONG + 2, entry.created_at)

    await session.client._step(place)
    await session.take(TickChanged(DIRECT, "sent", LONG + 2, entry.client_message_id))
    await session.take(message(LONG + 1, "just before"))
    shown = [item.content for item in session.items(NOW) if isinstance(item, Bubble)]
    assert shown[-2:] == ["just before", "mine"]
    assert session.book.queued == 0


async def test_what_happens_elsewhere_leaves_the_open_chat_alone(session: Session) -> None:
    await session.open(DIRECT)
    assert session.timeline is not None
    before = session.timeline.changes
    await session.take(Message("dm:alice:carol", 1, "m", "carol", "d", "c", 1, "text", "hello"))
    await session.take(MessageDeleted("dm:alice:carol", 1_001, "carol"))
    assert session.timeline.changes == before
    await session.take(MessageDeleted(DIRECT, 1_001, "bob"))
    assert session.timeline.changes == before + 1


async def test_the_same_items_have_the_same_stamp(session: Session) -> None:
    await session.open(DIRECT)
    stamp = session.stamp(NOW)
    session.book.draft(DIRECT, "half")
    assert session.stamp(NOW) == stamp
    session.book.take(updated(delivered_through=3, position=LONG, head=LONG))
    assert session.stamp(NOW) != stamp
    session.leave()
    assert (session.chat, session.items(NOW), session.stamp(NOW)) == ("", [], None)


async def test_what_was_seen_is_told_once(session: Session) -> None:
    await session.open(DIRECT)
    await session.seen(1_010)
    await session.seen(1_005)
    found = await session.client.conversation(DIRECT)
    assert found is not None
    assert found.read == 1_010


async def test_a_store_has_one_screen(session: Session) -> None:
    with pytest.raises(StoreLocked):
        async with Client(URL, store=session.client.folder, live=False):
            pass
    assert session.book.view(DIRECT).title == "Bob"
    assert view(DIRECT).title == ""
