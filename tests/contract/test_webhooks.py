"""The contract of `Webhooks`."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from cooee.adapters.sqlite.store import SqliteStore
from cooee.domain.errors import CooeeError, ErrorCode
from cooee.domain.ids import DeviceRef
from cooee.ports.accounts import Account, AccountKind
from cooee.ports.devices import Device
from cooee.ports.webhooks import Batch, DeadLetter, Part, Webhook
from tests.contract.stores import HOSTILE, Store, reopened

PARTS = (Part("dm:alice:echo", 3, 5), Part("group:tea", 1, 1))
BATCH = Batch("msg_1", PARTS, 10, 2, 99)
FIRST = DeviceRef("echo", "w1")


def webhook(webhook_id: str = "w1", bot_id: str = "echo", created_at: int = 1, **fields: Any) -> Webhook:
    """Return a webhook of echo's."""
    return Webhook(bot_id, webhook_id, f"https://example.org/{webhook_id}", b"s" * 32, created_at, **fields)


def letter(letter_id: str, **fields: Any) -> DeadLetter:
    """Return a dead letter."""
    return DeadLetter(letter_id, PARTS, 7, 12, "answered 500", **fields)


async def with_devices(store: Store, *refs: DeviceRef) -> None:
    """Store these devices, and the bots that have them."""
    for bot_id in {ref.user_id for ref in refs}:
        await store.accounts.create(Account(bot_id, bot_id, "", 1, kind=AccountKind.BOT))
    for ref in refs:
        await store.devices.create(Device(*ref, "webhook", "webhook", b"", 1, 1, frozenset()))


async def with_webhooks(store: Store, *webhooks: Webhook) -> None:
    """Store these webhooks with their devices."""
    await with_devices(store, *(each.ref for each in webhooks))
    for each in webhooks:
        await store.webhooks.create(each, 10)


async def letters(store: Store, ref: DeviceRef = FIRST, before: int = 0, limit: int = 100) -> list[str]:
    """Return the ids of a webhook's dead letters."""
    return [each.letter_id for each in await store.webhooks.dead_letters(ref, before, limit)]


async def test_webhooks_are_listed_by_their_bot(store: Store) -> None:
    first, second = webhook("w2", created_at=1), webhook("w1", created_at=2, events=("message", "own"))
    other = webhook("w1", "alarm", disabled_because="the receiver is gone", batch=BATCH)
    await with_webhooks(store, first, second, other)
    assert await store.webhooks.of_bot("echo") == [first, second]
    assert await store.webhooks.of_bot("alarm") == [other]
    assert await store.webhooks.of_bot("nobody") == []
    assert sorted(each.webhook_id for each in await store.webhooks.enabled()) == ["w1", "w2"]


async def test_a_webhook_needs_its_device(store: Store) -> None:
    await with_devices(store, FIRST)
    for ref in (DeviceRef("echo", "w9"), DeviceRef("nobody", "w1")):
        with pytest.raises(CooeeError) as refused:
            await store.webhooks.create(webhook(ref.device_id, ref.user_id), 10)
        assert refused.value.code is ErrorCode.NOT_FOUND
    await store.devices.revoke([FIRST])
    with pytest.raises(CooeeError):
        await store.webhooks.create(webhook(), 10)


async def test_a_bot_has_no_more_than_it_may(store: Store) -> None:
    refs = [DeviceRef("echo", f"w{number}") for number in range(6)]
    await with_devices(store, *refs, DeviceRef("alarm", "w0"))
    made = await asyncio.gather(
        *(store.webhooks.create(webhook(ref.device_id), 3) for ref in refs), return_exceptions=True
    )
    refusals = [each for each in made if isinstance(each, CooeeError)]
    assert [each.code for each in refusals] == [ErrorCode.TOO_LARGE] * 3
    assert len(await store.webhooks.of_bot("echo")) == 3
    await store.webhooks.create(webhook("w0", "alarm"), 3)


async def test_changes_are_made_field_by_field(store: Store) -> None:
    await with_webhooks(store, webhook(), webhook("w2"))
    assert await store.webhooks.update(FIRST, {"batch": BATCH}) == webhook(batch=BATCH)
    changed = await store.webhooks.update(FIRST, {"disabled_because": "by its owner", "events": ("own", "system")})
    assert changed == webhook(batch=BATCH, disabled_because="by its owner", events=("own", "system"))
    assert await store.webhooks.update(FIRST, {"batch": None, "error": "x", "former_secret": b"\x00\xff"}) is not None
    assert (await store.webhooks.of_bot("echo"))[1] == webhook("w2")
    assert await store.webhooks.update(DeviceRef("echo", "w9"), {"error": "x"}) is None
    with pytest.raises(ValueError, match="bot_id"):
        await store.webhooks.update(FIRST, {"bot_id": "other"})


async def test_a_dead_letter_and_what_changes_with_it_are_one_step(store: Store) -> None:
    await with_webhooks(store, webhook(batch=BATCH), webhook("w2"))
    assert await store.webhooks.bury(FIRST, letter("msg_1"), {"batch": None, "dead_in_row": 1}, 10) == 0
    assert (await store.webhooks.of_bot("echo"))[0] == webhook(dead_in_row=1, dead_letters=1)
    (kept,) = await store.webhooks.dead_letters(FIRST, 0, 10)
    assert kept == letter("msg_1", number=kept.number)
    assert await letters(store, DeviceRef("echo", "w2")) == []
    assert await store.webhooks.bury(DeviceRef("echo", "w9"), letter("msg_2"), {}, 10) == 0
    assert await letters(store, DeviceRef("echo", "w9")) == []


