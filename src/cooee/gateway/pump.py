"""What a session reads from the store for its client: what was missed, what it fell behind with, what goes out again.

One task a session, and only while there is something to read. It stops when the window is full or the client does not
take what is sent; a ``received`` or a timer starts it again.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cooee.domain.conversation import Span
from cooee.domain.errors import CooeeError, ErrorCode
from cooee.domain.ids import is_direct
from cooee.gateway.outbox import Outbox, Taken, Task, Verdict, Work
from cooee.ports.timeline import Page
from cooee.protocol.codes import CloseCode
from cooee.protocol.frames import CaughtUp, Skipped, ToDevice

if TYPE_CHECKING:
    from cooee.gateway.session import Session

FULL_PAUSE_S = 0.25
"""How long a client has to take what was sent before more is read."""
RETRY_PAUSE_S = 1.0
"""How long the store is left alone after it failed."""
TO_DEVICE_WINDOW = 100
"""Device-to-device messages sent and not acknowledged."""
_ROOM_POLL_S = 0.05
_SWEEP_S = 1.1
_GONE = frozenset({ErrorCode.NOT_A_MEMBER, ErrorCode.NOT_FOUND, ErrorCode.FORBIDDEN, ErrorCode.BAD_FRAME})
_log = logging.getLogger(__name__)


def kick(session: "Session") -> None:
    """Start reading, if there is something to read and nothing reads already."""
    if session.pumping or not session.is_live or session.paused_until > session.shared.now:
        return
    outbox = session.outbox
    if (outbox is not None and outbox.has_work()) or session.to_device_wanted or session.catching is not None:
        session.pumping = True
        session.shared.spawn(_run(session))


async def catch_up(session: "Session") -> None:
    """Begin to deliver what the device has missed (PROTOCOL.md §5); `caught_up` follows when all is sent."""
    shared = session.shared
    services = shared.services
    catching = set()
    try:
        async with shared.reads:
            missed = await services.sync.missed(session.device)
            large = {one.conversation_id for one in missed if await _is_large(session, one.conversation_id)}
    except CooeeError:
        session.close(CloseCode.INTERNAL, "the store does not answer; try again")
        return
    if not session.is_live:
        return
    if missed:
        outbox = session.open_outbox()
        for conversation_id, received, last in ((one.conversation_id, one.received, one.last) for one in missed):
            verdict = outbox.missed(conversation_id, received, last, shared.now, large=conversation_id in large)
            if verdict is Verdict.HINT:
                session.hint(conversation_id, outbox.head(conversation_id))
            else:
                catching.add(conversation_id)
    session.catching = catching
    session.to_device_wanted = True
    kick(session)


async def _is_large(session: "Session", conversation_id: str) -> bool:
    if is_direct(conversation_id):
        return False
    try:
        return (await session.shared.services.views.load(conversation_id)).large
    except CooeeError as refusal:
        if refusal.code in _GONE:
            return False
        raise


async def _run(session: "Session") -> None:
    try:
        while session.is_live and session.paused_until <= session.shared.now:
            if (work := _next_work(session)) is not None:
                await _read(session, session.open_outbox(), work)
            elif session.to_device_wanted:
                await _send_to_device(session)
            elif session.catching is not None and _has_caught_up(session, session.outbox):
                await _finish(session)
            else:
                return
            if _is_full(session):
                await asyncio.sleep(0)  # what was queued in this turn of the loop leaves at its end
                if _is_full(session):
                    _pause(session, FULL_PAUSE_S)
    except CooeeError:
        _pause(session, RETRY_PAUSE_S)
    except Exception:  # noqa: BLE001  # the session goes on, and tries again
        session.shared.counters.internal_errors += 1
        _log.exception("a session could not be served from the store")
        _pause(session, RETRY_PAUSE_S)
    finally:
        session.pumping = False


def _next_work(session: "Session") -> Work | None:
    return None if session.outbox is None else session.outbox.next_work()


def _is_full(session: "Session") -> bool:
    return session.connection.buffered > session.shared.limits.outbox_bytes // 2


def _pause(session: "Session", seconds: float) -> None:
    session.paused_until = session.shared.now + seconds
    session.sweep_by(session.paused_until)


async def _read(session: "Session", outbox: Outbox, work: Work) -> None:
    """Do one piece of work. A conversation that fails does not hold up the others."""
    conversation_id = work.conversation_id
    try:
        if work.task is Task.LOOK_UP:
            await _look_up(session, outbox, conversation_id)
        else:
            await _read_timeline(session, outbox, work)
    except CooeeError as refusal:
        if refusal.code not in _GONE:
            outbox.postpone(conversation_id)
            raise
        outbox.forget(conversation_id)
    except Exception:  # noqa: BLE001  # the session's other conversations go on
        session.shared.counters.internal_errors += 1
        _log.exception("a conversation could not be read for a session")
        outbox.forget(conversation_id)


async def _look_up(session: "Session", outbox: Outbox, conversation_id: str) -> None:
    shared = session.shared
    async with shared.reads:
        received = await shared.services.sync.position(session.device, conversation_id)
    for verdict, number, frame in outbox.placed(conversation_id, received, shared.now):
        if verdict is Verdict.SEND:
            _send(session, frame)
        else:
            session.hint(conversation_id, number)


async def _read_timeline(session: "Session", outbox: Outbox, work: Work) -> None:
    shared = session.shared
    sync = shared.services.sync
    conversation_id = work.conversation_id
    spans: Sequence[Span] = ()
    async with shared.reads:
        page = await sync.read_after(session.device, conversation_id, work.after, work.limit)
        encoded = await sync.page_frames(session.device, page)
        has_holes = len(page.messages) != page.covered_through - work.after
        if has_holes and work.task is Task.READ and not is_direct(conversation_id):
            spans = await shared.services.views.spans(conversation_id, session.device.user_id)
    if work.task is Task.RESEND:
        for message, frame in zip(page.messages, encoded, strict=True):
            if outbox.awaits(conversation_id, message.sequence_number):
                session.connection.send(frame)
    elif _send_page(session, outbox, work, page, encoded, spans):
        outbox.page_done(conversation_id, work.head, complete=page.complete)
        if not page.complete and page.covered_through <= work.after:
            outbox.postpone(conversation_id)
            _pause(session, RETRY_PAUSE_S)


def _send_page(
    session: "Session", outbox: Outbox, work: Work, page: Page, encoded: list[bytes], spans: Sequence[Span]
) -> bool:
    """Send what was read, and name what does not exist; False when it had to stop in between."""
    conversation_id = work.conversation_id
    now = session.shared.now
    room = session.shared.limits.outbox_bytes // 2
    for message, frame in zip(page.messages, encoded, strict=True):
        number = message.sequence_number
        _skip(session, outbox, conversation_id, number - 1, spans)
        taken = outbox.take(conversation_id, number, now)
        if taken is Taken.STOP or not session.is_live:
            return False
        if taken is Taken.SEND:
            _send(session, frame)
            if session.connection.buffered > room:
                return False
    _skip(session, outbox, conversation_id, page.covered_through, spans)
    return True


def _send(session: "Session", frame: bytes) -> None:
    session.connection.send(frame)
    session.shared.counters.deliveries += 1
    session.sweep_by(session.shared.now + _SWEEP_S)


def _skip(session: "Session", outbox: Outbox, conversation_id: str, through: int, spans: Sequence[Span]) -> None:
    """Tell the client that numbers do not exist for it: outside its membership, or swept by retention."""
    skipped = outbox.skip(conversation_id, through)
    if skipped is None:
        return
    for first, last, reason in reasons(*skipped, spans):
        session.say(Skipped(conversation_id, from_=first, through=last, reason=reason))


def reasons(first: int, last: int, spans: Sequence[Span]) -> list[tuple[int, int, str]]:
    """Split missing numbers by why they are missing. ``spans``: what the user may see, oldest first; none: all."""
    if not spans:
        return [(first, last, "retention")]
    parts = []
    for span in spans:
        if span.left is not None and span.left < first:
            continue
        if span.joined > last:
            break
        if span.joined > first:
            parts.append((first, span.joined - 1, "membership"))
            first = span.joined
        end = last if span.left is None else min(span.left, last)
        parts.append((first, end, "retention"))
        first = end + 1
        if first > last:
            break
    if first <= last:
        parts.append((first, last, "membership"))
    return parts


async def _send_to_device(session: "Session") -> None:
    shared = session.shared
    session.to_device_wanted = False
    room = TO_DEVICE_WINDOW - (session.to_device_sent - session.to_device_acked)
    if room <= 0:
        return
    async with shared.reads:
        messages = await shared.services.to_device.read_after(session.device, session.to_device_sent, room)
    half = shared.limits.outbox_bytes // 2
    for message in messages:
        number = message.sequence_number
        if not session.to_device_sent:
            session.to_device_acked = number - 1
        session.to_device_sent = number
        session.say(ToDevice(number, message.sender.user_id, message.sender.device_id, message.content))
        if session.connection.buffered > half:
            break
    if messages and session.to_device_sent < messages[-1].sequence_number:
        session.to_device_wanted = True


def _has_caught_up(session: "Session", outbox: Outbox | None) -> bool:
    """Tell whether everything that was missed at the hello has been sent."""
    catching = session.catching
    if catching and outbox is not None:
        catching = session.catching = {one for one in catching if outbox.is_behind(one)}
    return not catching


async def _finish(session: "Session") -> None:
    shared = session.shared
    async with shared.reads:
        changes, token = await shared.services.sync.own_changes(session.device, session.sync_token)
    session.catching = session.sync_token = None
    room = shared.limits.outbox_bytes // 2
    for frame in changes:
        while session.is_live and session.connection.buffered > room:  # noqa: ASYNC110  # nobody tells of room
            await asyncio.sleep(_ROOM_POLL_S)
        session.connection.send(frame)
    session.say(CaughtUp(token))
