"""The contract of `Cursors`: watermarks only grow, merge by maximum, and survive."""

import asyncio
import random
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cooee.adapters.memory.store import MemoryStore
from cooee.adapters.sqlite.store import SqliteStore
from cooee.domain.errors import CooeeError, ErrorCode
from cooee.domain.ids import DeviceRef, direct_conversation_id
from cooee.domain.receipt import Watermark
from cooee.ports.cursors import CursorChange, CursorUpdate
from cooee.ports.timeline import Missed
from tests.contract.log import (
    ALICE,
    ALICE_TABLET,
    BOB,
    BOB_TABLET,
    CHAT,
    GROUP,
    add,
    advance,
    append,
    create_group,
    fill,
    remove,
)
from tests.contract.stores import Store, reopened


async def test_nothing_received_yet(store: Store) -> None:
    assert await store.cursors.device(BOB, CHAT) == 0
    assert await store.cursors.member(CHAT, "bob") == Watermark()
    assert await store.cursors.members(CHAT) == {}


async def test_a_change_tells_the_state_around_it(store: Store) -> None:
    await fill(store, 10)
    assert await advance(store, BOB, 4) == CursorChange(Watermark(), Watermark(4, 0), 4)
    assert await advance(store, BOB, 7, read=5) == CursorChange(Watermark(4, 0), Watermark(7, 5), 7)
    assert await store.cursors.member(CHAT, "bob") == Watermark(7, 5)
    assert await store.cursors.members(CHAT) == {"alice": Watermark(10, 0), "bob": Watermark(7, 5)}


async def test_lower_changes_nothing(store: Store) -> None:
    await fill(store, 10)
    await advance(store, BOB, 7, read=5)
    for received, read in ((3, 0), (7, 5), (0, 2), (0, 0)):
        assert await advance(store, BOB, received, read) == CursorChange(Watermark(7, 5), Watermark(7, 5), 7)


async def test_read_implies_received(store: Store) -> None:
    await fill(store, 10)
    assert await advance(store, BOB, 0, read=6) == CursorChange(Watermark(), Watermark(6, 6), 6)
    assert await store.cursors.device(BOB, CHAT) == 6


async def test_the_first_device_counts_for_the_user(store: Store) -> None:
    await fill(store, 10)
    await advance(store, BOB, 8)
    assert await advance(store, BOB_TABLET, 3, read=2) == CursorChange(Watermark(8, 0), Watermark(8, 2), 3)
    assert await store.cursors.device(BOB_TABLET, CHAT) == 3
    assert await store.cursors.device(BOB, CHAT) == 8


async def test_reading_on_one_device_is_reading_on_all(store: Store) -> None:
    await fill(store, 10)
    await advance(store, BOB, 8, read=8)
    assert (await advance(store, BOB_TABLET, 1, read=3)).after == Watermark(8, 8)


async def test_results_come_in_order_and_once(store: Store) -> None:
    await fill(store, 200)
    results: asyncio.Queue[CursorChange | CooeeError] = asyncio.Queue()
    for number in range(1, 201):
        store.cursors.advance(CursorUpdate(CHAT, *BOB, number, number - 1), results.put_nowait)
    changes = [await results.get() for _ in range(200)]
    assert changes == [
        CursorChange(Watermark(number - 1, max(number - 2, 0)), Watermark(number, number - 1), number)
        for number in range(1, 201)
    ]
    assert results.empty()


async def test_watermarks_are_kept_apart(store: Store) -> None:
    other = direct_conversation_id("bob", "carol")
    await fill(store, 5)
    await append(store, conversation_id=other, sender=DeviceRef("carol", "c1"))
    await advance(store, BOB, 5)
    await advance(store, BOB, 1, read=1, conversation_id=other)
    assert await store.cursors.member(CHAT, "bob") == Watermark(5, 0)
    assert await store.cursors.member(other, "bob") == Watermark(1, 1)
    assert await store.cursors.device(DeviceRef("carol", "b1"), CHAT) == 0


