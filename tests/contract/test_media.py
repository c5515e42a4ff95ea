"""The contract of `Media`: what a message holds stays, who may see the message sees the object, quotas are kept."""

import asyncio
from pathlib import Path

import apsw
import pytest

from cooee.adapters.sqlite import media as sqlite_media
from cooee.adapters.sqlite.store import SqliteStore, open_store
from cooee.domain.errors import CooeeError, ErrorCode
from cooee.domain.ids import DeviceRef
from cooee.domain.media import LEAST_COUNTED, SEND_HOLD_MS
from cooee.ports.media import MediaObject, MediaState
from tests.contract.log import (
    ALICE,
    BOB,
    CHAT,
    DAY_MS,
    GROUP,
    NOW_MS,
    add,
    advance,
    append,
    create_group,
    fill,
    remove,
)
from tests.contract.steps import ONE_READER, counting_steps
from tests.contract.stores import HOSTILE, Store, reopened

KEY = "k" * 22
OTHER = "o" * 22
QUOTA = 1 << 30
LATER = NOW_MS + DAY_MS


def photo(key: str = KEY, owner: str = "alice", size: int = 10_000, *, encrypted: bool = False) -> MediaObject:
    return MediaObject(key, owner, size, b"\x01" * 32, "image/png", NOW_MS, encrypted, "cat.png")


async def made(store: Store, media: MediaObject | None = None, keep_until: int = LATER) -> MediaObject:
    media = media or photo()
    await store.media.create(media, keep_until, QUOTA)
    return media


async def send(store: Store, key: str = KEY, client_message_id: str = "m1", conversation_id: str = CHAT) -> int:
    placed = await append(store, client_message_id, content_type="image", media=(key,), conversation_id=conversation_id)
    return placed.sequence_number


async def erase(store: Store, number: int) -> None:
    await append(
        store, f"message_deleted.{number}", content_type="system", sender=DeviceRef("alice", ""), erases=number
    )


async def keys_of_garbage(store: Store, now_ms: int = LATER) -> list[str]:
    return [one.key for one in await store.media.garbage(now_ms, 10)]


async def test_an_object_comes_back_as_it_was_and_is_its_owners_alone(store: Store) -> None:
    media = await made(store)
    assert await store.media.find(KEY, "alice") == media
    for stranger in ("bob", "", "alice2"):
        assert await store.media.find(KEY, stranger) is None
        assert await store.media.hold(KEY, stranger, LATER) is None
    assert await store.media.find(OTHER, "alice") is None
    with pytest.raises(ValueError, match="taken"):
        await made(store, photo(owner="bob"))


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_text_comes_back_as_it_was(store: Store, text: str) -> None:
    hostile = MediaObject(text, text, 1, text.encode(), text, 0, encrypted=False, filename=text)
    await made(store, hostile)
    assert await store.media.find(text, text) == hostile


async def test_who_may_see_a_message_sees_what_it_holds(store: Store) -> None:
    await made(store)
    assert await send(store) == 1
    assert await store.media.find(KEY, "bob") is not None
    assert await store.media.find(KEY, "carol") is None
    assert list(await store.media.holders(KEY, 10)) == [(CHAT, 1)]
    assert list(await store.media.holders(OTHER, 10)) == []
    await append(store, "a text")
    await send(store, KEY, "m2")
    await send(store, KEY, "m3", "dm:alice:carol")
    assert sorted(await store.media.holders(KEY, 10)) == [(CHAT, 3), ("dm:alice:carol", 1)]
    assert len(await store.media.holders(KEY, 1)) == 1


async def test_who_left_sees_what_he_saw_and_who_came_later_what_came_since(store: Store) -> None:
    for key in (KEY, OTHER):
        await made(store, photo(key))
    await create_group(store, "bob")
    await send(store, KEY, "m1", GROUP)
    await remove(store, "bob")
    await add(store, "carol")
    await send(store, OTHER, "m2", GROUP)
    seen = {
        user: [key for key in (KEY, OTHER) if await store.media.find(key, user)] for user in ("bob", "carol", "dave")
    }
    assert seen == {"bob": [KEY], "carol": [OTHER], "dave": []}


