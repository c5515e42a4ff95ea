"""The contract of `Devices`."""

import asyncio
from pathlib import Path

import apsw
import msgspec
import pytest

from cooee.adapters.sqlite import accounts, devices
from cooee.adapters.sqlite.store import SqliteStore
from cooee.domain.errors import CooeeError, ErrorCode
from cooee.domain.ids import DeviceRef
from cooee.ports.accounts import Account
from cooee.ports.cursors import CursorUpdate
from cooee.ports.devices import Device
from cooee.ports.push_queue import PushEntry
from cooee.ports.to_device import ToDeviceMessage
from tests.contract.stores import HOSTILE, Store, reopened
from tests.contract.to_device import LIMITS, append


def device(user_id: str, device_id: str, token: bytes = b"", created_at: int = 1, last_seen: int = 1) -> Device:
    return Device(user_id, device_id, "Pixel", "android", token, created_at, last_seen)


async def test_what_is_created_is_found(store: Store) -> None:
    phone = device("alice", "d1", b"hash")
    await store.devices.create(phone)
    assert await store.devices.find(phone.ref) == phone
    assert await store.devices.find_by_token(b"hash") == phone
    assert await store.devices.find(DeviceRef("alice", "d2")) is None
    assert await store.devices.find(DeviceRef("bob", "d1")) is None
    assert await store.devices.find_by_token(b"other") is None


async def test_devices_of_a_user_come_oldest_first(store: Store) -> None:
    await store.devices.create(device("alice", "new", created_at=30))
    await store.devices.create(device("alice", "old", created_at=10))
    await store.devices.create(device("bob", "other", created_at=5))
    assert [there.device_id for there in await store.devices.of_user("alice")] == ["old", "new"]
    assert await store.devices.of_user("nobody") == []


async def test_an_id_is_unique_within_its_account(store: Store) -> None:
    await store.devices.create(device("alice", "d1", b"1"))
    await store.devices.create(device("bob", "d1", b"2"))
    with pytest.raises(ValueError, match="used before"):
        await store.devices.create(device("alice", "d1", b"3"))
    assert await store.devices.find_by_token(b"3") is None


async def test_an_id_is_never_given_again(store: Store) -> None:
    phone = device("alice", "d1", b"1")
    await store.devices.create(phone)
    await store.devices.revoke([phone.ref])
    with pytest.raises(ValueError, match="used before"):
        await store.devices.create(device("alice", "d1", b"2"))


async def test_of_many_at_once_one_gets_the_id(store: Store) -> None:
    results = await asyncio.gather(
        *(store.devices.create(device("alice", "d1", bytes([n]))) for n in range(10)), return_exceptions=True
    )
    assert results.count(None) == 1
    assert sum(isinstance(result, ValueError) for result in results) == 9


async def test_two_devices_never_share_a_token(store: Store) -> None:
    await store.devices.create(device("alice", "d1", b"same"))
    await store.devices.create(device("alice", "d2", b"own"))
    with pytest.raises(ValueError, match="in use"):
        await store.devices.create(device("bob", "d1", b"same"))
    with pytest.raises(ValueError, match="in use"):
        await store.devices.set_token(DeviceRef("alice", "d2"), b"same", 1)
    assert await store.devices.find_by_token(b"own") == device("alice", "d2", b"own")


async def test_log_out_and_in_again(store: Store) -> None:
    phone = device("alice", "d1", b"first", last_seen=5)
    await store.devices.create(phone)
    await store.devices.create(device("alice", "d2", b""))
    await store.devices.set_token(phone.ref, b"", 9)
    assert await store.devices.find_by_token(b"first") is None
    assert await store.devices.find_by_token(b"") is None
    assert await store.devices.find(phone.ref) == msgspec.structs.replace(phone, token_hash=b"", last_seen=9)
    await store.devices.set_token(phone.ref, b"second", 8)
    assert await store.devices.find_by_token(b"second") == msgspec.structs.replace(
        phone, token_hash=b"second", last_seen=9
    )


async def test_a_device_that_is_gone_cannot_log_in(store: Store) -> None:
    phone = device("alice", "d1", b"hash")
    await store.devices.create(phone)
    await store.devices.revoke([phone.ref])
    for ref in (phone.ref, DeviceRef("alice", "never")):
        with pytest.raises(CooeeError) as raised:
            await store.devices.set_token(ref, b"new", 1)
        assert raised.value.code is ErrorCode.NOT_FOUND
    assert await store.devices.find_by_token(b"new") is None


async def test_nobody_logs_in_to_a_deleted_account(store: Store) -> None:
    await store.accounts.create(Account("alice", "Alice", "", 1))
    await store.accounts.erase("alice")
    with pytest.raises(CooeeError) as raised:
        await store.devices.create(device("alice", "d1", b"hash"))
    assert raised.value.code is ErrorCode.NOT_FOUND


async def test_last_seen_never_goes_back(store: Store) -> None:
    await store.devices.create(device("alice", "d1", last_seen=10))
    await store.devices.create(device("alice", "d2", last_seen=30))
    await store.devices.touch([DeviceRef("alice", "d1"), DeviceRef("alice", "d2"), DeviceRef("alice", "d3")], 20)
    await store.devices.touch([], 99)
    assert [there.last_seen for there in await store.devices.of_user("alice")] == [20, 30]


