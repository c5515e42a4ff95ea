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
_USED = "SELECT coalesce(sum(counted), 0) FROM media INDEXED BY media_of_owner WHERE owner_id = ?"
_INSERT = """INSERT INTO media (key, owner_id, size, counted, sha256, content_type, created_at, encrypted, filename,
    state, details, collect_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)"""
_SEES = """SELECT 1 FROM media_reference AS r
    CROSS JOIN chat_user AS u ON u.id = :user
    CROSS JOIN membership AS m ON m.conversation = r.conversation AND m.user = u.key
        AND r.number >= m.joined AND (m.left_number IS NULL OR r.number <= m.left_number)
    WHERE r.key = :key LIMIT 1"""
_KEEP = "UPDATE media SET collect_at = max(coalesce(collect_at, 0), ?) WHERE key = ?"
_UPDATE = "UPDATE media SET state = :state, details = :details WHERE key = :key AND state <= :state"
_CONVERSATIONS = """SELECT DISTINCT c.id FROM media_reference AS r JOIN conversation AS c ON c.key = r.conversation
    WHERE r.key = ? LIMIT ?"""
_HELD = "EXISTS (SELECT 1 FROM media_reference AS r WHERE r.key = media.key)"
_WAITING = f"state = 1 AND encrypted = 0 AND {_HELD} ORDER BY created_at LIMIT ?"
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

    async def create(self, media: MediaObject, keep_until: int, quota: int) -> None:
        """Store a new object. Durable, atomic. ValueError when its key was taken."""
        size = counted(media.size)
        row = (media.key, media.owner_id, media.size, size, media.sha256, media.content_type, media.created_at)
        rest = (int(media.encrypted), media.filename, media.details, keep_until)

        def create(connection: apsw.Connection) -> None:
            used: Any = connection.execute(_USED, (media.owner_id,)).get
            if used + size > quota:
                raise over_quota(used, quota)
            try:
                connection.execute(_INSERT, (*row, *rest))
            except apsw.ConstraintError as error:
                raise ValueError("this mediaKey was taken") from error

        await self._database.write(create)

    async def find(self, key: str, user_id: str) -> MediaObject | None:
        """Return the object if the user may see it."""
        return await self._database.read(lambda connection: _find(connection, key, user_id))

    async def hold(self, key: str, user_id: str, keep_until: int) -> MediaObject | None:
        """Return the object if the user may see it, and keep it."""

        def hold(connection: apsw.Connection) -> MediaObject | None:
            found = _find(connection, key, user_id)
            if found is not None:
                connection.execute(_KEEP, (keep_until, key))
            return found

        return await self._database.write(hold)

    async def update(self, key: str, state: MediaState, details: bytes) -> None:
        """Note what became of an object."""
        values = {"key": key, "state": _STATES.index(state), "details": details}

        def update(connection: apsw.Connection) -> None:
            connection.execute(_UPDATE, values)

        await self._database.write(update)

    async def conversations(self, key: str, limit: int) -> Sequence[str]:
        """Return conversations with a message that holds the object."""
        rows = await self._database.read(lambda connection: connection.execute(_CONVERSATIONS, (key, limit)).fetchall())
        return [str(row[0]) for row in rows]

    async def waiting(self, limit: int) -> Sequence[MediaObject]:
        """Return objects that are to be looked at, oldest first."""
        return await self._database.read(lambda connection: _select(connection, _WAITING, (limit,)))

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
            connection.executemany(_FORGET, [(key,) for key in keys])

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
