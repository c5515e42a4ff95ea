"""The contract of `Timeline`: pages, heads, lists, and what a device missed."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cooee.adapters.sqlite.inbox_floor import SETTLE_ABOVE
from cooee.adapters.sqlite.ledger_state import SLOT_BITS
from cooee.adapters.sqlite.store import SqliteStore, StoreSettings, open_store
from cooee.domain.conversation import Span
from cooee.domain.ids import DeviceRef, direct_conversation_id
from cooee.ports.timeline import ConversationHead, InboxEntry, Missed
from tests.contract.log import (
    ALICE,
    ALL,
    BOB,
    BOB_TABLET,
    CAROL,
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
from tests.contract.steps import ONE_READER, counting_steps
from tests.contract.stores import Store

# Heads and pages


async def test_an_unknown_conversation_is_an_empty_one(store: Store) -> None:
    assert await store.timeline.head(CHAT) == ConversationHead(CHAT, 0, 1, 0)
    page = await store.timeline.read_after(CHAT, 0, 10, ALL, BOB)
    assert (page.messages, page.covered_from, page.covered_through, page.complete) == ((), 1, 0, True)
    page = await store.timeline.read_before(CHAT, 0, 10, ALL, BOB)
    assert (page.messages, page.covered_from, page.covered_through, page.complete) == ((), 1, 0, True)
    assert await store.timeline.find(CHAT, 1) is None
    assert await store.timeline.unread(CHAT, "bob", 0, 100, 999) == 0
    assert await store.timeline.senders(CHAT, 0, 100) == frozenset()


async def test_a_head_tells_the_last_number_and_its_time(store: Store) -> None:
    await append(store, "m1", timestamp=NOW_MS)
    await append(store, "m2", timestamp=NOW_MS - 7)
    assert await store.timeline.head(CHAT) == ConversationHead(CHAT, 2, 1, NOW_MS - 7)


@pytest.mark.parametrize("count", [1, 15, 16, 17, 100])
async def test_paging_forward_covers_everything_once(store: Store, count: int) -> None:
    await fill(store, count)
    seen, after = [], 0
    while True:
        page = await store.timeline.read_after(CHAT, after, 7, ALL, BOB)
        assert page.covered_from == after + 1
        seen += numbers(page)
        after = page.covered_through
        if page.complete:
            break
    assert seen == list(range(1, count + 1))
    assert after == count


@pytest.mark.parametrize("count", [1, 15, 16, 17, 100])
async def test_paging_backward_covers_everything_once(store: Store, count: int) -> None:
    await fill(store, count)
    seen: list[int] = []
    before = 0
    while True:
        page = await store.timeline.read_before(CHAT, before, 7, ALL, BOB)
        assert page.covered_through == (before or count + 1) - 1
        seen = numbers(page) + seen
        before = page.covered_from
        if page.complete:
            break
    assert seen == list(range(1, count + 1))
    assert before == 1


async def test_positions_beyond_the_ends(store: Store) -> None:
    await fill(store, 3)
    page = await store.timeline.read_after(CHAT, 9, 10, ALL, BOB)
    assert (numbers(page), page.covered_from, page.covered_through, page.complete) == ([], 10, 9, True)
    page = await store.timeline.read_before(CHAT, 99, 10, ALL, BOB)
    assert (numbers(page), page.covered_from, page.covered_through, page.complete) == ([1, 2, 3], 1, 3, True)
    page = await store.timeline.read_before(CHAT, 1, 10, ALL, BOB)
    assert (numbers(page), page.covered_from, page.covered_through, page.complete) == ([], 1, 0, True)


async def test_a_page_shows_the_spans_only(store: Store) -> None:
    await fill(store, 20)
    spans = (Span(3, 5), Span(9, 12))
    page = await store.timeline.read_after(CHAT, 0, 5, spans, BOB)
    assert (numbers(page), page.covered_through, page.complete) == ([3, 4, 5, 9, 10], 10, False)
    page = await store.timeline.read_after(CHAT, 10, 5, spans, BOB)
    assert (numbers(page), page.covered_from, page.covered_through, page.complete) == ([11, 12], 11, 12, True)
    page = await store.timeline.read_before(CHAT, 0, 5, spans, BOB)
    assert (numbers(page), page.covered_from, page.covered_through, page.complete) == ([5, 9, 10, 11, 12], 5, 12, False)
    page = await store.timeline.read_before(CHAT, 5, 5, spans, BOB)
    assert (numbers(page), page.covered_from, page.covered_through, page.complete) == ([3, 4], 1, 4, True)


async def test_who_was_never_in_sees_nothing(store: Store) -> None:
    await fill(store, 5)
    page = await store.timeline.read_after(CHAT, 0, 5, (), CAROL)
    assert (numbers(page), page.covered_through, page.complete) == ([], 0, True)


# Counting


async def test_unread_counts_what_others_said(store: Store) -> None:
    await append_all(
        store,
        [
            record("m1"),
            record("m2", sender=BOB),
            record("m3", silent=True),
            record("m4", content_type="system"),
            record("m5"),
            record("m6"),
            record("m7", content_type="system", erases=6),
        ],
    )
    assert await store.timeline.unread(CHAT, "bob", 0, 7, 999) == 2
    assert await store.timeline.unread(CHAT, "bob", 1, 7, 999) == 1
    assert await store.timeline.unread(CHAT, "bob", 0, 4, 999) == 1
    assert await store.timeline.unread(CHAT, "bob", 7, 7, 999) == 0
    assert await store.timeline.unread(CHAT, "alice", 0, 7, 999) == 1


async def test_unread_is_counted_up_to_the_cap(store: Store) -> None:
    await fill(store, 50)
    assert await store.timeline.unread(CHAT, "bob", 0, 50, 10) == 10
    assert await store.timeline.unread(CHAT, "bob", 30, 50, 999) == 20


async def test_senders_of_a_range(store: Store) -> None:
    await append_all(store, [record("m1"), record("m2", sender=BOB), record("m3", sender=CAROL, content_type="system")])
    assert await store.timeline.senders(CHAT, 0, 3) == {"alice", "bob"}
    assert await store.timeline.senders(CHAT, 1, 3) == {"bob"}
    assert await store.timeline.senders(CHAT, 2, 3) == frozenset()
    assert await store.timeline.senders(CHAT, 3, 1) == frozenset()


# Lists


async def test_the_list_is_by_last_activity(store: Store) -> None:
    others = [direct_conversation_id("alice", f"user{number:02}") for number in range(9)]
    for place, other in enumerate(others):
        await append(store, conversation_id=other, timestamp=NOW_MS + place)
    await append(store, "m2", conversation_id=others[2], timestamp=NOW_MS + 100)
    wanted = [others[2], *reversed(others[3:]), others[1], others[0]]
    listed: list[InboxEntry] = []
    before = None
    while page := await store.timeline.inbox("alice", before, 4):
        listed += page
        before = (page[-1].last_timestamp, page[-1].conversation_id)
    assert [entry.conversation_id for entry in listed] == wanted
    assert listed[0] == InboxEntry(others[2], 2, NOW_MS + 100)


async def test_equal_times_are_told_apart_by_id(store: Store) -> None:
    others = [direct_conversation_id("alice", f"user{number:02}") for number in range(5)]
    for other in others:
        await append(store, conversation_id=other)
    first = await store.timeline.inbox("alice", None, 2)
    second = await store.timeline.inbox("alice", (NOW_MS, first[-1].conversation_id), 9)
    assert [entry.conversation_id for entry in [*first, *second]] == sorted(others, reverse=True)


async def test_the_list_of_one_who_was_removed_ends_there(store: Store) -> None:
    await create_group(store, "bob", "carol")
    await append(store, conversation_id=GROUP, timestamp=NOW_MS + 1)
    await remove(store, "bob")
    await append(store, "m2", conversation_id=GROUP, timestamp=NOW_MS + 99)
    assert await store.timeline.inbox("bob", None, 10) == [InboxEntry(GROUP, 3, NOW_MS)]
    assert await store.timeline.inbox("carol", None, 10) == [InboxEntry(GROUP, 4, NOW_MS + 99)]
    assert await store.timeline.missed(BOB) == [Missed(GROUP, 0, 3)]


async def test_who_comes_back_has_the_whole_again(store: Store) -> None:
    await create_group(store, "bob")
    await remove(store, "bob")
    await append(store, conversation_id=GROUP)
    await add(store, "bob", change="again")
    await append(store, "m2", conversation_id=GROUP)
    assert [entry.last for entry in await store.timeline.inbox("bob", None, 10)] == [5]
    assert await store.groups.spans(GROUP, "bob") == [Span(1, 2), Span(4)]


# Missed


async def test_a_device_misses_what_it_has_not_received(store: Store) -> None:
    carols = direct_conversation_id("bob", "carol")
    await fill(store, 3)
    await append(store, conversation_id=carols, sender=CAROL)
    assert await store.timeline.missed(BOB) == [Missed(CHAT, 0, 3), Missed(carols, 0, 1)]
    await append(store, "again")
    assert await store.timeline.missed(BOB) == [Missed(carols, 0, 1), Missed(CHAT, 0, 4)]
    await advance(store, BOB, 2)
    assert await store.timeline.missed(BOB) == [Missed(carols, 0, 1), Missed(CHAT, 2, 4)]
    await advance(store, BOB, 4)
    assert await store.timeline.missed(BOB) == [Missed(carols, 0, 1)]
    assert await store.timeline.missed(BOB_TABLET) == [Missed(carols, 0, 1), Missed(CHAT, 0, 4)]
    assert await store.timeline.missed(ALICE) == []


async def test_a_group_is_missed_from_just_before_the_joining(store: Store) -> None:
    await create_group(store)
    await append(store, "m1", conversation_id=GROUP)
    await add(store, "bob")
    await append(store, "m2", conversation_id=GROUP)
    assert await store.timeline.missed(BOB) == [Missed(GROUP, 2, 4)]


async def test_large_groups_are_missed_and_listed_alike(store: Store) -> None:
    """Crossing the threshold either way changes nothing that can be seen."""
    people = [f"user{number:02}" for number in range(55)]
    await create_group(store, *people[:48])
    first = DeviceRef(people[0], "d")
    for new, change in ((people[48:50], "up"), (people[50:51], "further")):
        head = (await store.timeline.head(GROUP)).last
        assert await store.timeline.missed(first) == [Missed(GROUP, 0, head)]
        await add(store, *new, change=change)
        await append(store, change, conversation_id=GROUP, timestamp=NOW_MS + 5)
    for gone in people[44:49]:
        await remove(store, gone)
        head = (await store.timeline.head(GROUP)).last
        assert await store.timeline.missed(first) == [Missed(GROUP, 0, head)]
    await append(store, "down", conversation_id=GROUP, timestamp=NOW_MS + 9)
    head = (await store.timeline.head(GROUP)).last
    assert await store.timeline.missed(first) == [Missed(GROUP, 0, head)]
    assert await store.timeline.inbox(people[0], None, 5) == [InboxEntry(GROUP, head, NOW_MS + 9)]
    removed_at = (await store.groups.spans(GROUP, people[48]))[0].left
    assert removed_at is not None
    assert await store.timeline.missed(DeviceRef(people[48], "d")) == [Missed(GROUP, 1, removed_at)]


# What it costs, on SQLite


@pytest.fixture
async def one_reader(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = await open_store(tmp_path, ONE_READER)
    yield store
    await store.aclose()


async def test_quiet_conversations_are_not_looked_at(tmp_path: Path) -> None:
    """The cost of `missed` and of a page follows what was missed, not 2,000 conversations that were quiet."""

    async def steps_with(quiet: int) -> tuple[int, int]:
        folder = tmp_path / str(quiet)
        folder.mkdir()
        store = await open_store(folder, ONE_READER)
        await store.cursors.start_device(BOB)
        quiet_chats = [direct_conversation_id("bob", f"user{number:05}") for number in range(quiet)]
        await append_all(store, [record("q", conversation_id=one, sender=BOB) for one in quiet_chats])
        await fill(store, 1 << SLOT_BITS)  # the server's activity elsewhere
        await append_all(store, [record(f"m{n}", conversation_id=one) for one in quiet_chats[:5] for n in range(4)])
        assert len(await store.timeline.missed(BOB)) == 6
        assert len(await store.timeline.missed(BOB)) == 6  # the first look has lifted the floor, if there was reason
        await append(store, "flush")
        async with counting_steps(store) as missed_steps:
            assert len(await store.timeline.missed(BOB)) == 6
        async with counting_steps(store) as page_steps:
            assert len((await store.timeline.read_after(quiet_chats[0], 1, 50, ALL, BOB)).messages) == 4
        await store.aclose()
        return missed_steps.count, page_steps.count

    few, many = await steps_with(10), await steps_with(2000)
    assert many[0] <= few[0] * 1.2
    assert many[1] <= few[1] * 1.2


async def test_a_conversation_left_behind_does_not_hold_the_floor(one_reader: SqliteStore) -> None:
    """One unread conversation from long ago costs one entry, not all activity since."""
    store = one_reader
    await append(store, "old", conversation_id=direct_conversation_id("bob", "zoe"), sender=DeviceRef("zoe", "z1"))
    await store.cursors.start_device(BOB_TABLET)
    busy = [direct_conversation_id("bob", f"user{number:03}") for number in range(SETTLE_ABOVE + 40)]
    await append_all(store, [record("a", conversation_id=one, sender=BOB_TABLET) for one in busy])
    async with counting_steps(store) as before:
        assert [missed.last for missed in await store.timeline.missed(BOB_TABLET)] == [1]
    await fill(store, 1 << SLOT_BITS, conversation_id=direct_conversation_id("alice", "carol"))
    assert [missed.last for missed in await store.timeline.missed(BOB_TABLET)] == [1]
    await append(store, "flush", conversation_id=direct_conversation_id("alice", "carol"))
    async with counting_steps(store) as after:
        assert [missed.last for missed in await store.timeline.missed(BOB_TABLET)] == [1]
    assert after.count < before.count / 10
    await append(store, "b", conversation_id=direct_conversation_id("bob", "zoe"), sender=DeviceRef("zoe", "z1"))
    assert [missed.last for missed in await store.timeline.missed(BOB_TABLET)] == [2]


async def test_a_page_out_of_a_long_conversation_reads_its_rows_only(one_reader: SqliteStore) -> None:
    await fill(one_reader, 5000)
    async with counting_steps(one_reader) as near_the_end:
        await one_reader.timeline.read_before(CHAT, 0, 50, ALL, BOB)
    async with counting_steps(one_reader) as far_back:
        await one_reader.timeline.read_after(CHAT, 100, 50, ALL, BOB)
    assert far_back.count < near_the_end.count * 1.5


async def test_the_threshold_of_large_groups_is_a_setting(tmp_path: Path) -> None:
    store = await open_store(tmp_path, StoreSettings(large_group_members=2))
    await create_group(store, "bob")
    await append(store, conversation_id=GROUP)
    entries = await store.database.read(
        lambda connection: connection.execute("SELECT DISTINCT large FROM conversation").get
    )
    assert entries == 1
    assert await store.timeline.missed(BOB) == [Missed(GROUP, 0, 2)]
    await store.aclose()


async def test_first_follows_the_broom(store: Store) -> None:
    await fill(store, 3)
    await append(store, "late", timestamp=NOW_MS + DAY_MS)
    await store.retention.sweep(NOW_MS + 30 * DAY_MS, 100)
    assert await store.timeline.head(CHAT) == ConversationHead(CHAT, 4, 4, NOW_MS + DAY_MS)
    page = await store.timeline.read_after(CHAT, 0, 10, ALL, BOB)
    assert (numbers(page), page.covered_from, page.covered_through, page.complete) == ([4], 1, 4, True)
    page = await store.timeline.read_before(CHAT, 4, 10, ALL, BOB)
    assert (numbers(page), page.covered_from, page.covered_through, page.complete) == ([], 1, 3, True)
