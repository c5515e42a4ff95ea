"""Where one session stands in one conversation: the entries of the `outbox`. Pure; time is given, in seconds."""

from enum import Enum

from cooee.domain.retry import HAND_OVER_AFTER_MS, RESEND_AFTER_MS

HAND_OVER_S = HAND_OVER_AFTER_MS / 1000
RESENDS = len(RESEND_AFTER_MS)
_STEPS_S = (*(after / 1000 for after in RESEND_AFTER_MS), HAND_OVER_S)
_MERGE_S = 0.05
_MAX_OWN = 1024


class Mode(Enum):
    """See the table in `outbox`."""

    UNKNOWN = 1
    LIVE = 2
    BEHIND = 3
    HINTED = 4


class Chunk:
    """A run of numbers sent at about the same time and not acknowledged. ``tries`` counts the steps already taken.

    The steps are the resends and then the hand-over to push; each is due some time after the first sending.
    """

    __slots__ = ("first", "sent_at", "through", "tries")

    def __init__(self, number: int, sent_at: float) -> None:
        self.first = number
        self.through = number
        self.sent_at = sent_at
        self.tries = 0

    def __len__(self) -> int:
        """Return how many frames of the window the chunk takes."""
        return self.through - self.first + 1

    @property
    def handed_over(self) -> bool:
        """Whether all steps were taken."""
        return self.tries > RESENDS

    @property
    def next_at(self) -> float:
        """When the next step is due. Not for what is handed over."""
        return self.sent_at + _STEPS_S[self.tries] + _MERGE_S


class Position:
    """One conversation. ``sent``: everything up to it was sent or is held; ``acked``: the client said so.

    ``head``: the highest number known. ``own``: numbers above ``sent`` that the client holds as their sender.
    ``early``: frames that came while the position was looked up. ``since``: when it fell behind, or was last hinted.
    ``told``: the highest number that was hinted or handed over to push.
    """

    __slots__ = ("acked", "chunks", "early", "head", "large", "mode", "own", "sent", "since", "told")

    def __init__(self, mode: Mode, received: int, head: int, *, large: bool) -> None:
        self.mode = mode
        self.sent = received
        self.acked = received
        self.head = head
        self.large = large
        self.chunks: list[Chunk] | None = None
        self.own: set[int] | None = None
        self.early: list[tuple[int, bytes, bool]] | None = None
        self.since = 0.0
        self.told = 0

    @property
    def quiet(self) -> bool:
        """Whether the entry may be dropped and looked up again."""
        return self.mode is Mode.LIVE and not self.chunks and not self.own

    def note_sent(self, number: int, now: float) -> None:
        """Note that ``number``, which is ``sent`` + 1, goes out now."""
        self.sent = number
        if number > self.head:  # noqa: PLR1730  # every delivery comes here, and max() costs thrice as much
            self.head = number
        chunks = self.chunks
        if chunks is None:
            self.chunks = [Chunk(number, now)]
        else:
            last = chunks[-1]
            if last.through == number - 1 and now - last.sent_at < _MERGE_S and not last.tries:
                last.through = number
            else:
                chunks.append(Chunk(number, now))
        if self.own is not None:
            self._follow_own()

    def note_held(self, number: int) -> None:
        """Note that the client holds ``number``, though it was not sent here."""
        if number != self.sent + 1:
            if self.own is None:
                self.own = set()
            if len(self.own) < _MAX_OWN:
                self.own.add(number)
            return
        if self.acked == self.sent:
            self.acked = number
        self.sent = number
        self.head = max(self.head, number)
        if self.own is not None:
            self._follow_own()

    def note_received(self, number: int) -> int:
        """Note the client's watermark, above the former one; return how many frames it frees."""
        self.acked = number
        freed = self._drop_chunks(number) if self.chunks is not None else 0
        if number > self.sent:
            self.sent = number
            if self.own is not None:
                self._follow_own()
        return freed

    def step(self, chunk: Chunk, now: float) -> tuple[bool, bool]:
        """Take the steps of ``chunk`` that are due; tell whether it is to be sent again, and handed over."""
        before = chunk.tries
        while not chunk.handed_over and now >= chunk.next_at:
            chunk.tries += 1
        return before < min(chunk.tries, RESENDS), before <= RESENDS < chunk.tries

    def _follow_own(self) -> None:
        """Move on over own messages that are next, and forget those that are passed."""
        own = self.own or set()
        while self.sent + 1 in own:
            if self.acked == self.sent:
                self.acked += 1
            self.sent += 1
        self.head = max(self.head, self.sent)
        self.own = {number for number in own if number > self.sent} or None

    def _drop_chunks(self, number: int) -> int:
        chunks = self.chunks or []
        freed = covered = 0
        for chunk in chunks:
            if chunk.through > number:
                if chunk.first <= number:
                    freed += number - chunk.first + 1
                    chunk.first = number + 1
                break
            freed += chunk.through - chunk.first + 1
            covered += 1
        if covered == len(chunks):
            self.chunks = None
        elif covered:
            del chunks[:covered]
        return freed
