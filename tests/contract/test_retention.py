"""The contract of `Retention`: what some device has not got stays, what all have goes, numbers never come back."""

from pathlib import Path

from cooee.adapters.sqlite.store import SqliteStore, StoreSettings, open_store
from cooee.domain.ids import DeviceRef, direct_conversation_id
from cooee.domain.message import Envelope
from cooee.ports.retention import RetentionSettings, SweepResult
from tests.contract.log import (
    ALICE,
    ALL,
    BOB,
    BOB_TABLET,
    CHAT,
    DAY_MS,
    GROUP,
    NOW_MS,
    add,
    advance,
    append,
    append_all,
    create_group,
    fill,
    numbers,
    record,
    remove,
)
from tests.contract.stores import Store, reopened

DUE = NOW_MS + 30 * DAY_MS
LAST_DUE = NOW_MS + 90 * DAY_MS


async def test_what_is_young_stays(store: Store) -> None:
    await fill(store, 5)
    assert await store.retention.sweep(DUE - 1, 100) == SweepResult()
    assert (await store.timeline.head(CHAT)).first == 1


async def test_what_everybody_has_goes_after_30_days(store: Store) -> None:
    await store.cursors.start_device(ALICE)
    await store.cursors.start_device(BOB)
    await fill(store, 5)
    await advance(store, BOB, 5)
    assert await store.retention.sweep(DUE, 100) == SweepResult(messages=5)
    head = await store.timeline.head(CHAT)
    assert (head.first, head.last) == (6, 5)
    assert await store.retention.sweep(DUE, 100) == SweepResult()


async def test_what_a_device_lacks_stays_for_90_days(store: Store) -> None:
    for device in (ALICE, BOB, BOB_TABLET):
        await store.cursors.start_device(device)
    await fill(store, 10)
    await advance(store, BOB, 10)
    await advance(store, BOB_TABLET, 4)
    assert (await store.retention.sweep(DUE, 100)).messages == 4
    assert numbers(await store.timeline.read_after(CHAT, 4, 100, ALL, BOB_TABLET)) == [5, 6, 7, 8, 9, 10]
    assert (await store.retention.sweep(LAST_DUE - 1, 100)).messages == 0
    assert (await store.retention.sweep(LAST_DUE, 100)).messages == 6


async def test_a_receipt_lets_go_what_it_held(store: Store) -> None:
    await store.cursors.start_device(BOB)
    await fill(store, 10)
    assert (await store.retention.sweep(DUE, 100)).messages == 0
    await advance(store, BOB, 7)
    assert (await store.retention.sweep(DUE, 100)).messages == 7


async def test_a_revoked_device_holds_nothing_back(store: Store) -> None:
    await store.cursors.start_device(BOB)
    await fill(store, 10)
    assert (await store.retention.sweep(DUE, 100)).messages == 0
    await store.cursors.forget_devices([BOB])
    assert (await store.retention.sweep(DUE, 100)).messages == 10


async def test_one_who_left_holds_nothing_back(store: Store) -> None:
    await store.cursors.start_device(BOB)
    await create_group(store, "bob", "carol")
    assert (await store.retention.sweep(DUE, 100)).messages == 0
    await remove(store, "bob")
    assert (await store.retention.sweep(DUE, 100)).messages == 2


async def test_one_who_joined_later_does_not_hold_what_was_before(store: Store) -> None:
    await create_group(store)
    await append(store, conversation_id=GROUP)
    await store.cursors.start_device(BOB)
    await add(store, "bob")
    assert (await store.retention.sweep(DUE, 100)).messages == 2
    assert (await store.timeline.head(GROUP)).first == 3


async def test_a_conversation_is_swept_from_its_beginning_only(store: Store) -> None:
    """A clock that jumped leaves no holes: what stands behind a young message waits for it."""
    await append(store, "m1", timestamp=NOW_MS)
    await append(store, "m2", timestamp=NOW_MS + 5 * DAY_MS)
    await append(store, "m3", timestamp=NOW_MS)
    assert (await store.retention.sweep(DUE, 100)).messages == 1
    assert (await store.timeline.head(CHAT)).first == 2
    assert (await store.retention.sweep(DUE + 5 * DAY_MS, 100)).messages == 2


async def test_numbers_are_never_given_again(store: Store) -> None:
    places = await fill(store, 3)
    await store.retention.sweep(LAST_DUE, 100)
    place = await append(store, "next", timestamp=NOW_MS)
    assert place.sequence_number == 4
    assert place.message_id > places[-1].message_id


