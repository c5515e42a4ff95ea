"""All outgoing webhooks of a server: who has something to do gets a task, and nobody waits for anybody else's receiver.

To live routing each is one more session of its bot, on a server of its own name; what is routed there says only that
there is something. `workers.outgoing_line` reads it from the timeline.
"""

import asyncio
import random
import secrets
from collections.abc import Callable, Sequence
from typing import NamedTuple

import structlog

from cooee.domain.errors import CooeeError
from cooee.domain.ids import DeviceRef
from cooee.domain.webhooks import WebhookSettings
from cooee.ports.accounts import Accounts
from cooee.ports.clock import Clock
from cooee.ports.router import Routed, RouteKind, Router
from cooee.ports.sessions import SessionEntry, Sessions
from cooee.ports.webhooks import Webhook, Webhooks
from cooee.services.devices import DeviceService
from cooee.services.steady_time import SteadyTime
from cooee.services.webhook_courier import WebhookCourier
from cooee.services.webhook_reader import WebhookReader
from cooee.workers.outgoing_line import LineCounters, LineParts, WebhookLine

TICK_S = 0.25
"""How late an attempt may be."""
LOOK_EVERY_S = 30.0
"""How often a line looks whether something came that nobody told it of: live routing may drop anything."""
PAUSE_S = 1.0
"""How long a line waits for a store that does not answer."""
SETTLE_S = 3.0
"""How long requests that are on their way may go on when the server stops."""
DEVICE_TYPE = "webhook"

_log = structlog.get_logger(__name__)


class OutgoingPorts(NamedTuple):
    """What `OutgoingWebhooks` reads and listens to."""

    webhooks: Webhooks
    accounts: Accounts
    sessions: Sessions
    router: Router
    clock: Clock


class OutgoingServices(NamedTuple):
    """The services on which `OutgoingWebhooks` stands."""

    devices: DeviceService
    reader: WebhookReader
    courier: WebhookCourier


