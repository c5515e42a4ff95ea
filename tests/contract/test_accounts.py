"""The contract of `Accounts`."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from cooee.adapters.sqlite.accounts import SEARCH_SQL
from cooee.adapters.sqlite.store import SqliteStore
from cooee.domain.ids import DeviceRef
from cooee.ports.accounts import Account, LastSeenAudience, Privacy
from cooee.ports.devices import Device
from cooee.ports.preferences import ConversationFlags
from cooee.ports.push_queue import PushEntry
from tests.contract.stores import HOSTILE, Store, reopened


def account(user_id: str, display_name: str = "", **fields: object) -> Account:
    made = Account(user_id, display_name or user_id, "$argon2id$…", 1000)
    return msgspec.structs.replace(made, **fields)


async def found(store: Store, query: str, limit: int = 20) -> list[str]:
    return [hit.user_id for hit in await store.accounts.search(query, limit)]


async def test_what_is_created_is_found_unchanged(store: Store) -> None:
    whole = Account(
        "alice",
        "Alice",
        "$argon2id$x",
        5,
        about="hi",
        privacy=Privacy(last_seen=LastSeenAudience.NOBODY, read_receipts=False, searchable=False),
        disabled=True,
        admin=True,
        last_seen=77,
    )
    assert await store.accounts.create(whole)
    assert await store.accounts.find("alice") == whole
    assert await store.accounts.find("bob") is None
    assert await store.accounts.find_many(["bob", "alice"]) == {"alice": whole}
    assert await store.accounts.find_many([]) == {}


async def test_a_taken_name_is_refused_and_keeps_its_account(store: Store) -> None:
    assert await store.accounts.create(account("alice", "First"))
    assert not await store.accounts.create(account("alice", "Second"))
    assert (await store.accounts.find_many(["alice"]))["alice"].display_name == "First"
    assert await found(store, "second") == []


async def test_of_many_at_once_one_gets_the_name(store: Store) -> None:
    created = await asyncio.gather(*(store.accounts.create(account("alice", f"Nr {n}")) for n in range(20)))
    assert created.count(True) == 1


async def test_update_sets_the_named_fields_alone(store: Store) -> None:
    await store.accounts.create(account("alice", about="old"))
    privacy = Privacy(read_receipts=False)
    updated = await store.accounts.update("alice", {"display_name": "Alicia", "privacy": privacy})
    assert updated == account("alice", "Alicia", about="old", privacy=privacy)
    assert await store.accounts.find("alice") == updated
    assert await store.accounts.update("nobody", {"about": "x"}) is None


@pytest.mark.parametrize("field", ["user_id", "deleted", "nonsense"])
async def test_other_fields_cannot_be_set(store: Store, field: str) -> None:
    await store.accounts.create(account("alice"))
    with pytest.raises(ValueError, match=field):
        await store.accounts.update("alice", {field: "x"})


async def test_concurrent_updates_of_different_fields_both_stay(store: Store) -> None:
    await store.accounts.create(account("alice"))
    await asyncio.gather(
        store.accounts.update("alice", {"about": "new"}), store.accounts.update("alice", {"display_name": "New"})
    )
    assert await store.accounts.find("alice") == account("alice", "New", about="new")


async def test_last_seen_never_goes_back(store: Store) -> None:
    await store.accounts.create(account("alice", last_seen=50))
    await store.accounts.create(account("bob"))
    await store.accounts.note_seen({"alice": 40, "bob": 60, "nobody": 70})
    await store.accounts.note_seen({})
    accounts = await store.accounts.find_many(["alice", "bob", "nobody"])
    assert {user_id: there.last_seen for user_id, there in accounts.items()} == {"alice": 50, "bob": 60}


async def test_search_by_user_id_and_by_every_word_of_the_name(store: Store) -> None:
    await store.accounts.create(account("ann.smith", "Maria Müller-Lüdenscheidt"))
    await store.accounts.create(account("bob", "Annabel Lee"))
    assert await found(store, "ann") == ["ann.smith", "bob"]
    assert await found(store, "ann.smi") == ["ann.smith"]
    assert await found(store, "MÜLLER") == ["ann.smith"]
    assert await found(store, "lüden") == ["ann.smith"]
    assert await found(store, "maria  mül") == ["ann.smith"]
    assert await found(store, "smith") == []
    assert await found(store, "uller") == []
    assert await found(store, "") == []
    assert await found(store, " \x00") == []


async def test_search_finds_an_account_once_and_no_more_than_the_limit(store: Store) -> None:
    for number in range(9):
        await store.accounts.create(account(f"anna{number}", "Anna Annabel Annette Ann"))
    assert await found(store, "ann", limit=4) == ["anna0", "anna1", "anna2", "anna3"]
    assert len(await found(store, "ann")) == 9


async def test_search_takes_no_pattern(store: Store) -> None:
    await store.accounts.create(account("alice", "Alice Percent"))
    for query in ("%", "_____", "al%", "al_ce", "*", "a*", "[a]lice", "' OR 1=1 --", '"alice"'):
        assert await found(store, query) == []


async def test_search_leaves_out_who_cannot_be_found(store: Store) -> None:
    await store.accounts.create(account("alice1", privacy=Privacy(searchable=False)))
    await store.accounts.create(account("alice2", disabled=True))
    await store.accounts.create(account("alice3"))
    await store.accounts.create(account("alice4"))
    await store.accounts.erase("alice4")
    assert await found(store, "alice") == ["alice3"]
    await store.accounts.update("alice1", {"privacy": Privacy()})
    await store.accounts.update("alice2", {"disabled": False})
    await store.accounts.update("alice3", {"privacy": Privacy(searchable=False)})
    assert await found(store, "alice") == ["alice1", "alice2"]


async def test_search_follows_a_new_name(store: Store) -> None:
    await store.accounts.create(account("u1", "Old Name"))
    await store.accounts.update("u1", {"display_name": "New Label"})
    assert await found(store, "old") == []
    assert await found(store, "label") == ["u1"]


async def test_page_walks_all_accounts_once(store: Store) -> None:
    names = [f"user{number:02}" for number in range(25)]
    for name in reversed(names):
        await store.accounts.create(account(name))
    await store.accounts.erase("user03")
    seen: list[str] = []
    while page := await store.accounts.page(seen[-1] if seen else "", 10):
        seen += [there.user_id for there in page]
    assert seen == names


async def test_an_erased_account_keeps_its_name_and_nothing_else(store: Store) -> None:
    await store.accounts.create(account("alice", "Alice", about="secret", admin=True, last_seen=9))
    await store.accounts.erase("alice")
    await store.accounts.erase("alice")
    await store.accounts.erase("nobody")
    assert await store.accounts.find("alice") == Account("alice", "", "", 0, deleted=True)
    assert await store.accounts.find("nobody") is None
    assert not await store.accounts.create(account("alice"))
    assert await store.accounts.update("alice", {"about": "back"}) is None
    await store.accounts.note_seen({"alice": 99})
    assert await store.accounts.find("alice") == Account("alice", "", "", 0, deleted=True)


async def test_erasing_takes_all_that_is_the_users_alone(store: Store) -> None:
    for name in ("alice", "bob"):
        await store.accounts.create(account(name))
        await store.devices.create(Device(name, "d1", "phone", "ios", name.encode(), 1, 1))
    for one, other in (("alice", "bob"), ("bob", "alice")):
        await store.contacts.set_contact(one, other, True)
        await store.contacts.set_block(one, other, True)
        await store.preferences.set_flags(one, "c", ConversationFlags(pinned=True))
        await store.credentials.put_recovery_codes(one, [b"code"])
        await store.push_queue.append([PushEntry(one, "", "c", 1, 0), PushEntry(one, "d1", "c", 1, 0)])
    await store.accounts.erase("alice")
    assert await store.devices.of_user("alice") == []
    assert await store.devices.find_by_token(b"alice") is None
    assert await store.contacts.contacts("alice", "", 9) == []
    assert await store.contacts.blocks("alice", "", 9) == []
    assert await store.preferences.flags("alice", ["c"]) == {}
    assert await store.preferences.position("alice") == 0
    assert not await store.credentials.use_recovery_code("alice", b"code")
    assert {entry.user_id for entry in await store.push_queue.due(9, 9)} == {"bob"}
    assert await store.devices.find(DeviceRef("bob", "d1")) is not None
    assert await store.contacts.contacts("bob", "", 9) == ["alice"]
    assert await store.preferences.flags("bob", ["c"]) == {"c": ConversationFlags(pinned=True)}
    assert await store.credentials.use_recovery_code("bob", b"code")


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_text_comes_back_as_it_was(store: Store, text: str) -> None:
    hostile = Account(text, text, text, 1, about=text)
    assert await store.accounts.create(hostile)
    assert not await store.accounts.create(hostile)
    assert await store.accounts.find(text) == hostile
    assert await store.accounts.find_many([text]) == {text: hostile}
    await store.accounts.search(text, 5)
    assert await store.accounts.page("", 5) == [hostile]


async def test_accounts_survive_a_restart(sqlite_store: SqliteStore, tmp_path: Path) -> None:
    await sqlite_store.accounts.create(account("alice", "Alice"))
    await sqlite_store.accounts.create(account("bob"))
    await sqlite_store.accounts.erase("bob")
    again = await reopened(sqlite_store, tmp_path)
    assert await again.accounts.find("alice") == account("alice", "Alice")
    assert await found(again, "ali") == ["alice"]
    assert not await again.accounts.create(account("bob"))
    await again.aclose()


async def test_search_walks_an_index_and_sorts_nothing(sqlite_store: SqliteStore) -> None:
    plan = await sqlite_store.database.read(
        lambda connection: [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {SEARCH_SQL}", ("a", "b", 20))]
    )
    assert plan == ["SEARCH account_term USING PRIMARY KEY (term>? AND term<?)"]
