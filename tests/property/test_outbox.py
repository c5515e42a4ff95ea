"""The outbox against a naive client: whatever routing drops, doubles or reorders, each number comes once, in order."""

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from cooee.gateway.outbox import Outbox, Taken, Task, Verdict, Work

CONVERSATIONS = ("dm:a:b", "group:small", "group:large")
conversations = st.sampled_from(CONVERSATIONS)


@dataclass
class World:
    """One conversation: what is stored, what is on its way, and what the client and the store know."""

    large: bool
    head: int = 0
    noted: set[int] = field(default_factory=set)
    missing: set[int] = field(default_factory=set)
    transit: list[int] = field(default_factory=list)
    wire: list[tuple[int, int]] = field(default_factory=list)
    held: set[int] = field(default_factory=set)
    position: int = 0
    acked: int = 0
    stored: int = 0
    fresh: set[int] = field(default_factory=set)
    hinted: int = 0

    def append(self, *, own: bool, missing: bool) -> int:
        """Number one message; it is on its way to the session unless it is the session's own."""
        self.head += 1
        if missing:
            self.missing.add(self.head)
        elif own:
            self.hold({self.head})
            if self.stored == self.head - 1:
                self.stored = self.head
        else:
            self.transit.append(self.head)
        return self.head

    def hold(self, numbers: set[int]) -> None:
        """Let the client have these numbers."""
        self.held |= numbers
        while self.position + 1 in self.held:
            self.position += 1

    def unacknowledged(self) -> int:
        """Count the frames that were sent live or read, and that no `received` has covered."""
        return len({number for number in self.fresh if number > self.acked})


