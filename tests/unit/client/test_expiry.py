"""Disappearing messages: what has expired is gone, with its key, and the application is told; nothing else goes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from cooee.client import expiry
from cooee.client.changes import MessageKey
from cooee.client.events import ConversationUpdated, MessageDeleted
from cooee.client.expiry import Expiry
from cooee.client.ledger import Ledger, wall_ms
from cooee.client.model import Message
from cooee.client.store import Store
from cooee.client.turn import Turn
from tests.fakes.client_frames import CHAT, ME
from tests.fakes.client_store import STORE_KEY


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    opened = await Ledger.open(Store(tmp_path, STORE_KEY), ME)
    yield opened
    await opened.close()


async def put(ledger: Ledger, *expiring: tuple[int, int]) -> None:
    """Store messages by number and time of their expiry."""

    def fill(turn: Turn) -> None:
        turn.change(CHAT, learned=True)
        for number, at in expiring:
            message = Message(CHAT, number, f"m{number}", "bob", "d7", f"c{number}", 1, "text", "secret", expires_at=at)
            turn.messages[CHAT, number] = message
            turn.message_keys.append(MessageKey(CHAT, number, "bob", "d7", f"c{number}", bytes(32)))

    await ledger.step(fill)


def kept(ledger: Ledger) -> list[int]:
    found = ledger.store.search("secret", None, 1000)
    assert {one.sequence_number for one in found} == {key.sequence_number for key in ledger.store.held_keys(None, 1000)}
    return sorted(one.sequence_number for one in found)


async def test_what_has_expired_goes_with_its_key_and_the_rest_stays(ledger: Ledger) -> None:
    await put(ledger, (1, 1000), (2, 2000), (3, 0))
    stream = ledger.subscribe()
    assert await Expiry(ledger).sweep(1000) == 1
    assert kept(ledger) == [2, 3]
    first, second = await anext(stream), await anext(stream)
    assert first == MessageDeleted(CHAT, 1, "")
    found = ledger.store.find_message(CHAT, 1)
    assert found is not None
    assert (found.deleted, found.content) == (True, None)
    assert isinstance(second, ConversationUpdated)
    assert await Expiry(ledger).sweep(1000) == 0


async def test_many_are_erased_in_steps(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiry, "AT_ONCE", 3)
    await put(ledger, *[(number, number) for number in range(1, 11)])
    assert await Expiry(ledger).sweep(8) == 8
    assert kept(ledger) == [9, 10]


async def test_it_is_noticed_when_a_message_expires_that_came_later(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "_PAUSE_S", 0.01)
    sweeping = asyncio.create_task(Expiry(ledger).keep_sweeping())
    try:
        await put(ledger, (1, wall_ms() + 3_600_000))
        await asyncio.sleep(0.05)
        stream = ledger.subscribe()
        await put(ledger, (2, wall_ms() + 50))
        async with asyncio.timeout(10):
            while not isinstance(event := await anext(stream), MessageDeleted):
                pass
        assert event.sequence_number == 2
        assert kept(ledger) == [1]
    finally:
        sweeping.cancel()
        with suppress(asyncio.CancelledError):
            await sweeping
