"""What the client has to say on a connection, and when: acknowledgements, re-sends, fetches, heartbeat. No I/O.

The state says what is held and what is wanted; this says which frames follow from it. `absorb` takes in what a stored
turn changed, `due` returns the frames to send now, `next_due` when to ask again. Times in ms of a monotonic clock.
"""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from cooee.client.state import ConversationState, State
from cooee.client.turn import Turn
from cooee.protocol import frames

RECEIVED_WITHIN_MS = 100
"""How long ``received`` waits for more to cover; the protocol allows 500."""

GAP_GRACE_MS = 300
"""How long a hole may fill itself before it is fetched: an ack often overtakes the messages below it."""

FETCH_TIMEOUT_MS = 10_000
FETCH_AGAIN_MS = 5_000
PAGE = 200
QUERY = 100
"""Conversations in one watermarks query."""

CHECKED_CONVERSATIONS = 1_000
"""How many conversations with unread own messages are asked about after a reconnect, latest first."""


class _Fetch(msgspec.Struct, frozen=True, gc=False):
    conversation_id: str
    position: int
    expires_at: int


class Live:
    """One client's side of its connections, one after the other. ``follow``: fetch large groups as they are hinted.

    ``blobs`` gives frames with blobs for devices that are to be sent now, for the limits given.
    """

    def __init__(
        self,
        state: State,
        *,
        follow: bool = False,
        acknowledge_to_device: bool = True,
        blobs: Callable[[frames.WireLimits], Sequence[frames.ToDeviceSend]] = lambda _: (),
    ) -> None:
        self.state = state
        self._blobs = blobs
        self.opened: set[str] = set()
        self.watched: tuple[str, ...] = ()
        self._follow = follow
        self._acknowledge_to_device = acknowledge_to_device
        self._acknowledged: dict[str, int] = {}
        self._received_due: dict[str, int] = {}
        self.reset(frames.Heartbeat(), frames.WireLimits(), 0)

    # --- the connection

    def reset(self, heartbeat: frames.Heartbeat, limits: frames.WireLimits, now: int) -> None:
        """Forget what belonged to the former connection."""
        self.heartbeat = heartbeat
        self.limits = limits
        self._outgoing: list[frames.ClientFrame] = []
        self._refs = 0
        self._fetches: dict[str, _Fetch] = {}
        self._fetch_at: dict[str, int] = {}
        self._reads: dict[str, int] = {}
        self._learning: set[str] = set()
        self._to_device_sent = 0
        self._heard_at = now
        self._ping_sent_at: int | None = None
        self._presence_ref = ""
        self._presence_at: int | None = None
        self._heartbeat_on = True

    def connected(self, welcome: frames.Welcome, now: int, *, heartbeat: bool) -> None:
        """Begin on a new connection: what the server may have missed is said again."""
        self.reset(welcome.heartbeat, welcome.limits, now)
        self._heartbeat_on = heartbeat
        if self.watched:
            self._presence_at = now
        for conversation in self.state.conversations.values():
            self._want(conversation, now)
        for conversation_id in self._received_due:
            self._received_due[conversation_id] = now

    def caught_up(self) -> None:
        """Ask for the ticks that changed while there was no connection: receipts are state, not events (§4)."""
        unsettled = [
            conversation
            for conversation in self.state.conversations.values()
            if conversation.own_last > conversation.ticked.read and not conversation.left
        ]
        unsettled.sort(key=lambda conversation: -conversation.last_activity)
        self._query([conversation.conversation_id for conversation in unsettled[:CHECKED_CONVERSATIONS]])

    def _query(self, conversation_ids: list[str]) -> None:
        for at in range(0, len(conversation_ids), QUERY):
            self._outgoing.append(frames.WatermarksQuery(tuple(conversation_ids[at : at + QUERY]), self._ref("w")))

    def _ref(self, kind: str) -> str:
        self._refs += 1
        return f"{kind}{self._refs}"

    # --- what came in

    def heard(self, now: int) -> None:
        """Note that bytes came from the server."""
        self._heard_at = now
        self._ping_sent_at = None

    def is_dead(self, now: int) -> bool:
        """Tell whether the server has been silent for so long that the connection must be half open."""
        return self._ping_sent_at is not None and now >= self._ping_sent_at + self.heartbeat.timeout_ms

    def answered(self, frame: frames.ServerFrame, now: int) -> None:
        """Match a reply with what asked for it."""
        ref = getattr(frame, "ref", None)
        if isinstance(frame, frames.ToDevice):
            self._to_device_sent = min(self._to_device_sent, frame.sequence_number - 1)
        if ref is None:
            return
        fetch = self._fetches.pop(ref, None)
        if fetch is not None:
            refused = isinstance(frame, frames.Error)
            final = refused and not getattr(frame, "retryable", False)
            wait = (getattr(frame, "retry_after_ms", None) or FETCH_AGAIN_MS) if refused else 0
            conversation = self.state.find(fetch.conversation_id)
            if not refused and conversation is not None and conversation.position <= fetch.position:
                wait = FETCH_AGAIN_MS
            if not final and self._wants_fetch(conversation):
                self._fetch_at[fetch.conversation_id] = now + wait
        elif isinstance(frame, frames.Error) and ref == self._presence_ref and frame.retryable:
            self._presence_at = now + (frame.retry_after_ms or FETCH_AGAIN_MS)

    def absorb(self, turn: Turn, now: int) -> None:
        """Take in what a turn changed, after it was stored and installed.

        Own messages are acknowledged like all others: whether the server has advanced this device by itself depends on
        what it knew when it took the message in, which cannot be told from here.
        """
        for conversation_id, number in turn.redelivered.items():
            if number - 1 < self._server_has(conversation_id):
                self._acknowledged[conversation_id] = number - 1
            self._received_due.setdefault(conversation_id, now + RECEIVED_WITHIN_MS)
        for conversation_id in turn.conversations:
            conversation = self.state.conversations[conversation_id]
            self._want(conversation, now)
            if conversation.learned and conversation.position > self._server_has(conversation_id):
                self._received_due.setdefault(conversation_id, now + RECEIVED_WITHIN_MS)
        new = [conversation_id for conversation_id in turn.learn if conversation_id not in self._learning]
        self._learning.update(new)
        self._query(new)

    def _server_has(self, conversation_id: str) -> int:
        """Return up to which number the server knows this device to hold the conversation."""
        known = self._acknowledged.get(conversation_id)
        if known is not None:
            return known
        conversation = self.state.find(conversation_id)
        return conversation.server_received if conversation is not None else 0

    def _wants_fetch(self, conversation: ConversationState | None) -> bool:
        if conversation is None or not conversation.learned or conversation.left:
            return False
        if conversation.hinted:
            return self._follow or conversation.conversation_id in self.opened
        return conversation.has_gap

    def _want(self, conversation: ConversationState, now: int) -> None:
        conversation_id = conversation.conversation_id
        if self._wants_fetch(conversation):
            if not any(fetch.conversation_id == conversation_id for fetch in self._fetches.values()):
                self._fetch_at.setdefault(conversation_id, now + (0 if conversation.hinted else GAP_GRACE_MS))
        else:
            self._fetch_at.pop(conversation_id, None)
        if conversation.read > max(conversation.read_confirmed, self._reads.get(conversation_id, 0)):
            self._reads[conversation_id] = conversation.read
            self._outgoing.append(frames.Read(conversation_id, conversation.read, self._ref("r")))

    # --- what the user wants

    def open(self, conversation_id: str, now: int) -> None:
        """Keep a conversation complete while it is open, also a large group's."""
        self.opened.add(conversation_id)
        conversation = self.state.find(conversation_id)
        if conversation is not None:
            self._want(conversation, now)

    def watch(self, user_ids: Iterable[str], now: int) -> None:
        """Replace the watched users."""
        self.watched = tuple(user_ids)
        self._presence_at = now

    def say(self, frame: frames.ClientFrame) -> None:
        """Send a frame that nothing depends on, such as typing; lost without a connection."""
        self._outgoing.append(frame)

    # --- what goes out

    def due(self, now: int) -> list[frames.ClientFrame]:
        """Return the frames to send now, in order."""
        outgoing, self._outgoing = self._outgoing, []
        outgoing += self._blobs(self.limits)
        outgoing += [entry.frame() for entry in self.state.outbox.due(now)]
        outgoing += self._received(now)
        outgoing += self._fetch(now)
        if self._presence_at is not None and now >= self._presence_at:
            self._presence_at = None
            self._presence_ref = self._ref("p")
            outgoing.append(
                frames.PresenceSubscribe(self.watched, self._presence_ref)
                if self.watched
                else frames.PresenceUnsubscribe(self._presence_ref)
            )
        if self._acknowledge_to_device and self.state.to_device > self._to_device_sent:
            self._to_device_sent = self.state.to_device
            outgoing.append(frames.ToDeviceReceived(self.state.to_device))
        if self._heartbeat_on and self._ping_sent_at is None and now >= self._heard_at + self.heartbeat.interval_ms:
            self._ping_sent_at = now
            outgoing.append(frames.Ping())
        return outgoing

    def _received(self, now: int) -> list[frames.ClientFrame]:
        positions = {key: self.state.conversations[key].position for key in self._received_due}
        uncovered = sum(max(position - self._server_has(key), 0) for key, position in positions.items())
        at_once = uncovered >= self.limits.window // 2
        acknowledging: list[frames.ClientFrame] = []
        for conversation_id, position in positions.items():
            if not at_once and now < self._received_due[conversation_id]:
                continue
            del self._received_due[conversation_id]
            if position > self._server_has(conversation_id):
                self._acknowledged[conversation_id] = position
                acknowledging.append(frames.Received(conversation_id, position))
        return acknowledging

    def _fetch(self, now: int) -> list[frames.ClientFrame]:
        fetching: list[frames.ClientFrame] = []
        for ref, fetch in list(self._fetches.items()):
            if now >= fetch.expires_at:
                del self._fetches[ref]
                self._fetch_at.setdefault(fetch.conversation_id, now)
        for conversation_id, at in list(self._fetch_at.items()):
            if now < at:
                continue
            del self._fetch_at[conversation_id]
            conversation = self.state.conversations[conversation_id]
            if self._wants_fetch(conversation):
                ref = self._ref("f")
                self._fetches[ref] = _Fetch(conversation_id, conversation.position, now + FETCH_TIMEOUT_MS)
                limit = min(PAGE, self.limits.max_page)
                fetching.append(frames.Fetch(conversation_id, after=conversation.position, limit=limit, ref=ref))
        return fetching

    def hurry(self) -> None:
        """Acknowledge at once: the connection is about to be closed."""
        self._received_due = dict.fromkeys(self._received_due, 0)

    def next_due(self, now: int) -> int:
        """Return when `due` and `is_dead` are to be asked again at the latest."""
        times = [*self._received_due.values(), *self._fetch_at.values(), *self.state.typing.values()]
        times += [fetch.expires_at for fetch in self._fetches.values()]
        outbox = self.state.outbox.next_due()
        if outbox is not None:
            times.append(outbox)
        if self._presence_at is not None:
            times.append(self._presence_at)
        if self._outgoing:
            times.append(now)
        if self._heartbeat_on:
            silent = self._heard_at + self.heartbeat.interval_ms
            times.append(silent if self._ping_sent_at is None else self._ping_sent_at + self.heartbeat.timeout_ms)
        return min(times, default=now + self.heartbeat.interval_ms)
