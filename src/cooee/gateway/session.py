"""One live connection of one device: from its hello to its end. The same for WebSocket and long polling."""

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any

from cooee.domain.errors import CooeeError, ErrorCode, bad_frame, rate_limited
from cooee.domain.ids import DeviceRef
from cooee.domain.retry import HAND_OVER_AFTER_MS
from cooee.domain.scopes import EVERYTHING, Scope, check_scope
from cooee.gateway import opening, pump
from cooee.gateway.connection import Connection
from cooee.gateway.outbox import Outbox
from cooee.gateway.shared import Shared
from cooee.gateway.wheel import TICK_S
from cooee.protocol.codec import RejectedFrame, decode_client, encode, error_frame
from cooee.protocol.codes import CloseCode
from cooee.protocol.frames import ClientFrame, Hello, ServerFrame, TimelineHint

MAX_REQUESTS = 64
"""Requests of one session that wait for the store; more are refused."""
MAX_EARLY_BYTES = 128 * 1024
"""Bytes of frames a client may send behind its hello without waiting for the welcome."""
REFUSALS_PER_BURST = 10
"""A client that has this many bursts of frames refused, faster than it is allowed to send, is cut off."""

_log = logging.getLogger(__name__)
_NOBODY = DeviceRef("", "")
_NOTHING: frozenset[Scope] = frozenset()

Ask = Callable[["Session", Any], Awaitable[None]]
"""Serves a client frame that has to wait for something. May raise CooeeError, which answers the frame."""


class State(Enum):
    """A session goes through these in order, and may leave out any but the last."""

    WAITING = 1
    """For the hello."""
    OPENING = 2
    """The token is being looked up."""
    LIVE = 3
    CLOSED = 4


_LIVE = State.LIVE