class OutgoingWebhooks:
    """Runs a line for every webhook that is enabled. `run` is its one long-lived task."""

    def __init__(
        self,
        ports: OutgoingPorts,
        services: OutgoingServices,
        settings: WebhookSettings,
        server_id: str,
        unit: Callable[[], float] = random.random,
    ) -> None:
        self._store, self._accounts, self._sessions, self._router, self._clock = ports
        self._parts = LineParts(ports.webhooks, *services, ports.clock, settings, unit)
        self._address = f"{server_id}.webhooks"
        self._steady = SteadyTime(ports.clock)
        self._lines: dict[DeviceRef, WebhookLine] = {}
        self._of_bot: dict[str, dict[DeviceRef, WebhookLine]] = {}
        self._entries: dict[DeviceRef, SessionEntry] = {}
        self._tasks: dict[DeviceRef, asyncio.Task[None]] = {}
        self._changed: set[str] = set()
        self._ready: list[WebhookLine] = []
        self._scan_at = 0.0
        self._news = asyncio.Event()
        self.counters = LineCounters()

    def __len__(self) -> int:
        """Return how many webhooks are enabled."""
        return len(self._lines)

    @property
    def oldest_s(self) -> float:
        """Seconds since that request was begun which is longest on its way; 0.0 when none is."""
        began = [line.webhook.batch.began_at for line in self._lines.values() if line.webhook.batch is not None]
        return max(0.0, (self._steady.now_ms() - min(began)) / 1000) if began else 0.0

    async def run(self) -> None:
        """Send until cancelled; then let what is on its way go on for a moment."""
        try:
            await self.start()
            while True:
                await self.tick()
                await self._rest()
        finally:
            await self._router.unsubscribe(self._address)
            await self._stop()

    async def start(self) -> None:
        """Listen, and open a line for every webhook that is enabled."""
        await self._router.subscribe(self._address, self.receive)
        for webhook in await self._store.enabled():
            await self._open(webhook)

    def receive(self, items: Sequence[Routed]) -> None:
        """Take what is routed to webhooks: only that there is something, or that something has ended."""
        for item in items:
            for user_id in item.user_ids:
                if user_id not in self._of_bot:
                    continue
                if item.kind is RouteKind.CLOSE:
                    self.changed(user_id)
                elif item.kind in (RouteKind.MESSAGE, RouteKind.HINT):
                    for line in self._of_bot[user_id].values():
                        if not line.is_waiting:
                            self._at_once(line)

    def changed(self, bot_id: str) -> None:
        """Look at the bot's webhooks anew: one was made, changed, ended, or has dead letters to try once more."""
        self._changed.add(bot_id)
        self._news.set()

    async def tick(self) -> None:
        """Open lines that are missing, and start those that are due.

        Raises:
            CooeeError: the store does not answer; what changed is looked at again by the next tick.
        """
        while self._changed:
            bot_id = next(iter(self._changed))
            await self._refresh(bot_id)
            self._changed.discard(bot_id)
        now = self._clock.monotonic()
        ready, self._ready = self._ready, []
        for line in ready:
            self._start_if_due(line, now)
        if self._scan_at <= now:
            self._scan_at = now + TICK_S
            for line in self._lines.values():
                self._start_if_due(line, now)

    async def settle(self) -> None:
        """Wait until no line works."""
        while self._tasks:
            await asyncio.wait(tuple(self._tasks.values()))

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(TICK_S):
                await self._news.wait()
        except TimeoutError:
            pass
        self._news.clear()

    def _start_if_due(self, line: WebhookLine, now: float) -> None:
        ref = line.webhook.ref
        if line.due <= now and ref not in self._tasks and self._lines.get(ref) is line:
            line.due = now + LOOK_EVERY_S
            self._tasks[ref] = asyncio.get_running_loop().create_task(self._work(line))

    def _at_once(self, line: WebhookLine) -> None:
        line.due = 0.0
        self._ready.append(line)
        self._news.set()

    async def _work(self, line: WebhookLine) -> None:
        ref = line.webhook.ref
        try:
            while not line.ended and await line.step():
                pass
        except CooeeError as refusal:
            _log.warning("a webhook waits for the store", bot=ref.user_id, problem=str(refusal))
            self._pause(line)
        except Exception:  # noqa: BLE001  # one webhook's failure is not the others'
            _log.exception("a webhook could not be served", bot=ref.user_id, webhook=ref.device_id)
            self._pause(line)
        finally:
            del self._tasks[ref]
        if line.ended:
            await self._close(line)
        elif line.due <= self._clock.monotonic():
            self._at_once(line)

    def _pause(self, line: WebhookLine) -> None:
        line.forget()
        line.due = self._clock.monotonic() + PAUSE_S

    async def _refresh(self, bot_id: str) -> None:
        known = list(self._of_bot.get(bot_id, {}).values())
        for webhook in await self._store.of_bot(bot_id):
            if not webhook.disabled_because and webhook.ref not in self._lines:
                line = await self._open(webhook)
                line.renew()
                self._at_once(line)
        for line in known:
            line.stale = line.urgent = True
            self._at_once(line)

    async def _open(self, webhook: Webhook) -> WebhookLine:
        ref = webhook.ref
        bot = await self._accounts.find(ref.user_id)
        owner = bot.owner_id if bot is not None and bot.owner_id else ref.user_id
        entry = SessionEntry(*ref, self._address, secrets.token_urlsafe(9), DEVICE_TYPE, self._clock.wall_ms())
        await self._sessions.register(entry)
        line = WebhookLine(webhook, owner, self._parts, self._steady, self.counters)
        self._entries[ref] = entry
        self._lines[ref] = line
        self._of_bot.setdefault(ref.user_id, {})[ref] = line
        return line

    async def _close(self, line: WebhookLine) -> None:
        ref = line.webhook.ref
        if self._lines.pop(ref, None) is None:
            return
        lines = self._of_bot[ref.user_id]
        del lines[ref]
        if not lines:
            del self._of_bot[ref.user_id]
        await self._sessions.release(self._entries.pop(ref))
        if line.stale:  # it was enabled again while it ended
            self.changed(ref.user_id)

    async def _stop(self) -> None:
        tasks = tuple(self._tasks.values())
        if tasks:
            await asyncio.wait(tasks, timeout=SETTLE_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for line in tuple(self._lines.values()):
            line.stale = False
            await self._close(line)
