"""Devices in SQLite."""

from collections.abc import Callable, Sequence
from typing import Any

import apsw

from cooee.adapters.sqlite.database import Database
from cooee.adapters.sqlite.device_keys import forget_keys
from cooee.adapters.sqlite.push_queue import forget_push_entries
from cooee.adapters.sqlite.push_targets import forget_push_targets
from cooee.adapters.sqlite.to_device import forget_to_device_queues
from cooee.adapters.sqlite.webhooks import forget_webhooks
from cooee.domain.errors import not_found
from cooee.domain.ids import DeviceRef
from cooee.domain.scopes import EVERYTHING, Scope
from cooee.ports.devices import Device

ForgetCursors = Callable[[apsw.Connection, Sequence[DeviceRef]], None]
"""Drops the cursors of devices, within the caller's transaction."""

_SELECT = """SELECT user_id, device_id, name, type, token_hash, created_at, last_seen, scopes, expires_at
    FROM device WHERE """
_BY_REF = _SELECT + "user_id = ? AND device_id = ? AND NOT revoked"
_BY_TOKEN = _SELECT + "token_hash = ? AND NOT revoked"
_OF_USER = _SELECT + "user_id = ? AND NOT revoked ORDER BY created_at, device_id"
_IDLE = _SELECT + "revoked = 0 AND last_seen < ? ORDER BY last_seen, user_id, device_id LIMIT ?"
_INSERT = """INSERT INTO device
    (user_id, device_id, name, type, token_hash, created_at, last_seen, scopes, expires_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""


class SqliteDevices:
    """`Devices`. ``forget_cursors`` is called in the transaction of `revoke`."""

    def __init__(self, database: Database, forget_cursors: ForgetCursors) -> None:
        self._database = database
        self._forget_cursors = forget_cursors

    async def create(self, device: Device) -> None:
        """Store a new device. Durable. ValueError when the id was ever used in this account, or the token is."""
        row = _row(device)

        def create(connection: apsw.Connection) -> None:
            if connection.execute("SELECT deleted FROM account WHERE user_id = ?", (device.user_id,)).get:
                raise not_found("the account")
            try:
                connection.execute(_INSERT, row)
            except apsw.ConstraintError as error:
                raise ValueError("this deviceId was used before, or this token is in use") from error

        await self._database.write(create)

    async def find(self, ref: DeviceRef) -> Device | None:
        """Return the device, also one that is logged out."""
        return await self._find_one(_BY_REF, ref)

    async def find_by_token(self, token_hash: bytes) -> Device | None:
        """Return the device that is logged in with this token."""
        return await self._find_one(_BY_TOKEN, (token_hash,))

    async def of_user(self, user_id: str) -> Sequence[Device]:
        """Return the user's devices, oldest first."""
        return await self._find_all(_OF_USER, (user_id,))

    async def set_token(self, ref: DeviceRef, token_hash: bytes, now_ms: int) -> None:
        """Log the device in (a hash) or out (empty). Durable. CooeeError ``not_found`` when the device is gone."""
        sql = """UPDATE device SET token_hash = ?, last_seen = max(last_seen, ?)
            WHERE user_id = ? AND device_id = ? AND NOT revoked"""

        def set_token(connection: apsw.Connection) -> None:
            try:
                connection.execute(sql, (token_hash or None, now_ms, *ref))
            except apsw.ConstraintError as error:
                raise ValueError("this token is in use") from error
            if not connection.changes():
                raise not_found("the device")

        await self._database.write(set_token)

    async def touch(self, refs: Sequence[DeviceRef], now_ms: int) -> None:
        """Note that the devices were seen; last seen never goes back. Durable."""
        sql = "UPDATE device SET last_seen = ? WHERE user_id = ? AND device_id = ? AND last_seen < ? AND NOT revoked"
        rows = [(now_ms, *ref, now_ms) for ref in refs]

        def touch(connection: apsw.Connection) -> None:
            connection.executemany(sql, rows)

        if rows:
            await self._database.write(touch)

    async def revoke(self, refs: Sequence[DeviceRef]) -> None:
        """Remove devices with their cursors, keys and queues, in one durable step."""
        if refs:
            await self._database.write(lambda connection: self._revoke(connection, refs))

    async def idle_since(self, before_ms: int, limit: int) -> Sequence[Device]:
        """Return devices last seen before ``before_ms``, the longest absent first."""
        return await self._find_all(_IDLE, (before_ms, limit))

    def _revoke(self, connection: apsw.Connection, refs: Sequence[DeviceRef]) -> None:
        sql = """UPDATE device SET name = '', type = '', token_hash = NULL, created_at = 0, last_seen = 0, revoked = 1,
            scopes = NULL, expires_at = 0 WHERE user_id = ? AND device_id = ? AND NOT revoked"""
        gone = []
        for ref in refs:
            connection.execute(sql, ref)
            if connection.changes():
                gone.append(ref)
        _forget(connection, gone, self._forget_cursors)

    async def _find_one(self, sql: str, values: tuple[Any, ...]) -> Device | None:
        found = await self._find_all(sql, values)
        return found[0] if found else None

    async def _find_all(self, sql: str, values: tuple[Any, ...]) -> list[Device]:
        def find(connection: apsw.Connection) -> list[Device]:
            return [_device(row) for row in connection.execute(sql, values)]

        return await self._database.read(find)


def erase_devices(connection: apsw.Connection, user_id: str, forget_cursors: ForgetCursors) -> None:
    """Remove all devices of an account that is being erased; nobody logs in to it again, so no ids are kept."""
    rows = connection.execute("SELECT device_id FROM device WHERE user_id = ? AND NOT revoked", (user_id,))
    gone = [DeviceRef(user_id, device_id) for (device_id,) in rows]
    connection.execute("DELETE FROM device WHERE user_id = ?", (user_id,))
    _forget(connection, gone, forget_cursors)


def _forget(connection: apsw.Connection, gone: Sequence[DeviceRef], forget_cursors: ForgetCursors) -> None:
    if gone:
        forget_cursors(connection, gone)
        forget_to_device_queues(connection, gone)
        forget_push_entries(connection, gone)
        forget_push_targets(connection, gone)
        forget_webhooks(connection, gone)
        forget_keys(connection, gone)


def _row(device: Device) -> tuple[Any, ...]:
    scopes = None if device.scopes == EVERYTHING else " ".join(sorted(device.scopes))
    times = (device.created_at, device.last_seen)
    return (*device.ref, device.name, device.type, device.token_hash or None, *times, scopes, device.expires_at)


def _device(row: tuple[Any, ...]) -> Device:
    user_id, device_id, name, kind, token_hash, created_at, last_seen, scopes, expires_at = row
    granted = EVERYTHING if scopes is None else frozenset(map(Scope, scopes.split()))
    return Device(user_id, device_id, name, kind, token_hash or b"", created_at, last_seen, granted, expires_at)
