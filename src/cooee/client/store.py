"""The local store: one encrypted SQLite file, one writer. What it has committed survives ``kill -9`` and a power cut.

What the encryption protects, and what not, says `database`; where the key is, `store_key`. Synchronous; the client
calls it from one thread of its own. What an application is told, and what the server is told to be received, has been
committed here before.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from cooee.client.changes import Page
from cooee.client.database import DATABASE_NAME, Connection, Error, connect, encrypt_former
from cooee.client.errors import StoreUnusable
from cooee.client.key_wrap import StoreKey
from cooee.client.message_store import MessageStore
from cooee.client.model import HistoryPage, Message, Pending
from cooee.client.schema import migrate
from cooee.client.state import UNREAD_CAP, ConversationState, State
from cooee.client.timeline import EARLY_LIMIT, single
from cooee.client.turn import Turn
from cooee.domain.ids import DeviceRef
from cooee.domain.receipt import Watermark


class _Members(msgspec.Struct):
    """The part of a conversation's state that stands in its own column."""

    roster: dict[str, int] | None = None
    marks: dict[str, Watermark] = {}


_encode = msgspec.json.encode
_decode_state = msgspec.json.Decoder(ConversationState).decode
_decode_members = msgspec.json.Decoder(_Members).decode
_decode_message = msgspec.json.Decoder(Message).decode
_decode_pending = msgspec.json.Decoder(Pending).decode


