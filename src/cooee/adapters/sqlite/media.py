"""Media objects in SQLite."""

from collections.abc import Sequence
from typing import Any

import apsw

from cooee.adapters.sqlite.database import Database
from cooee.domain.media import counted, over_quota
from cooee.ports.media import MediaObject, MediaState

_STATES = tuple(MediaState)
_GARBAGE = len(_STATES)
_COLUMNS = "key, owner_id, size, sha256, content_type, created_at, encrypted, filename, state, details"
_SELECT = f"SELECT {_COLUMNS} FROM media WHERE "  # noqa: S608 - a constant
_USED = "SELECT coalesce((SELECT bytes FROM media_usage WHERE owner_id = ?), 0)"
_USE = """INSERT INTO media_usage (owner_id, bytes) VALUES (?, ?)
    ON CONFLICT (owner_id) DO UPDATE SET bytes = bytes + excluded.bytes"""
_GIVE_BACK = f"""UPDATE media_usage SET bytes = bytes - m.counted FROM media AS m
    WHERE m.key = ? AND m.state = {_GARBAGE} AND media_usage.owner_id = m.owner_id"""  # noqa: S608 - a constant
_INSERT = """INSERT INTO media (key, owner_id, size, counted, sha256, content_type, created_at, encrypted, filename,
    state, details, collect_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)"""
_HOLDING = """WITH RECURSIVE holding (conversation) AS (
    SELECT min(conversation) FROM media_reference WHERE key = :key
    UNION ALL
    SELECT (SELECT min(r.conversation) FROM media_reference AS r
            WHERE r.key = :key AND r.conversation > holding.conversation)
        FROM holding WHERE holding.conversation IS NOT NULL)
"""


def _holding(query: str) -> str:
    """Return ``query``, which may read from ``holding``: the conversations that hold the object :key, each once.

    The cost follows how many they are, not how often they hold it.
    """
    return _HOLDING + query


_SEES = _holding("""SELECT 1 FROM holding
    CROSS JOIN chat_user AS u ON u.id = :user
    CROSS JOIN membership AS m ON m.conversation = holding.conversation AND m.user = u.key
    WHERE EXISTS (SELECT 1 FROM media_reference AS r
        WHERE r.key = :key AND r.conversation = holding.conversation
            AND r.number BETWEEN m.joined AND coalesce(m.left_number, 9223372036854775807))
    LIMIT 1""")
_KEEP = f"""UPDATE media SET collect_at = max(coalesce(collect_at, 0), ?)
    WHERE key = ? AND state < {_GARBAGE}"""  # noqa: S608 - a constant
_UPDATE = "UPDATE media SET state = :state, details = :details WHERE key = :key AND state <= :state"
_HOLDERS = _holding("""SELECT c.id,
        (SELECT max(r.number) FROM media_reference AS r WHERE r.key = :key AND r.conversation = holding.conversation)
    FROM holding JOIN conversation AS c ON c.key = holding.conversation LIMIT :limit""")
_HELD = "EXISTS (SELECT 1 FROM media_reference AS r WHERE r.key = media.key)"
_WAITING = f"""SELECT {_COLUMNS} FROM (
        SELECT {_COLUMNS}, row_number() OVER (PARTITION BY owner_id ORDER BY created_at, key) AS turn FROM media
        WHERE state = 1 AND encrypted = 0 AND {_HELD})
    WHERE turn <= ? ORDER BY created_at, key LIMIT ?"""  # noqa: S608 - a constant
_DUE = f"""SELECT key, {_HELD} FROM media INDEXED BY media_to_collect
    WHERE collect_at IS NOT NULL AND collect_at <= ? ORDER BY collect_at LIMIT ?"""  # noqa: S608 - a constant
_TAKE = f"UPDATE media SET state = {_GARBAGE}, collect_at = 0 WHERE key = ?"  # noqa: S608 - a constant
_FORGET = f"DELETE FROM media WHERE key = ? AND state = {_GARBAGE}"  # noqa: S608 - a constant
_PIECES = 8
"""Looks at ``limit`` rows each in one call of `garbage`, as long as all that is due is still held."""


