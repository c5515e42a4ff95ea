"""Contacts and blocks in SQLite."""

from collections.abc import Sequence
from enum import IntEnum

import apsw

from cooee.adapters.sqlite.database import Database
from cooee.adapters.sqlite.rows import chunks, marks


class _Kind(IntEnum):
    """As stored in ``relation.kind``."""

    CONTACT = 1
    BLOCK = 2


_ADD = "INSERT INTO relation (kind, user_id, other_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
_REMOVE = "DELETE FROM relation WHERE kind = ? AND user_id = ? AND other_id = ?"
_PAGE = "SELECT other_id FROM relation WHERE kind = ? AND user_id = ? AND other_id > ? ORDER BY other_id LIMIT ?"
_NAMED_BY = "SELECT other_id FROM relation WHERE kind = ? AND user_id = ? AND other_id IN "
_NAMING = "SELECT user_id FROM relation WHERE kind = ? AND other_id = ? AND user_id IN "


class SqliteContacts:
    """`Contacts`: a row for each contact and each block."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def set_contact(self, user_id: str, other_id: str, present: bool) -> bool:
        """Add or remove a contact; False when nothing changed. Durable."""
        return await self._set(_Kind.CONTACT, user_id, other_id, present)

    async def contacts(self, user_id: str, after: str, limit: int) -> Sequence[str]:
        """Return the user's contacts above ``after`` in ascending order."""
        return await self._page(_Kind.CONTACT, user_id, after, limit)

    async def is_contact(self, user_id: str, other_id: str) -> bool:
        """Tell whether ``other_id`` is among the contacts of ``user_id``."""
        found = await self._database.read(
            lambda connection: _related(connection, _NAMED_BY, _Kind.CONTACT, user_id, [other_id])
        )
        return bool(found)

    async def who_have(self, user_id: str, other_ids: Sequence[str]) -> frozenset[str]:
        """Return those of ``other_ids`` that have ``user_id`` among their contacts."""
        return await self._database.read(
            lambda connection: _related(connection, _NAMING, _Kind.CONTACT, user_id, other_ids)
        )

    async def set_block(self, user_id: str, other_id: str, present: bool) -> bool:
        """Block or unblock; False when nothing changed. Durable."""
        return await self._set(_Kind.BLOCK, user_id, other_id, present)

    async def blocks(self, user_id: str, after: str, limit: int) -> Sequence[str]:
        """Return whom the user blocks above ``after`` in ascending order."""
        return await self._page(_Kind.BLOCK, user_id, after, limit)

    async def blocked_either_way(self, user_id: str, other_ids: Sequence[str]) -> frozenset[str]:
        """Return those of ``other_ids`` that block the user or are blocked by him."""

        def blocked(connection: apsw.Connection) -> frozenset[str]:
            own = _related(connection, _NAMED_BY, _Kind.BLOCK, user_id, other_ids)
            return own | _related(connection, _NAMING, _Kind.BLOCK, user_id, other_ids)

        return await self._database.read(blocked)

    async def _set(self, kind: _Kind, user_id: str, other_id: str, present: bool) -> bool:
        def change(connection: apsw.Connection) -> bool:
            connection.execute(_ADD if present else _REMOVE, (kind, user_id, other_id))
            return connection.changes() > 0

        return await self._database.write(change)

    async def _page(self, kind: _Kind, user_id: str, after: str, limit: int) -> Sequence[str]:
        def page(connection: apsw.Connection) -> list[str]:
            return [other_id for (other_id,) in connection.execute(_PAGE, (kind, user_id, after, limit))]

        return await self._database.read(page)


def _related(
    connection: apsw.Connection, sql: str, kind: _Kind, user_id: str, other_ids: Sequence[str]
) -> frozenset[str]:
    found: set[str] = set()
    for chunk in chunks(other_ids):
        rows = connection.execute(sql + f"({marks(chunk)})", (kind, user_id, *chunk))
        found.update(other_id for (other_id,) in rows)
    return frozenset(found)
