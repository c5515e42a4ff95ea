"""The contract of `Preferences`."""

import asyncio
from pathlib import Path

import apsw
import pytest

from cooee.adapters.memory.store import MemoryStore
from cooee.adapters.sqlite import preferences
from cooee.adapters.sqlite.store import SqliteStore, open_store
from cooee.ports.preferences import ConversationFlags, OwnChange
from tests.contract.stores import HOSTILE, Store, reopened

MUTED = ConversationFlags(muted_until=-1, archived=True)


async def test_flags_that_were_set_are_returned(store: Store) -> None:
    await store.preferences.set_flags("alice", "c1", MUTED)
    await store.preferences.set_flags("alice", "c2", ConversationFlags(pinned=True))
    await store.preferences.set_flags("alice", "c2", ConversationFlags())
    assert await store.preferences.flags("alice", ["c1", "c2", "c3"]) == {"c1": MUTED, "c2": ConversationFlags()}
    assert await store.preferences.flags("bob", ["c1"]) == {}
    assert await store.preferences.flags("alice", []) == {}


async def test_flags_of_more_conversations_than_a_statement_takes(store: Store) -> None:
    await store.preferences.set_flags("alice", "c1199", MUTED)
    assert await store.preferences.flags("alice", [f"c{number}" for number in range(1200)]) == {"c1199": MUTED}


async def test_positions_grow(store: Store) -> None:
    assert await store.preferences.position("alice") == 0
    first = await store.preferences.set_flags("alice", "c1", MUTED)
    second = await store.preferences.note_change("alice", "")
    third = await store.preferences.note_change("alice", "c1")
    assert 0 < first < second < third
    assert await store.preferences.position("alice") == third
    assert await store.preferences.position("bob") == 0


async def test_concurrent_changes_get_positions_of_their_own(store: Store) -> None:
    positions = await asyncio.gather(*(store.preferences.note_change("alice", f"c{n % 7}") for n in range(50)))
    assert len(set(positions)) == 50
    assert await store.preferences.position("alice") == max(positions)


async def test_the_latest_change_of_each_conversation_is_kept(store: Store) -> None:
    first = await store.preferences.note_change("alice", "c1")
    account = await store.preferences.note_change("alice", "")
    second = await store.preferences.note_change("alice", "c2")
    again = await store.preferences.note_change("alice", "c1")
    await store.preferences.note_change("bob", "c9")
    changes = [OwnChange(account, ""), OwnChange(second, "c2"), OwnChange(again, "c1")]
    assert await store.preferences.changes_after("alice", 0, 10) == changes
    assert await store.preferences.changes_after("alice", first, 10) == changes
    assert await store.preferences.changes_after("alice", account, 10) == changes[1:]
    assert await store.preferences.changes_after("alice", again, 10) == []
    assert await store.preferences.changes_after("nobody", 0, 10) == []


async def test_changes_come_in_pages(store: Store) -> None:
    positions = [await store.preferences.note_change("alice", f"c{number}") for number in range(10)]
    seen: list[int] = []
    while page := await store.preferences.changes_after("alice", seen[-1] if seen else 0, 3):
        seen += [change.position for change in page]
    assert seen == positions


async def test_a_position_that_was_never_given_is_refused(store: Store) -> None:
    newest = await store.preferences.note_change("alice", "c1")
    for position in (newest + 1, 1, -1, 1 << 62, (1 << 63) - 1):
        assert await store.preferences.changes_after("alice", position, 10) is None
    assert await store.preferences.changes_after("bob", newest, 10) is None


async def test_a_position_of_another_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    stores: list[Store] = [MemoryStore(), await open_store(tmp_path / "old"), await open_store(tmp_path / "new")]
    positions = [await store.preferences.note_change("alice", "c1") for store in stores]
    for store, own in zip(stores, positions, strict=True):
        for position in positions:
            known = await store.preferences.changes_after("alice", position, 10)
            assert known == ([] if position == own else None)
        await store.aclose()


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_text_comes_back_as_it_was(store: Store, text: str) -> None:
    position = await store.preferences.set_flags(text, text, MUTED)
    assert await store.preferences.flags(text, [text]) == {text: MUTED}
    assert await store.preferences.changes_after(text, 0, 10) == [OwnChange(position, text)]


async def test_preferences_survive_a_restart(sqlite_store: SqliteStore, tmp_path: Path) -> None:
    position = await sqlite_store.preferences.set_flags("alice", "c1", MUTED)
    again = await reopened(sqlite_store, tmp_path)
    assert await again.preferences.flags("alice", ["c1"]) == {"c1": MUTED}
    assert await again.preferences.position("alice") == position
    later = await again.preferences.note_change("alice", "c2")
    assert await again.preferences.changes_after("alice", position, 10) == [OwnChange(later, "c2")]
    await again.aclose()


async def test_changes_walk_an_index_and_sort_nothing(sqlite_store: SqliteStore) -> None:
    def plan(connection: apsw.Connection) -> list[str]:
        sql = f"EXPLAIN QUERY PLAN {preferences._CHANGES_AFTER}"
        return [row[3] for row in connection.execute(sql, ("a", 1, 1))]

    assert await sqlite_store.database.read(plan) == [
        "SEARCH own_change USING COVERING INDEX own_change_position (user_id=? AND position>?)"
    ]
