"""The part of the local store about files: messages whose file is not uploaded yet, and what is known of files."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager

import msgspec

from cooee.client.database import Connection
from cooee.client.files import FileEntry
from cooee.client.model import Message, Pending
from cooee.domain.message import MEDIA_TYPES
from cooee.protocol.frames import MediaSeen

_encode = msgspec.json.encode
_decode_entry = msgspec.json.Decoder(FileEntry).decode
_decode_details = msgspec.json.Decoder(dict).decode
_NOT_CONTENT = frozenset({"type", "conversationId", "mediaKey"})


class FileStore(ABC):
    """The tables ``uploads`` and ``media``. Synchronous, as all of the store."""

    _db: Connection

    @abstractmethod
    def _transaction(self) -> AbstractContextManager[Connection]:
        """Return a transaction; durable when it ends. Raises StoreUnusable."""

    def uploads(self) -> Sequence[FileEntry]:
        """Return what is not uploaded yet, in the order of writing."""
        rows = self._db.execute('SELECT entry FROM uploads ORDER BY "order"')
        return [_decode_entry(row[0]) for row in rows]

    def put_upload(self, entry: FileEntry) -> None:
        """Store what is known of an upload; durable when it returns."""
        with self._transaction() as db:
            db.execute(
                "INSERT INTO uploads (client_message_id, entry) VALUES (?, ?)"
                " ON CONFLICT (client_message_id) DO UPDATE SET entry = excluded.entry",
                (entry.client_message_id, _encode(entry).decode()),
            )

    def drop_upload(self, client_message_id: str) -> None:
        """Forget an upload."""
        with self._transaction() as db:
            db.execute("DELETE FROM uploads WHERE client_message_id = ?", (client_message_id,))

    def finish_upload(self, entry: Pending) -> Pending:
        """Move a message from the uploads to the outbox, in one step, and return it with its order."""
        with self._transaction() as db:
            db.execute("DELETE FROM uploads WHERE client_message_id = ?", (entry.client_message_id,))
            cursor = db.execute(
                "INSERT INTO outbox (client_message_id, entry) VALUES (?, ?)",
                (entry.client_message_id, _encode(entry).decode()),
            )
        return msgspec.structs.replace(entry, order=cursor.lastrowid or 0)

    def _put_seen(self, seen: Iterable[MediaSeen]) -> None:
        """Store what was found out about files, within a transaction."""
        self._db.executemany(
            "INSERT OR REPLACE INTO media VALUES (?, ?)", [(one.media_key, _encode(one).decode()) for one in seen]
        )

    def _forget_seen(self, message: Message) -> None:
        """Forget what is known of the file of a message that was deleted, within a transaction."""
        media = message.media
        if media is not None:
            self._db.execute("DELETE FROM media WHERE media_key = ?", (media.media_key,))

    def _with_details(self, message: Message) -> Message:
        """Return a message with what the server found out about its file; what its sender said stays."""
        media = message.media if message.content_type in MEDIA_TYPES else None
        if media is None:
            return message
        row = self._db.execute("SELECT details FROM media WHERE media_key = ?", (media.media_key,)).fetchone()
        if row is None:
            return message
        found = {name: value for name, value in _decode_details(row[0]).items() if name not in _NOT_CONTENT}
        return msgspec.structs.replace(message, content=found | message.content)
