"""The contract of `ToDevice` (PROTOCOL.md §9)."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import apsw
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cooee.adapters.memory.store import MemoryStore
from cooee.adapters.sqlite import to_device
from cooee.adapters.sqlite.store import SqliteStore
from cooee.adapters.sqlite.to_device import sweep_to_device
from cooee.domain.errors import CooeeError, ErrorCode
from cooee.domain.ids import DeviceRef
from cooee.domain.sequence import DEDUP_WINDOW_MS
from cooee.ports.to_device import ToDeviceMessage
from tests.contract.stores import HOSTILE, Store, reopened
from tests.contract.to_device import LIMITS, append

ALICE = DeviceRef("alice", "a1")
ALICE_TABLET = DeviceRef("alice", "a2")
BOB = DeviceRef("bob", "b1")


def message(content: str = "key", recipient: DeviceRef = ALICE, timestamp: int = 1000) -> ToDeviceMessage:
    return ToDeviceMessage(recipient, BOB, content, timestamp)


async def queued(store: Store, device: DeviceRef = ALICE, after: int = 0) -> list[tuple[int, str]]:
    return [(there.sequence_number, there.content) for there in await store.to_device.read_after(device, after, 1000)]


async def test_a_batch_is_numbered_per_device(store: Store) -> None:
    batch = [message("one"), message("two", ALICE_TABLET), message("three")]
    stored = await append(store, batch)
    assert isinstance(stored, list)
    assert {(there.recipient.device_id, there.sequence_number, there.content) for there in stored} == {
        ("a1", 1, "one"),
        ("a2", 1, "two"),
        ("a1", 2, "three"),
    }
    assert await store.to_device.read_after(ALICE, 0, 10) == [
        msgspec.structs.replace(batch[0], sequence_number=1),
        msgspec.structs.replace(batch[2], sequence_number=2),
    ]
    assert await queued(store, ALICE_TABLET) == [(1, "two")]
    assert await queued(store, BOB) == []


async def test_reading_starts_after_a_number_and_ends_at_the_limit(store: Store) -> None:
    await append(store, [message(str(number)) for number in range(1, 10)])
    page = await store.to_device.read_after(ALICE, 3, 2)
    assert [there.sequence_number for there in page] == [4, 5]
    assert await queued(store, after=9) == []


async def test_acknowledged_messages_are_gone_and_numbers_go_on(store: Store) -> None:
    await append(store, [message("1"), message("2"), message("3")])
    await store.to_device.acknowledge(ALICE, 2)
    assert await queued(store) == [(3, "3")]
    await store.to_device.acknowledge(ALICE, 2)
    await store.to_device.acknowledge(ALICE, 99)
    await store.to_device.acknowledge(BOB, 1)
    assert await queued(store) == []
    await append(store, [message("4")], client_message_id="m2")
    assert await queued(store) == [(4, "4")]


async def test_a_resend_stores_nothing(store: Store) -> None:
    assert await append(store, [message()]) != []
    assert await append(store, [message()]) == []
    assert await append(store, [message(timestamp=1000 + DEDUP_WINDOW_MS)]) == []
    assert await queued(store) == [(1, "key")]


async def test_a_resend_finds_its_first_copy_also_when_that_was_acknowledged(store: Store) -> None:
    await append(store, [message()])
    await store.to_device.acknowledge(ALICE, 1)
    assert await append(store, [message()]) == []
    assert await queued(store) == []


async def test_the_same_id_of_another_device_or_after_31_days_is_new(store: Store) -> None:
    await append(store, [message()])
    assert await append(store, [message()], sender=DeviceRef("bob", "b2")) != []
    assert await append(store, [message()], sender=DeviceRef("carol", "b1")) != []
    assert await append(store, [message()], client_message_id="M1") != []
    late = message(timestamp=1001 + DEDUP_WINDOW_MS)
    assert await append(store, [late]) != []
    assert await append(store, [late]) == []
    assert [number for number, _ in await queued(store)] == [1, 2, 3, 4, 5]


async def test_concurrent_sends_of_one_id_store_one_batch(store: Store) -> None:
    results = await asyncio.gather(*(append(store, [message("a"), message("b")]) for _ in range(10)))
    assert sum(result != [] for result in results) == 1
    assert await queued(store) == [(1, "a"), (2, "b")]


async def test_results_come_in_the_order_of_the_calls(store: Store) -> None:
    order: list[str] = []
    finished = asyncio.Event()

    def done(result: Sequence[ToDeviceMessage] | CooeeError) -> None:
        assert not isinstance(result, CooeeError)
        order.extend(there.content for there in result)
        if len(order) == 20:
            finished.set()

    for number in range(20):
        store.to_device.append(BOB, f"m{number}", [message(str(number))], LIMITS, done)
    assert order == []
    await finished.wait()
    assert order == [str(number) for number in range(20)]


def assert_refused(result: Sequence[ToDeviceMessage] | CooeeError) -> None:
    assert isinstance(result, CooeeError)
    assert result.code is ErrorCode.RATE_LIMITED
    assert result.retry_after_ms is not None
    assert result.retry_after_ms > 0


async def test_a_full_queue_refuses_the_whole_batch(store: Store) -> None:
    limits = (3, 1000)
    assert await append(store, [message("1"), message("2"), message("3")], limits=limits) != []
    mixed = [message("other", ALICE_TABLET), message("4")]
    assert_refused(await append(store, mixed, client_message_id="m2", limits=limits))
    assert await queued(store, ALICE_TABLET) == []
    assert [number for number, _ in await queued(store)] == [1, 2, 3]
    await store.to_device.acknowledge(ALICE, 1)
    assert await append(store, mixed, client_message_id="m2", limits=limits) != []
    assert await queued(store) == [(2, "2"), (3, "3"), (4, "4")]
    assert await queued(store, ALICE_TABLET) == [(1, "other")]


async def test_the_limit_in_bytes_counts_utf8(store: Store) -> None:
    limits = (100, 10)
    assert await append(store, [message("жжжж")], limits=limits) != []
    assert_refused(await append(store, [message("жa")], client_message_id="m2", limits=limits))
    assert await append(store, [message("ж")], client_message_id="m3", limits=limits) != []
    await store.to_device.acknowledge(ALICE, 1)
    assert await append(store, [message("x" * 8)], client_message_id="m4", limits=limits) != []
    assert_refused(await append(store, [message("x")], client_message_id="m5", limits=limits))


async def test_a_resend_is_recognised_also_when_the_queue_is_full(store: Store) -> None:
    assert await append(store, [message()], limits=(1, 100)) != []
    assert await append(store, [message()], limits=(1, 100)) == []


async def test_one_batch_alone_may_be_too_much(store: Store) -> None:
    assert_refused(await append(store, [message(str(number)) for number in range(4)], limits=(3, 1000)))
    assert await queued(store) == []


async def test_an_empty_batch_stores_nothing(store: Store) -> None:
    assert await append(store, []) == []
    assert await append(store, [message()]) != []


async def test_the_largest_frame_and_the_largest_queue(store: Store) -> None:
    blob = "x" * (16 * 1024)
    for number in range(10):
        assert await append(store, [message(blob)] * 100, client_message_id=f"m{number}") != []
    assert await append(store, [message(blob)] * 24, client_message_id="m10") != []
    assert_refused(await append(store, [message("x")], client_message_id="m11"))
    assert [number for number, _ in await queued(store)] == list(range(1, 1001))
    await store.to_device.acknowledge(ALICE, 1023)
    assert await queued(store) == [(1024, blob)]


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_text_comes_back_as_it_was(store: Store, text: str) -> None:
    device, sender = DeviceRef(text, text), DeviceRef(text + "s", text)
    hostile = ToDeviceMessage(device, sender, text, 1)
    stored = [msgspec.structs.replace(hostile, sequence_number=1)]
    assert await append(store, [hostile], sender=sender, client_message_id=text) == stored
    assert await append(store, [hostile], sender=sender, client_message_id=text) == []
    assert await store.to_device.read_after(device, 0, 5) == stored


async def test_queues_survive_a_restart(sqlite_store: SqliteStore, tmp_path: Path) -> None:
    await append(sqlite_store, [message("1"), message("2")])
    await sqlite_store.to_device.acknowledge(ALICE, 2)
    again = await reopened(sqlite_store, tmp_path)
    assert await append(again, [message("1")]) == []
    await append(again, [message("3")], client_message_id="m2")
    assert await queued(again) == [(3, "3")]
    await again.aclose()


async def test_a_store_that_is_closed_says_unavailable(sqlite_store: SqliteStore) -> None:
    await sqlite_store.aclose()
    result = await append(sqlite_store, [message()])
    assert isinstance(result, CooeeError)
    assert result.code is ErrorCode.UNAVAILABLE


async def test_the_broom_takes_the_oldest_first_and_makes_room(sqlite_store: SqliteStore) -> None:
    memory = MemoryStore()
    limits = (6, 1000)
    for store in (memory, sqlite_store):
        for number in range(6):
            await append(store, [message("xx", timestamp=number)], client_message_id=f"m{number}", limits=limits)

    async def sweep(before_ms: int, dedup_before_ms: int, limit: int) -> tuple[int, int]:
        swept = await sqlite_store.database.write(
            lambda connection: sweep_to_device(connection, before_ms, dedup_before_ms, limit)
        )
        return memory.to_device.sweep(before_ms, dedup_before_ms, limit), swept

    assert await sweep(4, 0, 3) == (3, 3)
    assert await sweep(4, 3, 3) == (1, 1)
    assert await sweep(4, 3, 3) == (0, 0)
    for store in (memory, sqlite_store):
        assert [number for number, _ in await queued(store)] == [5, 6]
        assert await append(store, [message(timestamp=3)], client_message_id="m3", limits=limits) == []
        room = [message("new", timestamp=9)] * 4
        assert await append(store, room, client_message_id="m0", limits=limits) != []
        assert_refused(await append(store, [message("x")], client_message_id="more", limits=limits))
        assert [number for number, _ in await queued(store)] == [5, 6, 7, 8, 9, 10]


def empty(connection: apsw.Connection) -> None:
    for table in ("to_device_queue", "to_device_message", "to_device_seen"):
        connection.execute(f"DELETE FROM {table}")


batches = st.lists(
    st.tuples(
        st.sampled_from(["m1", "m2", "m3", "m4"]),
        st.lists(st.tuples(st.sampled_from([ALICE, ALICE_TABLET]), st.text("xж", max_size=3)), max_size=3),
        st.integers(0, 6),
    ),
    max_size=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(batches)
async def test_both_stores_agree(
    sqlite_store: SqliteStore, operations: list[tuple[str, list[tuple[DeviceRef, str]], int]]
) -> None:
    await sqlite_store.database.write(empty)
    memory = MemoryStore()
    for client_message_id, contents, acknowledged in operations:
        batch = [message(content, device) for device, content in contents]
        outcomes = []
        for store in (memory, sqlite_store):
            result = await append(store, batch, client_message_id=client_message_id, limits=(4, 12))
            outcomes.append(result.code if isinstance(result, CooeeError) else set(map(repr, result)))
            await store.to_device.acknowledge(ALICE, acknowledged)
        assert outcomes[0] == outcomes[1]
        for device in (ALICE, ALICE_TABLET):
            assert await queued(sqlite_store, device) == await queued(memory, device)


async def test_reads_and_sweeps_walk_an_index(sqlite_store: SqliteStore) -> None:
    statements = (to_device._READ, to_device._REMOVE, to_device._SWEEP, to_device._SWEEP_SEEN, to_device._SEEN)

    def plan(connection: apsw.Connection) -> list[str]:
        plans = (connection.execute(f"EXPLAIN QUERY PLAN {sql}", (1,) * sql.count("?")) for sql in statements)
        return [row[3] for rows in plans for row in rows]

    lines = await sqlite_store.database.read(plan)
    assert [line for line in lines if line.startswith("SCAN") or "TEMP" in line] == []
    assert sum(line.startswith("SEARCH") for line in lines) >= len(statements)
