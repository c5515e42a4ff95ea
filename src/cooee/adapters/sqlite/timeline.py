"""The timeline in SQLite: pages, heads and lists out of the log."""

from collections.abc import Sequence
from typing import Any

import apsw

from cooee.adapters.sqlite.database import Database
from cooee.adapters.sqlite.inbox_floor import SETTLE_ABOVE, find_missed, settle
from cooee.adapters.sqlite.ledger import Ledger
from cooee.adapters.sqlite.operations import ignore
from cooee.adapters.sqlite.ranges import Range, take, take_newest, visible, visible_end
from cooee.adapters.sqlite.walk import walking
from cooee.domain.conversation import Span
from cooee.domain.ids import DeviceRef
from cooee.domain.message import Envelope, Message
from cooee.ports.timeline import ConversationHead, InboxEntry, Missed, Page

_HEAD = """SELECT v.key, h.last, v.first, h.timestamp FROM conversation AS v JOIN head AS h ON h.conversation = v.key
    WHERE v.id = ?"""
_READ = walking(
    """SELECT m.number, m.message_id, u.id, d.id, m.client_message_id, m.timestamp, m.content_type, m.body, m.silent,
        m.preview, m.position, e.content
    FROM walk CROSS JOIN message AS m ON m.position = walk.position
    CROSS JOIN chat_device AS d ON d.key = m.device CROSS JOIN chat_user AS u ON u.key = d.user
    LEFT JOIN envelope AS e ON e.position = m.position AND e.device = :device
    WHERE walk.number <= :high AND walk.number > :low AND m.body IS NOT NULL"""
)
_DEVICE = "SELECT d.key FROM chat_user AS u JOIN chat_device AS d ON d.user = u.key WHERE u.id = ? AND d.id = ?"
_ENVELOPES = """SELECT u.id, d.id, e.content FROM envelope AS e JOIN chat_device AS d ON d.key = e.device
    JOIN chat_user AS u ON u.key = d.user WHERE e.position = ? ORDER BY u.id, d.id"""
_INBOX = """SELECT v.id, iif(i.left_number, i.left_number, h.last),
        iif(i.left_number, i.left_timestamp, h.timestamp) AS timestamp
    FROM inbox AS i CROSS JOIN conversation AS v ON v.key = i.conversation
    CROSS JOIN head AS h ON h.conversation = i.conversation
    WHERE i.user = (SELECT key FROM chat_user WHERE id = :user) AND (timestamp, v.id) < (:timestamp, :conversation)
    ORDER BY timestamp DESC, v.id DESC LIMIT :limit"""
_UNREAD = walking(
    """SELECT count(*) FROM (SELECT 1 FROM walk CROSS JOIN message AS m ON m.position = walk.position
    CROSS JOIN chat_device AS d ON d.key = m.device
    WHERE walk.number <= :high AND walk.number > :low AND m.body IS NOT NULL AND NOT m.silent
        AND m.content_type NOT IN ('deleted', 'system')
        AND d.user IS NOT (SELECT key FROM chat_user WHERE id = :user) LIMIT :cap)"""
)
_SENDERS = walking(
    """SELECT id FROM chat_user WHERE key IN (SELECT d.user FROM walk
    CROSS JOIN message AS m ON m.position = walk.position CROSS JOIN chat_device AS d ON d.key = m.device
    WHERE walk.number <= :high AND walk.number > :low AND m.body IS NOT NULL AND m.content_type <> 'system')"""
)
_AFTER_ALL = (1 << 62, "")


