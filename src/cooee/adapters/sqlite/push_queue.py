"""The push queue in SQLite."""

import json
from collections.abc import Collection, Sequence

import apsw

from cooee.adapters.sqlite.database import Database
from cooee.domain.ids import DeviceRef
from cooee.ports.push_queue import PushEntry

_APPEND = """INSERT INTO push_entry (user_id, device_id, conversation_id, sequence_number, due_at)
    VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    sequence_number = max(sequence_number, excluded.sequence_number), due_at = min(due_at, excluded.due_at)"""
_DUE = """SELECT user_id, device_id, conversation_id, sequence_number, due_at FROM push_entry
    WHERE due_at <= ? AND user_id NOT IN (SELECT value FROM json_each(?))
    ORDER BY due_at, user_id, device_id, conversation_id LIMIT ?"""
_COMPLETE = """DELETE FROM push_entry
    WHERE user_id = ? AND device_id = ? AND conversation_id = ? AND sequence_number <= ?"""
_POSTPONE = """UPDATE push_entry SET due_at = ?
    WHERE user_id = ? AND device_id = ? AND conversation_id = ? AND due_at < ?"""
_CANCEL = "DELETE FROM push_entry WHERE user_id = ? AND conversation_id = ? AND sequence_number <= ?"


class SqlitePushQueue:
    """`PushQueue`: one row per (user, conversation, device)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, entries: Sequence[PushEntry]) -> None:
        """Store the entries; a later message replaces the number and keeps the earlier due time. Durable."""
        rows = [(e.user_id, e.device_id, e.conversation_id, e.sequence_number, e.due_at) for e in entries]
        await self._run(_APPEND, rows)

    async def due(self, now_ms: int, limit: int, but_of: Collection[str] = ()) -> Sequence[PushEntry]:
        """Return entries whose time has come, earliest first, but none of these users. They stay until `complete`."""
        values = (now_ms, json.dumps(list(but_of)), limit)

        def due(connection: apsw.Connection) -> list[PushEntry]:
            return [PushEntry(*row) for row in connection.execute(_DUE, values)]

        return await self._database.read(due)

    async def complete(self, entries: Sequence[PushEntry]) -> None:
        """Remove the entries, unless a later message has replaced them meanwhile. Durable."""
        await self._run(_COMPLETE, [(e.user_id, e.device_id, e.conversation_id, e.sequence_number) for e in entries])

    async def postpone(self, entries: Sequence[PushEntry]) -> None:
        """Move entries that are there to the later ``due_at`` that these give; their numbers stay. Durable."""
        rows = [(e.due_at, e.user_id, e.device_id, e.conversation_id, e.due_at) for e in entries]
        await self._run(_POSTPONE, rows)

    async def cancel(self, user_id: str, conversation_id: str, through: int) -> None:
        """Remove what is covered by the user's reading through ``through``. Durable."""
        await self._run(_CANCEL, [(user_id, conversation_id, through)])

    async def _run(self, sql: str, rows: Sequence[tuple[str | int, ...]]) -> None:
        def run(connection: apsw.Connection) -> None:
            connection.executemany(sql, rows)

        if rows:
            await self._database.write(run)


def forget_push_entries(connection: apsw.Connection, devices: Sequence[DeviceRef]) -> None:
    """Remove what waits for revoked devices, within the caller's transaction."""
    connection.executemany("DELETE FROM push_entry WHERE user_id = ? AND device_id = ?", devices)
