"""The contract of `Contacts`."""

import asyncio
from pathlib import Path

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cooee.adapters.memory.contacts import MemoryContacts
from cooee.adapters.sqlite import contacts
from cooee.adapters.sqlite.store import SqliteStore
from tests.contract.stores import HOSTILE, Store, reopened


async def test_contacts_and_blocks_go_one_way(store: Store) -> None:
    assert await store.contacts.set_contact("alice", "bob", True)
    assert await store.contacts.set_block("alice", "carol", True)
    assert await store.contacts.is_contact("alice", "bob")
    assert not await store.contacts.is_contact("bob", "alice")
    assert not await store.contacts.is_contact("alice", "carol")
    assert await store.contacts.contacts("alice", "", 10) == ["bob"]
    assert await store.contacts.blocks("alice", "", 10) == ["carol"]
    assert await store.contacts.contacts("bob", "", 10) == []


async def test_a_change_that_changes_nothing_says_so(store: Store) -> None:
    for change in (store.contacts.set_contact, store.contacts.set_block):
        assert not await change("alice", "bob", False)
        assert await change("alice", "bob", True)
        assert not await change("alice", "bob", True)
        assert await change("alice", "bob", False)
        assert not await change("alice", "bob", False)


async def test_of_many_at_once_one_changes_something(store: Store) -> None:
    changed = await asyncio.gather(*(store.contacts.set_contact("alice", "bob", True) for _ in range(10)))
    assert changed.count(True) == 1


async def test_pages_walk_all_once_in_order(store: Store) -> None:
    names = [f"u{number:02}" for number in range(25)]
    for name in reversed(names):
        await store.contacts.set_contact("alice", name, True)
        await store.contacts.set_block("alice", name, True)
    for page_of in (store.contacts.contacts, store.contacts.blocks):
        seen: list[str] = []
        while page := await page_of("alice", seen[-1] if seen else "", 10):
            seen += page
        assert seen == names


async def test_who_has_a_user_as_contact(store: Store) -> None:
    await store.contacts.set_contact("bob", "alice", True)
    await store.contacts.set_contact("alice", "carol", True)
    await store.contacts.set_block("dave", "alice", True)
    assert await store.contacts.who_have("alice", ["bob", "carol", "dave"]) == {"bob"}
    assert await store.contacts.who_have("alice", []) == frozenset()


async def test_blocked_either_way(store: Store) -> None:
    await store.contacts.set_block("alice", "bob", True)
    await store.contacts.set_block("carol", "alice", True)
    await store.contacts.set_block("bob", "carol", True)
    await store.contacts.set_contact("dave", "alice", True)
    assert await store.contacts.blocked_either_way("alice", ["bob", "carol", "dave"]) == {"bob", "carol"}
    assert await store.contacts.blocked_either_way("dave", ["alice"]) == frozenset()
    assert await store.contacts.blocked_either_way("alice", []) == frozenset()


async def test_more_names_than_a_statement_takes(store: Store) -> None:
    others = [f"u{number}" for number in range(1200)]
    await store.contacts.set_block("alice", "u1199", True)
    await store.contacts.set_contact("u7", "alice", True)
    assert await store.contacts.blocked_either_way("alice", others) == {"u1199"}
    assert await store.contacts.who_have("alice", others) == {"u7"}


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_text_comes_back_as_it_was(store: Store, text: str) -> None:
    await store.contacts.set_contact("alice", text, True)
    await store.contacts.set_block(text, "alice", True)
    assert await store.contacts.contacts("alice", "", 10) == [text]
    assert await store.contacts.is_contact("alice", text)
    assert await store.contacts.blocked_either_way("alice", [text]) == {text}


async def test_contacts_survive_a_restart(sqlite_store: SqliteStore, tmp_path: Path) -> None:
    await sqlite_store.contacts.set_contact("alice", "bob", True)
    await sqlite_store.contacts.set_block("alice", "carol", True)
    again = await reopened(sqlite_store, tmp_path)
    assert await again.contacts.contacts("alice", "", 10) == ["bob"]
    assert await again.contacts.blocks("alice", "", 10) == ["carol"]
    await again.aclose()


async def test_look_ups_either_way_walk_the_key(sqlite_store: SqliteStore) -> None:
    def plan(connection: apsw.Connection) -> list[str]:
        sql = f"EXPLAIN QUERY PLAN {contacts._NAMING} (?, ?)"
        return [row[3] for row in connection.execute(sql, (1, "a", "b", "c"))]

    assert await sqlite_store.database.read(plan) == [
        "SEARCH relation USING PRIMARY KEY (kind=? AND user_id=? AND other_id=?)"
    ]


names = st.sampled_from(["a", "b", "c"])
moves = st.lists(st.tuples(st.booleans(), names, names, st.booleans()), max_size=20)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(moves)
async def test_both_stores_agree(sqlite_store: SqliteStore, changes: list[tuple[bool, str, str, bool]]) -> None:
    await sqlite_store.database.write(lambda connection: connection.execute("DELETE FROM relation").get)
    memory = MemoryContacts()
    for contact, one, other, present in changes:
        results = [
            await (adapter.set_contact if contact else adapter.set_block)(one, other, present)
            for adapter in (memory, sqlite_store.contacts)
        ]
        assert results[0] == results[1]
    for name in "abc":
        for adapter in (memory, sqlite_store.contacts):
            assert await adapter.contacts(name, "", 9) == await memory.contacts(name, "", 9)
            assert await adapter.who_have(name, "abc") == await memory.who_have(name, "abc")
            assert await adapter.blocked_either_way(name, "abc") == await memory.blocked_either_way(name, "abc")
