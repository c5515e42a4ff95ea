"""What one session has been sent of each conversation, and what it must be sent next: pure, no clock, no I/O.

A conversation is in one of four modes:

==========  ===========================================  ==============================================================
mode        meaning                                      leaves it
==========  ===========================================  ==============================================================
(no entry)  nothing came up on this connection yet       number 1 → LIVE; other number → UNKNOWN; missed → BEHIND/HINTED
UNKNOWN     the device's watermark is being looked up    placed → LIVE (then the early frames are offered again)
LIVE        sent up to the head; n+1 goes out at once    gap or full window → BEHIND (large group with full window, or
                                                         more than a window behind, or silent for 6 s → HINTED)
BEHIND      numbers up to the head are to be read        read up to the head → LIVE; too far behind, large → HINTED
HINTED      a large group told by ``timeline`` hints     ``received`` reaches the head → LIVE; became small → BEHIND
==========  ===========================================  ==============================================================

Number n is sent only after n−1, never twice except as a resend, and at most ``window`` frames are unacknowledged
(PROTOCOL.md §4, §5). Time is monotonic seconds, given by the caller.
"""

from enum import Enum
from typing import NamedTuple

from cooee.gateway.position import HAND_OVER_S, Chunk, Mode, Position

PAGE = 64
"""Messages that are read at once."""
MAX_POSITIONS = 512
"""Entries above which those with nothing to do are dropped; they are looked up again when needed."""
HINT_EVERY_S = 1.0
"""How often a hinted conversation is told of at most."""
BEHIND_EVERY_S = 1.0
"""How often a session that is behind looks whether even a little room is worth a reading."""
SILENCE_S = 45.0
"""A dead connection is noticed within this time; hints sent in it may not have arrived."""
_MAX_EARLY = 16


class Verdict(Enum):
    """What to do with an offered number."""

    SEND = 1
    """Send its frame now; the outbox counts it as sent."""
    DROP = 2
    """Nothing: the client has it, or it will be read when its turn comes."""
    WORK = 3
    """Nothing now, but `Outbox.next_work` may have something."""
    HINT = 4
    """Send a ``timeline`` hint with `Outbox.head`."""
    LATER = 5
    """A hint is due soon: `Outbox.due` will tell."""


class Task(Enum):
    """What the outbox wants read."""

    LOOK_UP = 1
    """The device's watermark, for `Outbox.placed`."""
    READ = 2
    """The timeline, message by message for `Outbox.take`, then `Outbox.page_done`."""
    RESEND = 3
    """The timeline, to be sent once more."""


class Work(NamedTuple):
    """One thing to read: at most ``limit`` messages above ``after``. ``head`` goes back into `Outbox.page_done`."""

    task: Task
    conversation_id: str
    after: int = 0
    limit: int = 0
    head: int = 0


class Taken(Enum):
    """What `Outbox.take` says of a message that was read."""

    SEND = 1
    HELD = 2
    """The client has it: go on with the next."""
    STOP = 3
    """No room in the window, or the conversation is not read any more."""


class Covered(NamedTuple):
    """A conversation and a number in it."""

    conversation_id: str
    number: int


class Due(NamedTuple):
    """What has become due. ``silent_since``: the earliest first sending among what is handed over, 0.0 if none is.

    ``next_at`` is when to ask again, 0.0: not by time. ``resends`` counts messages, which `Outbox.next_work` names.
    ``unanswered``: something has waited long enough to be sent again, whether it is or not.
    """

    hand_over: list[Covered]
    hints: list[Covered]
    resends: int
    silent_since: float
    next_at: float
    unanswered: bool


class Early(NamedTuple):
    """A frame that came while its conversation's position was looked up, to be sent now, or a number to hint."""

    verdict: Verdict
    number: int
    frame: bytes


_UNKNOWN, _LIVE, _BEHIND, _HINTED = Mode.UNKNOWN, Mode.LIVE, Mode.BEHIND, Mode.HINTED
_SEND = Verdict.SEND