class Store(MessageStore):
    """Conversations, messages, outbox, files, keys and sync token of one device, in ``folder``, under ``key``."""

    def __init__(self, folder: Path, key: StoreKey) -> None:
        """Open the store, and create or migrate it; one of an earlier version, in the clear, is encrypted first.

        Raises:
            StoreUnusable: it is damaged, no store of this key, of a newer version, or cannot be written.
        """
        self.path = folder / DATABASE_NAME
        self.key = key
        encrypt_former(folder, key)
        try:
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            self._db = connect(self.path, key)
        except (OSError, Error) as problem:
            raise StoreUnusable(f"{self.path} cannot be opened: {problem}") from None
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            migrate(self._db, self.path)
        except Error as problem:
            self._db.close()
            raise StoreUnusable(
                f"{self.path} is damaged, of another key, or no store of this program ({problem});"
                " move it away and log in again"
            ) from None
        except StoreUnusable:
            self._db.close()
            raise

    def close(self) -> None:
        """Close the file; everything committed is in it."""
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield self._db
            self._db.execute("COMMIT")
        except Error as problem:
            self._roll_back()
            raise StoreUnusable(f"{self.path} cannot be written: {problem}; free some space and try again") from None
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    # --- state

    def load(self, me: DeviceRef) -> State:
        """Return the state as it was committed last. Another device than before begins without a sync token."""
        self._belong_to(me)
        conversations = [
            self._conversation(*row) for row in self._db.execute("SELECT state, members FROM conversations")
        ]
        entries = self._db.execute('SELECT "order", entry FROM outbox ORDER BY "order"')
        pending = [msgspec.structs.replace(_decode_pending(entry), order=order) for order, entry in entries]
        state = State(me, conversations, pending, self._fact("sync_token"))
        state.to_device = int(self._fact("to_device") or 0)
        return state

    def _belong_to(self, me: DeviceRef) -> None:
        if self._fact("device_id") != me.device_id:
            with self._transaction() as db:
                db.execute("DELETE FROM facts WHERE name IN ('sync_token', 'to_device')")
                self._put_fact("device_id", me.device_id)

    def _fact(self, name: str) -> str | None:
        row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def _put_fact(self, name: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    @property
    def restored(self) -> bool:
        """Whether the store came out of a backup, and nobody has made new sessions and keys since."""
        return self._fact("restored") is not None

    def settle_restored(self) -> None:
        """Note that new sessions and keys were made since the restore; durable when it returns."""
        with self._transaction() as db:
            db.execute("DELETE FROM facts WHERE name = 'restored'")

    def _conversation(self, state: str, members: str) -> ConversationState:
        conversation = _decode_state(state)
        people = _decode_members(members)
        rows = self._db.execute(
            "SELECT message FROM messages WHERE conversation_id = ? AND sequence_number > ?"
            " ORDER BY sequence_number LIMIT ?",
            (conversation.conversation_id, conversation.position if conversation.learned else 0, EARLY_LIMIT // 2),
        )
        early = tuple(single(_decode_message(row[0])) for row in rows)
        return msgspec.structs.replace(conversation, roster=people.roster, marks=people.marks, early=early)

    def commit(self, turn: Turn) -> None:
        """Store all that ``turn`` changes, in one transaction; durable when it returns.

        Raises:
            StoreUnusable: nothing was stored; the turn must be dropped.
        """
        me = turn.state.me.user_id
        with self._transaction() as db:
            self._put_records(turn.records)
            self._put_messages(turn.messages.values(), me)
            for page in turn.pages:
                self._put_page(page, me)
            self._put_keys(turn.message_keys)
            self._put_reactions(turn.reactions)
            self._put_edits(turn.edits, me)
            self._put_seen(turn.seen.values())
            for conversation_id, number in turn.erased:
                self._erase(conversation_id, number)
            for conversation_id, span in turn.read_at.items():
                self._begin_expiry(conversation_id, *span)
            for conversation_id, number in turn.dropped_keys:
                self._forget_key(conversation_id, number)
            for after in turn.conversations.values():
                self._put_conversation(after, turn.state.find(after.conversation_id))
            db.executemany("DELETE FROM outbox WHERE client_message_id = ?", [(key,) for key in turn.placed])
            db.executemany(
                "UPDATE outbox SET entry = ? WHERE client_message_id = ?",
                [(_encode(entry).decode(), key) for key, entry in turn.failed.items()],
            )
            if turn.sync_token is not None:
                self._put_fact("sync_token", turn.sync_token)
            if turn.keeps_to_device:
                self._put_fact("to_device", str(turn.to_device))

    def _put_conversation(self, after: ConversationState, before: ConversationState | None) -> None:
        state = _encode(msgspec.structs.replace(after, early=(), roster=None, marks={})).decode()
        if before is not None and before.roster is after.roster and before.marks is after.marks:
            updated = self._db.execute(
                "UPDATE conversations SET last_activity = ?, state = ? WHERE conversation_id = ?",
                (after.last_activity, state, after.conversation_id),
            )
            if updated.rowcount:
                return
        roster = None if after.roster is None else dict(after.roster)
        members = _encode(_Members(roster, dict(after.marks))).decode()
        self._db.execute(
            "INSERT OR REPLACE INTO conversations VALUES (?, ?, ?, ?)",
            (after.conversation_id, after.last_activity, state, members),
        )

    # --- outbox

    def put_pending(self, entry: Pending) -> Pending:
        """Store a message to send and return it with its order; durable when it returns."""
        with self._transaction() as db:
            cursor = db.execute(
                "INSERT INTO outbox (client_message_id, entry) VALUES (?, ?)",
                (entry.client_message_id, _encode(entry).decode()),
            )
        return msgspec.structs.replace(entry, order=cursor.lastrowid or 0)

    def replace_pending(self, former: str, entry: Pending) -> Pending:
        """Put ``entry`` at the end in the place of the entry ``former``."""
        with self._transaction() as db:
            db.execute("DELETE FROM outbox WHERE client_message_id = ?", (former,))
            cursor = db.execute(
                "INSERT INTO outbox (client_message_id, entry) VALUES (?, ?)",
                (entry.client_message_id, _encode(entry).decode()),
            )
        return msgspec.structs.replace(entry, order=cursor.lastrowid or 0)

    def drop_pending(self, client_message_id: str) -> None:
        """Forget a message of the outbox."""
        with self._transaction() as db:
            db.execute("DELETE FROM outbox WHERE client_message_id = ?", (client_message_id,))

    # --- reading

    def unread(self, conversation: ConversationState) -> int:
        """Derive the unread count, at most 999: counted here, and by the server for what is not held here."""
        counted, read = conversation.counted, conversation.read
        behind = conversation.head - max(conversation.position, counted.last) if conversation.hinted else 0
        if read == counted.read and counted.last > conversation.position:
            found = counted.unread
        elif read >= conversation.start or read != counted.read:
            found = self._count(conversation, read)
        else:
            found = counted.unread + self._count(conversation, max(counted.last, conversation.start))
        return min(found + max(behind, 0), UNREAD_CAP)

    def _count(self, conversation: ConversationState, after: int) -> int:
        row = self._db.execute(
            "SELECT count(*) FROM (SELECT 1 FROM messages WHERE conversation_id = ? AND sequence_number > ?"
            " AND sequence_number <= ? AND counted = 1 LIMIT ?)",
            (conversation.conversation_id, after, conversation.position, UNREAD_CAP),
        ).fetchone()
        return int(row[0])

    # --- history

    def history(self, conversation: ConversationState, before: int, limit: int) -> tuple[HistoryPage, int]:
        """Return the newest held messages below ``before``, without a hole, and from which number on they are complete.

        That number is ``before`` when nothing is held there: ask the server below it.
        """
        bottom = before
        for first, through in sorted(self._covered(conversation), reverse=True):
            if first < bottom <= through + 1:
                bottom = first
        rows = self._db.execute(
            "SELECT message FROM messages WHERE conversation_id = ? AND sequence_number >= ? AND sequence_number < ?"
            " ORDER BY sequence_number DESC LIMIT ?",
            (conversation.conversation_id, bottom, before, limit),
        ).fetchall()
        messages = tuple(self._message(row[0]) for row in reversed(rows))
        all_shown = not messages or len(messages) < limit or messages[0].sequence_number <= bottom
        return HistoryPage(messages, bottom <= 1 and all_shown, from_server=False), bottom

    def _covered(self, conversation: ConversationState) -> list[tuple[int, int]]:
        rows: list[tuple[int, int]] = self._db.execute(
            "SELECT first, through FROM ranges WHERE conversation_id = ?", (conversation.conversation_id,)
        ).fetchall()
        if conversation.learned and conversation.position > conversation.start:
            rows.append((conversation.start + 1, conversation.position))
        return rows

    def put_history(
        self, me: DeviceRef, conversation_id: str, messages: Iterable[Message], first: int, through: int
    ) -> None:
        """Store a page of history, complete from ``first`` to ``through``; what was deleted since stays deleted."""
        with self._transaction():
            self._put_page(Page(conversation_id, tuple(messages), first, through), me.user_id)

    def _put_page(self, page: Page, me: str) -> None:
        """Store a page of history, within a transaction."""
        self._put_messages(page.messages, me)
        if page.first > page.through:
            return
        touching = self._db.execute(
            "SELECT first, through FROM ranges WHERE conversation_id = ? AND first <= ? AND through >= ?",
            (page.conversation_id, page.through + 1, page.first - 1),
        ).fetchall()
        self._db.executemany(
            "DELETE FROM ranges WHERE conversation_id = ? AND first = ?", _keys(page.conversation_id, touching)
        )
        lowest = min([page.first, *(row[0] for row in touching)])
        highest = max([page.through, *(row[1] for row in touching)])
        self._db.execute("INSERT INTO ranges VALUES (?, ?, ?)", (page.conversation_id, lowest, highest))


def _keys(conversation_id: str, rows: Sequence[Sequence[int]]) -> list[tuple[str, int]]:
    return [(conversation_id, row[0]) for row in rows]