async def test_keys_are_forgotten_after_31_days(store: Store) -> None:
    await append(store, "m1")
    assert await store.retention.sweep(DUE, 100) == SweepResult(messages=1)
    assert await store.retention.sweep(NOW_MS + 31 * DAY_MS, 100) == SweepResult()
    assert await store.retention.sweep(NOW_MS + 31 * DAY_MS + 1, 100) == SweepResult(dedup_rows=1)
    assert (await append(store, "m1")).sequence_number == 2


async def test_what_is_swept_late_goes_with_its_key(store: Store) -> None:
    await fill(store, 4)
    assert await store.retention.sweep(LAST_DUE, 100) == SweepResult(messages=4, dedup_rows=4)


async def test_a_sweep_is_bounded(store: Store) -> None:
    others = [direct_conversation_id("alice", f"user{number}") for number in range(4)]
    await append_all(store, [record(f"m{n}", conversation_id=one) for one in others for n in range(10)])
    swept = []
    while result := (await store.retention.sweep(DUE, 7)).messages:
        swept.append(result)
    assert swept == [7, 7, 7, 7, 7, 5]
    forgotten = []
    while result := (await store.retention.sweep(DUE + 2 * DAY_MS, 15)).dedup_rows:
        forgotten.append(result)
    assert forgotten == [15, 15, 10]


async def test_a_sweep_of_late_messages_is_bounded_too(store: Store) -> None:
    await fill(store, 25)
    results = [await store.retention.sweep(LAST_DUE, 10) for _ in range(6)]
    assert all(result.messages <= 10 and result.dedup_rows <= 10 for result in results)
    assert sum(result.messages for result in results) == 25
    assert sum(result.dedup_rows for result in results) == 25


async def test_a_long_conversation_is_swept_through(store: Store) -> None:
    await fill(store, 700)
    assert (await store.retention.sweep(DUE, 600)).messages == 600
    assert numbers(await store.timeline.read_after(CHAT, 0, 1, ALL, BOB)) == [601]
    assert (await store.retention.sweep(DUE, 600)).messages == 100


async def test_sweeping_goes_on_with_what_comes_later(store: Store) -> None:
    await fill(store, 3)
    await store.retention.sweep(DUE, 100)
    await append(store, "later", timestamp=DUE)
    assert (await store.retention.sweep(DUE + 30 * DAY_MS - 1, 100)).messages == 0
    assert (await store.retention.sweep(DUE + 30 * DAY_MS, 100)).messages == 1


async def test_ends_of_retention_are_settings(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    await store.cursors.start_device(BOB)
    await fill(store, 3)
    await advance(store, BOB, 1)
    assert (await store.retention.sweep(NOW_MS + DAY_MS, 100)).messages == 0
    await store.aclose()
    shorter = RetentionSettings(message_days=1, undelivered_days=2)
    store = await open_store(tmp_path, StoreSettings(retention=shorter))
    assert (await store.retention.sweep(NOW_MS + DAY_MS, 100)).messages == 1
    assert (await store.retention.sweep(NOW_MS + 2 * DAY_MS, 100)).messages == 2
    await store.aclose()


async def test_positions_are_never_given_again(sqlite_store: SqliteStore, tmp_path: Path) -> None:
    """Not even when every row of the log is gone and the server starts anew."""
    await fill(sqlite_store, 3)
    store = await reopened(sqlite_store, tmp_path)
    await store.retention.sweep(LAST_DUE, 100)
    store = await reopened(store, tmp_path)
    await append(store, "next")
    position = await store.database.read(lambda connection: connection.execute("SELECT max(position) FROM message").get)
    assert position == 4
    await store.aclose()


async def test_nothing_of_a_swept_message_stays(sqlite_store: SqliteStore) -> None:
    secret = "a-secret-that-must-go"  # no password
    envelopes = (Envelope("bob", "b1", secret),)
    await append(sqlite_store, body=secret.encode(), preview=secret, envelopes=envelopes)
    await sqlite_store.retention.sweep(DUE, 100)
    rows = await sqlite_store.database.read(
        lambda connection: (
            list(connection.execute("SELECT * FROM message")),
            list(connection.execute("SELECT * FROM envelope")),
        )
    )
    assert secret not in repr(rows)
    assert await sqlite_store.cursors.device(DeviceRef("bob", "b1"), CHAT) == 0
