"""When a user may be notified again: the first at once, what follows shortly after together."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence

import msgspec

from cooee.domain.ids import DeviceRef
from cooee.domain.push import PushSettings
from cooee.domain.ratelimit import KeyedBuckets, TokenBucket
from cooee.ports.clock import Clock
from cooee.ports.push_queue import PushEntry, PushQueue

_MAX_USERS = 100_000


class PushPace:
    """Burst windows of users and budgets of devices. Soft: after a restart the next notification may come early."""

    def __init__(self, clock: Clock, settings: PushSettings) -> None:
        self._clock = clock
        self._burst_s = settings.burst_s
        self._until: OrderedDict[str, float] = OrderedDict()
        self._devices = KeyedBuckets(TokenBucket.of(settings.per_device), clock.monotonic)

    def began(self, user_id: str) -> None:
        """Note that the user was notified: his next messages are gathered until the window ends."""
        self._until[user_id] = self._clock.monotonic() + self._burst_s
        self._until.move_to_end(user_id)
        if len(self._until) > _MAX_USERS:
            self._until.popitem(last=False)

    def wait_s(self, user_id: str) -> float:
        """Return how long the user's window goes on, 0.0 when there is none."""
        until = self._until.get(user_id)
        return 0.0 if until is None else max(0.0, until - self._clock.monotonic())

    def spend(self, ref: DeviceRef) -> float:
        """Take one notification of the device's budget; return 0.0, or the seconds to wait with nothing taken."""
        return self._devices.take(f"{ref.user_id}\0{ref.device_id}")


class WantedPushes:
    """`PushQueue` that only takes entries of users who can be reached, and not before their burst window ends.

    So who has no phone or browser to push to costs nothing, and a burst is one entry that waits. ``news`` is set when
    something may be due.
    """

    def __init__(self, queue: PushQueue, wants: Callable[[str], bool], pace: PushPace, clock: Clock) -> None:
        self._queue = queue
        self._wants = wants
        self._pace = pace
        self._clock = clock
        self.news = asyncio.Event()

    async def append(self, entries: Sequence[PushEntry]) -> None:
        """Store the entries of who can be reached. Durable before it returns."""
        wanted = [self._in_time(entry) for entry in entries if self._wants(entry.user_id)]
        if wanted:
            await self._queue.append(wanted)
            self.news.set()

    async def due(self, now_ms: int, limit: int, but_of: Collection[str] = ()) -> Sequence[PushEntry]:
        """Return entries whose time has come, earliest first, but none of these users. They stay until `complete`."""
        return await self._queue.due(now_ms, limit, but_of)

    async def complete(self, entries: Sequence[PushEntry]) -> None:
        """Remove the entries, unless a later message has replaced them meanwhile."""
        await self._queue.complete(entries)

    async def postpone(self, entries: Sequence[PushEntry]) -> None:
        """Move entries that are there to the later time that these give."""
        await self._queue.postpone(entries)

    async def cancel(self, user_id: str, conversation_id: str, through: int) -> None:
        """Remove what is covered by the user's reading through ``through``."""
        await self._queue.cancel(user_id, conversation_id, through)

    def _in_time(self, entry: PushEntry) -> PushEntry:
        earliest = self._clock.wall_ms() + round(self._pace.wait_s(entry.user_id) * 1000)
        return entry if entry.due_at >= earliest else msgspec.structs.replace(entry, due_at=earliest)
