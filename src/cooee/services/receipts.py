"""Watermarks in, receipts out. ``received`` is as frequent as ``send``: no task, no coroutine (PROTOCOL.md §4)."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import NamedTuple

from cooee.domain.conversation import Span
from cooee.domain.errors import CooeeError, ErrorCode, bad_frame, not_found
from cooee.domain.ids import DeviceRef
from cooee.domain.receipt import Watermark
from cooee.ports.clock import Clock
from cooee.ports.cursors import CursorChange, Cursors, CursorUpdate
from cooee.ports.router import Routed, RouteKind
from cooee.ports.timeline import Timeline
from cooee.protocol import frames
from cooee.protocol.codec import encode, error_frame
from cooee.services.conversations import ConversationView, ConversationViews, check_takes_part
from cooee.services.group_receipts import GroupReceipts
from cooee.services.messages import Reply
from cooee.services.own_conversations import OwnConversations
from cooee.services.routes import Routes

_log = logging.getLogger(__name__)
_NOTHING = Watermark()

DELIVERED = "delivered"
READ = "read"


class _Moved:
    """How far one member's watermarks moved in one turn of the event loop."""

    __slots__ = ("after", "before", "device", "view")

    def __init__(self, view: ConversationView, device: DeviceRef, before: Watermark, after: Watermark) -> None:
        self.view = view
        self.device = device
        self.before = before
        self.after = after


class ReceiptStores(NamedTuple):
    """What `Receipts` reads and writes."""

    cursors: Cursors
    timeline: Timeline
    own: OwnConversations