async def test_what_a_message_holds_is_no_garbage_until_its_content_goes(store: Store) -> None:
    await made(store)
    number = await send(store)
    assert await keys_of_garbage(store) == []
    assert await keys_of_garbage(store, LATER + 99 * DAY_MS) == []
    await erase(store, number)
    assert await keys_of_garbage(store) == [KEY]
    assert await store.media.find(KEY, "alice") is None
    assert await store.media.hold(KEY, "alice", LATER) is None
    await store.media.update(KEY, MediaState.READY, b"{}")
    assert await keys_of_garbage(store) == [KEY]
    await store.media.forget([KEY, OTHER])
    assert await keys_of_garbage(store) == []
    await made(store, photo())


async def test_it_stays_as_long_as_one_of_several_messages_holds_it(store: Store) -> None:
    await made(store)
    first = await send(store)
    second = await send(store, KEY, "m2")
    await erase(store, first)
    assert await keys_of_garbage(store) == []
    assert await store.media.find(KEY, "bob") is not None
    await erase(store, second)
    assert await store.media.find(KEY, "bob") is None
    assert await keys_of_garbage(store) == [KEY]


async def test_retention_lets_go(store: Store) -> None:
    for device in (ALICE, BOB):
        await store.cursors.start_device(device)
    await made(store)
    number = await send(store)
    await advance(store, BOB, number)
    after = NOW_MS + 30 * DAY_MS
    assert await keys_of_garbage(store, after) == []
    assert (await store.retention.sweep(after, 100)).messages == 1
    assert await keys_of_garbage(store, after) == [KEY]


async def test_what_is_kept_is_no_garbage_before_its_time(store: Store) -> None:
    await made(store, keep_until=LATER)
    assert await keys_of_garbage(store, LATER - 1) == []
    assert await store.media.hold(KEY, "alice", LATER + 5) is not None
    assert await store.media.hold(KEY, "alice", LATER) is not None
    assert await keys_of_garbage(store, LATER + 4) == []
    assert await keys_of_garbage(store, LATER + 5) == [KEY]


async def test_a_file_goes_soon_after_its_message_and_not_before_others_on_their_way(store: Store) -> None:
    await made(store, keep_until=LATER)
    first = await send(store)
    soon = NOW_MS + SEND_HOLD_MS
    assert await store.media.hold(KEY, "alice", soon + 5) is not None
    await erase(store, first)
    assert await keys_of_garbage(store, soon + 4) == []
    second = await send(store, KEY, "m2")
    await erase(store, second)
    assert await keys_of_garbage(store, soon - 1) == []
    assert await keys_of_garbage(store, soon) == [KEY]


async def test_a_resend_holds_nothing_twice(store: Store) -> None:
    await made(store)
    number = await send(store)
    assert await send(store) == number
    await erase(store, number)
    assert await send(store) == number
    assert await keys_of_garbage(store) == [KEY]


async def test_the_quota_counts_what_is_there_and_on_its_way(store: Store) -> None:
    await store.media.create(photo(KEY, size=600), LATER, LEAST_COUNTED + 1000)
    with pytest.raises(CooeeError) as caught:
        await store.media.create(photo(OTHER, size=600), LATER, LEAST_COUNTED + 1000)
    assert caught.value.code is ErrorCode.TOO_LARGE
    assert caught.value.extra == {"used": LEAST_COUNTED, "allowed": LEAST_COUNTED + 1000}
    await store.media.create(photo(OTHER, "bob", size=600), LATER, LEAST_COUNTED)
    assert await keys_of_garbage(store) == [KEY, OTHER]
    await store.media.forget([KEY])
    await store.media.create(photo(KEY, size=600), LATER, LEAST_COUNTED)


async def test_many_at_once_do_not_get_past_the_quota(store: Store) -> None:
    wanted = [photo(f"{number:022}", size=LEAST_COUNTED) for number in range(20)]
    outcomes = await asyncio.gather(
        *(store.media.create(one, LATER, 5 * LEAST_COUNTED) for one in wanted), return_exceptions=True
    )
    assert sorted(one for one in outcomes if isinstance(one, int)) == [n * LEAST_COUNTED for n in range(1, 6)]


