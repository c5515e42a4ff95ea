"""The operations of outgoing webhooks (PROTOCOL.md §17)."""

from collections.abc import Sequence

import msgspec

from cooee.client.calls import Calls, part
from cooee.domain.webhooks import Event
from cooee.protocol import webhooks as bodies


class WebhooksApi(Calls):
    """What the owner of a bot may do, and the bot itself with the scope ``webhooks``.

    To make one and to change it takes ``messages:read`` as well: messages go where it says.
    """

    async def create_webhook(
        self, bot_id: str, url: str, events: Sequence[Event] = ("message",)
    ) -> bodies.WebhookWithSecret:
        """Make an outgoing webhook, which is told of what comes from now on; its secret is told only now."""
        body = bodies.CreateWebhook(url, tuple(events))
        return await self._call("POST", _all(bot_id), bodies.WebhookWithSecret, body)

    async def webhooks(self, bot_id: str) -> Sequence[bodies.Webhook]:
        """List the outgoing webhooks of a bot."""
        return await self._all(_all(bot_id), bodies.Webhook)

    async def webhook(self, bot_id: str, webhook_id: str) -> bodies.Webhook:
        """Return an outgoing webhook, with its last error and next attempt."""
        return await self._call("GET", _one(bot_id, webhook_id), bodies.Webhook)

    async def update_webhook(
        self,
        bot_id: str,
        webhook_id: str,
        *,
        url: str | None = None,
        events: Sequence[Event] | None = None,
        enabled: bool | None = None,
    ) -> bodies.Webhook:
        """Change an outgoing webhook; what is None stays. What failed is tried again at once."""
        body = bodies.PatchWebhook(
            msgspec.UNSET if url is None else url,
            msgspec.UNSET if events is None else tuple(events),
            msgspec.UNSET if enabled is None else enabled,
        )
        return await self._call("PATCH", _one(bot_id, webhook_id), bodies.Webhook, body)

    async def delete_webhook(self, bot_id: str, webhook_id: str) -> None:
        """End an outgoing webhook with its dead letters."""
        await self._do("DELETE", _one(bot_id, webhook_id))

    async def test_webhook(self, bot_id: str, webhook_id: str) -> bodies.WebhookTested:
        """Have one signed request without events sent, now; return what came of it."""
        return await self._call("POST", f"{_one(bot_id, webhook_id)}/test", bodies.WebhookTested)

    async def rotate_webhook(self, bot_id: str, webhook_id: str) -> bodies.WebhookWithSecret:
        """Replace the secret; the former one signs beside the new one for 24 hours."""
        return await self._call("POST", f"{_one(bot_id, webhook_id)}/rotate", bodies.WebhookWithSecret)

    async def dead_letters(self, bot_id: str, webhook_id: str) -> Sequence[bodies.DeadLetter]:
        """List what was given up, newest first."""
        return await self._all(f"{_one(bot_id, webhook_id)}/dead-letters", bodies.DeadLetter)

    async def retry_dead_letters(self, bot_id: str, webhook_id: str, letter_id: str | None = None) -> int:
        """Have a dead letter, or all, tried once more; return how many."""
        path = f"{_one(bot_id, webhook_id)}/dead-letters"
        one = "" if letter_id is None else f"/{part(letter_id)}"
        return (await self._call("POST", f"{path}{one}/retry", bodies.Retrying)).letters


def _all(bot_id: str) -> str:
    return f"/v1/bots/{part(bot_id)}/webhooks"


def _one(bot_id: str, webhook_id: str) -> str:
    return f"{_all(bot_id)}/{part(webhook_id)}"
