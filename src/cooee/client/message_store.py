"""The part of the local store about messages: their rows, what was said of them, search, and deleting for good."""

from collections.abc import Iterable
from typing import Any

import msgspec

from cooee.client.changes import Edit, Reaction
from cooee.client.file_store import FileStore
from cooee.client.folding import fold, phrase
from cooee.client.model import Message
from cooee.client.secret_store import SecretStore
from cooee.domain.message import CONTENT_DELETED, CONTENT_ENCRYPTED, CONTENT_SYSTEM

INDEXED_FROM = 3
"""Characters of a search text from which on the index is asked; shorter ones are looked for in all texts."""
_PHRASE = 200
"""Characters of a search text that the index is asked for; the rest is compared with what it finds."""

_encode = msgspec.json.encode
_decode_message = msgspec.json.Decoder(Message).decode

_UPSERT_MESSAGE = """
    INSERT INTO messages VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (conversation_id, sequence_number) DO UPDATE SET
        message_id = excluded.message_id, sender_id = excluded.sender_id, sender_device_id = excluded.sender_device_id,
        client_message_id = excluded.client_message_id, timestamp = excluded.timestamp, counted = excluded.counted,
        content_type = excluded.content_type, expires_at = excluded.expires_at, text = excluded.text,
        message = excluded.message, reference = excluded.reference
    WHERE excluded.content_type = 'deleted'
        OR (messages.content_type != 'deleted'
            AND (messages.content_type = 'encrypted' OR excluded.content_type != 'encrypted')
            AND (json_extract(messages.message, '$.encrypted') IS NOT 1
                OR json_extract(excluded.message, '$.encrypted') IS 1))
"""


