"""The broom in SQLite: what has expired goes, conversation by conversation, oldest numbers first."""

from collections.abc import Callable
from functools import partial
from typing import Any

import apsw

from cooee.adapters.sqlite.bulk import write_rows
from cooee.adapters.sqlite.database import Database
from cooee.adapters.sqlite.ledger import Ledger
from cooee.adapters.sqlite.media_rows import let_go
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
_EMPTY = "UPDATE message SET body = NULL, preview = '' WHERE position IN ({rows})"
_DELETE = "DELETE FROM message WHERE position IN ({rows})"
_DELETE_ENVELOPES = "DELETE FROM envelope WHERE position IN ({rows})"
_NEXT = "UPDATE conversation SET first = ?, sweep_at = ?, held = ? WHERE key = ?"
_SWEPT = """DELETE FROM message WHERE position IN (SELECT position FROM message INDEXED BY message_swept
    WHERE body IS NULL AND timestamp < ? ORDER BY timestamp LIMIT ?)"""
_NOTE_POSITION = "REPLACE INTO meta (name, value) VALUES ('position', ?)"
_NEVER = 1 << 62

PIECE_ROWS = 256
"""Rows of each kind in one transaction."""
PIECE_CONVERSATIONS = 16
"""Conversations looked at in one transaction; a group of 500 costs some milliseconds."""


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
        """Remove at most ``limit`` expired rows of each kind, in small transactions between which sends go on."""
        done, more = SweepResult(), True
        while more:
            budget = SweepResult(
                min(limit - done.messages, PIECE_ROWS),
                min(limit - done.dedup_rows, PIECE_ROWS),
                min(limit - done.to_device, PIECE_ROWS),
            )
            piece, more = await self._database.write(partial(self._sweep_piece, now_ms=now_ms, budget=budget))
            done = SweepResult(
                done.messages + piece.messages, done.dedup_rows + piece.dedup_rows, done.to_device + piece.to_device
            )
        return done

    def _sweep_piece(
        self, connection: apsw.Connection, *, now_ms: int, budget: SweepResult
    ) -> tuple[SweepResult, bool]:
        """Do a piece of work within ``budget``; return what was removed, and whether there may be more to do."""
        settings = self._settings
        position = self._ledger.position(connection)  # before the row that tells it may go
        dedup_before_ms = now_ms - settings.dedup_days * DAY_MS
        connection.execute(_SWEPT, (dedup_before_ms, budget.dedup_rows))
        forgotten = connection.changes()
        piece = _Piece(now_ms, settings, budget.messages, budget.dedup_rows - forgotten)
        visited = 0
        if budget.messages:
            for conversation in connection.execute(_DUE, (now_ms, PIECE_CONVERSATIONS)).fetchall():
                if len(piece.removed) < budget.messages:
                    self._sweep_conversation(connection, conversation, piece)
                    visited += 1
        piece.write(connection)
        dedup_rows = forgotten + len(piece.deleted)
        if dedup_rows:
            connection.execute(_NOTE_POSITION, (position,))
        to_device = 0
        if budget.to_device:
            before_ms = now_ms - settings.to_device_days * DAY_MS
            to_device = self._sweep_to_device(connection, before_ms, dedup_before_ms, budget.to_device)
        more = bool(visited or forgotten or to_device)
        return SweepResult(len(piece.removed), dedup_rows, to_device), more

    def _sweep_conversation(self, connection: apsw.Connection, conversation: tuple[Any, ...], piece: "_Piece") -> None:
        """Remove from the beginning what is due, and note when to look again."""
        key, conversation_id, first, last = conversation
        lowest: Any = connection.execute(_RECEIVED_BY_ALL, (key,)).get
        received = _NEVER if lowest is None else int(lowest)
        high = min(last, first + piece.room - 1)
        span = {"conversation": key, "low": first - 1, "high": high}
        rows: list[tuple[Any, ...]] = connection.execute(_OLDEST, span).fetchall()
        first, sweep_at, held = high + 1, 1 if high < last else 0, False
        for number, position, timestamp in rows:
            if not piece.take(position, timestamp, delivered=number <= received):
                first, (sweep_at, held) = number, piece.look_again(timestamp, delivered=number <= received)
                break
        connection.execute(_NEXT, (first, sweep_at, int(held), key))
        self._ledger.names.conversations.drop(conversation_id)


class _Piece:
    """The rows that one transaction removes."""

    def __init__(self, now_ms: int, settings: RetentionSettings, limit: int, dedup_limit: int) -> None:
        self._now_ms = now_ms
        self._settings = settings
        self._limit = limit
        self._dedup_limit = dedup_limit
        self.removed: list[int] = []
        """Positions of the messages that go."""
        self.deleted: list[int] = []
        """Those of them whose dedup keys go too."""

    @property
    def room(self) -> int:
        """How many more messages may go."""
        return self._limit - len(self.removed)

    def take(self, position: int, timestamp: int, *, delivered: bool) -> bool:
        """Add a message if it is due; False: it stays, and what comes after it."""
        age_ms = self._now_ms - timestamp
        days = self._settings.message_days if delivered else self._settings.undelivered_days
        if age_ms < days * DAY_MS:
            return False
        self.removed.append(position)
        if age_ms > self._settings.dedup_days * DAY_MS and len(self.deleted) < self._dedup_limit:
            self.deleted.append(position)
        return True

    def look_again(self, timestamp: int, *, delivered: bool) -> tuple[int, bool]:
        """Return when a message that stays is due, and whether it stays only for a device that lacks it."""
        held = not delivered and self._now_ms - timestamp >= self._settings.message_days * DAY_MS
        days = self._settings.undelivered_days if held else self._settings.message_days
        return timestamp + days * DAY_MS, held

    def write(self, connection: apsw.Connection) -> None:
        """Remove the rows; those that keep a dedup key stay without content."""
        write_rows(connection, _DELETE_ENVELOPES, 1, self.removed)
        let_go(connection, self.removed)
        write_rows(connection, _DELETE, 1, self.deleted)
        deleted = set(self.deleted)
        write_rows(connection, _EMPTY, 1, [position for position in self.removed if position not in deleted])
