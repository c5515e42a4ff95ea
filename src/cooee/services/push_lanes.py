"""The ways to the platforms, each by itself: a platform that is down or slow holds up nobody else's notifications."""

import asyncio
import random
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import structlog

from cooee.domain.ids import DeviceRef
from cooee.domain.push import WEB, PushSettings, next_attempt_s
from cooee.ports.clock import Clock
from cooee.ports.push_sender import PushNotification, PushOutcome, PushSender, PushVerdict
from cooee.ports.push_targets import PushTarget

PATIENCE = 3
"""Failures in a row after which a lane is closed for a while, and then tried with one notification at a time."""
FULL_S = 1.0
"""How long a notification is put off that finds as many waiting in its lane as may be on their way."""
WEB_SHARE = 4
"""Each of the many push services of the web has this part of what a platform has."""
_MAX_LANES = 10_000
_MAX_FAILING = 100_000
UNREACHED = "unreached"
"""The reason of a platform that gave no answer."""
NO_PLATFORM = "no_platform"
"""The reason of a target whose platform this server does not serve."""

_log = structlog.get_logger(__name__)


class _Lane:
    """What is known of one platform, or of one browser maker's push service."""

    __slots__ = ("busy", "closed_until", "failures", "size", "slots")

    def __init__(self, size: int) -> None:
        self.closed_until = 0.0
        self.failures = 0
        self.size = size
        self.slots = asyncio.Semaphore(size)
        self.busy = 0
        """Notifications on their way, and waiting for those."""

    @property
    def is_full(self) -> bool:
        """Whether another notification had better come later."""
        return self.busy >= (1 if self.failures >= PATIENCE else 2 * self.size)


class PushCounters:
    """What was sent. Plain numbers, read when metrics are asked for."""

    __slots__ = ("cleared", "failed", "gone", "in_flight", "repeated", "sent")

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.cleared = 0
        self.gone = 0
        self.repeated = 0
        self.in_flight = 0


class PushLanes:
    """Sends notifications, a bounded number at a time per platform, and knows who is to be left alone until when."""

    def __init__(
        self,
        senders: Mapping[str, PushSender],
        clock: Clock,
        settings: PushSettings,
        unit: Callable[[], float] = random.random,
    ) -> None:
        self._senders = senders
        self._clock = clock
        self._settings = settings
        self._unit = unit
        self._lanes: dict[str, _Lane] = {}
        self._failing: OrderedDict[DeviceRef, tuple[int, float]] = OrderedDict()
        self.counters = PushCounters()

    @property
    def platforms(self) -> frozenset[str]:
        """The platforms that this server can reach."""
        return frozenset(self._senders)

    def wait_s(self, target: PushTarget) -> float:
        """Return for how long nothing may be sent to the target, 0.0 when it may now."""
        now = self._clock.monotonic()
        _, until = self._failing.get(target.ref, (0, 0.0))
        lane = self._lanes.get(lane_of(target))
        if lane is None:
            return max(0.0, until - now)
        return max(until - now, lane.closed_until - now, FULL_S if lane.is_full else 0.0)

    async def send(self, target: PushTarget, notification: PushNotification) -> PushOutcome:
        """Send one notification and return what came of it; never raises for what a platform does.

        After an outcome to be repeated, `wait_s` says when.
        """
        sender = self._senders.get(target.platform)
        if sender is None:
            self.counters.failed[NO_PLATFORM] += 1
            return PushOutcome(PushVerdict.FAILED, reason=NO_PLATFORM)
        lane = self._lane(target)
        lane.busy += 1
        try:
            async with lane.slots:
                if lane.closed_until > self._clock.monotonic():
                    return PushOutcome(PushVerdict.RETRY, reason=UNREACHED)
                self.counters.in_flight += 1
                try:
                    outcome = await self._attempt(sender, target.platform, notification)
                finally:
                    self.counters.in_flight -= 1
        finally:
            lane.busy -= 1
        self._learn(lane, target, notification, outcome)
        return outcome

    async def _attempt(self, sender: PushSender, platform: str, notification: PushNotification) -> PushOutcome:
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                return await sender.send(notification)
        except TimeoutError:
            return PushOutcome(PushVerdict.RETRY, reason=UNREACHED)
        except Exception:  # noqa: BLE001  # one platform's failure is not the others'
            _log.exception("a notification could not be sent", platform=platform)
            return PushOutcome(PushVerdict.RETRY, reason=UNREACHED)

    def _learn(self, lane: _Lane, target: PushTarget, notification: PushNotification, outcome: PushOutcome) -> None:
        counters = self.counters
        if outcome.verdict is PushVerdict.RETRY:
            counters.repeated += 1
            counters.failed[outcome.reason or UNREACHED] += 1
            self._leave_alone(lane, target.ref, outcome.retry_after_s)
            return
        lane.failures = 0
        self._failing.pop(target.ref, None)
        if outcome.verdict is PushVerdict.FAILED:
            counters.failed[outcome.reason] += 1
        elif outcome.verdict is PushVerdict.GONE:
            counters.gone += 1
        elif notification.silent:
            counters.cleared += 1
        else:
            counters.sent[target.platform] += 1

    def _leave_alone(self, lane: _Lane, ref: DeviceRef, asked_s: float) -> None:
        now = self._clock.monotonic()
        attempts = self._failing.get(ref, (0, 0.0))[0] + 1
        self._failing[ref] = (attempts, now + next_attempt_s(self._settings, attempts, self._unit(), asked_s))
        self._failing.move_to_end(ref)
        if len(self._failing) > _MAX_FAILING:
            self._failing.popitem(last=False)
        lane.failures += 1
        if lane.failures >= PATIENCE:
            wait_s = next_attempt_s(self._settings, lane.failures - PATIENCE + 1, self._unit())
            lane.closed_until = max(lane.closed_until, now + wait_s)

    def _lane(self, target: PushTarget) -> _Lane:
        name = lane_of(target)
        lane = self._lanes.get(name)
        if lane is None:
            if len(self._lanes) >= _MAX_LANES:
                now = self._clock.monotonic()
                self._lanes = {
                    one: there for one, there in self._lanes.items() if there.busy or there.closed_until > now
                }
            size = self._settings.in_flight
            lane = self._lanes[name] = _Lane(max(1, size // WEB_SHARE) if target.platform == WEB else size)
        return lane


def lane_of(target: PushTarget) -> str:
    """Return the name of the target's lane: its platform, for the web with the host of its push service."""
    endpoint = target.address.get("endpoint")
    return f"{target.platform}:{urlsplit(endpoint).netloc}" if endpoint else target.platform
