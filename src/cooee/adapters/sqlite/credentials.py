"""Hashes of one-time secrets in SQLite."""

from collections.abc import Sequence

import apsw

from cooee.adapters.sqlite.database import Database

_REMOVE_SPENT = """DELETE FROM registration_invite
    WHERE (max_uses > 0 AND uses >= max_uses) OR (expires_at > 0 AND expires_at <= ?)"""


class SqliteCredentials:
    """`Credentials`. What is used up is removed; each use is one statement in the single writer, hence atomic."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put_recovery_codes(self, user_id: str, hashes: Sequence[bytes]) -> None:
        """Replace all recovery codes of the user. Durable."""
        rows = [(user_id, code_hash) for code_hash in set(hashes)]

        def put(connection: apsw.Connection) -> None:
            connection.execute("DELETE FROM recovery_code WHERE user_id = ?", (user_id,))
            connection.executemany("INSERT INTO recovery_code (user_id, code_hash) VALUES (?, ?)", rows)

        await self._database.write(put)

    async def use_recovery_code(self, user_id: str, code_hash: bytes) -> bool:
        """Use a code up; False when it is unknown or used. Durable."""

        def use(connection: apsw.Connection) -> bool:
            connection.execute("DELETE FROM recovery_code WHERE user_id = ? AND code_hash = ?", (user_id, code_hash))
            return connection.changes() > 0

        return await self._database.write(use)

    async def put_invite(self, token_hash: bytes, expires_at: int, max_uses: int) -> None:
        """Store an invitation to register; one with the same hash is replaced. Durable."""
        sql = "INSERT OR REPLACE INTO registration_invite (token_hash, expires_at, max_uses, uses) VALUES (?, ?, ?, 0)"

        def put(connection: apsw.Connection) -> None:
            connection.execute(sql, (token_hash, expires_at, max_uses))

        await self._database.write(put)

    async def use_invite(self, token_hash: bytes, now_ms: int) -> bool:
        """Count one use; False when unknown, expired or used up. Durable."""
        sql = """UPDATE registration_invite SET uses = uses + 1
            WHERE token_hash = ? AND (expires_at = 0 OR expires_at > ?) AND (max_uses = 0 OR uses < max_uses)"""

        def use(connection: apsw.Connection) -> bool:
            connection.execute(sql, (token_hash, now_ms))
            used = connection.changes() > 0
            if used:
                connection.execute(_REMOVE_SPENT, (now_ms,))
            return used

        return await self._database.write(use)