class OutboxMachine(RuleBasedStateMachine):
    """Drives one session's outbox; every rule is one thing that may happen at any moment."""

    @initialize(
        window=st.integers(1, 5),
        backlog=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=3, max_size=3),
    )
    def begin(self, window: int, backlog: list[tuple[int, int]]) -> None:
        """Connect a device that may have missed something."""
        self.window = window
        self.outbox = Outbox(window)
        self.now = 100.0
        self.reading: tuple[Work, int] | None = None
        self.worlds = {name: World(large="large" in name) for name in CONVERSATIONS}
        for (name, world), (head, received) in zip(self.worlds.items(), backlog, strict=True):
            world.head = head
            world.stored = world.acked = min(head, received)
            world.hold(set(range(1, world.stored + 1)))
            if world.stored < head:
                verdict = self.outbox.missed(name, world.stored, head, self.now, large=world.large)
                if verdict is Verdict.HINT:
                    world.hinted = head

    # --- what happens -------------------------------------------------------------------------------------------------

    @rule(name=conversations, count=st.integers(1, 3))
    def messages_come_through(self, name: str, count: int) -> None:
        for _ in range(count):
            number = self.worlds[name].append(own=False, missing=False)
            self.worlds[name].transit.remove(number)
            self._offer(name, number)

    @rule(name=conversations, kind=st.sampled_from(("delayed", "own", "missing")))
    def append(self, name: str, kind: str) -> None:
        number = self.worlds[name].append(own=kind == "own", missing=kind == "missing")
        if kind == "own":
            self.outbox.held(name, number)
            if self.outbox.head(name):
                self.worlds[name].noted.add(number)

    @rule(name=conversations, which=st.integers(0, 50), fate=st.sampled_from(("arrives", "doubles", "is lost")))
    def route(self, name: str, which: int, fate: str) -> None:
        world = self.worlds[name]
        if world.transit:
            index = which % len(world.transit)
            number = world.transit[index] if fate == "doubles" else world.transit.pop(index)
            if fate != "is lost":
                self._offer(name, number)

    @rule()
    def read(self) -> None:
        """Begin or end one reading; anything may happen in between."""
        if self.reading is None:
            self._start_reading()
        else:
            self._finish_reading(*self.reading)

    @rule(name=conversations)
    def client_reads_wire(self, name: str) -> None:
        world = self.worlds[name]
        for first, last in world.wire:
            assert first <= world.position + 1, "a frame came before its predecessor"
            world.hold(set(range(first, last + 1)))
        world.wire.clear()

    @rule(name=conversations, lag=st.integers(0, 3))
    def client_acknowledges(self, name: str, lag: int) -> None:
        self.client_reads_wire(name)
        self._acknowledge(name, lag)

    @rule(name=conversations)
    def client_fetches(self, name: str) -> None:
        world = self.worlds[name]
        self.client_reads_wire(name)
        world.hold(set(range(1, world.head + 1)))

    @rule(seconds=st.sampled_from((0.01, 0.3, 1.2, 4.5, 7.0)), resend=st.booleans())
    def time_passes(self, seconds: float, resend: bool) -> None:
        self.now += seconds
        due = self.outbox.due(self.now, resend=resend)
        for name, number in due.hints:
            self.worlds[name].hinted = number
        for name, number in due.hand_over:
            assert number > self.worlds[name].acked, "what is covered is not pushed"

    # --- what always holds --------------------------------------------------------------------------------------------

    @invariant()
    def the_window_is_kept(self) -> None:
        assert sum(world.unacknowledged() for world in self.worlds.values()) <= self.window
        assert self.outbox.unacknowledged == sum(world.unacknowledged() for world in self.worlds.values())

    def teardown(self) -> None:
        """Once one more message of each conversation gets through, the client has everything, or was hinted."""
        if not hasattr(self, "worlds"):
            return
        for name, world in self.worlds.items():
            world.transit.clear()
            self._offer(name, world.append(own=False, missing=False))
        for _ in range(400):
            self.read()
            for name in CONVERSATIONS:
                self.client_reads_wire(name)
                self._acknowledge(name, 0)
        self.now += 10
        for name, number in self.outbox.due(self.now).hints:
            self.worlds[name].hinted = number
        for world in self.worlds.values():
            assert world.position == world.head or (world.large and world.hinted == world.head)

    # --- how a session would do it ------------------------------------------------------------------------------------

    def _start_reading(self) -> None:
        work = self.outbox.next_work()
        if work is not None:
            world = self.worlds[work.conversation_id]
            self.reading = work, world.stored if work.task is Task.LOOK_UP else world.head

    def _finish_reading(self, work: Work, seen: int) -> None:
        self.reading = None
        name = work.conversation_id
        if work.task is Task.LOOK_UP:
            for verdict, number, frame in self.outbox.placed(name, seen, self.now):
                assert verdict is Verdict.HINT or frame == self._frame(name, number)
                self._obey(name, number, verdict)
        elif work.task is Task.RESEND:
            for number in range(work.after + 1, work.after + work.limit + 1):
                if self.outbox.awaits(name, number):
                    self.worlds[name].wire.append((number, number))
        else:
            self._take_page(work, seen)

    def _offer(self, name: str, number: int) -> None:
        world = self.worlds[name]
        frame = self._frame(name, number)
        self._obey(name, number, self.outbox.offer(name, number, frame, self.now, large=world.large))

    def _obey(self, name: str, number: int, verdict: Verdict) -> None:
        world = self.worlds[name]
        if verdict is Verdict.SEND:
            self._send(world, number)
        elif verdict is Verdict.HINT:
            world.hinted = self.outbox.head(name)

    def _send(self, world: World, number: int) -> None:
        assert number not in world.fresh, "a number is sent once, resends apart"
        assert number not in world.noted, "an own message is not sent to its sender"
        world.fresh.add(number)
        world.acked = min(world.acked, number - 1)  # it counts until a later `received`, even if it was acknowledged
        world.wire.append((number, number))

    def _take_page(self, work: Work, head: int) -> None:
        name = work.conversation_id
        world = self.worlds[name]
        listed = [n for n in range(work.after + 1, head + 1) if n not in world.missing]
        page = listed[: work.limit]
        through = head if len(listed) == len(page) else page[-1]
        for number in page:
            self._skip(name, number - 1)
            taken = self.outbox.take(name, number, self.now)
            if taken is Taken.STOP:
                return
            if taken is Taken.SEND:
                self._send(world, number)
        self._skip(name, through)
        self.outbox.page_done(name, work.head, complete=through == head)

    def _skip(self, name: str, through: int) -> None:
        skipped = self.outbox.skip(name, through)
        if skipped is not None:
            world = self.worlds[name]
            assert all(number in world.missing for number in range(skipped[0], skipped[1] + 1))
            world.wire.append(skipped)

    def _acknowledge(self, name: str, lag: int) -> None:
        world = self.worlds[name]
        number = max(world.position - lag, 0)
        self.outbox.received(name, number)
        world.stored = max(world.stored, number)
        world.acked = max(world.acked, number)

    def _frame(self, name: str, number: int) -> bytes:
        return f"{name} {number}".encode()


OutboxMachine.TestCase.settings = settings(max_examples=400, stateful_step_count=60)
TestOutbox = OutboxMachine.TestCase
