"""Whatever a network does to the frames, after a resync the client's state is what it had been without a network."""

from collections.abc import Sequence

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from cooee.client.events import TickChanged
from cooee.client.model import Message, Pending
from cooee.client.state import State
from cooee.client.turn import Turn
from cooee.domain.ids import DeviceRef
from cooee.domain.receipt import Watermark
from cooee.protocol import frames

ME = DeviceRef("alice", "d1")
GROUP = "group:g1"


class Server:
    """The truth of one group: its timeline as this device may see it, and the frames that told of it."""

    def __init__(self) -> None:
        self.frames: list[frames.ServerFrame] = []
        self.timeline: list[frames.ServerFrame] = []
        self.members = ["alice", "bob", "carol"]
        self.marks: dict[str, Watermark] = {}
        self.own: dict[str, frames.Ack] = {}
        self.deleted: set[int] = set()
        self.system("group_created", name="Friends", members=list(self.members))

    @property
    def head(self) -> int:
        return len(self.timeline)

    def system(self, event: str, **content: object) -> None:
        body = msgspec.Raw(msgspec.json.encode({"event": event, "actorId": "bob", **content}))
        self.say("bob", "", "system", body)

    def say(self, sender: str, device: str, content_type: str = "text", content: msgspec.Raw | None = None) -> None:
        number = self.head + 1
        frame = frames.MessageFrame(
            str(1000 + number),
            GROUP,
            number,
            sender,
            device,
            f"c{number}",
            number * 10,
            content_type,
            content or msgspec.Raw(msgspec.json.encode(f"text {number}")),
        )
        self.timeline.append(frame)
        if (sender, device) == ME:
            ack = frames.Ack("sent", None, f"c{number}", str(1000 + number), GROUP, number, number * 10)
            self.own[f"c{number}"] = ack
            self.frames.append(ack)
        else:
            self.frames.append(frame)

    def skip(self) -> None:
        number = self.head + 1
        frame = frames.Skipped(GROUP, number, number, "retention")
        self.timeline.append(frame)
        self.frames.append(frame)

    def mark(self, user: str, fraction: float, *, read: bool) -> None:
        if user not in self.members:
            return
        number = max(1, int(self.head * fraction))
        before = self.marks.get(user, Watermark())
        self.marks[user] = before.merge(number, number if read else 0)
        self.frames.append(frames.Receipt(GROUP, "read" if read else "delivered", number, user))

    def mark_all(self, *, read: bool) -> None:
        for user in self.members:
            if user != "alice":
                self.mark(user, 1.0, read=read)

    def delete(self, fraction: float) -> None:
        number = max(1, int(self.head * fraction))
        frame = self.timeline[number - 1]
        if isinstance(frame, frames.MessageFrame) and frame.content_type == "text":
            self.timeline[number - 1] = msgspec.structs.replace(frame, content_type="deleted", content=msgspec.UNSET)
            self.deleted.add(number)
            self.system("message_deleted", sequenceNumber=number)

    def change_member(self, user: str) -> None:
        if user in self.members:
            self.members.remove(user)
            self.system("member_removed", userIds=[user])
        else:
            self.members.append(user)
            self.marks[user] = self.marks.get(user, Watermark()).merge(self.head)
            self.system("member_added", userIds=[user])

    def resync(self, state: State, page: int) -> list[frames.ServerFrame]:
        """Return what a reconnect brings: everything above the position (in pages or frames), acks, watermarks."""
        conversation = state.find(GROUP)
        position = conversation.position if conversation is not None else 0
        missed: list[frames.ServerFrame] = []
        for at in range(position, self.head, page):
            part = self.timeline[at : at + page]
            raws = tuple(msgspec.Raw(msgspec.json.encode(one)) for one in part if isinstance(one, frames.MessageFrame))
            missed.append(frames.Messages(GROUP, raws, at + 1, at + len(part), complete=at + page >= self.head))
        acks = [self.own[entry.client_message_id] for entry in state.outbox.entries()]
        members = tuple(frames.MemberWatermark(user, mark.delivered, mark.read) for user, mark in self.marks.items())
        own_read = self.marks.get("alice", Watermark()).read
        item = frames.ConversationWatermarks(GROUP, self.head, position, own_read, members)
        return [*missed, *acks, frames.Watermarks((item,))]


fractions = st.sampled_from([0.2, 0.5, 0.8, 1.0])
actions = st.one_of(
    st.tuples(st.just("say"), st.sampled_from([("alice", "d1"), ("alice", "d2"), ("bob", "d7"), ("carol", "d8")])),
    st.tuples(st.just("mark"), st.sampled_from(["alice", "bob", "carol", "dave"]), fractions, st.booleans()),
    st.tuples(st.just("mark all"), st.booleans()),
    st.tuples(st.just("skip")),
    st.tuples(st.just("delete"), fractions),
    st.tuples(st.just("member"), st.sampled_from(["carol", "dave"])),
)


