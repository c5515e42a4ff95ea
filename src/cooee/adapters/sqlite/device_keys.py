"""Keys of devices and signed device lists in SQLite. The one writer makes that a key is given out once."""

from collections.abc import Mapping, Sequence
from typing import Any

import apsw
import msgspec

from cooee.adapters.sqlite.database import Database
from cooee.adapters.sqlite.rows import chunks, marks
from cooee.domain.errors import not_found
from cooee.domain.ids import DeviceRef
from cooee.ports.device_keys import (
    CurrentDevices,
    DeviceList,
    KeyBundle,
    KeyState,
    Publication,
    add_keys,
    check_published,
    is_next,
)

_PRE, _KEM = 0, 1
_DEVICE = "SELECT 1 FROM device WHERE user_id = ? AND device_id = ? AND NOT revoked"
_STATE = """SELECT identity, signed, last_resort,
    (SELECT count(*) FROM one_time_key AS o WHERE o.user_id = k.user_id AND o.device_id = k.device_id AND kind = 0),
    (SELECT count(*) FROM one_time_key AS o WHERE o.user_id = k.user_id AND o.device_id = k.device_id AND kind = 1),
    last_pre_key, last_kem_key FROM device_key AS k WHERE user_id = ? AND device_id = ?"""
_LONG_LIVED = "SELECT identity, signed, last_resort FROM device_key WHERE user_id = ? AND device_id = ?"
_PUT = """INSERT OR REPLACE INTO device_key
    (user_id, device_id, identity, signed, last_resort, last_pre_key, last_kem_key) VALUES (?, ?, ?, ?, ?, ?, ?)"""
_ADD = "INSERT INTO one_time_key (user_id, device_id, kind, id, body) VALUES (?, ?, ?, ?, ?)"
_TAKE = """DELETE FROM one_time_key WHERE user_id = ? AND device_id = ? AND kind = ? AND id = (SELECT min(id)
    FROM one_time_key WHERE user_id = ? AND device_id = ? AND kind = ?) RETURNING body"""
_LIST = "SELECT user_id, version, account_key, payload, signature, devices FROM device_list WHERE user_id "
_PUT_LIST = """INSERT OR REPLACE INTO device_list
    (user_id, version, account_key, payload, signature, devices) VALUES (?, ?, ?, ?, ?, ?)"""
_IDENTITIES = "SELECT user_id, device_id, identity FROM device_key WHERE user_id "

_devices = msgspec.json.Decoder(dict[str, str])


class SqliteDeviceKeys:
    """`DeviceKeys`: one row a device, one for each one-time key that is left, one for each list."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def publish(self, device: DeviceRef, published: Publication, limit: int) -> KeyState:
        """Store what is new, all or nothing; return what is kept then. Durable."""
        return await self._database.write(lambda connection: _publish(connection, device, published, limit))

    async def state(self, device: DeviceRef) -> KeyState | None:
        """Return what is kept of the device; None: nothing."""
        return await self._database.read(lambda connection: _state(connection, device))

    async def claim(self, devices: Mapping[DeviceRef, bool]) -> Sequence[KeyBundle]:
        """Return a bundle for each device that has keys, in order. Each one-time key is given out once. Durable."""

        def claim(connection: apsw.Connection) -> list[KeyBundle]:
            found = (_claim(connection, device, once=once) for device, once in devices.items())
            return [bundle for bundle in found if bundle is not None]

        return await self._database.write(claim)

    async def put_list(self, wanted: DeviceList, *, reset: bool = False) -> DeviceList | None:
        """Store a list that follows the one in force; return the one in force afterwards. Durable, atomic."""
        return await self._database.write(lambda connection: _put_list(connection, wanted, reset=reset))

    async def current(self, user_ids: Sequence[str]) -> Mapping[str, CurrentDevices]:
        """Return the newest lists of those users who have one."""

        def current(connection: apsw.Connection) -> dict[str, CurrentDevices]:
            found: dict[str, CurrentDevices] = {}
            for chunk in chunks(user_ids):
                among = f"IN ({marks(chunk)})"
                published = {
                    (user, device): key for user, device, key in connection.execute(_IDENTITIES + among, chunk)
                }
                for each in map(_list, connection.execute(_LIST + among, chunk)):
                    user_id = each.user_id
                    ours = {name: key for name, key in each.devices.items() if published.get((user_id, name)) == key}
                    found[user_id] = CurrentDevices(each, ours)
            return found

        return await self._database.read(current) if user_ids else {}


def forget_keys(connection: apsw.Connection, devices: Sequence[DeviceRef]) -> None:
    """Remove the keys of revoked devices, within the caller's transaction."""
    connection.executemany("DELETE FROM device_key WHERE user_id = ? AND device_id = ?", devices)
    connection.executemany("DELETE FROM one_time_key WHERE user_id = ? AND device_id = ?", devices)


def _publish(connection: apsw.Connection, device: DeviceRef, new: Publication, limit: int) -> KeyState:
    if not connection.execute(_DEVICE, device).get:
        raise not_found("the device")
    after, pre_keys, kem_keys = add_keys(_state(connection, device), new, limit)
    long_lived = (after.identity, after.signed, after.last_resort, after.last_pre_key, after.last_kem_key)
    connection.execute(_PUT, (*device, *long_lived))
    for kind, keys in ((_PRE, pre_keys), (_KEM, kem_keys)):
        connection.executemany(_ADD, [(*device, kind, number, body) for number, body in keys.items()])
    return after


def _state(connection: apsw.Connection, device: DeviceRef) -> KeyState | None:
    row: tuple[Any, ...] | None = connection.execute(_STATE, device).fetchone()
    return None if row is None else KeyState(*row)


def _claim(connection: apsw.Connection, device: DeviceRef, *, once: bool) -> KeyBundle | None:
    row: tuple[Any, ...] | None = connection.execute(_LONG_LIVED, device).fetchone()
    if row is None:
        return None
    identity, signed, last_resort = row
    pre_key = _take(connection, device, _PRE) if once else None
    kem_key = _take(connection, device, _KEM) if once else None
    return KeyBundle(device, identity, signed, kem_key or last_resort, kem_key is None, pre_key)


def _take(connection: apsw.Connection, device: DeviceRef, kind: int) -> bytes | None:
    taken: bytes | None = connection.execute(_TAKE, (*device, kind, *device, kind)).get
    return taken


def _put_list(connection: apsw.Connection, wanted: DeviceList, *, reset: bool) -> DeviceList | None:
    found = [_list(row) for row in connection.execute(_LIST + "= ?", (wanted.user_id,))]
    before = found[0] if found else None
    if before is not None and before.payload == wanted.payload:
        return before  # a repeat
    if not is_next(before, wanted, reset=reset):
        return before
    rows = connection.execute(_IDENTITIES + "= ?", (wanted.user_id,))
    check_published(wanted, {device_id: identity for _, device_id, identity in rows})
    devices = msgspec.json.encode(wanted.devices).decode()
    row = (wanted.user_id, wanted.version, wanted.account_key, wanted.payload, wanted.signature, devices)
    connection.execute(_PUT_LIST, row)
    return wanted


def _list(row: tuple[Any, ...]) -> DeviceList:
    user_id, version, account_key, payload, signature, devices = row
    return DeviceList(user_id, version, account_key, payload, signature, _devices.decode(devices))
