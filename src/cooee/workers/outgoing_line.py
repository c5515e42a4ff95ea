"""One outgoing webhook at work: it reads on from its device's watermark (docs/adr/0006).

At most one request is on its way, so that its receiver gets conversations in order. What is on its way is durable
before it is sent, under the id that it keeps; the watermark moves after a 2xx, or when the request was given up.
"""

import secrets
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec
import structlog

from cooee.domain.webhooks import Verdict, WebhookSettings, next_attempt_s
from cooee.ports.clock import Clock
from cooee.ports.webhooks import Batch, DeadLetter, Webhook, Webhooks
from cooee.services.devices import DeviceService
from cooee.services.steady_time import SteadyTime
from cooee.services.webhook_courier import Outcome, WebhookCourier
from cooee.services.webhook_reader import Backlog, WebhookReader

_log = structlog.get_logger(__name__)


class LineCounters:
    """What came of requests that failed for good. Plain numbers, read when metrics are asked for."""

    __slots__ = ("dead", "disabled", "dropped")

    def __init__(self) -> None:
        self.dead = 0
        self.dropped = 0
        self.disabled = 0


class LineParts(NamedTuple):
    """On what all lines stand. ``unit`` is uniform in [0, 1)."""

    webhooks: Webhooks
    devices: DeviceService
    reader: WebhookReader
    courier: WebhookCourier
    clock: Clock
    settings: WebhookSettings
    unit: Callable[[], float]


