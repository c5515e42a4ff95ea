"""The broom in SQLite: what has expired goes, conversation by conversation, oldest numbers first."""

from collections.abc import Callable
from typing import Any

import apsw

from cooee.adapters.sqlite.database import Database
from cooee.adapters.sqlite.ledger import Ledger
from cooee.adapters.sqlite.walk import walking
from cooee.ports.retention import DAY_MS, RetentionSettings, SweepResult

SweepToDevice = Callable[[apsw.Connection, int, int, int], int]
"""Removes to-device messages before the first and their dedup keys before the second time (ms), at most so many."""

_DUE = """SELECT v.key, v.id, v.first, h.last FROM conversation AS v INDEXED BY conversation_to_sweep
    JOIN head AS h ON h.conversation = v.key
    WHERE v.sweep_at > 0 AND v.sweep_at <= ? ORDER BY v.sweep_at LIMIT ?"""
_OLDEST = walking(
    """SELECT walk.number, walk.position, m.timestamp FROM walk CROSS JOIN message AS m ON m.position = walk.position
    WHERE walk.number <= :high AND walk.number > :low ORDER BY walk.number"""
)
_RECEIVED_BY_ALL = """SELECT min(max(
        coalesce((SELECT c.received FROM cursor AS c
            WHERE c.conversation = m.conversation AND c.user = m.user AND c.device = d.key), 0),
        (SELECT min(joined) - 1 FROM membership AS s WHERE s.conversation = m.conversation AND s.user = m.user)))
    FROM membership AS m JOIN chat_device AS d ON d.user = m.user AND d.status = 1
    WHERE m.conversation = ? AND m.left_number IS NULL"""
_EMPTY = "UPDATE message SET body = NULL, preview = '' WHERE position = ?"
_DELETE = "DELETE FROM message WHERE position = ?"
_DELETE_ENVELOPES = "DELETE FROM envelope WHERE position = ?"
_NEXT = "UPDATE conversation SET first = ?, sweep_at = ?, held = ? WHERE key = ?"
_SWEPT = """DELETE FROM message WHERE position IN (SELECT position FROM message INDEXED BY message_swept
    WHERE body IS NULL AND timestamp < ? ORDER BY timestamp LIMIT ?)"""
_NOTE_POSITION = "REPLACE INTO meta (name, value) VALUES ('position', ?)"
_NEVER = 1 << 62


def note_retention(connection: apsw.Connection, settings: RetentionSettings) -> None:
    """Have every conversation looked at anew when the settings changed since the last start."""
    wanted = f"{settings.message_days}/{settings.undelivered_days}"
    known = connection.execute("SELECT value FROM meta WHERE name = 'retention'").get
    if known != wanted:
        with connection:
            connection.execute("REPLACE INTO meta (name, value) VALUES ('retention', ?)", (wanted,))
            connection.execute("UPDATE conversation SET sweep_at = 1, held = 0 WHERE sweep_at > 0")


class SqliteRetention:
    """`Retention`. A swept message leaves an empty row until its dedup key expires too."""

    def __init__(
        self, database: Database, ledger: Ledger, settings: RetentionSettings, sweep_to_device: SweepToDevice
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._settings = settings
        self._sweep_to_device = sweep_to_device

    async def sweep(self, now_ms: int, limit: int) -> SweepResult:
        """Remove at most ``limit`` expired rows of each kind, in one transaction of the writer thread."""
        return await self._database.write(lambda connection: self._sweep(connection, now_ms, limit))

    def _sweep(self, connection: apsw.Connection, now_ms: int, limit: int) -> SweepResult:
        settings = self._settings
        position = self._ledger.position(connection)  # before the row that tells it may go
        forgotten = self._sweep_swept(connection, now_ms - settings.dedup_days * DAY_MS, limit)
        messages = dedup_rows = 0
        for conversation in connection.execute(_DUE, (now_ms, limit)).fetchall():
            if messages == limit:
                break
            budget = (limit - messages, limit - forgotten - dedup_rows)
            removed, deleted = self._sweep_conversation(connection, conversation, now_ms, budget)
            messages += removed
            dedup_rows += deleted
        if forgotten or dedup_rows:
            connection.execute(_NOTE_POSITION, (position,))
        to_device = self._sweep_to_device(
            connection, now_ms - settings.to_device_days * DAY_MS, now_ms - settings.dedup_days * DAY_MS, limit
        )
        return SweepResult(messages, forgotten + dedup_rows, to_device)

    def _sweep_swept(self, connection: apsw.Connection, before_ms: int, limit: int) -> int:
        connection.execute(_SWEPT, (before_ms, limit))
        return connection.changes()

    def _sweep_conversation(
        self, connection: apsw.Connection, conversation: tuple[Any, ...], now_ms: int, budget: tuple[int, int]
    ) -> tuple[int, int]:
        """Return how many messages were removed, and how many of them with their dedup keys; ``budget`` bounds both."""
        settings = self._settings
        limit, dedup_limit = budget
        key, conversation_id, first, last = conversation
        lowest: Any = connection.execute(_RECEIVED_BY_ALL, (key,)).get
        received = _NEVER if lowest is None else int(lowest)
        removed = deleted = 0
        while removed < limit and first <= last:
            high = min(last, first + min(limit - removed, 256) - 1)
            span = {"conversation": key, "low": first - 1, "high": high}
            rows: list[tuple[Any, ...]] = connection.execute(_OLDEST, span).fetchall()
            for number, position, timestamp in rows:
                age_ms = now_ms - timestamp
                due_days = settings.message_days if number <= received else settings.undelivered_days
                if age_ms < due_days * DAY_MS:
                    held = number > received and age_ms >= settings.message_days * DAY_MS
                    days = settings.undelivered_days if held else settings.message_days
                    self._next(connection, key, conversation_id, (number, timestamp + days * DAY_MS, held))
                    return removed, deleted
                deletes = age_ms > settings.dedup_days * DAY_MS and deleted < dedup_limit
                connection.execute(_DELETE_ENVELOPES, (position,))
                connection.execute(_DELETE if deletes else _EMPTY, (position,))
                deleted += deletes
                removed += 1
                first = number + 1
            if not rows:
                first = high + 1
        self._next(connection, key, conversation_id, (first, 1 if first <= last else 0, False))
        return removed, deleted

    def _next(self, connection: apsw.Connection, key: int, conversation_id: str, state: tuple[int, int, bool]) -> None:
        first, sweep_at, held = state
        connection.execute(_NEXT, (first, sweep_at, int(held), key))
        self._ledger.names.conversations.drop(conversation_id)