class Session:
    """A `Receiver`. Idle it holds no collection: what it needs for work comes when work comes."""

    __slots__ = (
        "catching",
        "connection",
        "connection_id",
        "device",
        "device_type",
        "early",
        "frames_spent",
        "heard",
        "outbox",
        "paused_until",
        "pinged",
        "pumping",
        "refused",
        "requests",
        "scopes",
        "sends_spent",
        "shared",
        "state",
        "subscribes_spent",
        "sweep_at",
        "sync_token",
        "to_device_acked",
        "to_device_sent",
        "to_device_wanted",
    )

    def __init__(self, shared: Shared, connection: Connection) -> None:
        self.shared = shared
        self.connection = connection
        self.state = State.WAITING
        self.device = _NOBODY
        self.device_type = ""
        self.scopes = _NOTHING
        self.connection_id = ""
        self.heard = shared.now
        self.pinged = False
        self.refused = 0
        self.frames_spent = self.sends_spent = self.subscribes_spent = 0.0
        self.outbox: Outbox | None = None
        self.sweep_at = self.paused_until = 0.0
        self.pumping = False
        self.requests: deque[tuple[Ask, Any]] | None = None
        self.early: list[bytes] | None = None
        self.catching: set[str] | None = None
        self.sync_token: str | None = None
        self.to_device_sent = self.to_device_acked = 0
        self.to_device_wanted = False
        shared.hellos.add(self, shared.now + shared.limits.hello_timeout_s + TICK_S)

    @property
    def is_live(self) -> bool:
        """Whether frames are served and delivered."""
        return self.state is _LIVE

    @property
    def is_closed(self) -> bool:
        """Whether the session has ended."""
        return self.state is State.CLOSED

    # --- what the connection calls ------------------------------------------------------------------------------------

    def bytes_received(self) -> None:
        """Note that the peer is alive."""
        self.heard = self.shared.now
        self.pinged = False

    def frame_received(self, payload: bytes) -> None:
        """Serve one client frame; whatever is wrong with it is answered, and ends nothing else."""
        if self.state is not _LIVE:
            self._before_live(payload)
            return
        try:
            frame = decode_client(payload)
        except RejectedFrame as rejected:
            if not self._spent(rejected.error.ref, rejected.error.client_message_id):
                self._count_error(rejected.error.code)
                self.say(rejected.error)
            return
        shared = self.shared
        self.frames_spent, wait_s = shared.frame_bucket.take(self.frames_spent, shared.now)
        if wait_s:
            self._over_limit(frame.ref, getattr(frame, "client_message_id", None), wait_s)
            return
        if self.refused:
            self.refused -= 1
        kind = type(frame)
        taken = shared.counters.frames
        taken[kind] = taken.get(kind, 0) + 1
        try:
            needed, serve = shared.dispatch[kind]
            if self.scopes is not EVERYTHING:
                check_scope(self.scopes, needed)
            serve(self, frame)
        except CooeeError as refusal:
            self.refuse(refusal, frame.ref, getattr(frame, "client_message_id", None))
        except Exception:  # noqa: BLE001  # a frame's failure ends nothing else
            self._failed(frame)

    def binary_received(self) -> None:
        """Refuse a binary message; before the hello it ends the connection."""
        if self.state is State.CLOSED:
            return
        self.refuse(bad_frame("frames are text messages, not binary"))
        if self.state is State.WAITING:
            self.close(CloseCode.BAD_PROTOCOL, "the first frame must be hello")

    def connection_lost(self) -> None:
        """Leave the registries, and hand over to push what may not have arrived."""
        if self.outbox is not None and self.device is not _NOBODY:
            uncovered = self.outbox.lost(self.shared.now)
            self.shared.counters.hand_overs += len(uncovered)
            self.shared.hand_over.add(self.device, uncovered, HAND_OVER_AFTER_MS)
        self._leave()
        self.outbox = None

    # --- what services and the gateway call ---------------------------------------------------------------------------

    def say(self, frame: ServerFrame) -> None:
        """Send one frame."""
        self.connection.send(encode(frame))

    def refuse(self, error: CooeeError, ref: str | None = None, client_message_id: str | None = None) -> None:
        """Answer with an error frame."""
        self._count_error(error.code)
        self.say(error_frame(error, ref, client_message_id))

    def hint(self, conversation_id: str, number: int) -> None:
        """Tell that a large group has grown."""
        self.shared.counters.hints += 1
        self.say(TimelineHint(conversation_id, number))

    def close(self, code: CloseCode, reason: str = "") -> None:
        """Send what is queued, close, and take no further frame."""
        if self.state is State.CLOSED:
            return
        counters = self.shared.counters
        counters.closed[code] = counters.closed.get(code, 0) + 1
        if code is not CloseCode.GOING_AWAY:
            _log.info("closing a session of %s: %d %s", self.device.user_id or "nobody", code, reason)
        self._leave()
        self.connection.close(code, reason)

    def go_live(self) -> None:
        """Begin to serve frames, those first that came behind the hello. The session stands in the registry."""
        shared = self.shared
        self.state = State.LIVE
        shared.counters.opened += 1
        shared.heartbeats.add(self, shared.now + shared.limits.heartbeat_interval_s)
        early, self.early = self.early, None
        for payload in early or ():
            self.frame_received(payload)

    def open_outbox(self) -> Outbox:
        """Return the outbox, which an idle session does not have."""
        if self.outbox is None:
            self.outbox = Outbox(self.shared.limits.window)
        return self.outbox

    def ask(self, serve: Ask, frame: Any) -> None:
        """Have ``serve`` run for ``frame``, after all that was asked before on this session.

        Raises:
            CooeeError: ``rate_limited`` when too much is waiting.
        """
        if self.requests is None:
            self.requests = deque()
            self.shared.spawn(self._serve_requests(self.requests))
        elif len(self.requests) >= MAX_REQUESTS:
            raise rate_limited(1000, "too many requests are waiting; wait for their answers")
        self.requests.append((serve, frame))

    # --- timers -------------------------------------------------------------------------------------------------------

    def sweep_by(self, due: float) -> None:
        """Have `sweep_due` called at ``due`` or before."""
        if not self.sweep_at or due < self.sweep_at:
            self.sweep_at = due
            self.shared.sweeps.add(self, due)

    def hello_due(self, now: float) -> float:
        """Close a connection that has not said hello."""
        if self.state is State.WAITING:
            self.close(CloseCode.HELLO_TIMEOUT, "no hello came in time")
        return 0.0

    def heartbeat_due(self, now: float) -> float:
        """Ping a silent peer, close one that does not answer; return when to look again."""
        if self.state is State.CLOSED:
            return 0.0
        limits = self.shared.limits
        due = self.heard + limits.heartbeat_interval_s
        if due > now:
            return due
        if self.pinged:
            self.close(CloseCode.SLOW_CONSUMER, "no answer to a ping")
            return 0.0
        self.pinged = True
        self.connection.ping()
        return now + limits.heartbeat_timeout_s

    def sweep_due(self, now: float) -> float:
        """Resend, hint and hand over what is due; return when to look again."""
        if not self.sweep_at or self.sweep_at > now:
            return 0.0
        self.sweep_at = 0.0
        if self.state is not _LIVE:
            return 0.0
        again = 0.0
        if self.outbox is not None:
            again = self._sweep_outbox(self.outbox, now)
        pump.kick(self)
        if again and not self.sweep_at:
            self.sweep_at = again
            return again
        return 0.0

    # --- inside -------------------------------------------------------------------------------------------------------

    def _before_live(self, payload: bytes) -> None:
        if self.state is State.CLOSED:
            return
        if self.state is State.OPENING:
            early = self.early = self.early or []
            early.append(payload)
            if sum(map(len, early)) > MAX_EARLY_BYTES or len(early) > self.shared.limits.frames.burst:
                self.refuse(bad_frame("wait for the welcome before sending so much"))
                self.close(CloseCode.BAD_PROTOCOL, "too much before the welcome")
            return
        try:
            frame = decode_client(payload)
        except RejectedFrame as rejected:
            self._count_error(rejected.error.code)
            self.say(rejected.error)
            self.close(CloseCode.BAD_PROTOCOL, "the first frame must be hello")
            return
        if isinstance(frame, Hello):
            self.state = State.OPENING
            self.shared.spawn(opening.open_session(self, frame))
            return
        self.refuse(bad_frame("the first frame must be hello"), frame.ref, getattr(frame, "client_message_id", None))
        self.close(CloseCode.BAD_PROTOCOL, "the first frame must be hello")

    def _failed(self, frame: ClientFrame) -> None:
        """Answer a frame whose service failed. Called in the except clause."""
        self.shared.counters.internal_errors += 1
        _log.exception("a %s frame could not be served", type(frame).__name__)
        error = CooeeError(ErrorCode.INTERNAL, "the server failed on this frame; try again")
        self.refuse(error, frame.ref, getattr(frame, "client_message_id", None))

    async def _serve_requests(self, requests: deque[tuple[Ask, Any]]) -> None:
        while requests and self.state is _LIVE:
            serve, frame = requests[0]
            try:
                await serve(self, frame)
            except CooeeError as refusal:
                self.refuse(refusal, frame.ref, getattr(frame, "client_message_id", None))
            except Exception:  # noqa: BLE001  # a frame's failure ends nothing else
                self._failed(frame)
            requests.popleft()
        self.requests = None

    def _spent(self, ref: str | None, client_message_id: str | None) -> bool:
        shared = self.shared
        self.frames_spent, wait_s = shared.frame_bucket.take(self.frames_spent, shared.now)
        if wait_s:
            self._over_limit(ref, client_message_id, wait_s)
        return bool(wait_s)

    def _over_limit(self, ref: str | None, client_message_id: str | None, wait_s: float) -> None:
        self.shared.counters.rate_limited += 1
        self.refused += 1
        if self.refused > REFUSALS_PER_BURST * self.shared.limits.frames.burst:
            self.close(CloseCode.SLOW_CONSUMER, "frames keep coming in spite of rate_limited")
            return
        self.refuse(rate_limited(round(wait_s * 1000) + 1), ref, client_message_id)

    def _sweep_outbox(self, outbox: Outbox, now: float) -> float:
        due = outbox.due(now, resend=not self.connection.buffered)
        counters = self.shared.counters
        counters.resends += due.resends
        for conversation_id, number in due.hints:
            self.hint(conversation_id, number)
        if due.hand_over:
            counters.hand_overs += len(due.hand_over)
            self.shared.hand_over.add(self.device, due.hand_over)
            if due.silent_since and self.heard <= due.silent_since:
                self.close(CloseCode.SLOW_CONSUMER, "no sign of life since messages were sent")
                return 0.0
        if due.unanswered:
            self.connection.ping()
        return due.next_at

    def _count_error(self, code: str) -> None:
        errors = self.shared.counters.errors
        errors[code] = errors.get(code, 0) + 1

    def _leave(self) -> None:
        """Leave all registries, once."""
        former, self.state = self.state, State.CLOSED
        if former is State.CLOSED:
            return
        self.early = self.catching = None
        if former is _LIVE:
            self.shared.sessions.remove(self)
            opening.end_soon(self.shared, self.device, self.connection_id)
