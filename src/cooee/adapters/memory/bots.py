"""Bots and their incoming hooks in dictionaries."""

from collections.abc import Sequence

import msgspec

from cooee.adapters.memory.accounts import MemoryAccounts
from cooee.domain.errors import CooeeError, ErrorCode, not_found
from cooee.ports.accounts import Account, AccountKind
from cooee.ports.bots import IncomingHook


class MemoryBots:
    """`Bots` that a restart forgets."""

    def __init__(self, accounts: MemoryAccounts) -> None:
        self._accounts = accounts
        self._hooks: dict[str, IncomingHook] = {}

    async def create(self, bot: Account, limit: int) -> None:
        """Store a new account of kind bot."""
        if bot.owner_id:
            owner = await self._accounts.find(bot.owner_id)
            if owner is None or owner.deleted or owner.disabled or owner.is_bot:
                raise not_found("the owner")
        if len(await self.of_owner(bot.owner_id, "", limit)) >= limit:
            raise CooeeError(ErrorCode.TOO_LARGE, f"at most {limit} bots; delete one first")
        if not await self._accounts.create(bot):
            raise CooeeError(ErrorCode.CONFLICT, "this userId is taken; choose another")

    async def of_owner(self, owner_id: str | None, after: str, limit: int) -> Sequence[Account]:
        """Return live bots above ``after`` by userId: the owner's, the server's (empty), or all (None)."""
        bots = self._accounts.of_kind(AccountKind.BOT)
        return [bot for bot in bots if bot.user_id > after and owner_id in (None, bot.owner_id)][:limit]

    async def create_hook(self, hook: IncomingHook, limit: int) -> None:
        """Store a new hook. ValueError when its id was taken."""
        bot = await self._accounts.find(hook.bot_id)
        if bot is None or not bot.is_bot:
            raise not_found("the bot")
        if len(await self.hooks_of(hook.bot_id)) >= limit:
            raise CooeeError(ErrorCode.TOO_LARGE, f"at most {limit} incoming webhooks; delete one first")
        if hook.hook_id in self._hooks:
            raise ValueError("this hookId was taken")
        self._hooks[hook.hook_id] = hook

    async def find_hook(self, hook_id: str) -> IncomingHook | None:
        """Return a hook."""
        return self._hooks.get(hook_id)

    async def hooks_of(self, bot_id: str) -> Sequence[IncomingHook]:
        """Return the bot's hooks, oldest first."""
        own = (hook for hook in self._hooks.values() if hook.bot_id == bot_id)
        return sorted(own, key=lambda hook: (hook.created_at, hook.hook_id))

    async def set_hook_secret(self, bot_id: str, hook_id: str, secret_hash: bytes) -> bool:
        """Replace the secret of a hook; False when the bot has no such hook."""
        hook = self._own(bot_id, hook_id)
        if hook is not None:
            self._hooks[hook_id] = msgspec.structs.replace(hook, secret_hash=secret_hash)
        return hook is not None

    async def delete_hook(self, bot_id: str, hook_id: str) -> bool:
        """Remove a hook; False when the bot has no such hook."""
        hook = self._own(bot_id, hook_id)
        if hook is not None:
            del self._hooks[hook_id]
        return hook is not None

    async def note_hook_used(self, hook_id: str, now_ms: int) -> None:
        """Move ``last_used`` forward, never back; an unknown hook is nothing."""
        hook = self._hooks.get(hook_id)
        if hook is not None and hook.last_used < now_ms:
            self._hooks[hook_id] = msgspec.structs.replace(hook, last_used=now_ms)

    def forget_user(self, user_id: str) -> None:
        """Remove the hooks of a bot that has ended."""
        for hook_id in [hook_id for hook_id, hook in self._hooks.items() if hook.bot_id == user_id]:
            del self._hooks[hook_id]

    def _own(self, bot_id: str, hook_id: str) -> IncomingHook | None:
        hook = self._hooks.get(hook_id)
        return hook if hook is not None and hook.bot_id == bot_id else None
