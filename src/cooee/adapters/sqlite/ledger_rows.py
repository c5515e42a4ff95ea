"""Rows that wait for the end of the batch, and the statements that write them."""

from typing import Any

import apsw

from cooee.adapters.sqlite.bulk import write_rows
from cooee.adapters.sqlite.ledger_state import ConversationState, CursorRow, DeviceState
from cooee.adapters.sqlite.media_rows import let_go
from cooee.adapters.sqlite.walk import position_of
from cooee.domain.media import SEND_HOLD_MS
from cooee.domain.message import CONTENT_DELETED, EMPTY_BODY, Message

_MESSAGES = "INSERT INTO message {rows}"
_ENVELOPES = "INSERT OR IGNORE INTO envelope {rows}"
_MEDIA = "INSERT OR IGNORE INTO media_reference {rows}"
_HELD = "UPDATE media SET collect_at = min(collect_at, ?) WHERE key = ?"
_HEADS = "REPLACE INTO head {rows}"
_CURSORS = "REPLACE INTO cursor {rows}"
_DIRECT_MEMBERS = "INSERT INTO membership (conversation, user, joined, role) {rows}"
_DIRECT_ENTRIES = "INSERT INTO inbox (user, slot, conversation) {rows}"
_MOVE_IN = """INSERT INTO inbox (user, slot, conversation) SELECT m.user, wanted.column2, m.conversation
    FROM ({rows}) AS wanted CROSS JOIN membership AS m
        ON m.conversation = wanted.column1 AND m.left_number IS NULL"""
_MOVE_OUT = """DELETE FROM inbox WHERE (user, slot, conversation) IN (
    SELECT m.user, wanted.column2, m.conversation
    FROM ({rows}) AS wanted CROSS JOIN membership AS m
        ON m.conversation = wanted.column1 AND m.left_number IS NULL)"""
_SWEEP = "UPDATE conversation SET sweep_at = ?, held = ? WHERE key = ?"
_ERASE = "UPDATE message SET content_type = ?, body = ?, preview = '' WHERE position = ? AND body IS NOT NULL"
_ERASE_ENVELOPES = "DELETE FROM envelope WHERE position = ?"


class LedgerRows:
    """What a batch changed. Order of writing: log, heads, erasures, lists, watermarks."""

    __slots__ = (
        "_cursors",
        "_direct_members",
        "_envelopes",
        "_erasures",
        "_heads",
        "_held",
        "_media",
        "_messages",
        "_moves",
        "_sweeps",
    )

    def __init__(self) -> None:
        self._messages: list[Any] = []
        self._envelopes: list[Any] = []
        self._media: list[Any] = []
        self._held: list[tuple[int, str]] = []
        self._erasures: list[tuple[ConversationState, int]] = []
        self._heads: list[ConversationState] = []
        self._moves: dict[ConversationState, int] = {}
        self._direct_members: list[tuple[ConversationState, int]] = []
        self._sweeps: dict[ConversationState, None] = {}
        self._cursors: list[CursorRow] = []

    def add_message(
        self, message: Message, erases: int, conversation: ConversationState, device: DeviceState, position: int
    ) -> None:
        """Add the row of ``message``; ``conversation`` still stands at the message before it."""
        self._messages += (
            position,
            conversation.position,
            conversation.key,
            message.sequence_number,
            message.message_id,
            device.key,
            message.client_message_id,
            message.timestamp,
            message.content_type,
            1 if message.silent else 0,
            message.preview,
            message.body,
        )
        if 0 < erases < message.sequence_number:
            self._erasures.append((conversation, erases))

    def add_envelope(self, position: int, device: DeviceState, content: str) -> None:
        """Add the part of the message at ``position`` that is for ``device`` alone."""
        self._envelopes += (position, device.key, content)

    def add_media(self, key: str, conversation: int, number: int, position: int, timestamp: int) -> None:
        """Note that the message at ``position`` holds an object from ``timestamp`` (ms) on."""
        self._media += (key, conversation, number, position)
        self._held.append((timestamp + SEND_HOLD_MS, key))

    def add_direct_member(self, conversation: ConversationState, user: int) -> None:
        """Let ``user`` into a direct chat that begins."""
        self._direct_members.append((conversation, user))

    def move(self, conversation: ConversationState, slot: int) -> None:
        """Have the members' inbox entries stand under ``slot`` from now on."""
        self._moves.setdefault(conversation, conversation.slot)
        conversation.slot = slot

    def touch(self, conversation: ConversationState) -> None:
        """Have the head written."""
        if not conversation.dirty:
            conversation.dirty = True
            self._heads.append(conversation)

    def note_sweep(self, conversation: ConversationState) -> None:
        """Have the time of the next sweep written."""
        self._sweeps[conversation] = None

    def note_cursor(self, row: CursorRow) -> None:
        """Have the watermark written."""
        if not row.dirty:
            row.dirty = True
            self._cursors.append(row)

    def write(self, connection: apsw.Connection) -> None:
        """Write everything and begin anew."""
        if self._messages:
            write_rows(connection, _MESSAGES, 12, self._messages)
            self._messages = []
        if self._envelopes:
            write_rows(connection, _ENVELOPES, 3, self._envelopes)
            self._envelopes = []
        if self._media:
            write_rows(connection, _MEDIA, 4, self._media)
            connection.executemany(_HELD, self._held)
            self._media = []
            self._held = []
        if self._heads:
            self._write_heads(connection)
        if self._erasures:
            self._write_erasures(connection)
        if self._moves or self._direct_members:
            self._write_inbox(connection)
        if self._sweeps:
            rows = [(one.sweep_at, int(one.held), one.key) for one in self._sweeps]
            connection.executemany(_SWEEP, rows)
            self._sweeps = {}
        if self._cursors:
            self._write_cursors(connection)

    def _write_heads(self, connection: apsw.Connection) -> None:
        flat: list[Any] = []
        for one in self._heads:
            one.dirty = False
            head = one.head
            flat += (one.key, head.last_sequence_number, head.last_message_id, one.position, one.timestamp, one.slot)
        write_rows(connection, _HEADS, 6, flat)
        self._heads = []

    def _write_cursors(self, connection: apsw.Connection) -> None:
        flat: list[Any] = []
        for row in self._cursors:
            row.dirty = False
            flat += (row.conversation, row.user, row.device, row.received, row.read)
        write_rows(connection, _CURSORS, 5, flat)
        self._cursors = []

    def _write_inbox(self, connection: apsw.Connection) -> None:
        """Move first, then let in: who comes in with this batch has no entry to move."""
        flat = [part for one, slot in self._moves.items() for part in (one.key, slot)]
        write_rows(connection, _MOVE_OUT, 2, flat)
        flat = [part for one in self._moves for part in (one.key, one.slot)]
        write_rows(connection, _MOVE_IN, 2, flat)
        self._moves = {}
        rows: list[Any] = []
        flat = []
        for one, user in self._direct_members:
            rows += (one.key, user, 1, "member")
            flat += (user, one.slot, one.key)
        write_rows(connection, _DIRECT_MEMBERS, 4, rows)
        write_rows(connection, _DIRECT_ENTRIES, 3, flat)
        self._direct_members = []

    def _write_erasures(self, connection: apsw.Connection) -> None:
        for conversation, number in self._erasures:
            position = position_of(connection, conversation.key, number)
            if position is not None:
                connection.execute(_ERASE, (CONTENT_DELETED, EMPTY_BODY, position))
                connection.execute(_ERASE_ENVELOPES, (position,))
                let_go(connection, (position,))
        self._erasures = []
