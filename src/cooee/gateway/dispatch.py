"""Which service takes which client frame: one table (PROTOCOL.md §2–§9)."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from cooee.domain.errors import CooeeError, ErrorCode, bad_frame, rate_limited
from cooee.domain.scopes import Scope
from cooee.gateway import pump
from cooee.gateway.shared import Serve
from cooee.protocol import frames
from cooee.protocol.codec import encode

if TYPE_CHECKING:
    from cooee.gateway.session import Session


def _hello(_session: "Session", _frame: frames.Hello) -> None:
    raise bad_frame("hello was said already")


def _send(session: "Session", frame: frames.Send) -> None:
    shared = session.shared
    session.sends_spent, wait_s = shared.send_bucket.take(session.sends_spent, shared.now)
    if wait_s:
        shared.counters.rate_limited += 1
        raise rate_limited(round(wait_s * 1000) + 1, "too many messages; wait and send it again")
    shared.in_flight += 1
    shared.services.messages.send(session.device, frame, partial(_answered, session, shared.clock.monotonic()))


def _answered(session: "Session", taken_at: float, reply: frames.ServerFrame) -> None:
    """Tell the sender what became of his message; from now on he holds it."""
    shared = session.shared
    shared.in_flight -= 1
    if isinstance(reply, frames.Ack):
        counters = shared.counters
        counters.acks += 1
        counters.ack_latency.observe(shared.clock.monotonic() - taken_at)
        outbox = session.outbox
        if outbox is not None and reply.conversation_id is not None and reply.sequence_number is not None:
            outbox.held(reply.conversation_id, reply.sequence_number)
    session.connection.send(encode(reply))


def _received(session: "Session", frame: frames.Received) -> None:
    _note_watermark(session, frame.conversation_id, frame.sequence_number)
    session.shared.services.receipts.received(session.device, frame, session.say)


def _read(session: "Session", frame: frames.Read) -> None:
    _note_watermark(session, frame.conversation_id, frame.sequence_number)
    session.shared.services.receipts.read(session.device, frame, session.say)


def _note_watermark(session: "Session", conversation_id: str, number: int) -> None:
    outbox = session.outbox
    if outbox is not None and (outbox.received(conversation_id, number) or session.catching is not None):
        pump.kick(session)


def _typing(session: "Session", frame: frames.Typing) -> None:
    session.shared.services.typing.typing(session.device, frame)
    _done(session, frame.ref)


def _to_device(session: "Session", frame: frames.ToDeviceSend) -> None:
    session.shared.services.to_device.send(session.device, frame, session.say)


def _ping(session: "Session", frame: frames.Ping) -> None:
    session.say(frames.Pong(session.shared.clock.wall_ms(), frame.ref))


def _presence_subscribe(session: "Session", frame: frames.PresenceSubscribe) -> None:
    shared = session.shared
    session.subscribes_spent, wait_s = shared.subscribe_bucket.take(session.subscribes_spent, shared.now)
    if wait_s:
        shared.counters.rate_limited += 1
        raise rate_limited(round(wait_s * 1000) + 1)
    session.ask(_serve_presence_subscribe, frame)


async def _serve_presence_subscribe(session: "Session", frame: frames.PresenceSubscribe) -> None:
    shared = session.shared
    shared.sessions.watch(session)
    states = await shared.services.presence.subscribe(session.device.user_id, session.connection_id, frame.user_ids)
    if session.is_closed:
        await shared.services.presence.unsubscribe(session.device.user_id, session.connection_id)
        return
    for state in states:
        session.say(state)
    _done(session, frame.ref)


async def _serve_presence_unsubscribe(session: "Session", frame: frames.PresenceUnsubscribe) -> None:
    await session.shared.services.presence.unsubscribe(session.device.user_id, session.connection_id)
    _done(session, frame.ref)


async def _serve_fetch(session: "Session", frame: frames.Fetch) -> None:
    shared = session.shared
    began = shared.clock.monotonic()
    async with shared.reads:
        page = await shared.services.sync.history(session.device, frame)
    session.say(page)
    shared.counters.fetch_latency.observe(shared.clock.monotonic() - began)


async def _serve_watermarks(session: "Session", frame: frames.WatermarksQuery) -> None:
    shared = session.shared
    if len(frame.conversation_ids) > shared.limits.watermarks_query:
        raise CooeeError(ErrorCode.TOO_LARGE, f"at most {shared.limits.watermarks_query} conversations at once")
    async with shared.reads:
        found = await shared.services.conversation_list.watermarks(session.device, frame.conversation_ids)
    session.say(frames.Watermarks(found.items, frame.ref))


async def _serve_to_device_received(session: "Session", frame: frames.ToDeviceReceived) -> None:
    number = min(frame.sequence_number, session.to_device_sent)
    if number > session.to_device_acked:
        await session.shared.services.to_device.acknowledge(session.device, number)
        session.to_device_acked = max(session.to_device_acked, number)
        session.to_device_wanted = True
        pump.kick(session)
    _done(session, frame.ref)


def _done(session: "Session", ref: str | None) -> None:
    """Confirm what has no other answer, to who asked for one."""
    if ref is not None:
        session.say(frames.Ack("ok", ref))


DISPATCH: Mapping[type, tuple[Scope, Serve]] = {
    frames.Hello: (Scope.ANY, _hello),
    frames.Send: (Scope.MESSAGES_WRITE, _send),
    frames.Received: (Scope.MESSAGES_READ, _received),
    frames.Read: (Scope.MESSAGES_READ, _read),
    frames.Fetch: (Scope.MESSAGES_READ, lambda session, frame: session.ask(_serve_fetch, frame)),
    frames.WatermarksQuery: (Scope.MESSAGES_READ, lambda session, frame: session.ask(_serve_watermarks, frame)),
    frames.PresenceSubscribe: (Scope.CONTACTS, _presence_subscribe),
    frames.PresenceUnsubscribe: (
        Scope.CONTACTS,
        lambda session, frame: session.ask(_serve_presence_unsubscribe, frame),
    ),
    frames.Typing: (Scope.MESSAGES_WRITE, _typing),
    frames.ToDeviceSend: (Scope.MESSAGES_WRITE, _to_device),
    frames.ToDeviceReceived: (
        Scope.MESSAGES_READ,
        lambda session, frame: session.ask(_serve_to_device_received, frame),
    ),
    frames.Ping: (Scope.ANY, _ping),
}
"""What the token must be good for, and what serves the frame."""
