"""Bots: accounts that somebody owns and a program uses, and their tokens (PROTOCOL.md §16)."""

import asyncio
from collections.abc import Collection, Sequence
from typing import NamedTuple

from cooee.domain.errors import CooeeError, ErrorCode, bad_frame, not_found
from cooee.domain.groups import clean_name
from cooee.domain.ids import DeviceRef
from cooee.domain.scopes import scopes_of
from cooee.ports.accounts import Account, AccountKind, Accounts
from cooee.ports.bots import Bots
from cooee.ports.clock import Clock
from cooee.ports.devices import Device
from cooee.protocol import http
from cooee.services.accounts import MAX_DISPLAY_NAME, AccountService, check_new_user_id
from cooee.services.budgets import Budgets
from cooee.services.devices import DeviceService
from cooee.services.profiles import ProfileService, checked_user_id

TOKEN_DEVICE = "bot"  # noqa: S105  # a device's type, no secret
_UNBOUNDED = 1_000_000


class BotStores(NamedTuple):
    """What `BotService` reads and writes."""

    accounts: Accounts
    bots: Bots


class BotParts(NamedTuple):
    """The services on which `BotService` stands: a bot is an account, its tokens are devices."""

    accounts: AccountService
    devices: DeviceService
    profiles: ProfileService


class BotService:
    """The use cases of bots. Who asks is an owner's userId, or None: the operator, who may do it with every bot.

    Whose bot it is not cannot tell it from one that does not exist: ``not_found``.
    """

    def __init__(self, stores: BotStores, parts: BotParts, budgets: Budgets, clock: Clock) -> None:
        self._accounts, self._bots = stores
        self._account_service, self._devices, self._profiles = parts
        self._budgets = budgets
        self._clock = clock
        self._making = asyncio.Lock()

    async def create(self, owner_id: str | None, user_id: str, display_name: str) -> Account:
        """Open an account for a bot; the operator's belong to the server itself.

        Raises:
            CooeeError: ``conflict`` when the name is or ever was taken, ``too_large`` when the owner has as many bots
                as he may, ``forbidden`` where nobody makes bots, ``bad_frame``, ``rate_limited``.
        """
        check_new_user_id(user_id)
        name = clean_name(display_name or user_id, "the display name", MAX_DISPLAY_NAME)
        limit = _UNBOUNDED
        if owner_id is not None:
            limit = self._budgets.limits.bots_per_user
            if not limit:
                raise CooeeError(ErrorCode.FORBIDDEN, "nobody makes bots here; ask the operator of the server")
            self._budgets.spend("bots_made", owner_id)
        now = self._clock.wall_ms()
        bot = Account(user_id, name, "", now, kind=AccountKind.BOT, owner_id=owner_id or "")
        await self._bots.create(bot, limit)
        self._account_service.appeared(user_id)
        return bot

    async def page(self, owner_id: str | None, after: str, limit: int) -> Sequence[Account]:
        """Return the owner's bots by userId, or all."""
        return await self._bots.of_owner(owner_id, after, limit)

    async def get(self, owner_id: str | None, bot_id: str) -> Account:
        """Return a bot.

        Raises:
            CooeeError: ``bad_frame``, or ``not_found`` when there is none or it is another's.
        """
        bot = await self._accounts.find(checked_user_id(bot_id))
        if bot is None or bot.deleted or not bot.is_bot or owner_id not in (None, bot.owner_id):
            raise not_found("the bot")
        return bot

    async def change(self, owner_id: str | None, bot_id: str, patch: http.PatchMe) -> Account:
        """Change the bot's profile and privacy settings; its sessions are told."""
        await self.get(owner_id, bot_id)
        self.spend(owner_id)
        await self._profiles.change(DeviceRef(bot_id, ""), patch)
        return await self.get(owner_id, bot_id)

    async def delete(self, owner_id: str | None, bot_id: str) -> None:
        """End the bot with all its data; its name is never given again."""
        await self.get(owner_id, bot_id)
        self.spend(owner_id)
        await self._account_service.delete(bot_id)

    async def create_token(
        self, owner_id: str | None, bot_id: str, name: str, scopes: Collection[str], expires_at: int
    ) -> tuple[str, Device]:
        """Return a new token, shown once, with the device that it is: it lasts until it is revoked or expires.

        Raises:
            CooeeError: ``too_large`` when the bot has as many tokens as it may, ``bad_frame`` for a scope that is none
                or an end in the past, ``not_found``, ``rate_limited``.
        """
        await self.get(owner_id, bot_id)
        granted = scopes_of(scopes)
        if expires_at and expires_at <= self._clock.wall_ms():
            raise bad_frame("expiresAt lies in the past")
        self.spend(owner_id)
        limit = self._budgets.limits.tokens_per_bot
        async with self._making:
            if len(await self._tokens(bot_id)) >= limit:
                raise CooeeError(ErrorCode.TOO_LARGE, f"at most {limit} tokens; revoke one first")
            return await self._devices.enrol(bot_id, name, TOKEN_DEVICE, granted, expires_at)

    async def tokens(self, owner_id: str | None, bot_id: str) -> Sequence[Device]:
        """Return the bot's tokens as devices, oldest first; expired ones too."""
        await self.get(owner_id, bot_id)
        return await self._tokens(bot_id)

    async def revoke_token(self, owner_id: str | None, bot_id: str, token_id: str) -> None:
        """End a token at once, with its connections.

        Raises:
            CooeeError: ``not_found``.
        """
        await self.get(owner_id, bot_id)
        if all(token.device_id != token_id for token in await self._tokens(bot_id)):
            raise not_found("the token")
        self.spend(owner_id)
        await self._devices.revoke(DeviceRef(bot_id, ""), token_id)

    def spend(self, owner_id: str | None) -> None:
        """Count a change of a bot; ``rate_limited`` when there were too many. The operator is free."""
        if owner_id is not None:
            self._budgets.spend("bot_changes", owner_id)

    async def _tokens(self, bot_id: str) -> list[Device]:
        return [device for device in await self._devices.of_user(bot_id) if device.token_hash]