class Receipts:
    """Moves watermarks and tells the senders of what they newly cover.

    Members of small conversations are told of one by one; large groups' minimum is `GroupReceipts`' work.
    """

    def __init__(
        self,
        stores: ReceiptStores,
        views: ConversationViews,
        routes: Routes,
        clock: Clock,
        group_receipts: GroupReceipts,
        on_read: Callable[[str, str, int], None] = lambda _user_id, _conversation_id, _number: None,
    ) -> None:
        """``on_read`` is told of every reading: who has read which conversation up to which number."""
        self._cursors, self._timeline, self._own = stores
        self._views = views
        self._routes = routes
        self._clock = clock
        self._group_receipts = group_receipts
        self._on_read = on_read
        self._moved: dict[tuple[str, str], _Moved] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def received(self, device: DeviceRef, frame: frames.Received, reply: Reply) -> None:
        """Move the device's watermark. ``reply`` is called only with ``ref``, for a lower number, or a refusal."""
        self._move(device, frame, reply, 0)

    def read(self, device: DeviceRef, frame: frames.Read, reply: Reply) -> None:
        """Move the user's ``read`` and the device's ``received``. ``reply`` as in `received`."""
        self._move(device, frame, reply, frame.sequence_number)

    async def who(self, user_id: str, conversation_id: str, sequence_number: int) -> list[frames.MemberWatermark]:
        """Return the watermarks of the present members who may see the message.

        ``read`` is 0 where read receipts are off, on either side.

        Raises:
            CooeeError: ``not_a_member``, or ``not_found`` when the user cannot see such a message.
        """
        spans = await self._views.spans(conversation_id, user_id)
        head = await self._timeline.head(conversation_id)
        if not 1 <= sequence_number <= _reach(spans, head.last) or not any(s.covers(sequence_number) for s in spans):
            raise not_found("the message")
        view = await self._views.load(conversation_id)
        marks = await self._cursors.members(conversation_id)
        found = []
        for member_id in view.recipients(sequence_number):
            mark = marks.get(member_id, _NOTHING)
            hidden = member_id != user_id and not view.hidden_readers.isdisjoint((member_id, user_id))
            found.append(frames.MemberWatermark(member_id, mark.delivered, 0 if hidden else mark.read))
        return found

    def _move(self, device: DeviceRef, frame: frames.Received | frames.Read, reply: Reply, read: int) -> None:
        view = self._views.peek(frame.conversation_id)
        if view is not None and frame.sequence_number <= view.head and device.user_id in view.members:
            self._advance(view, device, frame, reply, read)
            return
        try:
            check_takes_part(frame.conversation_id, device.user_id)
        except CooeeError as refusal:
            reply(error_frame(refusal, frame.ref))
            return
        self._views.use(frame.conversation_id, partial(self._move_loaded, device, frame, reply, read))

    def _advance(
        self,
        view: ConversationView,
        device: DeviceRef,
        frame: frames.Received | frames.Read,
        reply: Reply,
        read: int,
    ) -> None:
        user_id, device_id = device
        self._cursors.advance(
            CursorUpdate(view.conversation_id, user_id, device_id, frame.sequence_number, read),
            partial(self._advanced, view, device, frame, reply, read),
        )

    def _move_loaded(
        self,
        device: DeviceRef,
        frame: frames.Received | frames.Read,
        reply: Reply,
        read: int,
        outcome: ConversationView | CooeeError,
    ) -> None:
        if isinstance(outcome, CooeeError):
            reply(error_frame(outcome, frame.ref))
        elif frame.sequence_number <= outcome.head and device.user_id in outcome.members:
            self._advance(outcome, device, frame, reply, read)
        else:
            self._spawn(self._move_verified(outcome, device, frame, reply, read))

    async def _move_verified(
        self,
        view: ConversationView,
        device: DeviceRef,
        frame: frames.Received | frames.Read,
        reply: Reply,
        read: int,
    ) -> None:
        """Decide by the store: the number is above the view's head, or the user was a member once."""
        try:
            spans = await self._views.spans(view.conversation_id, device.user_id)
            head = await self._timeline.head(view.conversation_id)
            if frame.sequence_number > _reach(spans, head.last):
                raise bad_frame("sequenceNumber lies above the last message")
        except CooeeError as refusal:
            reply(error_frame(refusal, frame.ref))
        except Exception:  # noqa: BLE001  # the session must live; the client may try again
            _log.exception("a watermark could not be checked")
            reply(error_frame(CooeeError(ErrorCode.INTERNAL, "the server failed; try again"), frame.ref))
        else:
            self._advance(view, device, frame, reply, read)

    def _advanced(
        self,
        view: ConversationView,
        device: DeviceRef,
        frame: frames.Received | frames.Read,
        reply: Reply,
        read: int,
        outcome: CursorChange | CooeeError,
    ) -> None:
        if isinstance(outcome, CooeeError):
            reply(error_frame(outcome, frame.ref))
            return
        before, after = outcome.before, outcome.after
        if after.delivered > before.delivered or after.read > before.read:
            self._note(view, device, before, after)
        is_read = isinstance(frame, frames.Read)
        state = after.read if is_read else outcome.device_received
        if frame.ref is not None or frame.sequence_number < state:
            status = READ if is_read else DELIVERED
            now = self._clock.wall_ms()
            reply(frames.Receipt(view.conversation_id, status, state, device.user_id, timestamp=now, ref=frame.ref))

    def _note(self, view: ConversationView, device: DeviceRef, before: Watermark, after: Watermark) -> None:
        """Remember the move; all moves of this turn go out together, each member's as one."""
        conversation_id, user_id = view.conversation_id, device.user_id
        if view.large:
            self._group_receipts.moving(conversation_id)
            self._views.note_watermark(conversation_id, user_id, after)
        moved = self._moved
        key = (conversation_id, user_id)
        found = moved.get(key)
        if found is None:
            if not moved:
                asyncio.get_running_loop().call_soon(self._announce)
            moved[key] = _Moved(view, device, before, after)
        elif found.device == device:
            found.after = after
        else:
            self._announce_one(found)
            moved[key] = _Moved(view, device, before, after)

    def _announce(self) -> None:
        moved, self._moved = self._moved, {}
        for one in moved.values():
            try:
                self._announce_one(one)
            except Exception:  # noqa: BLE001  # the receipts of others go on
                _log.exception("a receipt could not be announced")

    def _announce_one(self, moved: _Moved) -> None:
        before, after = moved.before, moved.after
        if after.read > before.read:
            self._on_read(moved.device.user_id, moved.view.conversation_id, after.read)
            self._tell_own_devices(moved)
            self._spawn(self._note_read(moved.device, moved.view.conversation_id))
        view = moved.view
        if view.large or moved.device.user_id not in view.members:
            return
        if after.delivered > before.delivered:
            self._tell_senders(moved, DELIVERED, before.delivered, after.delivered)
        if after.read > before.read and moved.device.user_id not in view.hidden_readers:
            self._tell_senders(moved, READ, before.read, after.read)

    async def _note_read(self, device: DeviceRef, conversation_id: str) -> None:
        """Have the user's other devices learn of the reading, those that are away too (PROTOCOL.md §5)."""
        try:
            await self._own.changed((device.user_id,), conversation_id, except_device=device)
        except CooeeError as refusal:  # the watermark itself is durable; the snapshot tells it
            _log.warning("a reading cannot be noted for the user's other devices now: %s", refusal)
        except Exception:  # noqa: BLE001  # as above
            _log.exception("a reading could not be noted for the user's other devices")

    def _tell_own_devices(self, moved: _Moved) -> None:
        user_id = moved.device.user_id
        frame = frames.Receipt(
            moved.view.conversation_id, READ, moved.after.read, user_id, timestamp=self._clock.wall_ms()
        )
        self._routes.to_user(user_id, frame, except_device=moved.device)

    def _tell_senders(self, moved: _Moved, status: str, after: int, through: int) -> None:
        senders = moved.view.senders(after, through)
        if senders is None:
            self._spawn(self._tell_senders_from_timeline(moved, status, after, through))
        else:
            self._tell(moved, status, through, senders)

    async def _tell_senders_from_timeline(self, moved: _Moved, status: str, after: int, through: int) -> None:
        senders = await self._timeline.senders(moved.view.conversation_id, after, through)
        self._tell(moved, status, through, senders)

    def _tell(self, moved: _Moved, status: str, number: int, senders: frozenset[str]) -> None:
        view = moved.view
        user_id = moved.device.user_id
        members = view.members
        told = [sender for sender in senders if sender != user_id and sender in members]
        if status is READ and view.hidden_readers:
            told = [sender for sender in told if sender not in view.hidden_readers]
        if told:
            frame = frames.Receipt(view.conversation_id, status, number, user_id, None, self._clock.wall_ms())
            self._routes.post(Routed(RouteKind.EVENT, tuple(told), encode(frame)))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("a receipt could not be announced", exc_info=task.exception())


def _reach(spans: Sequence[Span], last: int) -> int:
    """Return the highest number the user may have: the head, or where his last membership ended."""
    left = spans[-1].left
    return last if left is None else min(left, last)
