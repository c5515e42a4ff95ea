"""What other parts of the house route here, brought to the sessions that it concerns: the hot end of the fan-out."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cooee.gateway import pump
from cooee.gateway.outbox import Outbox, Verdict
from cooee.gateway.shared import Shared
from cooee.ports.router import Routed, RouteKind
from cooee.protocol.codec import with_envelope
from cooee.protocol.codes import CloseCode

if TYPE_CHECKING:
    from cooee.gateway.session import Session

_RESEND_SWEEP_S = 1.1
_SEND, _DROP = Verdict.SEND, Verdict.DROP
_log = logging.getLogger(__name__)


class Delivery:
    """Receives batches of `Routed`. A session that fails hinders no other; what is lost here is read again."""

    __slots__ = ("_shared", "_take")

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._take = {
            RouteKind.MESSAGE: self._message,
            RouteKind.HINT: self._message,
            RouteKind.EVENT: self._event,
            RouteKind.TO_DEVICE: self._to_device,
            RouteKind.CLOSE: self._close,
            RouteKind.REFRESH: self._refresh,
        }

    def receive(self, items: Sequence[Routed]) -> None:
        """Deliver a batch, in order, on the event loop. Never raises."""
        shared = self._shared
        now = shared.clock.monotonic()
        shared.now = max(shared.now, now)
        take = self._take
        begun = []
        for item in items:
            try:
                take[item.kind](item)
            except Exception:  # noqa: BLE001  # the other items go on
                shared.counters.internal_errors += 1
                _log.exception("an item could not be delivered")
            if item.at:
                begun.append(item.at)
        if begun:
            shared.counters.delivery_latency.observe_until(shared.clock.monotonic(), begun)

    def _message(self, item: Routed) -> None:
        """Offer a numbered message to every session of its users. The innermost loop of a large group."""
        shared = self._shared
        now = shared.now
        sweep_at = now + _RESEND_SWEEP_S
        by_user = shared.sessions.by_user
        conversation_id, number, frame = item.conversation_id, item.sequence_number, item.frame
        large = item.kind is RouteKind.HINT
        sender = item.except_device
        sent = 0
        for user_id in item.user_ids:
            sessions = by_user.get(user_id)
            if sessions is None:
                continue
            for session in sessions:
                if sender is not None and session.device == sender:
                    if session.outbox is not None:
                        session.outbox.held(conversation_id, number)
                    continue
                try:
                    payload = frame if item.envelopes is None else _own(item, session, frame)
                    outbox = session.outbox or session.open_outbox()
                    verdict = outbox.offer(conversation_id, number, payload, now, large=large)
                    if verdict is _SEND:
                        session.connection.send(payload)
                        sent += 1
                        if not session.sweep_at:
                            session.sweep_by(sweep_at)
                    elif verdict is not _DROP:
                        self._later(session, outbox, verdict, conversation_id)
                except Exception:  # noqa: BLE001  # the other sessions go on
                    shared.counters.internal_errors += 1
                    _log.exception("a message could not be offered to a session")
        shared.counters.deliveries += sent

    def _later(self, session: "Session", outbox: Outbox, verdict: Verdict, conversation_id: str) -> None:
        if verdict is Verdict.HINT:
            session.hint(conversation_id, outbox.head(conversation_id))
        elif verdict is Verdict.LATER:
            session.sweep_by(self._shared.now + _RESEND_SWEEP_S)
        else:
            session.sweep_by(self._shared.now + _RESEND_SWEEP_S)
            pump.kick(session)

    def _event(self, item: Routed) -> None:
        frame = item.frame
        for session in self._concerned(item):
            session.connection.send(frame)

    def _to_device(self, item: Routed) -> None:
        for session in self._concerned(item):
            session.to_device_wanted = True
            pump.kick(session)

    def _close(self, item: Routed) -> None:
        code, _, reason = item.frame.decode().partition(" ")
        for session in self._concerned(item):
            if not item.only_connection or session.connection_id == item.only_connection:
                session.close(CloseCode(int(code)), reason)

    def _refresh(self, item: Routed) -> None:
        services = self._shared.services
        for user_id in item.user_ids:
            services.views.forget_user(user_id)
            self._shared.spawn(services.presence.refresh(user_id))

    def _concerned(self, item: Routed) -> list["Session"]:
        """Return the sessions of the item's users, without ``except_device``, only ``only_device`` if it is named."""
        by_user = self._shared.sessions.by_user
        unwanted, only_device = item.except_device, item.only_device
        return [
            session
            for user_id in item.user_ids
            for session in by_user.get(user_id, ())
            if (unwanted is None or session.device != unwanted)
            and (not only_device or session.device.device_id == only_device)
        ]


def _own(item: Routed, session: "Session", frame: bytes) -> bytes:
    """Return the frame with the device's own envelope, if it has one."""
    content = (item.envelopes or {}).get(session.device)
    return frame if content is None else with_envelope(frame, content)