async def test_what_is_to_be_looked_at_is_stored_held_and_not_encrypted(store: Store) -> None:
    await made(store)
    await made(store, photo(OTHER, encrypted=True))
    await send(store)
    await send(store, OTHER, "m2")
    assert list(await store.media.waiting(10, 10)) == []
    await store.media.update(KEY, MediaState.STORED, b'{"width":1}')
    await store.media.update(OTHER, MediaState.STORED, b"{}")
    (waiting,) = await store.media.waiting(10, 10)
    assert (waiting.key, waiting.state, waiting.details) == (KEY, MediaState.STORED, b'{"width":1}')
    await store.media.update(KEY, MediaState.READY, b'{"width":2}')
    await store.media.update(KEY, MediaState.STORED, b"{}")
    assert list(await store.media.waiting(10, 10)) == []
    ready = await store.media.find(KEY, "bob")
    assert ready is not None
    assert (ready.state, ready.details) == (MediaState.READY, b'{"width":2}')


async def test_of_each_owner_some_are_to_be_looked_at(store: Store) -> None:
    for number in range(4):
        key = f"{number:022}"
        await made(store, photo(key, owner="bob" if number == 3 else "alice"))
        await send(store, key, f"m{number}")
        await store.media.update(key, MediaState.STORED, b"{}")
    for limit, per_owner, wanted in ((10, 1, "03"), (10, 2, "013"), (1, 2, "0"), (10, 9, "0123")):
        assert "".join(one.key[-1] for one in await store.media.waiting(limit, per_owner)) == wanted


async def test_an_object_without_a_message_is_not_looked_at(store: Store) -> None:
    await made(store)
    await store.media.update(KEY, MediaState.STORED, b"{}")
    assert list(await store.media.waiting(10, 10)) == []


async def test_objects_and_who_holds_them_survive_a_restart(sqlite_store: SqliteStore, tmp_path: Path) -> None:
    media = await made(sqlite_store)
    await send(sqlite_store)
    await made(sqlite_store, photo(OTHER))
    again = await reopened(sqlite_store, tmp_path)
    assert await again.media.find(KEY, "bob") == media
    assert await keys_of_garbage(again) == [OTHER]
    await again.aclose()


async def test_a_text_message_writes_no_row_of_media(sqlite_store: SqliteStore) -> None:
    await fill(sqlite_store, 10)
    count = "SELECT count(*) FROM media_reference"
    assert await sqlite_store.database.read(lambda connection: connection.execute(count).get) == 0


async def test_more_that_is_held_than_one_look_takes_does_not_hide_garbage(sqlite_store: SqliteStore) -> None:
    for number in range(5):
        await made(sqlite_store, photo(f"{number:022}"), keep_until=number)
        await send(sqlite_store, f"{number:022}", f"m{number}")
    await made(sqlite_store, keep_until=9)
    assert [one.key for one in await sqlite_store.media.garbage(LATER, 2)] == [KEY]


async def test_what_is_asked_often_walks_an_index(sqlite_store: SqliteStore) -> None:
    def plan(connection: apsw.Connection) -> list[str]:
        sqls = (
            (sqlite_media._SEES, {"key": KEY, "user": "bob"}),
            (sqlite_media._USED, ("alice",)),
            (sqlite_media._GIVE_BACK, (KEY,)),
            (sqlite_media._DUE, (1, 1)),
        )
        return [row[3] for sql, values in sqls for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]

    steps = await sqlite_store.database.read(plan)
    scans = [step for step in steps if step.startswith("SCAN") and "USING INDEX" not in step]
    assert set(scans) <= {"SCAN holding", "SCAN CONSTANT ROW"}
    assert not [step for step in steps if "TEMP B-TREE" in step]


async def test_what_is_to_be_looked_at_is_found_among_what_waits_alone(sqlite_store: SqliteStore) -> None:
    def plan(connection: apsw.Connection) -> list[str]:
        return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sqlite_media._WAITING}", (1, 1))]

    steps = await sqlite_store.database.read(plan)
    assert [step for step in steps if step.startswith("SCAN media")] == ["SCAN media USING INDEX media_to_inspect"]


async def test_who_may_see_costs_what_conversations_hold_and_not_how_often(tmp_path: Path) -> None:
    """Somebody who sends one file a thousand times makes nobody else's questions dear."""
    store = await open_store(tmp_path, ONE_READER)
    for key in (KEY, OTHER):
        await made(store, photo(key))
    await append(store, sender=DeviceRef("carol", "c1"), conversation_id="dm:carol:dave")
    steps = {}
    for key, times in ((KEY, 1), (OTHER, 1000)):
        for number in range(times):
            await send(store, key, f"{key}{number}")
        async with counting_steps(store) as counted:
            assert await store.media.find(key, "carol") is None
        steps[key] = counted.count
    assert steps[OTHER] <= steps[KEY] + 20
    await store.aclose()