async def test_idle_devices_come_longest_absent_first(store: Store) -> None:
    for number, last_seen in enumerate((40, 10, 30, 20)):
        await store.devices.create(device("alice", f"d{number}", last_seen=last_seen))
    await store.devices.revoke([DeviceRef("alice", "d1")])
    assert [there.last_seen for there in await store.devices.idle_since(40, 10)] == [20, 30]
    assert [there.last_seen for there in await store.devices.idle_since(40, 1)] == [20]
    assert await store.devices.idle_since(20, 10) == []


async def test_revoking_takes_what_waits_for_the_device(store: Store) -> None:
    for device_id in ("d1", "d2"):
        await store.devices.create(device("alice", device_id, device_id.encode()))
        await store.push_queue.append([PushEntry("alice", device_id, "c", 1, 0)])
        message = ToDeviceMessage(DeviceRef("alice", device_id), DeviceRef("bob", "b1"), "key", 1)
        assert isinstance(await append(store, [message], client_message_id=device_id), list)
    await store.push_queue.append([PushEntry("alice", "", "c", 1, 0)])
    await store.devices.revoke([DeviceRef("alice", "d1"), DeviceRef("alice", "d1"), DeviceRef("nobody", "x")])
    assert [there.device_id for there in await store.devices.of_user("alice")] == ["d2"]
    assert await store.devices.find_by_token(b"d1") is None
    assert {entry.device_id for entry in await store.push_queue.due(9, 9)} == {"", "d2"}
    assert await store.to_device.read_after(DeviceRef("alice", "d1"), 0, 9) == []
    assert len(await store.to_device.read_after(DeviceRef("alice", "d2"), 0, 9)) == 1


async def test_nothing_is_queued_for_a_device_that_is_gone(store: Store) -> None:
    await store.devices.create(device("alice", "d1"))
    await store.devices.create(device("alice", "d2"))
    await store.devices.revoke([DeviceRef("alice", "d1")])
    batch = [ToDeviceMessage(DeviceRef("alice", name), DeviceRef("bob", "b1"), "key", 1) for name in ("d1", "d2")]
    stored = await append(store, batch, limits=LIMITS)
    assert isinstance(stored, list)
    assert [message.recipient.device_id for message in stored] == ["d2"]
    assert await store.to_device.read_after(DeviceRef("alice", "d1"), 0, 9) == []


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_text_comes_back_as_it_was(store: Store, text: str) -> None:
    hostile = Device(text, text, text, text, text.encode(), 1, 1)
    await store.devices.create(hostile)
    assert await store.devices.find(DeviceRef(text, text)) == hostile
    assert await store.devices.find_by_token(text.encode()) == hostile
    assert await store.devices.of_user(text) == [hostile]
    await store.devices.revoke([hostile.ref])
    assert await store.devices.find(hostile.ref) is None


async def test_devices_survive_a_restart(sqlite_store: SqliteStore, tmp_path: Path) -> None:
    kept, gone = device("alice", "d1", b"1"), device("alice", "d2", b"2")
    await sqlite_store.devices.create(kept)
    await sqlite_store.devices.create(gone)
    await sqlite_store.devices.revoke([gone.ref])
    again = await reopened(sqlite_store, tmp_path)
    assert await again.devices.find_by_token(b"1") == kept
    assert await again.devices.find_by_token(b"2") is None
    with pytest.raises(ValueError, match="used before"):
        await again.devices.create(gone)
    await again.aclose()


async def test_look_ups_walk_an_index(sqlite_store: SqliteStore) -> None:
    def plans(connection: apsw.Connection) -> list[str]:
        sqls = ((devices._BY_TOKEN, (b"1",)), (devices._IDLE, (1, 1)))
        return [row[3] for sql, values in sqls for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]

    plan = await sqlite_store.database.read(plans)
    assert [line.split(" USING ")[1].split(" (")[0] for line in plan] == ["INDEX device_token", "INDEX device_idle"]


async def test_revoking_drops_the_cursors_and_keeps_what_the_user_had(store: Store) -> None:
    phone = device("alice", "d1", b"1")
    await store.devices.create(phone)
    await store.cursors.start_device(phone.ref)
    advanced: asyncio.Queue[object] = asyncio.Queue()
    store.cursors.advance(CursorUpdate("dm:alice:bob", "alice", "d1", 5), advanced.put_nowait)
    await advanced.get()
    assert await store.cursors.device(phone.ref, "dm:alice:bob") == 5
    await store.devices.revoke([phone.ref])
    assert await store.cursors.device(phone.ref, "dm:alice:bob") == 0
    assert (await store.cursors.member("dm:alice:bob", "alice")).delivered == 5


async def test_revoking_is_one_step(sqlite_store: SqliteStore) -> None:
    def broken(_connection: apsw.Connection, _gone: object) -> None:
        raise RuntimeError("a failure in the middle")

    phone = device("alice", "d1", b"1")
    await sqlite_store.devices.create(phone)
    await sqlite_store.push_queue.append([PushEntry("alice", "d1", "c", 1, 0)])
    with pytest.raises(RuntimeError, match="in the middle"):
        await devices.SqliteDevices(sqlite_store.database, broken).revoke([phone.ref])
    assert await sqlite_store.devices.find(phone.ref) == phone
    await sqlite_store.accounts.create(Account("alice", "Alice", "", 1))
    with pytest.raises(RuntimeError, match="in the middle"):
        await accounts.SqliteAccounts(sqlite_store.database, broken).erase("alice")
    assert await sqlite_store.accounts.find("alice") == Account("alice", "Alice", "", 1)
    assert await sqlite_store.devices.find_by_token(b"1") == phone
    assert len(await sqlite_store.push_queue.due(0, 9)) == 1