class WebhookLine:
    """The requests of one enabled webhook. Call `step` until it has nothing to do, and again when ``due``."""

    __slots__ = (
        "_backlog",
        "_clock",
        "_courier",
        "_devices",
        "_fresh",
        "_letters",
        "_letters_turn",
        "_owner",
        "_reader",
        "_settings",
        "_steady",
        "_store",
        "_unit",
        "_waiting",
        "counters",
        "due",
        "ended",
        "stale",
        "urgent",
        "webhook",
    )

    def __init__(
        self, webhook: Webhook, owner: str, parts: LineParts, steady: SteadyTime, counters: LineCounters
    ) -> None:
        self.webhook = webhook
        self.due = 0.0
        """When there is something to do (monotonic seconds)."""
        self.stale = False
        """The webhook is to be read anew."""
        self.urgent = False
        """The next attempt waits for nothing: the owner has changed something."""
        self.ended = False
        """The webhook has ended or is disabled; there is nothing to do ever."""
        self.counters = counters
        self._store, self._devices, self._reader, self._courier, self._clock, self._settings, self._unit = parts
        self._steady = steady
        self._owner = owner
        self._backlog = Backlog()
        self._fresh: tuple[bytes, ...] | None = None
        """The events of the batch, read just now."""
        self._letters: list[DeadLetter] | None = None
        """Dead letters to be tried once more, oldest last; None: to be looked up."""
        self._letters_turn = True
        self._waiting = (0, 0.0)
        """The wall time of the next attempt, and the monotonic time that it was when that was first looked at."""

    @property
    def is_waiting(self) -> bool:
        """Whether a request failed and is to be repeated: nothing that comes makes that sooner."""
        return self.webhook.batch is not None and self.webhook.batch.next_at > 0

    def renew(self) -> None:
        """Begin anew with what was on its way when the webhook was disabled."""
        self.urgent = True
        if self.webhook.batch is not None:
            batch = msgspec.structs.replace(self.webhook.batch, began_at=self._clock.wall_ms(), attempts=0)
            self.webhook = msgspec.structs.replace(self.webhook, batch=batch)

    def forget(self) -> None:
        """Believe nothing that was read: something failed."""
        self.stale = True
        self._backlog = Backlog()

    async def step(self) -> bool:
        """Do one thing; False when there is nothing to do before ``due`` or news.

        Raises:
            CooeeError: the store does not answer; `forget`, and try later.
        """
        if self.stale and not await self._reload():
            return False
        if not await self._devices.may_run(self.webhook.bot_id):
            return False
        self._letters_turn = not self._letters_turn
        if self._letters_turn:
            return await self._try_letter() or await self._advance()
        return await self._advance() or (not self.ended and await self._try_letter())

    async def _reload(self) -> bool:
        """Read the webhook anew; False when it has ended or is disabled."""
        self.stale = False
        self._fresh = self._letters = None
        kept = [one for one in await self._store.of_bot(self.webhook.bot_id) if one.ref == self.webhook.ref]
        if not kept or kept[0].disabled_because:
            self.ended = True
            return False
        self.webhook = kept[0]
        return True

    async def _save(self, changes: Mapping[str, Any]) -> bool:
        """Write changes of the webhook; False when it has ended."""
        after = await self._store.update(self.webhook.ref, changes)
        if after is None:
            self.ended = True
            return False
        self.webhook = after
        return True

    async def _advance(self) -> bool:
        """Take what is on its way a step further; False when it has to wait, or there is nothing."""
        batch = self.webhook.batch
        if batch is None:
            return await self._begin({})
        if batch.settled or (not self._fresh and await self._reader.has_all(self.webhook.ref, batch.parts)):
            return await self._finish(batch, {})
        due = self._due(batch)
        if due > self._clock.monotonic() and not self.urgent:
            self.due = due
            return self.stale
        self.urgent = False
        return await self._attempt(batch)

    def _due(self, batch: Batch) -> float:
        """Return when the next attempt is due; a wall clock that is set back makes nobody wait longer than the cap."""
        if not batch.next_at:
            return 0.0
        if self._waiting[0] != batch.next_at:
            longest = max(self._settings.retry_cap_s, self._settings.retry_after_cap_s)
            wait_s = min((batch.next_at - self._clock.wall_ms()) / 1000, longest)
            self._waiting = (batch.next_at, self._clock.monotonic() + wait_s)
        return self._waiting[1]

    async def _begin(self, changes: dict[str, Any]) -> bool:
        """Make durable what is sent next, together with ``changes``; False when nothing is."""
        batch: Batch | None = None
        while batch is None and (cut := await self._reader.cut(self.webhook, self._backlog)) is not None:
            if cut.events:
                batch = Batch(f"msg_{secrets.token_urlsafe(18)}", cut.parts, self._steady.now_ms())
                self._fresh = cut.events
            else:
                await self._reader.received(self.webhook.ref, cut.parts, self._backlog)
        if batch is None and not changes:
            return False
        return await self._save(changes | {"batch": batch}) and batch is not None

    async def _finish(self, batch: Batch, changes: dict[str, Any]) -> bool:
        """Move past a batch, and begin the next."""
        self._fresh = None
        await self._reader.received(self.webhook.ref, batch.parts, self._backlog)
        return await self._begin(changes | {"batch": None})

    async def _attempt(self, batch: Batch) -> bool:
        async with self._courier.slot(self._owner) as waited:
            if waited and not await self._is_still_due():
                return False
            webhook = self.webhook
            events = self._fresh or await self._reader.events(webhook, batch.parts)
            self._fresh = None
            outcome = await self._courier.send_now(webhook, batch.delivery_id, events) if events else None
        if outcome is None:  # swept meanwhile, or not wanted any more
            return await self._finish(batch, {})
        if outcome.verdict is Verdict.DELIVERED:
            good = {"delivered_at": self._clock.wall_ms(), "error": "", "error_at": 0, "dead_in_row": 0}
            return await self._finish(batch, good)
        if self.stale and not await self._reload():
            return False
        return await self._failed(webhook.url, msgspec.structs.replace(batch, attempts=batch.attempts + 1), outcome)

    async def _is_still_due(self) -> bool:
        """Look anew at what may have changed while others were on their way; what was read is read again."""
        return await self._reload() and await self._devices.may_run(self.webhook.bot_id)

    async def _failed(self, url: str, batch: Batch, outcome: Outcome) -> bool:
        """Wait for the next attempt, give the batch up, or disable the webhook."""
        now = self._clock.wall_ms()
        changes: dict[str, Any] = {"error": outcome.error, "error_at": now}
        if outcome.verdict is Verdict.GONE and self.webhook.url == url:
            await self._disable(changes, "the receiver answered 410: it wants nothing any more")
            return False
        age_s = (self._steady.now_ms() - batch.began_at) / 1000
        if batch.attempts >= self._settings.attempts or age_s >= self._settings.give_up_s:
            return await self._give_up(batch, changes)
        wait_s = next_attempt_s(self._settings, batch.attempts, self._unit(), outcome.asked_s)
        next_at = now + max(1, round(wait_s * 1000))
        return await self._save(changes | {"batch": msgspec.structs.replace(batch, next_at=next_at)})

    async def _give_up(self, batch: Batch, changes: dict[str, Any]) -> bool:
        ref = self.webhook.ref
        in_row = self.webhook.dead_in_row + 1
        letter = DeadLetter(batch.delivery_id, batch.parts, changes["error_at"], batch.attempts, changes["error"])
        changes |= {"batch": msgspec.structs.replace(batch, settled=True), "dead_in_row": in_row}
        self.counters.dropped += await self._store.bury(ref, letter, changes, self._settings.dead_letters)
        self.counters.dead += 1
        _log.warning("a webhook's request was given up", bot=ref.user_id, webhook=ref.device_id)
        self.stale = True
        if in_row >= self._settings.disable_after:
            await self._reader.received(ref, batch.parts, self._backlog)
            reason = f"{in_row} requests in a row were given up; the last: {changes['error']}"
            await self._disable({"batch": None, "dead_in_row": 0}, reason)
            return False
        return True

    async def _disable(self, changes: dict[str, Any], reason: str) -> None:
        ref = self.webhook.ref
        await self._save(changes | {"disabled_because": reason})
        self.ended = True
        self.counters.disabled += 1
        _log.warning("a webhook was disabled", bot=ref.user_id, webhook=ref.device_id)

    async def _try_letter(self) -> bool:
        """Try once more a dead letter that its owner asked for, the oldest first; False when there is none."""
        ref = self.webhook.ref
        if self._letters is None:
            kept = await self._store.dead_letters(ref, 0, self._settings.dead_letters, requested=True)
            self._letters = list(kept)
        if not self._letters:
            return False
        letter = self._letters.pop()
        error: str | None = "the messages are not kept any more"
        async with self._courier.slot(self._owner) as waited:
            if waited and not await self._is_still_due():
                return False
            events = await self._reader.events(self.webhook, letter.parts)
            if events:
                outcome = await self._courier.send_now(self.webhook, letter.letter_id, events)
                error = None if outcome.verdict is Verdict.DELIVERED else outcome.error
        await self._store.settle(ref, letter.letter_id, error)
        return True
