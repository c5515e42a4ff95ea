"""Stored first, then known, then told."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from cooee.client import ledger as ledger_module
from cooee.client.errors import Stopped, StoreUnusable
from cooee.client.events import AccountUpdated, ConversationUpdated, Event
from cooee.client.ledger import EventStream, Ledger
from cooee.client.model import Message
from cooee.client.store import Store
from cooee.client.turn import Turn
from tests.fakes.client_frames import CHAT, ME, said
from tests.fakes.client_store import STORE_KEY


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    opened = await Ledger.open(Store(tmp_path, STORE_KEY), ME)
    yield opened
    await opened.close()


async def take(stream: EventStream, count: int) -> list[Event]:
    return [await anext(stream) for _ in range(count)]


async def test_a_step_is_stored_known_and_told(ledger: Ledger) -> None:
    stream = ledger.subscribe()
    await ledger.step(lambda turn: turn.take(said(1)))
    message, updated = await take(stream, 2)
    assert isinstance(message, Message)
    assert isinstance(updated, ConversationUpdated)
    assert (updated.conversation.position, updated.conversation.unread, updated.conversation.last) == (1, 1, message)
    assert ledger.state.conversations[CHAT].position == 1
    assert (await ledger.run(ledger.store.load, ME)).conversations[CHAT].position == 1


async def test_steps_follow_each_other(ledger: Ledger) -> None:
    def take_in(number: int) -> Callable[[Turn], None]:
        return lambda turn: turn.take(said(number))

    await asyncio.gather(*(ledger.step(take_in(number)) for number in range(1, 30)))
    assert ledger.state.conversations[CHAT].position == 29


async def test_what_cannot_be_stored_is_neither_known_nor_told(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(turn: Turn) -> None:
        raise StoreUnusable("full")

    stream = ledger.subscribe()
    with monkeypatch.context() as patched:
        patched.setattr(ledger.store, "commit", full)
        with pytest.raises(StoreUnusable):
            await ledger.step(lambda turn: turn.take(said(1)))
    assert ledger.state.find(CHAT) is None
    await ledger.step(lambda turn: turn.take(said(1)))
    assert [type(event) for event in await take(stream, 2)] == [Message, ConversationUpdated]


async def test_every_stream_gets_everything_from_its_beginning_on(ledger: Ledger) -> None:
    first = ledger.subscribe()
    ledger.emit(AccountUpdated("profile"))
    second = ledger.subscribe()
    ledger.emit(AccountUpdated("contacts"))
    assert await take(first, 2) == [AccountUpdated("profile"), AccountUpdated("contacts")]
    assert await take(second, 1) == [AccountUpdated("contacts")]
    await second.aclose()
    ledger.emit(AccountUpdated("blocks"))
    assert await take(first, 1) == [AccountUpdated("blocks")]
    with pytest.raises(StopAsyncIteration):
        await anext(second)


async def test_a_stream_ends_behind_its_events(tmp_path: Path) -> None:
    ledger = await Ledger.open(Store(tmp_path, STORE_KEY), ME)
    stream = ledger.subscribe()
    ledger.emit(AccountUpdated("profile"))
    await ledger.close()
    assert [event async for event in stream] == [AccountUpdated("profile")]


async def test_a_stream_raises_what_stopped_the_client_once(ledger: Ledger) -> None:
    stream = ledger.subscribe()
    ledger.emit(AccountUpdated("profile"))
    ledger.stop(Stopped(4009, "replaced"))
    assert await take(stream, 1) == [AccountUpdated("profile")]
    with pytest.raises(Stopped):
        await anext(stream)
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_an_application_that_is_far_behind_is_waited_for(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "STREAM_LIMIT", 2)
    stream = ledger.subscribe()
    await ledger.room()
    ledger.emit(AccountUpdated("profile"))
    ledger.emit(AccountUpdated("privacy"))
    waiting = asyncio.create_task(ledger.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    await anext(stream)
    await waiting
    ledger.emit(AccountUpdated("privacy"))
    ledger.waiters = 1
    await ledger.room()


async def test_a_stream_that_nobody_holds_keeps_nobody_waiting(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "STREAM_LIMIT", 1)
    stream = ledger.subscribe()
    ledger.emit(AccountUpdated("profile"))
    del stream
    await ledger.room()


async def test_whoever_waits_is_woken_by_a_step(ledger: Ledger) -> None:
    change = ledger.next_change()
    await ledger.step(lambda turn: turn.take(said(1)))
    assert change.is_set()
    assert not ledger.next_change().is_set()
