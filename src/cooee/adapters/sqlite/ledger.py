"""The writer thread's view of the log: it numbers what is appended, merges watermarks, and writes rows in bulk.

Operations are carried out in memory, one after the other; what changed is written once per batch: each head and each
watermark one row, however often it moved.
"""

from collections.abc import Callable, Sequence
from typing import Any

import apsw

from cooee.adapters.sqlite.batch import Operation
from cooee.adapters.sqlite.bulk import read_rows
from cooee.adapters.sqlite.ledger_rows import LedgerRows
from cooee.adapters.sqlite.ledger_state import (
    ConversationState,
    CursorRow,
    DeviceState,
    DeviceStatus,
    MemberState,
    slot_of,
)
from cooee.adapters.sqlite.names import DeviceName, NameBook
from cooee.adapters.sqlite.operations import Advance, Append, ignore
from cooee.domain.ids import direct_members
from cooee.domain.message import LogRecord, Message, Placed
from cooee.domain.receipt import Watermark
from cooee.domain.sequence import sequence
from cooee.ports.cursors import CursorChange, CursorUpdate

DedupKey = tuple[str, int, int]
"""(clientMessageId, conversation, device)"""
Named = tuple[str, DeviceName]
"""conversationId and device of an operation"""
Resolved = tuple[ConversationState, DeviceState, MemberState]

_FIND_CURSORS = """SELECT c.conversation, c.user, c.device, c.received, c.read
    FROM ({rows}) AS wanted CROSS JOIN cursor AS c ON c.conversation = wanted.column1 AND c.user = wanted.column2"""
_FIND_BASES = """SELECT m.conversation, m.user, min(m.joined) - 1
    FROM ({rows}) AS wanted CROSS JOIN membership AS m
        ON m.conversation = wanted.column1 AND m.user = wanted.column2
    GROUP BY m.conversation, m.user"""
_FIND_PRIORS = """SELECT m.client_message_id, m.conversation, m.device, m.message_id, m.number, m.timestamp, m.position
    FROM ({rows}) AS wanted CROSS JOIN message AS m INDEXED BY message_dedup
        ON m.client_message_id = wanted.column1 AND m.conversation = wanted.column2 AND m.device = wanted.column3"""


