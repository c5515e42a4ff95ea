"""Push targets in SQLite."""

from collections.abc import Sequence
from typing import Any

import apsw
import msgspec

from cooee.adapters.sqlite.database import Database
from cooee.domain.errors import not_found
from cooee.domain.ids import DeviceRef
from cooee.ports.push_targets import PushTarget, Shown

_THERE = "SELECT 1 FROM device WHERE user_id = ? AND device_id = ? AND NOT revoked"
_TAKE = "SELECT user_id, device_id FROM push_target WHERE identity = ? AND (user_id, device_id) <> (?, ?)"
_PUT = """INSERT OR REPLACE INTO push_target (user_id, device_id, platform, address, created_at, identity)
    VALUES (?, ?, ?, ?, ?, ?)"""
_SELECT = "SELECT user_id, device_id, platform, address, created_at FROM push_target WHERE "
_FIND = _SELECT + "user_id = ? AND device_id = ?"
_OF_USER = _SELECT + "user_id = ? ORDER BY device_id"
_USERS = "SELECT DISTINCT user_id FROM push_target WHERE user_id > ? ORDER BY user_id LIMIT ?"
_SAME = "SELECT 1 FROM push_target WHERE user_id = ? AND device_id = ? AND identity = ?"
_NOTE = """INSERT INTO push_shown (user_id, device_id, conversation_id, sequence_number, collapse_key)
    SELECT ?1, ?2, ?3, ?4, ?5 WHERE EXISTS (SELECT 1 FROM push_target WHERE user_id = ?1 AND device_id = ?2)
    ON CONFLICT DO UPDATE SET sequence_number = excluded.sequence_number, collapse_key = excluded.collapse_key
    WHERE sequence_number <= excluded.sequence_number"""
_SHOWN = """SELECT user_id, device_id, conversation_id, sequence_number, collapse_key FROM push_shown
    WHERE user_id = ? ORDER BY device_id, conversation_id"""
_FORGET = """DELETE FROM push_shown
    WHERE user_id = ? AND device_id = ? AND conversation_id = ? AND sequence_number <= ?"""


class SqlitePushTargets:
    """`PushTargets`: one row per device, one per (device, conversation) that it shows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, target: PushTarget) -> None:
        """Store the device's target in place of its former one. Durable. A place of another device is taken from it."""
        address = msgspec.json.encode(target.address).decode()
        row = (*target.ref, target.platform, address, target.created_at, target.identity)

        def put(connection: apsw.Connection) -> None:
            if not connection.execute(_THERE, target.ref).get:
                raise not_found("the device")
            losers = [DeviceRef(*ref) for ref in connection.execute(_TAKE, (target.identity, *target.ref))]
            forget_push_targets(connection, losers)
            connection.execute(_PUT, row)

        await self._database.write(put)

    async def find(self, ref: DeviceRef) -> PushTarget | None:
        """Return the device's target."""
        found = await self._targets(_FIND, ref)
        return found[0] if found else None

    async def of_user(self, user_id: str) -> Sequence[PushTarget]:
        """Return the targets of the user's devices, by deviceId."""
        return await self._targets(_OF_USER, (user_id,))

    async def users(self, after: str, limit: int) -> Sequence[str]:
        """Return users who have a target, in ascending userId order."""

        def users(connection: apsw.Connection) -> list[str]:
            return [user_id for (user_id,) in connection.execute(_USERS, (after, limit))]

        return await self._database.read(users)

    async def remove(self, target: PushTarget) -> bool:
        """Remove the target with what it shows; False when it is not there, or was replaced by another. Durable."""

        def remove(connection: apsw.Connection) -> bool:
            if not connection.execute(_SAME, (*target.ref, target.identity)).get:
                return False
            forget_push_targets(connection, [target.ref])
            return True

        return await self._database.write(remove)

    async def note_shown(self, shown: Sequence[Shown]) -> None:
        """Note what devices show: one entry per (device, conversation), the later one counts. Durable."""
        await self._run(_NOTE, [msgspec.structs.astuple(one) for one in shown])

    async def shown(self, user_id: str) -> Sequence[Shown]:
        """Return what the user's devices show, by deviceId and conversationId."""

        def read(connection: apsw.Connection) -> list[Shown]:
            return [Shown(*row) for row in connection.execute(_SHOWN, (user_id,))]

        return await self._database.read(read)

    async def forget_shown(self, shown: Sequence[Shown]) -> None:
        """Remove the entries, unless a later notification has replaced them meanwhile. Durable."""
        await self._run(_FORGET, [msgspec.structs.astuple(one)[:4] for one in shown])

    async def _targets(self, sql: str, values: tuple[Any, ...]) -> list[PushTarget]:
        def read(connection: apsw.Connection) -> list[PushTarget]:
            return [_target(row) for row in connection.execute(sql, values)]

        return await self._database.read(read)

    async def _run(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        def run(connection: apsw.Connection) -> None:
            connection.executemany(sql, rows)

        if rows:
            await self._database.write(run)


def forget_push_targets(connection: apsw.Connection, devices: Sequence[DeviceRef]) -> None:
    """Remove targets of devices, with what they show, within the caller's transaction."""
    connection.executemany("DELETE FROM push_target WHERE user_id = ? AND device_id = ?", devices)
    connection.executemany("DELETE FROM push_shown WHERE user_id = ? AND device_id = ?", devices)


def _target(row: tuple[Any, ...]) -> PushTarget:
    user_id, device_id, platform, address, created_at = row
    return PushTarget(user_id, device_id, platform, msgspec.json.decode(address, type=dict[str, str]), created_at)