class MessageStore(FileStore, SecretStore):
    """The tables ``messages``, ``texts``, ``reactions`` and ``edits``.

    A message that was deleted stays deleted, one that could be read is never replaced by a copy that cannot, and one
    that came encrypted never by one that did not, whatever comes later and in whichever order. With a message go its
    key, its reactions and its edits.
    """

    def find_sent(self, client_message_id: str) -> Message | None:
        """Return an own message by its client message id, or None."""
        row = self._db.execute(
            "SELECT message FROM messages WHERE client_message_id = ?", (client_message_id,)
        ).fetchone()
        return self._message(row[0]) if row else None

    def find_message(self, conversation_id: str, number: int) -> Message | None:
        """Return a held message by its number, or None."""
        row = self._db.execute(
            "SELECT message FROM messages WHERE conversation_id = ? AND sequence_number = ?", (conversation_id, number)
        ).fetchone()
        return self._message(row[0]) if row else None

    def find_targets(self, conversation_id: str, reference: str) -> list[Message]:
        """Return the held messages with a reference; more than one only when the server made copies."""
        rows = self._db.execute(
            "SELECT message FROM messages WHERE conversation_id = ? AND reference = ? ORDER BY sequence_number",
            (conversation_id, reference),
        ).fetchall()
        return [self._message(row[0]) for row in rows]

    def find_by_id(self, conversation_id: str, message_id: str) -> Message | None:
        """Return a held message by its id, or None."""
        row = self._db.execute(
            "SELECT message FROM messages WHERE message_id = ? AND conversation_id = ?", (message_id, conversation_id)
        ).fetchone()
        return self._message(row[0]) if row else None

    def last_message(self, conversation_id: str) -> Message | None:
        """Return the newest message held, or None; controls, which are hidden, are passed over."""
        row = self._db.execute(
            "SELECT message FROM messages WHERE conversation_id = ? AND content_type != 'control'"
            " ORDER BY sequence_number DESC LIMIT 1",
            (conversation_id,),
        ).fetchone()
        return self._message(row[0]) if row else None

    def search(self, text: str, conversation_id: str | None, limit: int) -> list[Message]:
        """Return the newest held messages whose text contains ``text``, ignoring case; nothing in it is an operator."""
        wanted = fold(text)
        clauses, values = ["instr(text, ?) > 0"], [wanted]
        if len(wanted) >= INDEXED_FROM:
            clauses.append("row IN (SELECT rowid FROM texts WHERE texts MATCH ?)")
            values.append(phrase(wanted[:_PHRASE]))
        if conversation_id is not None:
            clauses.append("conversation_id = ?")
            values.append(conversation_id)
        rows = self._db.execute(
            f"SELECT message FROM messages WHERE {' AND '.join(clauses)}"  # noqa: S608  # clauses of ours
            " ORDER BY timestamp DESC, row DESC LIMIT ?",
            [*values, limit],
        )
        return [self._message(row[0]) for row in rows]

    # --- what cannot be read

    def unreadable(self, limit: int) -> list[Message]:
        """Return messages that could not be read so far, in the order of conversations and numbers."""
        rows = self._db.execute(
            "SELECT message FROM messages WHERE content_type = 'encrypted'"
            " ORDER BY conversation_id, sequence_number LIMIT ?",
            (limit,),
        )
        return [self._message(row[0]) for row in rows]

    def unreadable_with_key(self, limit: int) -> list[tuple[Message, bytes]]:
        """Return messages that could not be read so far, and whose key has come, with it.

        A key opens the message with its own number alone: a copy of it that came again under another stays closed.
        """
        rows = self._db.execute(
            "SELECT m.message, k.key FROM messages m JOIN message_keys k"
            " USING (conversation_id, sender_id, sender_device_id, client_message_id, sequence_number)"
            " WHERE m.content_type = 'encrypted' ORDER BY m.conversation_id, m.sequence_number LIMIT ?",
            (limit,),
        )
        return [(self._message(message), key) for message, key in rows]

    # --- disappearing messages

    def next_expiry(self) -> int | None:
        """Return when the next message expires, in ms since the Unix epoch; None when none does."""
        row = self._db.execute("SELECT min(expires_at) FROM messages WHERE expires_at > 0").fetchone()
        return None if row[0] is None else int(row[0])

    def expired(self, now: int, limit: int) -> list[tuple[str, int]]:
        """Return what has expired by ``now`` (ms since the Unix epoch), the oldest first: to be erased by a turn."""
        rows = self._db.execute(
            "SELECT conversation_id, sequence_number FROM messages WHERE expires_at > 0 AND expires_at <= ?"
            " ORDER BY expires_at LIMIT ?",
            (now, limit),
        )
        return [(conversation_id, number) for conversation_id, number in rows]

    # --- writing, within a transaction

    def _message(self, row: str) -> Message:
        message = self._answering(self._with_details(_decode_message(row)))
        said = self._db.execute(
            "SELECT user_id, emoji FROM reactions WHERE conversation_id = ? AND target = ? AND emoji != ''",
            (message.conversation_id, message.reference),
        ).fetchall()
        return msgspec.structs.replace(message, reactions=dict(said)) if said else message

    def _answering(self, message: Message) -> Message:
        """Return an encrypted reply with the id that the message that it answers has here now; None: not held here.

        What was opened goes before a copy that the server may have made of its name.
        """
        if not message.reply_reference:
            return message
        row = self._db.execute(
            "SELECT message_id FROM messages WHERE conversation_id = ? AND reference = ?"
            " ORDER BY content_type = 'encrypted' OR json_extract(message, '$.encrypted') IS NOT 1, sequence_number",
            (message.conversation_id, message.reply_reference),
        ).fetchone()
        return msgspec.structs.replace(message, reply_to=row[0] if row else None)

    def _put_messages(self, messages: Iterable[Message], me: str) -> None:
        """Store messages, each as its sender edited it last."""
        for message in messages:
            self._put_message(message, me)

    def _put_message(self, message: Message, me: str) -> None:
        if message.content_type not in {CONTENT_SYSTEM, CONTENT_DELETED}:
            edit = self._db.execute(
                "SELECT text FROM edits WHERE conversation_id = ? AND target = ? AND user_id = ?",
                (message.conversation_id, message.reference, message.sender_id),
            ).fetchone()
            if edit is not None and edit[0] is None:
                self._erase_held(message)
                return
            if edit is not None and message.content_type != CONTENT_ENCRYPTED:
                message = edited(message, edit[0])
        self._db.execute(_UPSERT_MESSAGE, _row(message, me))

    def _begin_expiry(self, conversation_id: str, after: int, through: int, now: int) -> None:
        """Let the time of what was read now run, within a transaction; what runs already goes on."""
        rows = self._db.execute(
            "SELECT message FROM messages WHERE conversation_id = ? AND sequence_number > ? AND sequence_number <= ?"
            " AND expires_at = 0 AND json_extract(message, '$.expires_in') > 0",
            (conversation_id, after, through),
        ).fetchall()
        for message in (_decode_message(row[0]) for row in rows):
            self._db.execute(
                "UPDATE messages SET expires_at = ?, message = ? WHERE conversation_id = ? AND sequence_number = ?",
                (
                    now + message.expires_in,
                    _encode(msgspec.structs.replace(message, expires_at=now + message.expires_in)).decode(),
                    conversation_id,
                    message.sequence_number,
                ),
            )

    def _put_reactions(self, reactions: Iterable[Reaction]) -> None:
        """Store reactions; of one user's to one message the newest counts, in whichever order they come."""
        self._db.executemany(
            "INSERT INTO reactions VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " sequence_number = excluded.sequence_number, emoji = excluded.emoji"
            " WHERE excluded.sequence_number > reactions.sequence_number",
            reactions,
        )

    def _put_edits(self, edits: Iterable[Edit], me: str) -> None:
        """Store edits, and change what of their targets is held; a deletion is never edited away."""
        for edit in edits:
            self._db.execute(
                "INSERT INTO edits VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
                " sequence_number = excluded.sequence_number, text = excluded.text"
                " WHERE edits.text IS NOT NULL"
                " AND (excluded.text IS NULL OR excluded.sequence_number > edits.sequence_number)",
                edit,
            )
            rows = self._db.execute(
                "SELECT message FROM messages WHERE reference = ? AND conversation_id = ? AND sender_id = ?",
                (edit.target, edit.conversation_id, edit.user_id),
            ).fetchall()
            for row in rows:
                self._put_message(_decode_message(row[0]), me)

    def _erase(self, conversation_id: str, number: int) -> None:
        """Delete a message for good: its content, its key and what was said of it; that it was there stays."""
        row = self._db.execute(
            "SELECT message FROM messages WHERE conversation_id = ? AND sequence_number = ?", (conversation_id, number)
        ).fetchone()
        if row is None:
            former = Message(conversation_id, number, "", "", "", "", 0, CONTENT_DELETED)
        else:
            former = _decode_message(row[0])
        self._erase_held(former)

    def _erase_held(self, former: Message) -> None:
        self._forget_seen(former)
        self._forget_key(former.conversation_id, former.sequence_number)
        target = (former.conversation_id, former.reference)
        self._db.execute("DELETE FROM reactions WHERE conversation_id = ? AND target = ?", target)
        self._db.execute("DELETE FROM edits WHERE conversation_id = ? AND target = ? AND text IS NOT NULL", target)
        erased = Message(
            former.conversation_id,
            former.sequence_number,
            former.message_id,
            former.sender_id,
            former.sender_device_id,
            former.client_message_id,
            former.timestamp,
            CONTENT_DELETED,
        )
        self._db.execute(_UPSERT_MESSAGE, _row(erased, ""))


def edited(message: Message, text: str) -> Message:
    """Return ``message`` with another text, or caption; as it is when it has neither."""
    if isinstance(message.content, str):
        return msgspec.structs.replace(message, content=text, edited=True)
    if isinstance(message.content, dict):
        return msgspec.structs.replace(message, content=message.content | {"caption": text}, edited=True)
    return message


def _row(message: Message, me: str) -> tuple[Any, ...]:
    return (
        message.conversation_id,
        message.sequence_number,
        message.message_id,
        message.sender_id,
        message.sender_device_id,
        message.client_message_id,
        message.timestamp,
        message.counts_as_unread and message.sender_id != me,
        message.content_type,
        message.expires_at,
        fold(message.text),
        _encode(message).decode(),
        message.reference,
    )
