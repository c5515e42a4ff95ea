"""History from here, else from the server."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cooee.client.api import Api
from cooee.client.errors import ConnectionFailed
from cooee.client.history import History
from cooee.client.ledger import Ledger
from cooee.client.model import HistoryPage
from cooee.client.state import ConversationState
from cooee.client.store import Store
from cooee.protocol import frames
from tests.fakes.client_frames import CHAT, ME, page, said
from tests.fakes.client_store import STORE_KEY


class Shelf(Api):
    """A server that has messages 1 to ``last`` of one conversation, as an `Api`."""

    def __init__(self, last: int) -> None:
        super().__init__("http://127.0.0.1:1")
        self.last = last
        self.asked: list[int | None] = []
        self.away = False

    async def history(self, conversation_id: str, *, before: int | None = None, **options: Any) -> frames.Messages:
        self.asked.append(before)
        if self.away:
            raise ConnectionFailed("away")
        through = self.last if before is None else before - 1
        first = max(1, through - int(options["limit"]) + 1)
        found = [said(number) for number in range(first, through + 1)]
        return page(*found, first=first, through=through, complete=first == 1)


class Room:
    def __init__(self, ledger: Ledger, shelf: Shelf) -> None:
        self.ledger = ledger
        self.shelf = shelf
        self.history = History(ledger, shelf)

    async def numbers(self, before: int | None, limit: int) -> tuple[list[int], HistoryPage]:
        found = await self.history.page(CHAT, before, limit)
        return [message.sequence_number for message in found.messages], found


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    ledger = await Ledger.open(Store(tmp_path, STORE_KEY), ME)
    yield Room(ledger, Shelf(20))
    await ledger.close()


async def start_at(room: Room, start: int, through: int) -> None:
    room.ledger.state.conversations[CHAT] = ConversationState(CHAT, learned=True, start=start, position=start)
    numbers = range(start + 1, through + 1)
    await room.ledger.step(lambda turn: turn.take(page(*map(said, numbers), first=start + 1, through=through)))


async def test_what_is_held_is_not_asked_for(room: Room) -> None:
    await start_at(room, 0, 20)
    numbers, found = await room.numbers(None, 5)
    assert (numbers, found.complete, found.from_server) == ([16, 17, 18, 19, 20], False, False)
    numbers, found = await room.numbers(4, 5)
    assert (numbers, found.complete) == ([1, 2, 3], True)
    assert room.shelf.asked == []


async def test_the_rest_comes_from_the_server_and_stays(room: Room) -> None:
    await start_at(room, 15, 20)
    numbers, found = await room.numbers(None, 8)
    assert (numbers, found.from_server) == (list(range(13, 21)), True)
    assert room.shelf.asked == [16]
    assert (await room.numbers(None, 8))[0] == list(range(13, 21))
    assert room.shelf.asked == [16]
    numbers, found = await room.numbers(13, 50)
    assert (numbers, found.complete) == (list(range(1, 13)), True)
    assert (await room.numbers(None, 50))[0] == list(range(1, 21))
    assert len(room.shelf.asked) == 2


async def test_a_conversation_of_which_nothing_is_held(room: Room) -> None:
    numbers, found = await room.numbers(None, 5)
    assert (numbers, found.from_server, found.complete) == ([16, 17, 18, 19, 20], True, False)
    assert room.shelf.asked == [None]


async def test_without_the_server_what_is_held_is_shown(room: Room) -> None:
    await start_at(room, 15, 20)
    room.shelf.away = True
    numbers, found = await room.numbers(None, 8)
    assert (numbers, found.complete, found.from_server) == ([16, 17, 18, 19, 20], False, False)
    with pytest.raises(ConnectionFailed):
        await room.numbers(16, 8)


async def test_a_group_that_is_behind_shows_its_newest_page(room: Room) -> None:
    await start_at(room, 0, 3)
    await room.ledger.step(lambda turn: turn.take(frames.TimelineHint(CHAT, 20)))
    assert (await room.numbers(None, 4))[0] == [17, 18, 19, 20]
    assert (await room.numbers(17, 4))[0] == [13, 14, 15, 16]
    assert (await room.numbers(4, 4))[0] == [1, 2, 3]
    assert room.shelf.asked == [None, 17]