async def test_of_too_many_dead_letters_the_oldest_go(store: Store) -> None:
    await with_webhooks(store, webhook(), webhook("w2"))
    await store.webhooks.bury(DeviceRef("echo", "w2"), letter("other"), {}, 1)
    dropped = [await store.webhooks.bury(FIRST, letter(f"m{number}"), {}, 3) for number in range(5)]
    assert dropped == [0, 0, 0, 1, 1]
    assert await letters(store) == ["m4", "m3", "m2"]
    assert await store.webhooks.bury(FIRST, letter("m2"), {}, 3) == 0
    assert await letters(store) == ["m2", "m4", "m3"]
    assert await store.webhooks.bury(FIRST, letter("m5"), {}, 1) == 3
    assert await letters(store) == ["m5"]
    assert await letters(store, DeviceRef("echo", "w2")) == ["other"]


async def test_dead_letters_come_in_pages_newest_first(store: Store) -> None:
    await with_webhooks(store, webhook())
    for number in range(5):
        await store.webhooks.bury(FIRST, letter(f"m{number}"), {}, 10)
    page = await store.webhooks.dead_letters(FIRST, 0, 2)
    assert [each.letter_id for each in page] == ["m4", "m3"]
    assert await letters(store, before=page[-1].number, limit=2) == ["m2", "m1"]


async def test_an_attempt_at_a_dead_letter_ends_with_it_or_with_an_error(store: Store) -> None:
    await with_webhooks(store, webhook())
    for number in range(3):
        await store.webhooks.bury(FIRST, letter(f"m{number}"), {}, 10)
    assert await store.webhooks.request(FIRST, "m9") == 0
    assert await store.webhooks.request(FIRST, "m1") == 1
    assert [one.letter_id for one in await store.webhooks.dead_letters(FIRST, 0, 9, requested=True)] == ["m1"]
    await store.webhooks.settle(FIRST, "m1", "answered 404")
    assert await store.webhooks.dead_letters(FIRST, 0, 9, requested=True) == []
    failed = (await store.webhooks.dead_letters(FIRST, 0, 9))[1]
    assert (failed.error, failed.attempts, failed.died_at) == ("answered 404", 13, 7)
    assert await store.webhooks.request(FIRST, None) == 3
    await store.webhooks.settle(FIRST, "m2", None)
    await store.webhooks.settle(FIRST, "m2", None)
    assert [one.letter_id for one in await store.webhooks.dead_letters(FIRST, 0, 9, requested=True)] == ["m1", "m0"]
    assert (await store.webhooks.of_bot("echo"))[0].dead_letters == 2


async def test_a_webhook_goes_with_its_device(store: Store) -> None:
    await with_webhooks(store, webhook(), webhook("w2"))
    await store.webhooks.bury(FIRST, letter("m1"), {}, 10)
    await store.devices.revoke([FIRST])
    assert await store.webhooks.of_bot("echo") == [webhook("w2")]
    assert await letters(store) == []
    assert await store.webhooks.update(FIRST, {"error": "x"}) is None


async def test_a_webhook_goes_with_its_bot(store: Store) -> None:
    await with_webhooks(store, webhook(), webhook("w1", "alarm"))
    await store.webhooks.bury(FIRST, letter("m1"), {}, 10)
    await store.accounts.erase("echo")
    assert await store.webhooks.of_bot("echo") == []
    assert [each.bot_id for each in await store.webhooks.enabled()] == ["alarm"]
    assert await letters(store) == []


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_text(store: Store, text: str) -> None:
    await with_webhooks(store, webhook())
    batch = Batch(text, (Part(text, 1, 2),), 1)
    assert await store.webhooks.update(FIRST, {"url": text, "error": text, "batch": batch}) is not None
    (kept,) = await store.webhooks.of_bot("echo")
    assert (kept.url, kept.error, kept.batch) == (text, text, batch)
    await store.webhooks.bury(FIRST, DeadLetter(text, (Part(text, 1, 2),), 1, 1, text), {}, 10)
    assert await store.webhooks.request(FIRST, text) == 1
    assert await store.webhooks.request(FIRST, text + "x") == 0
    assert await store.webhooks.of_bot(text) == []
    await store.webhooks.settle(FIRST, text, None)
    assert await letters(store) == []


async def test_all_of_it_is_there_after_a_restart(sqlite_store: SqliteStore, tmp_path: Path) -> None:
    await with_webhooks(sqlite_store, webhook())
    await sqlite_store.webhooks.update(FIRST, {"batch": BATCH})
    await sqlite_store.webhooks.bury(FIRST, letter("m1"), {}, 10)
    await sqlite_store.webhooks.request(FIRST, "m1")
    again = await reopened(sqlite_store, tmp_path)
    assert await again.webhooks.enabled() == [webhook(batch=BATCH, dead_letters=1)]
    (kept,) = await again.webhooks.dead_letters(FIRST, 0, 10, requested=True)
    assert kept == letter("m1", requested=True, number=kept.number)
    await again.aclose()