def perform(script: Sequence[tuple[object, ...]]) -> Server:
    server = Server()
    for action in script:
        match action:
            case ("say", (str(sender), str(device))):
                server.say(sender, device)
            case ("mark", str(user), float(fraction), bool(read)):
                server.mark(user, fraction, read=read)
            case ("mark all", bool(read)):
                server.mark_all(read=read)
            case ("skip",):
                server.skip()
            case ("delete", float(fraction)):
                server.delete(fraction)
            case ("member", str(user)):
                server.change_member(user)
    return server


@st.composite
def disorder(draw: st.DrawFn, count: int) -> list[int]:
    """Return which of ``count`` frames arrive, in which order: some are lost, some doubled, some late."""
    copies = draw(st.lists(st.sampled_from([0, 1, 1, 1, 2]), min_size=count, max_size=count))
    late = draw(st.lists(st.sampled_from([0, 0, 0, 1, 3, 9]), min_size=2 * count, max_size=2 * count))
    arrivals = [at for at, copy in enumerate(copies) for _ in range(copy)]
    return [at for _, at in sorted(enumerate(arrivals), key=lambda arrival: arrival[0] + late[arrival[0]])]


class Watcher:
    """A client: the state, what it stored, and what it told, checked at every step."""

    def __init__(self, server: Server) -> None:
        pending = [
            Pending(key, GROUP, "d1", ack.timestamp or 0, "text", f"text {ack.sequence_number}")
            for key, ack in server.own.items()
        ]
        self.state = State(ME, pending=pending)
        self.stored: dict[int, Message] = {}
        self.told: list[int] = []
        self.sent: set[str | None] = set()
        self.ticked = Watermark()

    def take(self, batch: Sequence[frames.ServerFrame]) -> None:
        turn = Turn(self.state)
        for frame in batch:
            turn.take(frame)
        turn.finish().install()
        for (_, number), message in turn.messages.items():
            if not (number in self.stored and self.stored[number].deleted and not message.deleted):
                self.stored[number] = message
        for _, number in turn.erased:
            self.stored[number] = erased(self.stored[number])
        for event in turn.events:
            if isinstance(event, Message):
                assert not event.sent_by(ME), "what this device sent is no news to it"
                self.told.append(event.sequence_number)
            if isinstance(event, TickChanged) and event.status == "sent":
                assert event.client_message_id not in self.sent, "told once that it is sent"
                self.sent.add(event.client_message_id)
        assert self.told == sorted(set(self.told)), "told in order and once"
        conversation = self.state.find(GROUP)
        if conversation is not None:
            assert conversation.ticked.delivered >= self.ticked.delivered, "ticks never go back"
            assert conversation.ticked.read >= self.ticked.read, "ticks never go back"
            assert conversation.ticked.read <= conversation.ticked.delivered <= conversation.position
            self.ticked = conversation.ticked

    def outcome(self) -> tuple[object, ...]:
        conversation = self.state.find(GROUP)
        assert conversation is not None
        comparable = msgspec.structs.replace(conversation, server_received=0)
        return comparable, self.stored, self.told, list(self.state.outbox.entries())


def erased(message: Message) -> Message:
    return msgspec.structs.replace(message, content_type="deleted", content=None)


@given(st.lists(actions, max_size=25), st.data())
def test_any_network_converges(script: list[tuple[object, ...]], data: st.DataObject) -> None:
    server = perform(script)
    calm = Watcher(server)
    for frame in server.frames:
        calm.take([frame])
    calm.take(server.resync(calm.state, 50))

    storm = Watcher(server)
    rest = [server.frames[at] for at in data.draw(disorder(len(server.frames)))]
    while rest:
        size = data.draw(st.integers(1, 5))
        batch, rest = rest[:size], rest[size:]
        storm.take(batch)
    storm.take(server.resync(storm.state, data.draw(st.integers(1, 7))))

    assert storm.outcome() == calm.outcome()
    conversation = storm.state.find(GROUP)
    assert conversation is not None
    assert conversation.position == server.head
    assert not conversation.early
    assert set(conversation.roster or ()) == set(server.members)
    assert storm.sent == set(server.own)
    assert {number for number, message in storm.stored.items() if message.deleted} == server.deleted


@given(st.lists(actions, max_size=25))
def test_ticks_are_what_the_watermarks_of_present_members_say(script: list[tuple[object, ...]]) -> None:
    server = perform(script)
    watcher = Watcher(server)
    watcher.take(server.frames)
    watcher.take(server.resync(watcher.state, 50))
    conversation = watcher.state.find(GROUP)
    assert conversation is not None
    roster = conversation.roster or {}
    for number in range(1, server.head + 1):
        counted = [user for user, joined in roster.items() if user != "alice" and joined <= number]
        marks = [server.marks.get(user, Watermark()) for user in counted]
        if conversation.own_last:
            assert (number <= conversation.ticked.delivered) == all(mark.delivered >= number for mark in marks)
            assert (number <= conversation.ticked.read) == all(mark.read >= number for mark in marks)
