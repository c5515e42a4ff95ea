"""Queues between devices in SQLite."""

from collections.abc import Sequence
from typing import Any

import apsw
import msgspec

from cooee.adapters.sqlite.database import Database
from cooee.domain.errors import rate_limited
from cooee.domain.ids import DeviceRef
from cooee.domain.sequence import DEDUP_WINDOW_MS
from cooee.ports.to_device import ToDeviceDone, ToDeviceMessage

_FULL_RETRY_MS = 60_000

_GONE = """SELECT EXISTS (SELECT 1 FROM device WHERE user_id = ?1 AND device_id = ?2 AND revoked)
    OR EXISTS (SELECT 1 FROM account WHERE user_id = ?1 AND deleted)"""
_SEEN = """SELECT timestamp FROM to_device_seen
    WHERE client_message_id = ? AND sender_id = ? AND sender_device_id = ?"""
_NOTE_SEEN = """INSERT OR REPLACE INTO to_device_seen (client_message_id, sender_id, sender_device_id, timestamp)
    VALUES (?, ?, ?, ?)"""
_RESERVE = """INSERT INTO to_device_queue (user_id, device_id, last, messages, bytes) VALUES (?1, ?2, ?3, ?3, ?4)
    ON CONFLICT DO UPDATE SET last = last + ?3, messages = messages + ?3, bytes = bytes + ?4
    RETURNING key, last, messages, bytes"""
_INSERT = """INSERT INTO to_device_message (queue, number, sender_id, sender_device_id, timestamp, content)
    VALUES (?, ?, ?, ?, ?, ?)"""
_READ = """SELECT sender_id, sender_device_id, content, timestamp, number
    FROM to_device_message JOIN to_device_queue ON to_device_queue.key = queue
    WHERE user_id = ? AND device_id = ? AND number > ? ORDER BY number LIMIT ?"""
_QUEUE = "SELECT key FROM to_device_queue WHERE user_id = ? AND device_id = ?"
_REMOVE = "DELETE FROM to_device_message WHERE queue = ? AND number <= ? RETURNING octet_length(content)"
_LESSEN = "UPDATE to_device_queue SET messages = messages - ?, bytes = bytes - ? WHERE key = ?"
_SWEEP = """DELETE FROM to_device_message WHERE key IN
    (SELECT key FROM to_device_message WHERE timestamp < ? ORDER BY timestamp LIMIT ?)
    RETURNING queue, octet_length(content)"""
_SWEEP_SEEN = """DELETE FROM to_device_seen WHERE (client_message_id, sender_id, sender_device_id) IN
    (SELECT client_message_id, sender_id, sender_device_id FROM to_device_seen
    WHERE timestamp < ? ORDER BY timestamp LIMIT ?)"""


class SqliteToDevice:
    """`ToDevice`. A queue's length is kept beside its last number, so that the limits cost no counting."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(
        self,
        sender: DeviceRef,
        client_message_id: str,
        messages: Sequence[ToDeviceMessage],
        limits: tuple[int, int],
        done: ToDeviceDone,
    ) -> None:
        """Store the whole batch or nothing; a re-send within 31 days stores nothing again."""

        def append(connection: apsw.Connection) -> Sequence[ToDeviceMessage]:
            return _append(connection, sender, client_message_id, messages, limits)

        self._database.submit_write(append, done)

    async def read_after(self, device: DeviceRef, after: int, limit: int) -> Sequence[ToDeviceMessage]:
        """Return what is queued for the device above ``after``, in order."""

        def read(connection: apsw.Connection) -> list[ToDeviceMessage]:
            rows = connection.execute(_READ, (*device, after, limit))
            return [ToDeviceMessage(device, DeviceRef(*row[:2]), *row[2:]) for row in rows]

        return await self._database.read(read)

    async def acknowledge(self, device: DeviceRef, through: int) -> None:
        """Remove everything up to and including ``through``. Durable."""

        def acknowledge(connection: apsw.Connection) -> None:
            row = connection.execute(_QUEUE, device).fetchone()
            if row is not None:
                sizes = [size for (size,) in connection.execute(_REMOVE, (row[0], through))]
                connection.execute(_LESSEN, (len(sizes), sum(sizes), row[0]))

        await self._database.write(acknowledge)


def _append(
    connection: apsw.Connection,
    sender: DeviceRef,
    client_message_id: str,
    messages: Sequence[ToDeviceMessage],
    limits: tuple[int, int],
) -> Sequence[ToDeviceMessage]:
    by_device = _by_device(connection, messages)
    if not by_device:
        return []
    now_ms = messages[0].timestamp
    key = (client_message_id, *sender)
    seen = connection.execute(_SEEN, key).fetchone()
    if seen is not None and now_ms - seen[0] <= DEDUP_WINDOW_MS:
        return []
    connection.execute(_NOTE_SEEN, (*key, now_ms))
    stored: list[ToDeviceMessage] = []
    rows: list[tuple[Any, ...]] = []
    for device, own in by_device.items():
        size = sum(len(message.content.encode()) for message in own)
        queue, last, queued, queued_bytes = connection.execute(_RESERVE, (*device, len(own), size)).get
        if queued > limits[0] or queued_bytes > limits[1]:
            raise rate_limited(_FULL_RETRY_MS, "a recipient's queue is full; it drains when the device connects")
        for number, message in enumerate(own, last - len(own) + 1):
            stored.append(msgspec.structs.replace(message, sequence_number=number))
            rows.append((queue, number, *message.sender, message.timestamp, message.content))
    connection.executemany(_INSERT, rows)
    return stored


def _by_device(
    connection: apsw.Connection, messages: Sequence[ToDeviceMessage]
) -> dict[DeviceRef, list[ToDeviceMessage]]:
    by_device: dict[DeviceRef, list[ToDeviceMessage]] = {}
    for message in messages:
        by_device.setdefault(message.recipient, []).append(message)
    gone = [device for device in by_device if connection.execute(_GONE, device).get]
    for device in gone:
        del by_device[device]
    return by_device


def forget_to_device_queues(connection: apsw.Connection, devices: Sequence[DeviceRef]) -> None:
    """Remove the queues of revoked devices, within the caller's transaction; their ids never come back."""
    for device in devices:
        row = connection.execute(_QUEUE, device).fetchone()
        if row is not None:
            connection.execute("DELETE FROM to_device_message WHERE queue = ?", row)
            connection.execute("DELETE FROM to_device_queue WHERE key = ?", row)


def sweep_to_device(connection: apsw.Connection, before_ms: int, dedup_before_ms: int, limit: int) -> int:
    """Remove at most ``limit`` messages, and as many dedup keys, that are older; return how many messages.

    Within the caller's transaction. Numbers are never given again.
    """
    removed = list(connection.execute(_SWEEP, (before_ms, limit)))
    connection.executemany(_LESSEN, [(1, size, queue) for queue, size in removed])
    connection.execute(_SWEEP_SEEN, (dedup_before_ms, limit))
    return len(removed)
