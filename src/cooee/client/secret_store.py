"""The part of the local store about end-to-end encryption: its records, and the keys of messages."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager

from cooee.client.changes import MessageKey
from cooee.client.database import Connection

_COLUMNS = "conversation_id, sequence_number, sender_id, sender_device_id, client_message_id, key"


class SecretStore(ABC):
    """The tables ``records`` and ``message_keys``. Synchronous, as all of the store; written with a turn alone."""

    _db: Connection

    @abstractmethod
    def _transaction(self) -> AbstractContextManager[Connection]:
        """Return a transaction; durable when it ends. Raises StoreUnusable."""

    def load_records(self) -> dict[tuple[str, str], bytes]:
        """Return all records of end-to-end encryption, by kind and id."""
        rows = self._db.execute("SELECT kind, id, value FROM records")
        return {(kind, name): value for kind, name, value in rows}

    def message_key(
        self, conversation_id: str, sender_id: str, sender_device_id: str, client_message_id: str
    ) -> bytes | None:
        """Return the key of a message, or None: it never came, or the message was deleted."""
        row = self._db.execute(
            "SELECT key FROM message_keys WHERE conversation_id = ? AND sender_id = ? AND sender_device_id = ?"
            " AND client_message_id = ?",
            (conversation_id, sender_id, sender_device_id, client_message_id),
        ).fetchone()
        return row[0] if row else None

    def find_key(
        self, conversation_id: str, sender_id: str, sender_device_id: str, client_message_id: str
    ) -> MessageKey | None:
        """Return the key of a message with its place, or None."""
        row = self._db.execute(
            f"SELECT {_COLUMNS} FROM message_keys WHERE conversation_id = ? AND sender_id = ?"  # noqa: S608  # ours
            " AND sender_device_id = ? AND client_message_id = ?",
            (conversation_id, sender_id, sender_device_id, client_message_id),
        ).fetchone()
        return MessageKey(*row) if row else None

    def held_keys(self, after: MessageKey | None, limit: int) -> list[MessageKey]:
        """Return the next ``limit`` keys behind ``after`` in an order of the store's own; None: from the beginning."""
        place = ("", "", "", "") if after is None else (after[0], after[2], after[3], after[4])
        rows = self._db.execute(
            f"SELECT {_COLUMNS} FROM message_keys"  # noqa: S608  # columns of ours
            " WHERE (conversation_id, sender_id, sender_device_id, client_message_id) > (?, ?, ?, ?)"
            " ORDER BY conversation_id, sender_id, sender_device_id, client_message_id LIMIT ?",
            (*place, limit),
        )
        return [MessageKey(*row) for row in rows]

    def _put_records(self, records: Mapping[tuple[str, str], bytes | None]) -> None:
        """Store records, and remove those that are None, within a transaction."""
        self._db.executemany(
            "DELETE FROM records WHERE kind = ? AND id = ?", [key for key, value in records.items() if value is None]
        )
        self._db.executemany(
            "INSERT OR REPLACE INTO records VALUES (?, ?, ?)",
            [(*key, value) for key, value in records.items() if value is not None],
        )

    def _put_keys(self, keys: Iterable[MessageKey]) -> None:
        """Store keys of messages, within a transaction; the key of a message that was deleted does not come back.

        A key stays with the number under which its message came first: a copy under another number is no message.
        """
        self._db.executemany(
            "INSERT INTO message_keys"
            " SELECT :conversation, :sender, :device, :client, :number, :key WHERE NOT EXISTS ("
            "SELECT 1 FROM messages WHERE conversation_id = :conversation AND sequence_number = :number"
            " AND content_type = 'deleted')"
            " ON CONFLICT DO UPDATE SET key = excluded.key WHERE sequence_number = excluded.sequence_number",
            [
                {
                    "conversation": one.conversation_id,
                    "sender": one.sender_id,
                    "device": one.sender_device_id,
                    "client": one.client_message_id,
                    "number": one.sequence_number,
                    "key": one.key,
                }
                for one in keys
            ],
        )

    def _forget_key(self, conversation_id: str, number: int) -> None:
        """Delete the key of a message, within a transaction; its place on the disk is written over."""
        self._db.execute(
            "DELETE FROM message_keys WHERE conversation_id = ? AND sequence_number = ?", (conversation_id, number)
        )
