"""The contract of `MessageLog`: durable, dense, idempotent, in order."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from cooee.adapters.sqlite.store import SqliteStore
from cooee.domain.errors import CooeeError, ErrorCode
from cooee.domain.ids import DeviceRef, direct_conversation_id
from cooee.domain.message import Envelope, Message, Placed
from cooee.domain.sequence import DEDUP_WINDOW_MS
from tests.contract.log import (
    ALICE,
    ALICE_TABLET,
    ALL,
    BOB,
    CHAT,
    DAY_MS,
    GROUP,
    NOW_MS,
    advance,
    append,
    append_all,
    create_group,
    fill,
    numbers,
    record,
)
from tests.contract.stores import HOSTILE, Store, reopened


async def test_numbers_are_dense_from_one_in_each_conversation(store: Store) -> None:
    other = direct_conversation_id("alice", "carol")
    places = await append_all(store, [record(f"m{n}", conversation_id=CHAT if n % 3 else other) for n in range(1, 10)])
    assert [place.sequence_number for place in places] == [1, 2, 1, 3, 4, 2, 5, 6, 3]
    assert [place.timestamp for place in places] == [NOW_MS] * 9
    ids = [place.message_id for place in places]
    assert ids == sorted(set(ids))


async def test_a_long_batch_is_answered_in_order(store: Store) -> None:
    places = await append_all(store, [record(f"m{n}") for n in range(1500)])
    assert [place.sequence_number for place in places] == list(range(1, 1501))
    page = await store.timeline.read_after(CHAT, 1490, 50, ALL, BOB)
    assert [message.client_message_id for message in page.messages] == [f"m{n}" for n in range(1490, 1500)]


async def test_message_ids_grow_though_the_clock_steps_back(store: Store) -> None:
    first = await append(store, "m1", timestamp=NOW_MS)
    second = await append(store, "m2", timestamp=NOW_MS - DAY_MS)
    assert second.message_id > first.message_id
    assert second.timestamp == NOW_MS - DAY_MS


async def test_a_message_is_stored_as_it_was_sent(store: Store) -> None:
    sent = record(
        "m1", content_type="image", body=b'{"content":{"mediaKey":"k"}}', silent=True, preview="alice: a picture"
    )
    place = (await append_all(store, [sent]))[0]
    assert await store.timeline.find(CHAT, 1) == Message(
        CHAT,
        1,
        place.message_id,
        "alice",
        "a1",
        "m1",
        NOW_MS,
        "image",
        b'{"content":{"mediaKey":"k"}}',
        silent=True,
        preview="alice: a picture",
    )


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_text_is_kept_as_it_is(store: Store, text: str) -> None:
    await append(store, text, preview=text, body=text.encode())
    await append(store, text, sender=DeviceRef("bob", text))
    (message, other) = (await store.timeline.read_after(CHAT, 0, 10, ALL, ALICE)).messages
    assert (message.client_message_id, message.preview, message.body) == (text, text, text.encode())
    assert other.device_id == text


async def test_a_large_body_is_kept(store: Store) -> None:
    await append(store, body=b"x" * 48 * 1024)
    message = await store.timeline.find(CHAT, 1)
    assert message is not None
    assert message.body == b"x" * 48 * 1024


async def test_notes_to_oneself(store: Store) -> None:
    notes = direct_conversation_id("alice", "alice")
    await append(store, conversation_id=notes)
    assert [missed.conversation_id for missed in await store.timeline.missed(ALICE_TABLET)] == [notes]
    assert [entry.conversation_id for entry in await store.timeline.inbox("alice", None, 10)] == [notes]


# The same key again


async def test_a_re_send_stores_nothing_and_gets_the_first_place(store: Store) -> None:
    first = await append(store, "m1")
    assert await append(store, "m1", timestamp=NOW_MS + 5000, body=b'{"content":"changed"}') == first
    assert (await store.timeline.head(CHAT)).last == 1
    message = await store.timeline.find(CHAT, 1)
    assert message is not None
    assert message.body == b'{"content":"hello"}'


async def test_a_re_send_within_one_batch(store: Store) -> None:
    places = await append_all(store, [record("m1"), record("m2"), record("m1"), record("m2"), record("m3")])
    assert [place.sequence_number for place in places] == [1, 2, 1, 2, 3]


@pytest.mark.parametrize(
    "changes",
    [
        {"sender": ALICE_TABLET},
        {"sender": DeviceRef("bob", "a1")},
        {"client_message_id": "m2"},
        {"conversation_id": direct_conversation_id("alice", "carol")},
    ],
)
async def test_another_key_is_another_message(store: Store, changes: dict[str, Any]) -> None:
    first = await append(store)
    again = await append(store, **{"client_message_id": "m1", **changes})
    assert again.message_id != first.message_id


async def test_a_key_is_known_for_31_days_by_record_time(store: Store) -> None:
    first = await append(store, "m1")
    assert await append(store, "m1", timestamp=NOW_MS + DEDUP_WINDOW_MS) == first
    later = await append(store, "m1", timestamp=NOW_MS + DEDUP_WINDOW_MS + 1)
    assert later.sequence_number == 2
    assert await append(store, "m1", timestamp=NOW_MS + DEDUP_WINDOW_MS + 2) == later


async def test_a_key_outlives_the_message(store: Store) -> None:
    first = await append(store, "m1")
    assert (await store.retention.sweep(NOW_MS + 30 * DAY_MS, 100)).messages == 1
    assert await append(store, "m1", timestamp=NOW_MS + 30 * DAY_MS) == first
    assert await store.timeline.find(CHAT, 1) is None


async def test_a_key_is_known_after_a_restart(sqlite_store: SqliteStore, tmp_path: Path) -> None:
    first = await append(sqlite_store, "m1")
    store = await reopened(sqlite_store, tmp_path)
    assert await append(store, "m1") == first
    assert (await append(store, "m2")).sequence_number == 2
    await store.aclose()


# An own message counts as held


async def test_a_sending_device_that_had_all_before_holds_its_own(store: Store) -> None:
    await fill(store, 3)
    assert await store.cursors.device(ALICE, CHAT) == 3
    assert await store.cursors.device(ALICE_TABLET, CHAT) == 0
    assert (await store.cursors.member(CHAT, "alice")).delivered == 3
    assert (await store.cursors.member(CHAT, "bob")).delivered == 0


async def test_a_sending_device_with_a_gap_does_not_skip_it(store: Store) -> None:
    await append(store, "m1", sender=BOB)
    await append(store, "m2")
    assert await store.cursors.device(ALICE, CHAT) == 0
    await advance(store, ALICE, 2)
    await append(store, "m3")
    assert await store.cursors.device(ALICE, CHAT) == 3


async def test_a_re_send_moves_no_watermark(store: Store) -> None:
    await append(store, "m1", sender=BOB)
    await append(store, "m2")
    await append(store, "m2")
    assert await store.cursors.device(ALICE, CHAT) == 0


async def test_a_record_of_no_device_is_held_by_none(store: Store) -> None:
    await append(store, sender=DeviceRef("alice", ""))
    assert await store.cursors.members(CHAT) == {}


# Deleting for everyone


async def test_erasing_removes_content_preview_and_envelopes(store: Store) -> None:
    envelopes = (Envelope("bob", "b1", "for b1"),)
    await append(store, "m1", content_type="encrypted", preview="alice: hello", envelopes=envelopes)
    await append(store, "m2")
    await append(store, "d1", content_type="system", erases=1)
    erased = await store.timeline.find(CHAT, 1)
    kept = await store.timeline.find(CHAT, 2)
    assert erased is not None
    assert kept is not None
    assert (erased.content_type, erased.body, erased.preview, erased.envelopes) == ("deleted", b"{}", "", ())
    assert (erased.sender_id, erased.client_message_id, erased.timestamp) == ("alice", "m1", NOW_MS)
    assert kept.body == b'{"content":"hello"}'
    assert (await append(store, "m1")).sequence_number == 1


async def test_erasing_reaches_far_back_and_within_one_batch(store: Store) -> None:
    await append_all(store, [*(record(f"m{n}") for n in range(40)), record("d1", erases=7), record("d2", erases=7)])
    await append(store, "d3", erases=8)
    types = [one.content_type for one in (await store.timeline.read_after(CHAT, 5, 5, ALL, BOB)).messages]
    assert types == ["text", "deleted", "deleted", "text", "text"]


async def test_erasing_what_is_not_there_changes_nothing(store: Store) -> None:
    await append_all(store, [record("m1"), record("d1", erases=3), record("d2", erases=3), record("d3", erases=99)])
    page = await store.timeline.read_after(CHAT, 0, 10, ALL, BOB)
    assert [one.content_type for one in page.messages] == ["text"] * 4


# Envelopes


async def test_a_device_sees_its_own_envelope_only(store: Store) -> None:
    envelopes = (Envelope("bob", "b1", "for b1"), Envelope("bob", "b2", "for b2"), Envelope("alice", "a2", "for a2"))
    await append(store, content_type="encrypted", envelopes=envelopes)
    for device, seen in ((BOB, (envelopes[0],)), (ALICE_TABLET, (envelopes[2],)), (ALICE, ())):
        (message,) = (await store.timeline.read_after(CHAT, 0, 10, ALL, device)).messages
        assert message.envelopes == seen
    whole = await store.timeline.find(CHAT, 1)
    assert whole is not None
    assert set(whole.envelopes) == set(envelopes)


# Following


async def test_the_follower_gets_what_is_numbered_from_then_on(store: Store) -> None:
    await append(store, "before")
    follower = store.message_log.follow()
    await append_all(store, [record("m1"), record("m2"), record("m1")])
    await create_group(store, "bob")
    await append(store, "m3", conversation_id=GROUP)
    told: list[tuple[str, int, str]] = []
    while len(told) < 4:
        told += [(one.conversation_id, one.sequence_number, one.content_type) for one in await anext(follower)]
    assert told == [(CHAT, 2, "text"), (CHAT, 3, "text"), (GROUP, 1, "system"), (GROUP, 2, "text")]


async def test_what_is_told_can_be_read(store: Store) -> None:
    follower = store.message_log.follow()
    append_task = asyncio.create_task(fill(store, 5))
    told = list(await anext(follower))
    assert (await store.timeline.head(CHAT)).last >= told[-1].sequence_number
    await append_task


# Restarts


async def test_everything_is_there_after_a_restart(sqlite_store: SqliteStore, tmp_path: Path) -> None:
    places = await fill(sqlite_store, 50)
    store = await reopened(sqlite_store, tmp_path)
    page = await store.timeline.read_after(CHAT, 0, 100, ALL, BOB)
    assert numbers(page) == list(range(1, 51))
    assert [message.message_id for message in page.messages] == [place.message_id for place in places]
    assert (await append(store, "next")).sequence_number == 51
    await store.aclose()


async def test_closing_stores_what_was_submitted(sqlite_store: SqliteStore, tmp_path: Path) -> None:
    results: list[Placed | CooeeError | None] = []
    for number in range(500):
        sqlite_store.message_log.append(record(f"m{number}"), results.append)
    store = await reopened(sqlite_store, tmp_path)
    assert [getattr(result, "sequence_number", None) for result in results] == list(range(1, 501))
    assert (await store.timeline.head(CHAT)).last == 500
    await store.aclose()


async def test_a_closed_log_refuses(sqlite_store: SqliteStore) -> None:
    await sqlite_store.aclose()
    results: asyncio.Queue[Placed | CooeeError | None] = asyncio.Queue()
    sqlite_store.message_log.append(record(), results.put_nowait)
    refusal = await results.get()
    assert isinstance(refusal, CooeeError)
    assert refusal.code is ErrorCode.UNAVAILABLE