class Ledger:
    """The `Stage` of the hot operations `Append` and `Advance`.

    Functions that run in the writer thread (`Database.write`) may use it too; what they change in its tables by
    themselves they tell by `clear` or by changing its states.
    """

    def __init__(
        self, *, message_retention_ms: int, cache_entries: int, emit: Callable[[Sequence[Message]], None]
    ) -> None:
        """``emit`` gets the numbered messages of each commit, on the event loop, after the batch's ``done``."""
        self.names = NameBook(cache_entries)
        self._message_retention_ms = message_retention_ms
        self._emit = emit
        self._rows = LedgerRows()
        self._messages: list[Message] = []
        self._position = -1
        self._changes = 0

    # Stage

    def apply(self, connection: apsw.Connection, operations: Sequence[Operation]) -> None:
        """Carry out appends and advances in order."""
        self.names.age()
        self.position(connection)
        resolved = self._resolve(connection, operations)
        priors = self._find_priors(connection, operations, resolved)
        for operation, (conversation, device, member) in zip(operations, resolved, strict=True):
            if type(operation) is Append:
                operation.result = self._append(connection, operation.record, conversation, device, member, priors)
            elif type(operation) is Advance:
                operation.result = self._advance(operation.update, conversation, device, member)

    def flush(self, connection: apsw.Connection) -> None:
        """Write the rows of what was applied."""
        self._rows.write(connection)

    def mark(self) -> object:
        """Return a mark for `rewind`."""
        return (self._changes, self.names.created, len(self._messages))

    def rewind(self, mark: object) -> None:
        """Forget what was applied since ``mark``; everything remembered goes with it."""
        if mark != self.mark():
            emitted: int = mark[2]  # type: ignore[index]  # what `mark` returned
            del self._messages[emitted:]
            self.clear()

    def discard(self) -> None:
        """Forget everything: nothing of the batch is stored."""
        self._messages = []
        self.clear()

    def committed(self) -> Callable[[], None] | None:
        """Hand out what tells the batch's messages."""
        if not self._messages:
            return None
        messages, self._messages = self._messages, []
        return lambda: self._emit(messages)

    # For functions in the writer thread

    def clear(self) -> None:
        """Drop everything remembered, and rows not yet written; the next operation reads the file again."""
        self.names.clear()
        self._rows = LedgerRows()
        self._position = -1

    def touch(self, conversation: ConversationState) -> None:
        """Have the conversation's head written with the next `flush`."""
        self._changes += 1
        self._rows.touch(conversation)

    def change_roster(
        self, connection: apsw.Connection, conversation: ConversationState, slot: int, *, large: bool
    ) -> None:
        """Note that members came or went: their entries stand under ``slot`` now."""
        if large != conversation.large:
            conversation.large = large
            connection.execute("UPDATE conversation SET large = ? WHERE key = ?", (int(large), conversation.key))
        conversation.slot = slot
        conversation.members.clear()
        self.touch(conversation)
        if conversation.held:
            self._bring_broom(conversation)

    def append(self, connection: apsw.Connection, records: Sequence[LogRecord]) -> list[Placed]:
        """Append ``records`` now and return their places; their rows are written."""
        operations = [Append(ignore, record) for record in records]
        self.apply(connection, operations)
        self.flush(connection)
        return [operation.result for operation in operations]

    def position(self, connection: apsw.Connection) -> int:
        """Return the last log position that was given; no position is given twice."""
        if self._position < 0:
            newest: Any = connection.execute("SELECT max(position) FROM message").get
            noted: Any = connection.execute("SELECT value FROM meta WHERE name = 'position'").get
            self._position = max(newest or 0, noted or 0)
        return self._position

    # Finding

    def _resolve(self, connection: apsw.Connection, operations: Sequence[Operation]) -> list[Resolved]:
        named = [_names(operation) for operation in operations]
        resolved = self._look_up(named)
        if resolved is None:
            self._load(connection, named)
            resolved = self._look_up(named)
            assert resolved is not None  # noqa: S101 - all was loaded just now
        return resolved

    def _look_up(self, named: Sequence[Named]) -> list[Resolved] | None:
        """Return the states that ``named`` stand for, or None when one of them is not remembered."""
        conversations, devices = self.names.conversations.get, self.names.devices.get
        resolved: list[Resolved] = []
        for conversation_id, name in named:
            conversation, device = conversations(conversation_id), devices(name)
            if conversation is None or device is None:
                return None
            member = conversation.members.get(device.user)
            if member is None:
                return None
            resolved.append((conversation, device, member))
        return resolved

    def _load(self, connection: apsw.Connection, named: Sequence[Named]) -> None:
        self.names.load_conversations(connection, {conversation_id for conversation_id, _ in named})
        self.names.load_devices(connection, {name for _, name in named})
        missing: dict[tuple[int, int], ConversationState] = {}
        for conversation_id, name in named:
            conversation = self.names.conversation(connection, conversation_id)
            user = self.names.device(connection, name).user
            if user not in conversation.members:
                missing[conversation.key, user] = conversation
        self._load_members(connection, missing)

    def _load_members(self, connection: apsw.Connection, missing: dict[tuple[int, int], ConversationState]) -> None:
        for (_, user), conversation in missing.items():
            conversation.members[user] = MemberState(0)
            self.names.conversations.grow()
        flat = [part for key in missing for part in key]
        for key, user, device, received, read in read_rows(connection, _FIND_CURSORS, 2, flat):
            missing[key, user].members[user].take(CursorRow(key, user, device, received, read))
        flat = [part for key, conversation in missing.items() if not conversation.direct for part in key]
        for key, user, base in read_rows(connection, _FIND_BASES, 2, flat):
            missing[key, user].members[user].base = base

    def _find_priors(
        self, connection: apsw.Connection, operations: Sequence[Operation], resolved: Sequence[Resolved]
    ) -> dict[DedupKey, Placed]:
        flat: list[Any] = []
        for operation, (conversation, device, _) in zip(operations, resolved, strict=True):
            if type(operation) is Append and conversation.head.last_sequence_number:
                flat += (operation.record.client_message_id, conversation.key, device.key)
        newest: dict[DedupKey, tuple[int, Placed]] = {}
        for text, key, device_key, message_id, number, timestamp, position in read_rows(
            connection, _FIND_PRIORS, 3, flat
        ):
            dedup = (text, key, device_key)
            if dedup not in newest or newest[dedup][0] < position:
                newest[dedup] = (position, Placed(message_id, number, timestamp))
        return {dedup: placed for dedup, (_, placed) in newest.items()}

    # Carrying out

    def _append(
        self,
        connection: apsw.Connection,
        record: LogRecord,
        conversation: ConversationState,
        device: DeviceState,
        member: MemberState,
        priors: dict[DedupKey, Placed],
    ) -> Placed:
        dedup = (record.client_message_id, conversation.key, device.key)
        position = self._position + 1
        decision = sequence(conversation.head, record, position, priors.get(dedup))
        placed, message = decision.placed, decision.message
        if message is None:
            return placed
        priors[dedup] = placed
        self._position = position
        self._messages.append(message)
        number = placed.sequence_number
        if number == 1:
            self._begin(connection, conversation)
        self._rows.add_message(message, record.erases, conversation, device, position)
        conversation.head = decision.head
        conversation.position = position
        conversation.timestamp = record.timestamp
        slot = slot_of(position)
        if conversation.slot != slot and not conversation.large:
            self._rows.move(conversation, slot)
        if not conversation.sweep_at:
            conversation.sweep_at = max(record.timestamp + self._message_retention_ms, 1)
            self._rows.note_sweep(conversation)
        self.touch(conversation)
        if record.envelopes:
            for envelope in record.envelopes:
                own = self.names.device(connection, (envelope.user_id, envelope.device_id))
                self._rows.add_envelope(position, own, envelope.content)
        if record.media:
            for media_key in record.media:
                self._rows.add_media(media_key, conversation.key, number, position, record.timestamp)
        if record.device_id:
            self._hold_own(conversation, device, member, number)
        return placed

    def _begin(self, connection: apsw.Connection, conversation: ConversationState) -> None:
        """A direct chat begins with its first message: both users have it in their lists from now on."""
        conversation.slot = slot_of(self._position)
        if conversation.direct:
            for user_id in set(direct_members(conversation.id)):
                self._rows.add_direct_member(conversation, self.names.user(connection, user_id))

    def _hold_own(self, conversation: ConversationState, device: DeviceState, member: MemberState, number: int) -> None:
        """Count an own message as received, if the sending device has all before it."""
        row = member.rows.get(device.key)
        received = member.base if row is None else max(row.received, member.base)
        if received == number - 1 and device.status != DeviceStatus.REVOKED:
            self._store(conversation, device.user, device.key, member, number, 0)

    def _advance(
        self, update: CursorUpdate, conversation: ConversationState, device: DeviceState, member: MemberState
    ) -> CursorChange:
        before = Watermark(member.delivered, member.read)
        after = before.merge(update.received, update.read)
        received, read = max(update.received, update.read), update.read
        if device.status == DeviceStatus.REVOKED:
            if after != before:
                self._store(conversation, device.user, 0, member, received, read)
            return CursorChange(before, after, received)
        row = member.rows.get(device.key)
        former = 0 if row is None else row.received
        if received > former or read > member.read:
            self._store(conversation, device.user, device.key, member, received, read)
        return CursorChange(before, after, max(former, received, member.base))

    def _store(
        self, conversation: ConversationState, user: int, device: int, member: MemberState, received: int, read: int
    ) -> None:
        self._changes += 1
        row = member.rows.get(device)
        if row is None:
            row = member.rows[device] = CursorRow(conversation.key, user, device, 0, 0)
        if received > row.received:
            row.received = received
            if received > member.delivered:  # noqa: PLR1730  # twice a message, and max() costs thrice as much
                member.delivered = received
        if read > row.read:
            row.read = read
            if read > member.read:  # noqa: PLR1730  # as above
                member.read = read
        self._rows.note_cursor(row)
        if conversation.held:
            self._bring_broom(conversation)

    def _bring_broom(self, conversation: ConversationState) -> None:
        """What a receipt held back may be swept now."""
        conversation.held = False
        conversation.sweep_at = 1
        self._rows.note_sweep(conversation)


def _names(operation: Operation) -> Named:
    if type(operation) is Append:
        record = operation.record
        return record.conversation_id, (record.sender_id, record.device_id)
    if type(operation) is Advance:
        update = operation.update
        return update.conversation_id, (update.user_id, update.device_id)
    raise TypeError(f"the ledger does not know {type(operation).__name__}")
