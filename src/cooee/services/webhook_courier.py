"""One request to a webhook's receiver: signed, within bounds, and what came of it (PROTOCOL.md §17)."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec

from cooee.domain.webhooks import Verdict, WebhookSettings, judge, retry_after_s
from cooee.ports.clock import Clock
from cooee.ports.webhook_sender import NotSent, WebhookSender
from cooee.ports.webhooks import Webhook
from cooee.protocol.codec import encode
from cooee.protocol.webhook_signature import signed_headers
from cooee.protocol.webhooks import Delivery


class Outcome(msgspec.Struct, frozen=True):
    """What came of an attempt. ``error`` is for the webhook's owner: a status code or a few words of ours.

    ``status`` 0: there was no answer. ``asked_s``: how long the receiver asks to be left alone.
    """

    verdict: Verdict
    status: int = 0
    error: str = ""
    asked_s: float = 0.0


class CourierCounters:
    """What was sent. Plain numbers, read when metrics are asked for."""

    __slots__ = ("events", "failed", "in_flight", "sent")

    def __init__(self) -> None:
        self.sent = 0
        self.events = 0
        self.failed: Counter[str] = Counter()
        self.in_flight = 0


class WebhookCourier:
    """Sends requests, a bounded number at a time; the webhooks of one owner never have more than a quarter of that."""

    def __init__(self, sender: WebhookSender, clock: Clock, settings: WebhookSettings) -> None:
        self._sender = sender
        self._clock = clock
        self._all = asyncio.Semaphore(settings.in_flight)
        self._share = max(1, settings.in_flight // 4)
        self._of_owner: dict[str, tuple[asyncio.Semaphore, int]] = {}
        self.counters = CourierCounters()

    async def send(
        self, webhook: Webhook, owner: str, delivery_id: str, events: Sequence[bytes], kind: str = "events"
    ) -> Outcome:
        """Send ``events``, encoded frames, and tell what came of it. Waits while too many are on their way."""
        async with self.slot(owner):
            return await self.send_now(webhook, delivery_id, events, kind)

    async def send_now(
        self, webhook: Webhook, delivery_id: str, events: Sequence[bytes], kind: str = "events"
    ) -> Outcome:
        """Send within a `slot` of the webhook's owner."""
        raw = tuple(map(msgspec.Raw, events))
        body = encode(Delivery(kind, webhook.bot_id, webhook.webhook_id, raw))
        now_s = self._clock.wall_ms() // 1000
        headers = signed_headers(self._keys(webhook), delivery_id, now_s, body)
        try:
            answered = await self._sender.post(webhook.url, headers, body)
        except NotSent as problem:
            self.counters.failed[problem.reason] += 1
            return Outcome(Verdict.FAILED, error=str(problem))
        verdict = judge(answered.status)
        if verdict is Verdict.DELIVERED:
            self.counters.sent += 1
            self.counters.events += len(events)
            return Outcome(verdict, answered.status)
        self.counters.failed[f"{answered.status // 100}xx"] += 1
        asked_s = retry_after_s(answered.retry_after, now_s)
        return Outcome(verdict, answered.status, f"the receiver answered {answered.status}", asked_s)

    def _keys(self, webhook: Webhook) -> list[bytes]:
        if webhook.former_secret and self._clock.wall_ms() < webhook.former_until:
            return [webhook.secret, webhook.former_secret]
        return [webhook.secret]

    @asynccontextmanager
    async def slot(self, owner: str) -> AsyncIterator[bool]:
        """Wait until one more request may be on its way; True: it took a while, and what was read before may be old."""
        own, users = self._of_owner.get(owner) or (asyncio.Semaphore(self._share), 0)
        self._of_owner[owner] = (own, users + 1)
        waits = own.locked() or self._all.locked()
        try:
            async with own, self._all:
                self.counters.in_flight += 1
                try:
                    yield waits
                finally:
                    self.counters.in_flight -= 1
        finally:
            own, users = self._of_owner.pop(owner)
            if users > 1:
                self._of_owner[owner] = (own, users - 1)
