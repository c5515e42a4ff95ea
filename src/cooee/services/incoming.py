"""Incoming webhooks: other programs post as a bot, each into one conversation, by an address that is a secret."""

import hmac
import re
import secrets
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from cooee.domain.errors import not_a_member, not_found
from cooee.domain.groups import clean_name
from cooee.domain.ids import DeviceRef, uuid7
from cooee.ports.bots import Bots, IncomingHook
from cooee.ports.clock import Clock
from cooee.ports.cursors import Cursors
from cooee.protocol import frames
from cooee.services.bots import BotService
from cooee.services.budgets import Budgets
from cooee.services.conversations import ConversationViews, check_takes_part
from cooee.services.devices import MAX_DEVICE_NAME, DeviceService
from cooee.services.messages import Messages
from cooee.services.secrets import hash_token, new_hook_id, new_token

_HOOK_ID = re.compile(r"hook_[0-9a-f]{20}", re.ASCII)
_NO_HASH = bytes(32)
_NOTE_AFTER_MS = 60_000


class HookStores(NamedTuple):
    """What `IncomingHooks` reads and writes."""

    bots: Bots
    cursors: Cursors


class Posting(NamedTuple):
    """The services on which a post stands."""

    bots: BotService
    devices: DeviceService
    messages: Messages
    views: ConversationViews


class IncomingHooks:
    """The use cases of incoming webhooks: kept by the bot's owner, or by the bot itself (scope ``webhooks``)."""

    def __init__(self, stores: HookStores, parts: Posting, budgets: Budgets, clock: Clock) -> None:
        self._store, self._cursors = stores
        self._bots, self._devices, self._messages, self._views = parts
        self._budgets = budgets
        self._clock = clock

    async def create(self, caller: str, bot_id: str, name: str, conversation_id: str) -> tuple[IncomingHook, str]:
        """Return a new hook and its secret, which is shown once.

        Raises:
            CooeeError: ``not_a_member`` for a conversation that the bot is not in, ``too_large`` when it has as many
                hooks as it may, ``not_found`` for another's bot, ``bad_frame``, ``rate_limited``.
        """
        await self._check(caller, bot_id)
        name = clean_name(name, "the webhook's name", MAX_DEVICE_NAME)
        check_takes_part(conversation_id, bot_id)
        view = await self._views.load(conversation_id)
        if bot_id not in view.members or view.gone:
            raise not_a_member()
        self._bots.spend(caller)
        secret = new_token()
        hook = IncomingHook(new_hook_id(), bot_id, name, conversation_id, hash_token(secret), self._clock.wall_ms())
        await self._store.create_hook(hook, self._budgets.limits.hooks_per_bot)
        return hook, secret

    async def of_bot(self, caller: str, bot_id: str) -> Sequence[IncomingHook]:
        """Return the bot's hooks, oldest first."""
        await self._check(caller, bot_id)
        return await self._store.hooks_of(bot_id)

    async def rotate(self, caller: str, bot_id: str, hook_id: str) -> tuple[IncomingHook, str]:
        """Return the hook with another secret; the former one is void at once.

        Raises:
            CooeeError: ``not_found``, ``rate_limited``.
        """
        await self._check(caller, bot_id)
        self._bots.spend(caller)
        secret = new_token()
        if not await self._store.set_hook_secret(bot_id, hook_id, hash_token(secret)):
            raise not_found("the webhook")
        hook = await self._store.find_hook(hook_id)
        if hook is None:
            raise not_found("the webhook")
        return hook, secret

    async def delete(self, caller: str, bot_id: str, hook_id: str) -> None:
        """End a hook at once.

        Raises:
            CooeeError: ``not_found``, ``rate_limited``.
        """
        await self._check(caller, bot_id)
        self._bots.spend(caller)
        if not await self._store.delete_hook(bot_id, hook_id):
            raise not_found("the webhook")
        await self._cursors.forget_devices((DeviceRef(bot_id, hook_id),))

    async def admit(self, address: str, hook_id: str, secret: str) -> IncomingHook:
        """Return the hook that this secret opens.

        Raises:
            CooeeError: ``not_found``, the same for an unknown hook, a wrong secret, and a bot that is disabled;
                ``rate_limited``.
        """
        self._budgets.spend_for_address("hook_posts_per_address", address)
        hook = await self._store.find_hook(hook_id) if _HOOK_ID.fullmatch(hook_id) else None
        kept = _NO_HASH if hook is None else hook.secret_hash
        matched = hmac.compare_digest(hash_token(secret), kept)
        if hook is None or not matched or not await self._devices.may_run(hook.bot_id):
            raise not_found("the webhook")
        self._budgets.spend("hook_posts", hook.hook_id)
        return hook

    async def post(self, hook: IncomingHook, text: str, client_message_id: str) -> frames.Ack:
        """Send a text as the bot; the same non-empty ``client_message_id`` again is the same message.

        The hook is the sending device, so each hook has ids of its own.

        Raises:
            CooeeError: whatever sending refuses: ``not_a_member`` when the bot has left, ``blocked``, ``too_large`` …
        """
        now = self._clock.wall_ms()
        name = client_message_id or uuid7(now, secrets.randbits(74))
        frame = frames.Send(name, "text", msgspec.Raw(msgspec.json.encode(text)), hook.conversation_id)
        ack = await self._messages.send_and_wait(DeviceRef(hook.bot_id, hook.hook_id), frame)
        if now - hook.last_used > _NOTE_AFTER_MS:
            await self._store.note_hook_used(hook.hook_id, now)
        return ack

    async def _check(self, caller: str, bot_id: str) -> None:
        await self._bots.get(None if caller == bot_id else caller, bot_id)
