"""What grows with use is bounded by what exists, not by how often something happened."""

import apsw
import pytest

from cooee.adapters.memory.presence import MemoryPresence
from cooee.adapters.memory.sessions import MemorySessions
from cooee.adapters.sqlite.store import SqliteStore
from cooee.domain.ids import DeviceRef
from cooee.ports.accounts import Account
from cooee.ports.devices import Device
from cooee.ports.push_queue import PushEntry
from cooee.ports.sessions import SessionEntry
from cooee.ports.to_device import ToDeviceMessage
from tests.contract.stores import Store
from tests.contract.to_device import append

CONTENT_TABLES = (
    "account_term",
    "relation",
    "conversation_flags",
    "own_change",
    "recovery_code",
    "push_entry",
    "to_device_queue",
    "to_device_message",
)


async def rows(store: SqliteStore, *tables: str) -> int:
    def count(connection: apsw.Connection) -> int:
        return sum(connection.execute(f"SELECT count(*) FROM {table}").get for table in tables)

    return await store.database.read(count)


async def test_the_change_log_has_one_row_per_conversation(sqlite_store: SqliteStore) -> None:
    for number in range(300):
        await sqlite_store.preferences.note_change("alice", f"c{number % 3}")
    assert await rows(sqlite_store, "own_change") == 3


async def test_the_push_queue_has_one_row_per_device_and_conversation(sqlite_store: SqliteStore) -> None:
    for number in range(100):
        await sqlite_store.push_queue.append([PushEntry("alice", f"d{number % 2}", "c", number, number)])
    assert await rows(sqlite_store, "push_entry") == 2


async def test_an_endless_name_makes_few_search_terms(sqlite_store: SqliteStore) -> None:
    await sqlite_store.accounts.create(Account("alice", " ".join(f"w{number}" for number in range(10_000)), "", 1))
    assert await rows(sqlite_store, "account_term") <= 17


async def test_renaming_for_ever_leaves_no_terms_behind(sqlite_store: SqliteStore) -> None:
    await sqlite_store.accounts.create(Account("alice", "One", "", 1))
    for number in range(50):
        await sqlite_store.accounts.update("alice", {"display_name": f"Name{number} Surname{number}"})
    assert await rows(sqlite_store, "account_term") == 3


async def test_an_erased_account_leaves_one_row(sqlite_store: SqliteStore) -> None:
    await sqlite_store.accounts.create(Account("alice", "Alice", "", 1))
    await sqlite_store.devices.create(Device("alice", "d1", "phone", "ios", b"1", 1, 1))
    await sqlite_store.devices.create(Device("alice", "d2", "phone", "ios", b"2", 1, 1))
    await sqlite_store.devices.revoke([DeviceRef("alice", "d2")])
    await sqlite_store.contacts.set_contact("alice", "bob", True)
    await sqlite_store.contacts.set_block("alice", "carol", True)
    await sqlite_store.preferences.note_change("alice", "c")
    await sqlite_store.credentials.put_recovery_codes("alice", [b"1", b"2"])
    await append(sqlite_store, [ToDeviceMessage(DeviceRef("alice", "d1"), DeviceRef("bob", "b1"), "x", 1)])
    await sqlite_store.accounts.erase("alice")
    assert await rows(sqlite_store, "device", *CONTENT_TABLES) == 0
    assert await rows(sqlite_store, "account") == 1


@pytest.mark.parametrize("count", [10_000])
async def test_as_many_contacts_as_an_account_may_have(store: Store, count: int) -> None:
    names = [f"u{number:05}" for number in range(count)]
    if isinstance(store, SqliteStore):
        pairs = [(kind, "alice", name) for kind in (1, 2) for name in names]
        sql = "INSERT INTO relation (kind, user_id, other_id) VALUES (?, ?, ?)"
        await store.database.write(lambda connection: connection.executemany(sql, pairs).get)
    else:
        for name in names:
            await store.contacts.set_contact("alice", name, True)
            await store.contacts.set_block("alice", name, True)
    seen: list[str] = []
    while page := await store.contacts.contacts("alice", seen[-1] if seen else "", 1000):
        seen += page
    assert seen == names
    assert await store.contacts.blocked_either_way("alice", names) == frozenset(names)


async def test_nothing_is_kept_for_users_without_connection_or_watcher() -> None:
    sessions, presence = MemorySessions(), MemoryPresence(remember_offline=0)
    for number in range(100):
        entry = SessionEntry(f"u{number}", "d1", "gw", f"c{number}", "ios", 1)
        await sessions.register(entry)
        await sessions.release(entry)
        await presence.connect(entry.user_id, "gw", entry.connection_id, 1)
        await presence.watch("gw", [entry.user_id])
        await presence.disconnect(entry.user_id, "gw", entry.connection_id, 2)
        await presence.unwatch("gw", [entry.user_id])
    kept = (sessions._users, presence._connections, presence._online, presence._offline, presence._watchers)
    assert [len(container) for container in kept] == [0, 0, 0, 0, 0]