class SqliteMedia:
    """`Media`. The ledger writes and removes the references, in the transactions of the messages."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, media: MediaObject, keep_until: int, quota: int) -> int:
        """Store a new object. Durable, atomic. ValueError when its key was taken."""
        size = counted(media.size)
        row = (media.key, media.owner_id, media.size, size, media.sha256, media.content_type, media.created_at)
        rest = (int(media.encrypted), media.filename, media.details, keep_until)

        def create(connection: apsw.Connection) -> int:
            used: Any = connection.execute(_USED, (media.owner_id,)).get
            if used + size > quota:
                raise over_quota(used, quota)
            try:
                connection.execute(_INSERT, (*row, *rest))
            except apsw.ConstraintError as error:
                raise ValueError("this mediaKey was taken") from error
            connection.execute(_USE, (media.owner_id, size))
            return int(used) + size

        return await self._database.write(create)

    async def find(self, key: str, user_id: str) -> MediaObject | None:
        """Return the object if the user may see it."""
        return await self._database.read(lambda connection: _find(connection, key, user_id))

    async def hold(self, key: str, user_id: str, keep_until: int) -> MediaObject | None:
        """Return the object if the user may see it, and keep it."""

        def keep(connection: apsw.Connection) -> bool:
            connection.execute(_KEEP, (keep_until, key))
            return connection.changes() > 0

        found = await self.find(key, user_id)
        return found if found is not None and await self._database.write(keep) else None

    async def update(self, key: str, state: MediaState, details: bytes) -> None:
        """Note what became of an object."""
        values = {"key": key, "state": _STATES.index(state), "details": details}

        def update(connection: apsw.Connection) -> None:
            connection.execute(_UPDATE, values)

        await self._database.write(update)

    async def holders(self, key: str, limit: int) -> Sequence[tuple[str, int]]:
        """Return conversations with a message that holds the object."""
        values = {"key": key, "limit": limit}
        rows: list[Any] = await self._database.read(lambda connection: connection.execute(_HOLDERS, values).fetchall())
        return rows

    async def waiting(self, limit: int, per_owner: int) -> Sequence[MediaObject]:
        """Return objects that are to be looked at, oldest first, so many of each owner."""

        def waiting(connection: apsw.Connection) -> list[MediaObject]:
            return [_object(row) for row in connection.execute(_WAITING, (per_owner, limit))]

        return await self._database.read(waiting)

    async def garbage(self, now_ms: int, limit: int) -> Sequence[MediaObject]:
        """Take what nobody holds or keeps. Durable."""

        def garbage(connection: apsw.Connection) -> list[MediaObject]:
            for _ in range(_PIECES):
                due = connection.execute(_DUE, (now_ms, limit)).fetchall()
                held = [(key,) for key, is_held in due if is_held]
                free = [(key,) for key, is_held in due if not is_held]
                connection.executemany("UPDATE media SET collect_at = NULL WHERE key = ?", held)
                connection.executemany(_TAKE, free)
                if free or not due:
                    break
            return _select(connection, f"collect_at = 0 AND state = {_GARBAGE} LIMIT ?", (limit,))

        return await self._database.write(garbage)

    async def forget(self, keys: Sequence[str]) -> None:
        """Remove what is garbage. Durable."""

        def forget(connection: apsw.Connection) -> None:
            for key in dict.fromkeys(keys):
                connection.execute(_GIVE_BACK, (key,))
                connection.execute(_FORGET, (key,))

        await self._database.write(forget)


def _find(connection: apsw.Connection, key: str, user_id: str) -> MediaObject | None:
    found = _select(connection, f"key = ? AND state < {_GARBAGE}", (key,))
    if not found or (found[0].owner_id != user_id and not _sees(connection, key, user_id)):
        return None
    return found[0]


def _select(connection: apsw.Connection, where: str, values: tuple[str | int, ...]) -> list[MediaObject]:
    return [_object(row) for row in connection.execute(_SELECT + where, values)]


def _object(row: tuple[Any, ...]) -> MediaObject:
    key, owner_id, size, sha256, content_type, created_at, encrypted, filename, state, details = row
    told = _STATES[min(state, _GARBAGE - 1)]
    return MediaObject(key, owner_id, size, sha256, content_type, created_at, bool(encrypted), filename, told, details)


def _sees(connection: apsw.Connection, key: str, user_id: str) -> bool:
    return connection.execute(_SEES, {"key": key, "user": user_id}).fetchone() is not None
