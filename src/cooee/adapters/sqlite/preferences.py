"""Conversation flags and the log of own changes in SQLite."""

from collections.abc import Sequence

import apsw

from cooee.adapters.sqlite.database import Database
from cooee.adapters.sqlite.rows import chunks, marks
from cooee.ports.preferences import ConversationFlags, OwnChange

_FLAGS = """SELECT conversation_id, muted_until, pinned, archived FROM conversation_flags
    WHERE user_id = ? AND conversation_id IN """
_CHANGES_AFTER = """SELECT position, conversation_id FROM own_change WHERE user_id = ? AND position > ?
    ORDER BY position LIMIT ?"""
_COUNTER_BITS = 33
_EPOCH_MASK = (1 << 29) - 1


class SqlitePreferences:
    """`Preferences`. The upper bits of a position come from the file's epoch: another file's position is foreign."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def flags(self, user_id: str, conversation_ids: Sequence[str]) -> dict[str, ConversationFlags]:
        """Return the flags that were ever set, by conversationId."""

        def flags(connection: apsw.Connection) -> dict[str, ConversationFlags]:
            found = {}
            for chunk in chunks(conversation_ids):
                rows = connection.execute(_FLAGS + f"({marks(chunk)})", (user_id, *chunk))
                for conversation_id, muted_until, pinned, archived in rows:
                    found[conversation_id] = ConversationFlags(muted_until, bool(pinned), bool(archived))
            return found

        return await self._database.read(flags)

    async def set_flags(self, user_id: str, conversation_id: str, flags: ConversationFlags) -> int:
        """Store the flags and note the change in one durable step; return its position."""
        sql = """INSERT OR REPLACE INTO conversation_flags
            (user_id, conversation_id, muted_until, pinned, archived) VALUES (?, ?, ?, ?, ?)"""

        def set_flags(connection: apsw.Connection) -> int:
            connection.execute(sql, (user_id, conversation_id, flags.muted_until, flags.pinned, flags.archived))
            return _note(connection, user_id, conversation_id)

        return await self._database.write(set_flags)

    async def note_change(self, user_id: str, conversation_id: str) -> int:
        """Note that the user's state of a conversation (empty id: of the account) changed; return the position."""
        return await self._database.write(lambda connection: _note(connection, user_id, conversation_id))

    async def changes_after(self, user_id: str, position: int, limit: int) -> Sequence[OwnChange] | None:
        """Return the latest change per conversation above ``position``, ascending; None for a foreign position."""

        def changes(connection: apsw.Connection) -> Sequence[OwnChange] | None:
            if position != 0 and not _base(connection) < position <= _newest(connection, user_id):
                return None
            return [OwnChange(*row) for row in connection.execute(_CHANGES_AFTER, (user_id, position, limit))]

        return await self._database.read(changes)

    async def position(self, user_id: str) -> int:
        """Return the position of the user's newest change, 0 when there was none."""
        return await self._database.read(lambda connection: _newest(connection, user_id))


def _note(connection: apsw.Connection, user_id: str, conversation_id: str) -> int:
    position = (_newest(connection, user_id) or _base(connection)) + 1
    sql = "INSERT OR REPLACE INTO own_change (user_id, conversation_id, position) VALUES (?, ?, ?)"
    connection.execute(sql, (user_id, conversation_id, position))
    return position


def _newest(connection: apsw.Connection, user_id: str) -> int:
    sql = "SELECT max(position) FROM own_change WHERE user_id = ?"
    newest: int | None = connection.execute(sql, (user_id,)).get
    return newest or 0


def _base(connection: apsw.Connection) -> int:
    epoch: str = connection.execute("SELECT value FROM meta WHERE name = 'epoch'").get
    return ((int(epoch, 16) & _EPOCH_MASK) or 1) << _COUNTER_BITS
