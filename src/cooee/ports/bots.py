"""Bots as what somebody owns, and their incoming webhooks. Their accounts and tokens are in `Accounts`, `Devices`."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from cooee.ports.accounts import Account


class IncomingHook(msgspec.Struct, frozen=True):
    """A door by which another program posts as the bot into one conversation. Times in ms; ``last_used`` 0: never."""

    hook_id: str
    bot_id: str
    name: str
    conversation_id: str
    secret_hash: bytes
    created_at: int
    last_used: int = 0


class Bots(Protocol):
    """Who owns which bots, and the bots' incoming hooks. All of a bot goes when its account is erased."""

    async def create(self, bot: Account, limit: int) -> None:
        """Store a new account of kind bot. Durable, and atomic: the count, the owner and the name are looked at in it.

        Raises:
            CooeeError: ``not_found`` when the owner has ended or is disabled or is no person, ``too_large`` when he has
                ``limit`` bots, ``conflict`` when the userId was ever taken. An empty owner is the server itself, which
                always exists.
        """
        ...

    async def of_owner(self, owner_id: str | None, after: str, limit: int) -> Sequence[Account]:
        """Return live bots above ``after`` by userId: the owner's, the server's (empty), or all (None)."""
        ...

    async def create_hook(self, hook: IncomingHook, limit: int) -> None:
        """Store a new hook. Durable, atomic. ValueError when its id was taken.

        Raises:
            CooeeError: ``not_found`` when the bot has ended, ``too_large`` when it has ``limit`` hooks.
        """
        ...

    async def find_hook(self, hook_id: str) -> IncomingHook | None:
        """Return a hook."""
        ...

    async def hooks_of(self, bot_id: str) -> Sequence[IncomingHook]:
        """Return the bot's hooks, oldest first."""
        ...

    async def set_hook_secret(self, bot_id: str, hook_id: str, secret_hash: bytes) -> bool:
        """Replace the secret of a hook; False when the bot has no such hook. Durable."""
        ...

    async def delete_hook(self, bot_id: str, hook_id: str) -> bool:
        """Remove a hook; False when the bot has no such hook. Durable."""
        ...

    async def note_hook_used(self, hook_id: str, now_ms: int) -> None:
        """Move ``last_used`` forward, never back; an unknown hook is nothing."""
        ...