@given(
    moves=st.lists(
        st.tuples(st.sampled_from([ALICE, BOB, BOB_TABLET]), st.integers(0, 20), st.integers(0, 20)), max_size=12
    ),
    order=st.randoms(use_true_random=False),
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_the_order_of_merging_does_not_matter(
    moves: list[tuple[DeviceRef, int, int]], order: random.Random
) -> None:
    shuffled = list(moves)
    order.shuffle(shuffled)
    ends = []
    for sequence in (moves, shuffled):
        store = MemoryStore()
        for device, received, read in sequence:
            await advance(store, device, received, read)
        ends.append(await store.cursors.members(CHAT))
    assert ends[0] == ends[1]


# Where a device starts


async def test_a_new_device_starts_at_the_users_delivered(store: Store) -> None:
    await fill(store, 10)
    await advance(store, BOB, 6, read=2)
    await store.cursors.start_device(BOB_TABLET)
    assert await store.cursors.device(BOB_TABLET, CHAT) == 6
    await advance(store, BOB, 9)
    assert await store.cursors.device(BOB_TABLET, CHAT) == 6
    assert await store.cursors.member(CHAT, "bob") == Watermark(9, 2)
    assert await store.timeline.missed(BOB_TABLET) == [Missed(CHAT, 6, 10)]


async def test_starting_moves_no_receipt(store: Store) -> None:
    await fill(store, 10)
    await create_group(store, "bob")
    await store.cursors.start_device(BOB)
    assert await store.cursors.members(CHAT) == {"alice": Watermark(10, 0)}
    assert await store.cursors.members(GROUP) == {}
    assert await store.cursors.device(BOB, CHAT) == 0


async def test_starting_again_changes_nothing(store: Store) -> None:
    await fill(store, 10)
    await store.cursors.start_device(BOB_TABLET)
    await advance(store, BOB, 10)
    await store.cursors.start_device(BOB_TABLET)
    assert await store.cursors.device(BOB_TABLET, CHAT) == 0


async def test_a_conversation_of_later_begins_at_its_beginning(store: Store) -> None:
    await store.cursors.start_device(BOB)
    await fill(store, 3)
    assert await store.cursors.device(BOB, CHAT) == 0
    assert await store.timeline.missed(BOB) == [Missed(CHAT, 0, 3)]


async def test_a_group_joined_later_begins_just_before_the_joining(store: Store) -> None:
    await store.cursors.start_device(BOB)
    await create_group(store)
    await append(store, conversation_id=GROUP)
    await add(store, "bob")
    assert await store.cursors.device(BOB, GROUP) == 2
    assert (await store.cursors.member(GROUP, "bob")).delivered == 0
    change = await advance(store, BOB, 1, conversation_id=GROUP)
    assert change.device_received == 2
    await append(store, "m2", conversation_id=GROUP)
    assert (await advance(store, BOB, 4, conversation_id=GROUP)).device_received == 4


async def test_who_comes_back_goes_on_where_he_was(store: Store) -> None:
    await create_group(store, "bob")
    await store.cursors.start_device(BOB)
    await advance(store, BOB, 1, conversation_id=GROUP)
    await remove(store, "bob")
    await append(store, conversation_id=GROUP)
    await add(store, "bob", change="again")
    assert await store.cursors.device(BOB, GROUP) == 1


# Revoked devices


async def test_a_revoked_device_leaves_its_receipts(store: Store) -> None:
    await fill(store, 10)
    await store.cursors.start_device(BOB)
    await advance(store, BOB, 8, read=3)
    await advance(store, BOB_TABLET, 5, read=4)
    await store.cursors.forget_devices([BOB])
    assert await store.cursors.member(CHAT, "bob") == Watermark(8, 4)
    assert await store.cursors.device(BOB, CHAT) == 0
    assert await store.cursors.device(BOB_TABLET, CHAT) == 5
    assert (await advance(store, BOB_TABLET, 6)).after == Watermark(8, 4)


async def test_a_straggler_of_a_revoked_device_moves_the_receipt_only(store: Store) -> None:
    await fill(store, 10)
    await store.cursors.start_device(BOB)
    await store.cursors.forget_devices([BOB])
    assert (await advance(store, BOB, 7)).after == Watermark(7, 0)
    assert await store.cursors.device(BOB, CHAT) == 0
    await append(store, sender=BOB)
    assert await store.cursors.device(BOB, CHAT) == 0


async def test_forgetting_nobody_and_strangers(store: Store) -> None:
    await store.cursors.forget_devices([])
    await store.cursors.forget_devices([DeviceRef("nobody", "x")])
    assert await store.cursors.members(CHAT) == {}


# Restarts and order


async def test_watermarks_are_there_after_a_restart(sqlite_store: SqliteStore, tmp_path: Path) -> None:
    await fill(sqlite_store, 10)
    await sqlite_store.cursors.start_device(ALICE_TABLET)
    await advance(sqlite_store, BOB, 7, read=5)
    store = await reopened(sqlite_store, tmp_path)
    assert await store.cursors.members(CHAT) == {"alice": Watermark(10, 0), "bob": Watermark(7, 5)}
    assert await store.cursors.device(ALICE_TABLET, CHAT) == 10
    assert await advance(store, BOB, 6, read=6) == CursorChange(Watermark(7, 5), Watermark(7, 6), 7)
    await store.aclose()


async def test_a_closed_store_refuses(sqlite_store: SqliteStore) -> None:
    await sqlite_store.aclose()
    results: asyncio.Queue[CursorChange | CooeeError] = asyncio.Queue()
    sqlite_store.cursors.advance(CursorUpdate(CHAT, *BOB, 1), results.put_nowait)
    refusal = await results.get()
    assert isinstance(refusal, CooeeError)
    assert refusal.code is ErrorCode.UNAVAILABLE


async def test_many_watermarks_cost_one_row_each_per_batch(sqlite_store: SqliteStore) -> None:
    """However often a watermark moves within a batch, one row is written."""
    await fill(sqlite_store, 100)
    before = await sqlite_store.database.write(lambda connection: connection.total_changes())
    for number in range(1, 101):
        sqlite_store.cursors.advance(CursorUpdate(CHAT, *BOB, number), lambda _change: None)
    after = await sqlite_store.database.write(lambda connection: connection.total_changes())
    assert after - before <= 2
