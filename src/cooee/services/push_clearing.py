"""What was read on one device is cleared from the others: what waits for them, and what they show."""

from collections.abc import Callable, Container, Sequence
from itertools import groupby
from typing import NamedTuple

from cooee.domain.errors import CooeeError
from cooee.domain.push import PushSettings
from cooee.domain.retry import HAND_OVER_AFTER_MS
from cooee.ports.clock import Clock
from cooee.ports.push_queue import PushEntry
from cooee.ports.push_sender import PushNotification, PushVerdict
from cooee.ports.push_targets import PushTarget, PushTargets, Shown
from cooee.ports.sessions import Sessions
from cooee.ports.timeline import Timeline
from cooee.services.push_facts import PushFacts
from cooee.services.push_lanes import PushLanes
from cooee.services.push_pace import WantedPushes

USERS_PAGE = 64
"""Users that are looked at in one go after a start."""
PAUSE_S = 1.0
"""How long a user waits whose facts could not be read."""
MAX_READ = 100_000
"""Readings that wait to be looked at; beyond them what is shown is cleared by the next look at its user."""


class ClearingStores(NamedTuple):
    """What `PushClearing` reads and writes."""

    queue: WantedPushes
    targets: PushTargets
    timeline: Timeline
    sessions: Sessions
    clock: Clock


class PushClearing:
    """Silent notifications, and the second look at everything after a start.

    What was acknowledged just before a crash may have missed the queue, and a reading may have missed what is shown:
    so after each start every target is looked at once.
    """

    def __init__(
        self,
        stores: ClearingStores,
        facts: PushFacts,
        lanes: PushLanes,
        wants: Callable[[str], bool],
        settings: PushSettings,
    ) -> None:
        self._queue, self._targets, self._timeline, self._sessions, self._clock = stores
        self._facts = facts
        self._lanes = lanes
        self._wants = wants
        self._ttl_s = round(settings.give_up_s)
        self._read: dict[str, dict[str, int]] = {}
        self._again: dict[str, float] = {}
        self._seen: str | None = ""

    def read(self, user_id: str, conversation_id: str, number: int) -> None:
        """Note that the user has read the conversation up to ``number``. Costs nothing for who has no target."""
        if not self._wants(user_id) or (len(self._read) >= MAX_READ and user_id not in self._read):
            return
        self._read.setdefault(user_id, {})[conversation_id] = number
        self._queue.news.set()

    def take(self, most: int, busy: Container[str]) -> Sequence[str]:
        """Return users to be looked at now, ``busy`` ones excepted."""
        now = self._clock.monotonic()
        ready = [user_id for user_id in self._read if user_id not in busy]
        ready += [
            user_id
            for user_id, at in self._again.items()
            if at <= now and user_id not in busy and user_id not in self._read
        ]
        return ready[: max(0, most)]

    async def clear(self, user_id: str) -> None:
        """Cancel what waits for the user and was read, and clear what his devices show of it.

        Raises:
            CooeeError: the store does not answer; he is looked at again a second later.
        """
        try:
            await self._clear(user_id)
        except CooeeError:
            self._again[user_id] = self._clock.monotonic() + PAUSE_S
            raise

    async def _clear(self, user_id: str) -> None:
        for conversation_id, number in self._read.pop(user_id, {}).items():
            await self._queue.cancel(user_id, conversation_id, number)
        self._again.pop(user_id, None)
        shown = await self._targets.shown(user_id)
        if not shown:
            return
        read = await self._facts.read_through(user_id, (one.conversation_id for one in shown))
        stale = [one for one in shown if one.sequence_number <= read[one.conversation_id]]
        if not stale:
            return
        left = {(one.device_id, one.collapse_key) for one in shown if one not in stale}
        live = {one.device_id for one in (await self._sessions.of_users((user_id,))).get(user_id, ())}
        targets = {one.device_id: one for one in await self._facts.targets(user_id)}
        badge = await self._facts.badge(user_id)
        for device_id, group in groupby(stale, key=lambda one: one.device_id):
            gone = tuple(group)
            target = None if device_id in live else targets.get(device_id)
            if target is None or await self._send(target, gone, badge, left):
                await self._targets.forget_shown(gone)

    async def begin(self) -> bool:
        """Look at some users after a start; False when all were looked at.

        Raises:
            CooeeError: the store does not answer; the same users are looked at again.
        """
        if self._seen is None:
            return False
        users = await self._targets.users(self._seen, USERS_PAGE)
        for user_id in users:
            shown = {(one.device_id, one.conversation_id): one.sequence_number for one in await self._shown(user_id)}
            await self._queue.append(await self._missed(user_id, shown))
            self._seen = user_id
        if len(users) < USERS_PAGE:
            self._seen = None
        return self._seen is not None

    async def _shown(self, user_id: str) -> Sequence[Shown]:
        shown = await self._targets.shown(user_id)
        if shown:
            self._again[user_id] = self._clock.monotonic()
        return shown

    async def _missed(self, user_id: str, shown: dict[tuple[str, str], int]) -> list[PushEntry]:
        due_at = self._clock.wall_ms() + HAND_OVER_AFTER_MS  # who comes back by himself needs no waking
        return [
            PushEntry(user_id, target.device_id, missed.conversation_id, missed.last, due_at)
            for target in await self._targets.of_user(user_id)
            for missed in await self._timeline.missed(target.ref)
            if missed.last > shown.get((target.device_id, missed.conversation_id), 0)
        ]

    async def _send(
        self, target: PushTarget, gone: Sequence[Shown], badge: int, left: Container[tuple[str, str]]
    ) -> bool:
        """Tell one device; False when that has to be done later."""
        cleared = {one.collapse_key: one.conversation_id for one in gone}
        for key, conversation_id in cleared.items():
            wait_s = self._lanes.wait_s(target)
            if not wait_s:
                clears = (target.device_id, key) not in left
                outcome = await self._lanes.send(
                    target, self._silent(target, key, conversation_id, badge, clears=clears)
                )
                if outcome.verdict is PushVerdict.GONE:
                    await self._targets.remove(target)
                    return True
                wait_s = self._lanes.wait_s(target) if outcome.verdict is PushVerdict.RETRY else 0.0
            if wait_s:
                self._again[target.user_id] = self._clock.monotonic() + wait_s
                return False
        return True

    def _silent(
        self, target: PushTarget, key: str, conversation_id: str, badge: int, *, clears: bool
    ) -> PushNotification:
        data = {"clear": key, "conversationId": conversation_id} if clears else {}
        return PushNotification(
            target=target.address,
            title="",
            body="",
            badge=badge,
            collapse_key=key,
            ttl_s=self._ttl_s,
            silent=True,
            data=data,
        )
