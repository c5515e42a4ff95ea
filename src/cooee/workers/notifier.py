"""From the push queue to phones and browsers: what is due is looked at anew, and told in one notification per device.

Nothing is remembered that must not be lost: an entry stays in the queue until it was sent, or there is nothing to send
any more. A crash repeats the last notifications, which replace themselves by their collapse key.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec
import structlog

from cooee.domain.digest import Notice, digest, is_heard
from cooee.domain.errors import CooeeError
from cooee.domain.ids import DeviceRef
from cooee.domain.push import PushSettings
from cooee.domain.retry import HAND_OVER_AFTER_MS
from cooee.ports.clock import Clock
from cooee.ports.push_queue import PushEntry
from cooee.ports.push_sender import PushNotification, PushVerdict
from cooee.ports.push_targets import PushTargets, Shown
from cooee.services.push_clearing import PushClearing
from cooee.services.push_facts import DeviceLack, PushFacts, UserLack
from cooee.services.push_lanes import PushLanes
from cooee.services.push_pace import PushPace, WantedPushes

TICK_S = 0.5
"""How late an entry may be that becomes due by the passing of time."""
PAGE = 256
"""Entries that are looked at in one go."""
MAX_CLEARED = 20
"""Notifications that one notification takes away; those beyond it are taken away by being opened."""
LOOKS = 4
"""Users that are looked at at the same time: clients that come back read from the same store."""
SHARE = 4
"""Users at the same time, in multiples of what one platform may have on its way: so none can take them all."""
PAUSE_S = 1.0
"""How long a user waits whose facts could not be read."""

Work = Callable[[], Coroutine[Any, Any, None]]
"""What is done for one user."""
_COMING_S = HAND_OVER_AFTER_MS / 1000

_log = structlog.get_logger(__name__)


class NotifierParts(NamedTuple):
    """The services on which `Notifier` stands."""

    facts: PushFacts
    lanes: PushLanes
    pace: PushPace
    clearing: PushClearing


class _Wait(NamedTuple):
    """A device that cannot be notified now, and the conversations that wait with it."""

    due_at: int
    numbers: Mapping[str, int]


class Notifier:
    """Serves what is due, many users at a time and each user once at a time. `run` is its one long-lived task."""

    def __init__(
        self, queue: WantedPushes, targets: PushTargets, parts: NotifierParts, clock: Clock, settings: PushSettings
    ) -> None:
        self._queue = queue
        self._targets = targets
        self._facts, self._lanes, self._pace, self._clearing = parts
        self._clock = clock
        self._settings = settings
        self._most = SHARE * settings.in_flight
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._looks = asyncio.Semaphore(LOOKS)
        self._paused: dict[str, float] = {}
        self.oldest_s = 0.0
        """How late the entry was that is longest due, when it was last looked, in seconds."""

    async def run(self) -> None:
        """Serve until cancelled. What is on its way is given up then, and repeated after the next start."""
        try:
            while True:
                await self.tick()
                await self._rest()
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def tick(self) -> None:
        """Begin with what is due now.

        Raises:
            CooeeError: the store does not answer.
        """
        if await self._clearing.begin():
            self._queue.news.set()
        for user_id in self._clearing.take(self._most - len(self._tasks), self._tasks):
            self._begin(user_id, partial(self._clearing.clear, user_id))
        now = self._clock.wall_ms()
        due = await self._due(now)
        self.oldest_s = max(0.0, (now - due[0].due_at) / 1000) if due else 0.0
        while due and len(self._tasks) < self._most:
            of_user: dict[str, list[PushEntry]] = {}
            for entry in due:
                of_user.setdefault(entry.user_id, []).append(entry)
            for user_id in list(of_user)[: self._most - len(self._tasks)]:
                self._begin(user_id, partial(self._serve, user_id, of_user[user_id]))
            due = await self._due(now) if len(due) == PAGE else ()

    async def settle(self) -> None:
        """Wait until nobody is served."""
        while self._tasks:
            await asyncio.wait(tuple(self._tasks.values()))

    async def _due(self, now: int) -> Sequence[PushEntry]:
        """Return a page of what is due of users who can be served now: nobody's many entries hide those of others."""
        resumed = self._clock.monotonic()
        self._paused = {user_id: until for user_id, until in self._paused.items() if until > resumed}
        return await self._queue.due(now, PAGE, {*self._tasks, *self._paused})

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(TICK_S):
                await self._queue.news.wait()
        except TimeoutError:
            pass
        self._queue.news.clear()

    def _begin(self, user_id: str, work: Work) -> None:
        self._tasks[user_id] = asyncio.get_running_loop().create_task(self._guarded(user_id, work))

    async def _guarded(self, user_id: str, work: Work) -> None:
        try:
            await work()
        except CooeeError as refusal:
            _log.warning("notifications wait for the store", problem=str(refusal))
            self._paused[user_id] = self._clock.monotonic() + PAUSE_S
        except Exception:  # noqa: BLE001  # one user's failure is not the others'
            _log.exception("a user could not be notified")
            self._paused[user_id] = self._clock.monotonic() + PAUSE_S
        finally:
            del self._tasks[user_id]
            self._queue.news.set()

    async def _serve(self, user_id: str, entries: Sequence[PushEntry]) -> None:
        async with self._looks:
            lack = await self._facts.lack(user_id, entries)
        if lack is None:
            await self._queue.complete(entries)
            return
        notices = {one.target.ref: digest(user_id, one.pending, lack.settings) for one in lack.devices}
        if not any(notices.values()):
            await self._queue.complete(entries)
            return
        until = self._closed_until(user_id, lack)
        if until:
            await self._postpone(entries, until)
            return
        self._pace.began(user_id)
        told = [one for one in lack.devices if notices[one.target.ref] is not None]
        waits = await asyncio.gather(*(self._notify(one, notices[one.target.ref], lack) for one in told))
        await self._finish(entries, {one.target.ref: wait for one, wait in zip(told, waits, strict=True) if wait})

    def _closed_until(self, user_id: str, lack: UserLack) -> int:
        """Return until when (ms) the user is told of nothing, 0 when he may be now."""
        now = self._clock.wall_ms()
        hours = lack.settings.quiet_hours
        quiet = hours.ends_at(now) if hours is not None else None
        wait_s = self._pace.wait_s(user_id)
        return max(quiet or 0, now + round(wait_s * 1000) if wait_s else 0)

    async def _notify(self, lack: DeviceLack, notice: Notice | None, user: UserLack) -> _Wait | None:
        """Notify one device; return what has to wait, None when it is done with."""
        if notice is None:
            return None
        target = lack.target
        wait_s = _COMING_S if lack.live else self._lanes.wait_s(target) or self._pace.spend(target.ref)
        if not wait_s:
            outcome = await self._lanes.send(target, self._notification(lack, notice, user.badge))
            if outcome.verdict is PushVerdict.GONE:
                await self._targets.remove(target)
            elif outcome.verdict is PushVerdict.DELIVERED:
                await self._targets.note_shown(
                    [
                        Shown(*target.ref, one.conversation_id, one.sequence_number, notice.collapse_key)
                        for one in lack.pending
                        if is_heard(one, user.settings)
                    ]
                )
            if outcome.verdict is not PushVerdict.RETRY:
                return None
            wait_s = self._lanes.wait_s(target)
        numbers = {one.conversation_id: one.sequence_number for one in lack.pending}
        return _Wait(self._clock.wall_ms() + max(1, round(wait_s * 1000)), numbers)

    def _notification(self, lack: DeviceLack, notice: Notice, badge: int) -> PushNotification:
        data = {"conversationId": notice.conversation_id} if notice.conversation_id else {}
        told = {one.conversation_id for one in lack.pending}
        replaced = {one.collapse_key for one in lack.shown if one.conversation_id in told} - {notice.collapse_key}
        if replaced:
            data["clear"] = " ".join(sorted(replaced)[:MAX_CLEARED])
        return PushNotification(
            target=lack.target.address,
            title=notice.title,
            body=notice.body,
            badge=badge,
            collapse_key=notice.collapse_key,
            ttl_s=round(self._settings.give_up_s),
            data=data,
        )

    async def _finish(self, entries: Sequence[PushEntry], waits: Mapping[DeviceRef, _Wait]) -> None:
        """Let what waits be due later, each device by itself; then remove what is done with."""
        there = {(entry.device_id, entry.conversation_id) for entry in entries}
        later = [
            PushEntry(*ref, conversation_id, number, wait.due_at)
            for ref, wait in waits.items()
            for conversation_id, number in wait.numbers.items()
        ]
        await self._queue.append([one for one in later if (one.device_id, one.conversation_id) not in there])
        kept = [one for one in later if (one.device_id, one.conversation_id) in there]
        await self._queue.postpone(kept)
        names = {(one.device_id, one.conversation_id) for one in kept}
        await self._queue.complete([one for one in entries if (one.device_id, one.conversation_id) not in names])

    async def _postpone(self, entries: Sequence[PushEntry], due_at: int) -> None:
        await self._queue.postpone([msgspec.structs.replace(entry, due_at=due_at) for entry in entries])