class SqliteTimeline:
    """`Timeline`. Every read is one snapshot in a reader thread."""

    def __init__(self, database: Database, ledger: Ledger) -> None:
        self._database = database
        self._ledger = ledger

    async def head(self, conversation_id: str) -> ConversationHead:
        """Return the conversation's head; an unknown conversation is an empty one."""

        def read(connection: apsw.Connection) -> ConversationHead:
            return _head(connection, conversation_id)[1]

        return await self._database.read(read)

    async def read_after(
        self, conversation_id: str, after: int, limit: int, spans: Sequence[Span], device: DeviceRef
    ) -> Page:
        """Return the oldest visible messages above ``after``."""

        def read(connection: apsw.Connection) -> Page:
            key, head = _head(connection, conversation_id)
            end = visible_end(head, spans)
            ranges, complete = take(visible(head, spans, after + 1, end), limit)
            messages = _read_ranges(connection, key, conversation_id, ranges, device)
            through = max(end, after) if complete else ranges[-1][1]
            return Page(messages, after + 1, through, complete)

        return await self._database.read(read)

    async def read_before(
        self, conversation_id: str, before: int, limit: int, spans: Sequence[Span], device: DeviceRef
    ) -> Page:
        """Return the newest visible messages below ``before`` (0: below the end), ascending."""

        def read(connection: apsw.Connection) -> Page:
            key, head = _head(connection, conversation_id)
            end = visible_end(head, spans)
            through = min(before - 1, end) if before else end
            ranges, complete = take_newest(visible(head, spans, 1, through), limit)
            messages = _read_ranges(connection, key, conversation_id, ranges, device)
            return Page(messages, 1 if complete else ranges[0][0], through, complete)

        return await self._database.read(read)

    async def find(self, conversation_id: str, sequence_number: int) -> Message | None:
        """Return one message with all its envelopes."""

        def read(connection: apsw.Connection) -> Message | None:
            key, _ = _head(connection, conversation_id)
            row = connection.execute(_READ, _range(key, sequence_number, sequence_number) | {"device": 0}).fetchone()
            if row is None:
                return None
            envelopes = tuple(Envelope(*found) for found in connection.execute(_ENVELOPES, (row[10],)))
            return _message(conversation_id, row, envelopes)

        return await self._database.read(read)

    async def missed(self, device: DeviceRef) -> Sequence[Missed]:
        """Return the conversations in which the device lacks something, oldest activity first."""
        look = await self._database.read(lambda connection: find_missed(connection, device))
        if look.in_vain > SETTLE_ABOVE:
            self._database.submit_write(
                lambda connection: settle(connection, device, self._ledger.position(connection)), ignore
            )
        return look.missed

    async def inbox(self, user_id: str, before: tuple[int, str] | None, limit: int) -> Sequence[InboxEntry]:
        """Return a page of the user's conversations, last activity first."""
        timestamp, conversation_id = before or _AFTER_ALL
        values = {"user": user_id, "timestamp": timestamp, "conversation": conversation_id, "limit": limit}

        def read(connection: apsw.Connection) -> list[InboxEntry]:
            return [InboxEntry(*row) for row in connection.execute(_INBOX, values)]

        return await self._database.read(read)

    async def unread(self, conversation_id: str, user_id: str, read: int, through: int, cap: int) -> int:
        """Count what may stand in the user's unread count; the cost follows ``through`` - ``read``."""

        def count(connection: apsw.Connection) -> int:
            key, head = _head(connection, conversation_id)
            low, high = max(read, head.first - 1), min(through, head.last)
            if low >= high:
                return 0
            values = _range(key, low + 1, high) | {"user": user_id, "cap": cap}
            return int(connection.execute(_UNREAD, values).get)

        return await self._database.read(count)

    async def senders(self, conversation_id: str, after: int, through: int) -> frozenset[str]:
        """Return who sent the messages in (after, through], system messages excepted."""

        def read(connection: apsw.Connection) -> frozenset[str]:
            key, head = _head(connection, conversation_id)
            low, high = max(after, head.first - 1), min(through, head.last)
            if low >= high:
                return frozenset()
            return frozenset(row[0] for row in connection.execute(_SENDERS, _range(key, low + 1, high)))

        return await self._database.read(read)


def _head(connection: apsw.Connection, conversation_id: str) -> tuple[int, ConversationHead]:
    row = connection.execute(_HEAD, (conversation_id,)).fetchone()
    if row is None:
        return 0, ConversationHead(conversation_id)
    key, last, first, timestamp = row
    return key, ConversationHead(conversation_id, last, first, timestamp)


def _range(key: int, first: int, last: int) -> dict[str, Any]:
    return {"conversation": key, "low": first - 1, "high": last}


def _read_ranges(
    connection: apsw.Connection, key: int, conversation_id: str, ranges: Sequence[Range], device: DeviceRef
) -> tuple[Message, ...]:
    device_key = connection.execute(_DEVICE, device).get or 0
    rows: list[tuple[Any, ...]] = []
    for begin, end in ranges:
        rows += connection.execute(_READ, _range(key, begin, end) | {"device": device_key})
    rows.sort()
    return tuple(
        _message(conversation_id, row, (Envelope(*device, row[11]),) if row[11] is not None else ()) for row in rows
    )


def _message(conversation_id: str, row: tuple[Any, ...], envelopes: tuple[Envelope, ...]) -> Message:
    number, message_id, sender_id, device_id, client_message_id, timestamp, content_type, body, silent, preview = row[
        :10
    ]
    return Message(
        conversation_id,
        number,
        message_id,
        sender_id,
        device_id,
        client_message_id,
        timestamp,
        content_type,
        body,
        bool(silent),
        preview,
        envelopes,
    )
