"""Receipts of large groups: the minimum over all members, at most once a second (PROTOCOL.md §4)."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import NamedTuple

from cooee.domain.receipt import Watermark
from cooee.ports.clock import Clock
from cooee.ports.timeline import Timeline
from cooee.protocol import frames
from cooee.services.conversations import ConversationView, ConversationViews
from cooee.services.routes import Routes

_log = logging.getLogger(__name__)

INTERVAL_S = 1.0
_MAX_ANNOUNCED = 10_000


class Lowest(NamedTuple):
    """The minimum over all members, and the minimum without ``holder``, the one member (if only one) who is lowest.

    The sender of a message is excluded from those who must cover it, so the holder's own messages go by ``next``.
    """

    lowest: int
    holder: str
    next: int

    def for_sender(self, user_id: str) -> int:
        """Return what everybody but ``user_id`` has."""
        return self.next if user_id == self.holder else self.lowest


class Minimum(NamedTuple):
    """What all members have received, and what all have read."""

    delivered: Lowest
    read: Lowest


class GroupReceipts:
    """Announces a large group's minimum when it rises. One timer for all groups, running only while something moves."""

    def __init__(
        self,
        timeline: Timeline,
        views: ConversationViews,
        routes: Routes,
        clock: Clock,
        call_later: Callable[[float, Callable[[], None]], object] | None = None,
    ) -> None:
        self._timeline = timeline
        self._views = views
        self._routes = routes
        self._clock = clock
        self._call_later = call_later
        self._announced: OrderedDict[str, Minimum] = OrderedDict()
        self._moving: set[str] = set()
        self._flushing: asyncio.Task[None] | None = None

    def moving(self, conversation_id: str) -> None:
        """A member's watermark is about to move: compare again within a second. Call before the view is changed."""
        if conversation_id in self._moving:
            return
        view = self._views.peek(conversation_id)
        if view is not None and conversation_id not in self._announced:
            self._remember(conversation_id, minimum(view))
        if not self._moving:
            later = self._call_later or asyncio.get_running_loop().call_later
            later(INTERVAL_S, self._start)
        self._moving.add(conversation_id)

    async def flush(self) -> None:
        """Announce now what has risen since the last time. A failing group does not stop the others."""
        moving, self._moving = self._moving, set()
        for conversation_id in moving:
            try:
                await self._announce(await self._views.load(conversation_id))
            except Exception:  # noqa: BLE001  # receipts are state; the next move tells it again
                _log.exception("a group's receipts could not be announced")
            await asyncio.sleep(0)

    def _start(self) -> None:
        self._flushing = asyncio.get_running_loop().create_task(self.flush())

    async def _announce(self, view: ConversationView) -> None:
        now = minimum(view)
        before = self._announced.get(view.conversation_id, now)
        self._remember(view.conversation_id, now)
        if view.large:
            await self._tell(view, "delivered", before.delivered, now.delivered, frozenset())
            await self._tell(view, "read", before.read, now.read, view.hidden_readers)

    async def _tell(
        self, view: ConversationView, status: str, before: Lowest, now: Lowest, unseen: frozenset[str]
    ) -> None:
        """Tell the senders of what is newly covered: most by the minimum, a lowest member by that of the others."""
        apart = {before.holder, now.holder} - {""}
        told: dict[int, list[str]] = {}
        for sender in await self._senders(view, before.lowest, now.lowest):
            if sender not in apart:
                told.setdefault(now.lowest, []).append(sender)
        for holder in apart:
            after, through = before.for_sender(holder), now.for_sender(holder)
            if holder in await self._senders(view, after, through):
                told.setdefault(through, []).append(holder)
        for number, senders in told.items():
            user_ids = tuple(sender for sender in senders if sender in view.members and sender not in unseen)
            if user_ids:
                timestamp = self._clock.wall_ms()
                self._routes.to_users(
                    user_ids, frames.Receipt(view.conversation_id, status, number, scope="all", timestamp=timestamp)
                )

    async def _senders(self, view: ConversationView, after: int, through: int) -> frozenset[str]:
        if through <= after:
            return frozenset()
        found = view.senders(after, through)
        return await self._timeline.senders(view.conversation_id, after, through) if found is None else found

    def _remember(self, conversation_id: str, value: Minimum) -> None:
        self._announced[conversation_id] = value
        self._announced.move_to_end(conversation_id)
        if len(self._announced) > _MAX_ANNOUNCED:
            self._announced.popitem(last=False)


def minimum(view: ConversationView) -> Minimum:
    """Return what all members of the view have received and read.

    A message from before a member joined needs nothing from him. Who hides his reading counts as one who has not read.
    """
    nothing = Watermark()
    marks = view.watermarks
    hidden = view.hidden_readers
    delivered: list[tuple[int, str]] = []
    read: list[tuple[int, str]] = []
    for user_id, member in view.members.items():
        mark = marks.get(user_id, nothing)
        floor = member.joined - 1
        delivered.append((max(mark.delivered, floor), user_id))
        read.append((floor if user_id in hidden else max(mark.read, floor), user_id))
    return Minimum(_lowest(delivered), _lowest(read))


def _lowest(numbers: Iterable[tuple[int, str]]) -> Lowest:
    """Return the lowest number, who alone holds it (empty: several do), and the next one."""
    ordered = sorted(numbers)[:2]
    if not ordered:
        return Lowest(0, "", 0)
    if len(ordered) == 1 or ordered[0][0] == ordered[1][0]:
        return Lowest(ordered[0][0], "", ordered[0][0])
    return Lowest(ordered[0][0], ordered[0][1], ordered[1][0])
