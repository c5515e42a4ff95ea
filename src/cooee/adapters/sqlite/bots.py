"""Bots and their incoming hooks in SQLite."""

from collections.abc import Sequence
from typing import Any

import apsw

from cooee.adapters.sqlite.accounts import find_account, insert_account, select_accounts
from cooee.adapters.sqlite.database import Database
from cooee.domain.errors import CooeeError, ErrorCode, not_found
from cooee.ports.accounts import Account
from cooee.ports.bots import IncomingHook

_SELECT_HOOK = """SELECT hook_id, bot_id, name, conversation_id, secret_hash, created_at, last_used
    FROM incoming_hook WHERE """
_INSERT_HOOK = """INSERT INTO incoming_hook
    (hook_id, bot_id, name, conversation_id, secret_hash, created_at, last_used) VALUES (?, ?, ?, ?, ?, ?, ?)"""
_COUNT_BOTS = "SELECT count(*) FROM account WHERE kind = 'bot' AND owner_id = ?"
_COUNT_HOOKS = "SELECT count(*) FROM incoming_hook WHERE bot_id = ?"
_BOTS_OF_OWNER = "kind = 'bot' AND owner_id = ? AND user_id > ? ORDER BY user_id LIMIT ?"
_BOTS = "kind = 'bot' AND user_id > ? ORDER BY user_id LIMIT ?"


class SqliteBots:
    """`Bots`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, bot: Account, limit: int) -> None:
        """Store a new account of kind bot. Durable, atomic."""

        def create(connection: apsw.Connection) -> None:
            if bot.owner_id:
                owner = find_account(connection, bot.owner_id)
                if owner is None or owner.deleted or owner.disabled or owner.is_bot:
                    raise not_found("the owner")
            if connection.execute(_COUNT_BOTS, (bot.owner_id,)).get >= limit:
                raise CooeeError(ErrorCode.TOO_LARGE, f"at most {limit} bots; delete one first")
            if not insert_account(connection, bot):
                raise CooeeError(ErrorCode.CONFLICT, "this userId is taken; choose another")

        await self._database.write(create)

    async def of_owner(self, owner_id: str | None, after: str, limit: int) -> Sequence[Account]:
        """Return live bots above ``after`` by userId: the owner's, the server's (empty), or all (None)."""
        where, values = (_BOTS, (after, limit)) if owner_id is None else (_BOTS_OF_OWNER, (owner_id, after, limit))
        return await self._database.read(lambda connection: select_accounts(connection, where, values))

    async def create_hook(self, hook: IncomingHook, limit: int) -> None:
        """Store a new hook. Durable, atomic. ValueError when its id was taken."""
        row = (hook.hook_id, hook.bot_id, hook.name, hook.conversation_id, hook.secret_hash)

        def create(connection: apsw.Connection) -> None:
            bot = find_account(connection, hook.bot_id)
            if bot is None or not bot.is_bot:
                raise not_found("the bot")
            if connection.execute(_COUNT_HOOKS, (hook.bot_id,)).get >= limit:
                raise CooeeError(ErrorCode.TOO_LARGE, f"at most {limit} incoming webhooks; delete one first")
            try:
                connection.execute(_INSERT_HOOK, (*row, hook.created_at, hook.last_used))
            except apsw.ConstraintError as error:
                raise ValueError("this hookId was taken") from error

        await self._database.write(create)

    async def find_hook(self, hook_id: str) -> IncomingHook | None:
        """Return a hook."""
        found = await self._hooks("hook_id = ?", hook_id)
        return found[0] if found else None

    async def hooks_of(self, bot_id: str) -> Sequence[IncomingHook]:
        """Return the bot's hooks, oldest first."""
        return await self._hooks("bot_id = ? ORDER BY created_at, hook_id", bot_id)

    async def set_hook_secret(self, bot_id: str, hook_id: str, secret_hash: bytes) -> bool:
        """Replace the secret of a hook; False when the bot has no such hook. Durable."""
        sql = "UPDATE incoming_hook SET secret_hash = ? WHERE bot_id = ? AND hook_id = ?"
        return await self._change(sql, (secret_hash, bot_id, hook_id))

    async def delete_hook(self, bot_id: str, hook_id: str) -> bool:
        """Remove a hook; False when the bot has no such hook. Durable."""
        return await self._change("DELETE FROM incoming_hook WHERE bot_id = ? AND hook_id = ?", (bot_id, hook_id))

    async def note_hook_used(self, hook_id: str, now_ms: int) -> None:
        """Move ``last_used`` forward, never back; an unknown hook is nothing."""
        sql = "UPDATE incoming_hook SET last_used = ? WHERE hook_id = ? AND last_used < ?"
        await self._change(sql, (now_ms, hook_id, now_ms))

    async def _hooks(self, where: str, value: str) -> list[IncomingHook]:
        def find(connection: apsw.Connection) -> list[IncomingHook]:
            return [IncomingHook(*row) for row in connection.execute(_SELECT_HOOK + where, (value,))]

        return await self._database.read(find)

    async def _change(self, sql: str, values: tuple[Any, ...]) -> bool:
        def change(connection: apsw.Connection) -> bool:
            connection.execute(sql, values)
            return connection.changes() > 0

        return await self._database.write(change)
