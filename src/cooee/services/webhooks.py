"""Outgoing webhooks: made, changed and looked after by their bot's owner, or by the bot itself (PROTOCOL.md §17)."""

import secrets
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from cooee.domain.addresses import AddressRules, check_target
from cooee.domain.errors import CooeeError, ErrorCode, not_found
from cooee.domain.ids import DeviceRef
from cooee.domain.webhooks import EVENTS, ROTATION_MS, WebhookSettings
from cooee.ports.clock import Clock
from cooee.ports.webhooks import DeadLetter, Webhook, Webhooks
from cooee.protocol import webhooks as wire
from cooee.services.bots import BotService
from cooee.services.devices import DeviceService
from cooee.services.webhook_courier import Outcome, WebhookCourier

BY_OWNER = "its owner disabled it"
_SECRET_BYTES = 32


class WebhookParts(NamedTuple):
    """The services on which `WebhookService` stands."""

    bots: BotService
    devices: DeviceService
    courier: WebhookCourier


class WebhookService:
    """The use cases of outgoing webhooks. Another's bot, and a webhook that is not there, are ``not_found`` alike.

    ``changed`` is called with the botId after a change, so that the webhook's line goes by it.
    """

    def __init__(
        self,
        store: Webhooks,
        parts: WebhookParts,
        clock: Clock,
        settings: WebhookSettings,
        changed: Callable[[str], None],
    ) -> None:
        self._store = store
        self._bots, self._devices, self._courier = parts
        self._clock = clock
        self._settings = settings
        self._rules = AddressRules(settings.allowed_networks)
        self._changed = changed

    async def create(self, caller: str, bot_id: str, url: str, events: Sequence[str]) -> Webhook:
        """Make a webhook, which is told of what comes from now on; its secret is new.

        Raises:
            CooeeError: ``forbidden`` for an address that it may not go to or where nobody makes webhooks,
                ``too_large`` when the bot has as many as it may, ``bad_frame``, ``not_found``, ``rate_limited``.
        """
        await self._check(caller, bot_id)
        self._check_url(url)
        limit = self._settings.per_bot
        self._bots.spend(caller)
        if len(await self._store.of_bot(bot_id)) >= limit:
            raise CooeeError(ErrorCode.TOO_LARGE, f"a bot has at most {limit} webhooks; delete one first")
        device = await self._devices.attach(bot_id, "webhook")
        secret = secrets.token_bytes(_SECRET_BYTES)
        webhook = Webhook(bot_id, device.device_id, url, secret, self._clock.wall_ms(), _ordered(events))
        try:
            await self._store.create(webhook, limit)
        except CooeeError:
            await self._devices.revoke(DeviceRef(bot_id, ""), device.device_id)
            raise
        self._changed(bot_id)
        return webhook

    async def of_bot(self, caller: str, bot_id: str) -> Sequence[Webhook]:
        """Return the bot's webhooks, oldest first."""
        await self._check(caller, bot_id)
        return await self._store.of_bot(bot_id)

    async def get(self, caller: str, ref: DeviceRef) -> Webhook:
        """Return a webhook.

        Raises:
            CooeeError: ``not_found``.
        """
        for webhook in await self.of_bot(caller, ref.user_id):
            if webhook.webhook_id == ref.device_id:
                return webhook
        raise not_found("the webhook")

    async def change(self, caller: str, ref: DeviceRef, patch: wire.PatchWebhook) -> Webhook:
        """Change a webhook. What failed is tried again at once; enabled, it goes on where it ended.

        Raises:
            CooeeError: as `create`.
        """
        webhook = await self.get(caller, ref)
        changes: dict[str, Any] = {}
        if isinstance(patch.url, str):
            self._check_url(patch.url)
            changes["url"] = patch.url
        if isinstance(patch.events, tuple):
            changes["events"] = _ordered(patch.events)
        if patch.enabled is True:
            changes |= {"disabled_because": "", "dead_in_row": 0}
        elif patch.enabled is False and not webhook.disabled_because:
            changes["disabled_because"] = BY_OWNER
        return await self._update(caller, ref, changes) if changes else webhook

    async def rotate(self, caller: str, ref: DeviceRef) -> Webhook:
        """Give the webhook another secret; the former one signs beside it for 24 hours, one before that no more."""
        webhook = await self.get(caller, ref)
        until = self._clock.wall_ms() + ROTATION_MS
        secret = secrets.token_bytes(_SECRET_BYTES)
        changes = {"secret": secret, "former_secret": webhook.secret, "former_until": until}
        return await self._update(caller, ref, changes)

    async def delete(self, caller: str, ref: DeviceRef) -> None:
        """End a webhook with its dead letters. A request on its way may still arrive."""
        await self.get(caller, ref)
        self._bots.spend(caller)
        await self._devices.revoke(DeviceRef(ref.user_id, ""), ref.device_id)
        self._changed(ref.user_id)

    async def test(self, caller: str, ref: DeviceRef) -> Outcome:
        """Send a request without events, now and once, also to a disabled webhook; return what came of it."""
        webhook = await self.get(caller, ref)
        self._bots.spend(caller)
        bot = await self._bots.get(None, ref.user_id)
        owner = bot.owner_id or bot.user_id
        return await self._courier.send(webhook, owner, f"msg_{secrets.token_urlsafe(18)}", (), "test")

    async def dead_letters(self, caller: str, ref: DeviceRef, before: int, limit: int) -> Sequence[DeadLetter]:
        """Return dead letters below the number ``before`` (0: from the newest), newest first."""
        await self.get(caller, ref)
        return await self._store.dead_letters(ref, before, limit)

    async def retry(self, caller: str, ref: DeviceRef, letter_id: str | None) -> int:
        """Have a dead letter, or all, tried once more; return how many.

        Raises:
            CooeeError: ``not_found``; ``conflict`` while the webhook is disabled.
        """
        webhook = await self.get(caller, ref)
        if webhook.disabled_because:
            raise CooeeError(ErrorCode.CONFLICT, "the webhook is disabled; enable it first")
        self._bots.spend(caller)
        count = await self._store.request(ref, letter_id)
        if letter_id is not None and not count:
            raise not_found("the dead letter")
        self._changed(ref.user_id)
        return count

    async def _update(self, caller: str, ref: DeviceRef, changes: dict[str, Any]) -> Webhook:
        self._bots.spend(caller)
        after = await self._store.update(ref, changes)
        if after is None:
            raise not_found("the webhook")
        self._changed(ref.user_id)
        return after

    def _check_url(self, url: str) -> None:
        if not self._settings.per_bot:
            raise CooeeError(ErrorCode.FORBIDDEN, "nobody makes webhooks here; ask the operator of the server")
        check_target(url, self._rules, allow_http=self._settings.allow_http)

    async def _check(self, caller: str, bot_id: str) -> None:
        await self._bots.get(None if caller == bot_id else caller, bot_id)


def _ordered(events: Sequence[str]) -> tuple[str, ...]:
    return tuple(event for event in EVENTS if event in events)