class Outbox:
    """The delivery state of one session. Empty until something is offered."""

    __slots__ = ("_behind", "_hungry", "_positions", "_resends", "_unknown", "unacknowledged", "window")

    def __init__(self, window: int) -> None:
        self.window = window
        self.unacknowledged = 0
        self._positions: dict[str, Position] = {}
        self._behind: dict[str, None] = {}
        self._unknown: dict[str, None] = {}
        self._resends: list[Work] = []
        self._hungry = False

    # --- what comes live ----------------------------------------------------------------------------------------------

    def offer(self, conversation_id: str, number: int, frame: bytes, now: float, *, large: bool = False) -> Verdict:
        """Decide about a message that was routed here, in whatever order the routing brings it."""
        position = self._positions.get(conversation_id)
        if position is None:
            return self._first(conversation_id, number, frame, now, large=large)
        if position.mode is _LIVE:
            if number == position.sent + 1 and self.unacknowledged < self.window:
                self.unacknowledged += 1
                position.note_sent(number, now)
                return _SEND
            if number <= position.sent:
                return Verdict.DROP
        return self._late(conversation_id, position, number, frame, now, large=large)

    def held(self, conversation_id: str, number: int) -> None:
        """Note an own message: the client holds it from its ack on."""
        position = self._positions.get(conversation_id)
        if position is None or number <= position.sent:
            return
        if position.mode is _HINTED:
            position.head = max(position.head, number)
        else:
            position.note_held(number)

    def received(self, conversation_id: str, number: int) -> bool:
        """Take the client's watermark, as far as it is plausible; True when there may be work now."""
        position = self._positions.get(conversation_id)
        if position is None:
            return False
        number = min(number, max(position.sent, position.head))
        if number <= position.acked:
            return False
        self.unacknowledged -= position.note_received(number)
        if position.mode is not _LIVE and position.mode is not _UNKNOWN and position.sent >= position.head:
            self._live(conversation_id, position)
        return bool(self._behind)

    # --- what is missed and looked up ---------------------------------------------------------------------------------

    def missed(self, conversation_id: str, received: int, last: int, now: float, *, large: bool) -> Verdict:
        """Note that the device lacks ``received``+1 … ``last`` at its hello."""
        position = self._positions.get(conversation_id)
        if position is not None and position.mode is not _UNKNOWN:
            position.head = max(position.head, last)
            if position.mode is _LIVE and position.sent < position.head:
                self._fall_behind(conversation_id, position, now)
            return Verdict.WORK
        if position is None:
            position = self._positions[conversation_id] = Position(_BEHIND, received, last, large=large)
        else:
            self._unknown.pop(conversation_id, None)
            position.sent = position.acked = max(received, position.acked)
            position.early = None
            position.head = max(position.head, last)
        position.told = last
        if large:
            position.mode = _HINTED
            position.since = now
            return Verdict.HINT
        self._fall_behind(conversation_id, position, now)
        return Verdict.WORK

    def placed(self, conversation_id: str, received: int, now: float) -> list[Early]:
        """Take the device's watermark that was looked up; return the frames that came meanwhile and are due now."""
        position = self._positions.get(conversation_id)
        if position is None or position.mode is not _UNKNOWN:
            return []
        self._unknown.pop(conversation_id, None)
        position.mode = _LIVE
        position.note_received(max(received, position.acked))
        early, position.early = position.early or [], None
        result = []
        for number, frame, large in sorted(early):
            verdict = self.offer(conversation_id, number, frame, now, large=large)
            if verdict is _SEND or verdict is Verdict.HINT:
                result.append(Early(verdict, number if verdict is _SEND else position.head, frame))
        if position.mode is _LIVE and position.sent < position.head:
            self._fall_behind(conversation_id, position, now)
        return result

    def forget(self, conversation_id: str) -> None:
        """Drop a conversation: the user has nothing to see there any more."""
        position = self._positions.pop(conversation_id, None)
        if position is not None:
            for chunk in position.chunks or ():
                self.unacknowledged -= len(chunk)
        self._behind.pop(conversation_id, None)
        self._unknown.pop(conversation_id, None)

    # --- what is to be read -------------------------------------------------------------------------------------------

    def has_work(self) -> bool:
        """Tell whether `next_work` would return something."""
        return bool(self._unknown or self._resends or (self._behind and self._has_room()))

    def awaits(self, conversation_id: str, number: int) -> bool:
        """Tell whether the client has not yet acknowledged ``number``."""
        position = self._positions.get(conversation_id)
        return position is not None and position.acked < number <= position.sent

    def head(self, conversation_id: str) -> int:
        """Return the highest number known, 0 for a conversation without an entry."""
        position = self._positions.get(conversation_id)
        return 0 if position is None else position.head

    def is_behind(self, conversation_id: str) -> bool:
        """Tell whether something of the conversation is still to be read."""
        return conversation_id in self._behind

    def next_work(self) -> Work | None:
        """Return what to read next: look-ups, then resends, then one conversation after the other."""
        for conversation_id in self._unknown:
            return Work(Task.LOOK_UP, conversation_id)
        if self._resends:
            return self._resends.pop(0)
        if not self._behind or not self._has_room():
            return None
        conversation_id = next(iter(self._behind))
        position = self._positions[conversation_id]
        room = self.window - self.unacknowledged
        self._hungry = False
        return Work(Task.READ, conversation_id, position.sent, min(room, PAGE), position.head)

    def postpone(self, conversation_id: str) -> None:
        """Put a conversation that could not be read behind the others."""
        for queue in (self._behind, self._unknown):
            if conversation_id in queue:
                del queue[conversation_id]
                queue[conversation_id] = None

    def skip(self, conversation_id: str, through: int) -> tuple[int, int] | None:
        """Pass over numbers that do not exist for this device; return the first and the last, if there are any."""
        position = self._positions.get(conversation_id)
        if position is None or position.mode is not _BEHIND or through <= position.sent:
            return None
        first = position.sent + 1
        position.sent = through
        return first, through

    def take(self, conversation_id: str, number: int, now: float) -> Taken:
        """Decide about a message that was read, in order; everything below it was taken or skipped."""
        position = self._positions.get(conversation_id)
        if position is None or position.mode is not _BEHIND:
            return Taken.STOP
        if number <= position.sent:
            return Taken.HELD
        if position.own is not None and number in position.own:
            position.note_held(number)
            return Taken.HELD
        if self.unacknowledged >= self.window:
            return Taken.STOP
        self.unacknowledged += 1
        position.note_sent(number, now)
        return Taken.SEND

    def page_done(self, conversation_id: str, head: int, *, complete: bool) -> None:
        """Note that a whole page was taken; ``complete``: nothing lay behind it when ``head`` was the head."""
        position = self._positions.get(conversation_id)
        if position is None or position.mode is not _BEHIND:
            return
        if complete and position.head <= head:
            position.head = position.sent
        if position.sent >= position.head:
            self._live(conversation_id, position)

    # --- what is due --------------------------------------------------------------------------------------------------

    def due(self, now: float, *, resend: bool = True) -> Due:
        """Take every step that is due. ``resend`` False: what was sent has not even left, so it is not sent again."""
        due = _Dues(now)
        self._hungry = bool(self._behind)
        for conversation_id, position in self._positions.items():
            if position.chunks:
                self._step(conversation_id, position, due, resend=resend)
            if position.mode is _BEHIND:
                if position.told < position.head and now - position.since >= HAND_OVER_S:
                    position.since = now
                    due.over(conversation_id, position)
                due.ask(now + BEHIND_EVERY_S)
            elif position.mode is _HINTED and position.told < position.head:
                if now - position.since >= HINT_EVERY_S:
                    position.since = now
                    position.told = position.head
                    due.hints.append(Covered(conversation_id, position.head))
                else:
                    due.ask(position.since + HINT_EVERY_S)
        return Due(due.hand_over, due.hints, due.resends, due.silent_since, due.next_at, due.unanswered)

    def lost(self, now: float) -> list[Covered]:
        """Return what the lost connection may not have brought over, for push."""
        result = []
        for conversation_id, position in self._positions.items():
            chunks = position.chunks
            last = chunks[-1].through if chunks and not chunks[-1].handed_over else 0
            if position.mode is _BEHIND or position.mode is _UNKNOWN:
                if position.head > position.told:
                    last = max(last, position.head)
            elif position.mode is _HINTED and position.since and now - position.since < SILENCE_S:
                last = max(last, position.head)
            if last > position.acked:
                result.append(Covered(conversation_id, last))
        return result

    # --- transitions --------------------------------------------------------------------------------------------------

    def _first(self, conversation_id: str, number: int, frame: bytes, now: float, *, large: bool) -> Verdict:
        if len(self._positions) >= MAX_POSITIONS:
            self._prune()
        if number == 1:
            position = self._positions[conversation_id] = Position(_LIVE, 0, 0, large=large)
            if self.unacknowledged < self.window:
                self.unacknowledged += 1
                position.note_sent(1, now)
                return _SEND
            return self._late(conversation_id, position, number, frame, now, large=large)
        position = self._positions[conversation_id] = Position(_UNKNOWN, 0, number, large=large)
        position.early = [(number, frame, large)]
        self._unknown[conversation_id] = None
        return Verdict.WORK

    def _late(
        self, conversation_id: str, position: Position, number: int, frame: bytes, now: float, *, large: bool
    ) -> Verdict:
        """Decide about a number that cannot go out at once."""
        position.large = large
        known, position.head = position.head, max(position.head, number)
        if position.mode is _UNKNOWN:
            if position.early is not None and len(position.early) < _MAX_EARLY:
                position.early.append((number, frame, large))
            return Verdict.DROP
        if position.mode is _HINTED:
            if not large:
                self._fall_behind(conversation_id, position, now)
                return Verdict.WORK
            return self._hint(position, now) if number > known else Verdict.DROP
        full = self.unacknowledged >= self.window
        if large and ((position.mode is _LIVE and full) or position.head - position.sent > self.window):
            self._fall_silent(conversation_id, position)
            return self._hint(position, now)
        if position.mode is _LIVE:
            self._fall_behind(conversation_id, position, now)
        return Verdict.DROP if full else Verdict.WORK

    def _hint(self, position: Position, now: float) -> Verdict:
        if now - position.since < HINT_EVERY_S:
            return Verdict.LATER
        position.since = now
        position.told = position.head
        return Verdict.HINT

    def _live(self, conversation_id: str, position: Position) -> None:
        self._behind.pop(conversation_id, None)
        position.mode = _LIVE
        position.since = 0.0

    def _fall_behind(self, conversation_id: str, position: Position, now: float) -> None:
        self._behind[conversation_id] = None
        position.mode = _BEHIND
        position.since = now

    def _fall_silent(self, conversation_id: str, position: Position) -> None:
        self._behind.pop(conversation_id, None)
        position.mode = _HINTED
        position.since = float("-inf")

    # --- bookkeeping --------------------------------------------------------------------------------------------------

    def _has_room(self) -> bool:
        """Tell whether reading is worth while: for a few numbers only after some waiting."""
        room = self.window - self.unacknowledged
        return room > 0 and (self._hungry or room >= min(PAGE, self.window // 4))

    def _step(self, conversation_id: str, position: Position, due: "_Dues", *, resend: bool) -> None:
        for chunk in position.chunks or ():
            again, over = position.step(chunk, due.now)
            due.unanswered = due.unanswered or again
            if again and resend:
                self._resends.append(Work(Task.RESEND, conversation_id, chunk.first - 1, len(chunk)))
                due.resends += len(chunk)
            if over:
                due.over(conversation_id, position, chunk)
                if position.large and position.mode is _LIVE:
                    self._fall_silent(conversation_id, position)
            elif not chunk.handed_over:
                due.ask(chunk.next_at)

    def _prune(self) -> None:
        for conversation_id in [key for key, position in self._positions.items() if position.quiet]:
            del self._positions[conversation_id]


class _Dues:
    """What `Outbox.due` collects."""

    __slots__ = ("hand_over", "hints", "next_at", "now", "resends", "silent_since", "unanswered")

    def __init__(self, now: float) -> None:
        self.now = now
        self.hand_over: list[Covered] = []
        self.hints: list[Covered] = []
        self.resends = 0
        self.silent_since = 0.0
        self.next_at = 0.0
        self.unanswered = False

    def ask(self, at: float) -> None:
        """Have the outbox asked again at ``at``."""
        if not self.next_at or at < self.next_at:
            self.next_at = at

    def over(self, conversation_id: str, position: Position, chunk: Chunk | None = None) -> None:
        """Hand the conversation over to push, up to ``chunk`` or to its head."""
        number = position.head if chunk is None else chunk.through
        position.told = max(position.told, number)
        self.hand_over.append(Covered(conversation_id, number))
        if chunk is not None and (not self.silent_since or chunk.sent_at < self.silent_since):
            self.silent_since = chunk.sent_at
