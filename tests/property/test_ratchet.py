"""Two devices over the worst network: lost, late, doubled, changed; both begin at once; an old state comes back.

Whatever happens, a device reads nothing but what the other one encrypted for it, each message at most once, and a
message that is refused changes nothing. Whatever happened, a new session heals it.
"""

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cooee.crypto import ratchet
from cooee.crypto.errors import CryptoError, Duplicate
from cooee.crypto.ratchet import MAX_RECEIVER_CHAINS, MAX_SKIPPED
from cooee.crypto.session import MAX_ARCHIVED, SessionRecord
from cooee.crypto.suite import COOEE_V1, MessageKind, Route
from tests.fakes.pairwise import Device, make_pair

sides = st.booleans()
places = st.integers(0, 1 << 16)


def place_of(sender: Device, receiver: Device, message: bytes) -> tuple[bytes, int]:
    """Return (ratchet key, number), which stand for one message key."""
    framing = COOEE_V1.framing
    if framing.kind(message) is MessageKind.FIRST:
        message = framing.decode_first(message).message
    header = ratchet.parse(COOEE_V1, Route(sender.party, receiver.party), message).header
    return bytes(header.ratchet_key), header.counter


class Talk(RuleBasedStateMachine):
    """Messages lie in two heaps; every rule takes any of them, any time."""

    def __init__(self) -> None:
        super().__init__()
        self.devices: tuple[Device, Device] = make_pair(talk=False)
        self.heaps: dict[bool, list[tuple[bytes, bytes]]] = {False: [], True: []}
        """To that side: (message, its plaintext)."""
        self.read: dict[bool, set[bytes]] = {False: set(), True: set()}
        self.old: dict[bool, SessionRecord | None] = {False: None, True: None}
        self.restored = False
        self.places: dict[bool, set[tuple[bytes, int]]] = {False: set(), True: set()}
        """Of what was sent to that side: (ratchet key, number), which stand for one message key."""
        self.careless = {False: False, True: False}
        """To that side perhaps a message key is used twice: the sender's old record came back, and was not retired."""
        self.count = 0

    def ends(self, to: bool) -> tuple[Device, Device]:
        """Return (sender, receiver)."""
        return self.devices[not to], self.devices[to]

    @initialize(one_time=st.integers(0, 2), seed=st.integers(0, 1 << 16))
    def begin(self, one_time: int, seed: int) -> None:
        self.devices = make_pair(seed, one_time=one_time, talk=False)

    @rule(to=sides)
    def start(self, to: bool) -> None:
        sender, receiver = self.ends(to)
        sender.start(receiver)

    @rule(to=sides, count=st.integers(1, 4))
    def send(self, to: bool, count: int) -> None:
        sender, receiver = self.ends(to)
        record = sender.records.get(receiver.me.ref)
        if record is None or not record.can_encrypt():
            sender.start(receiver)
        for _ in range(count):
            self.count += 1
            plaintext = b"%d from %d" % (self.count, to)
            self.heaps[to].append((sender.encrypt(receiver, plaintext), plaintext))
            self.note_place(to, self.heaps[to][-1][0])

    def note_place(self, to: bool, message: bytes) -> None:
        """No message key serves twice, whatever comes late after a restore."""
        place = place_of(*self.ends(to), message)
        assert self.careless[to] or place not in self.places[to], "a message key is used twice"
        self.places[to].add(place)

    @precondition(lambda self: any(self.heaps.values()))
    @rule(to=sides, place=places, last=st.booleans())
    def deliver(self, to: bool, place: int, last: bool) -> None:
        """Deliver any message, once more perhaps; it stays in the heap."""
        heap = self.heaps[to]
        if not heap:
            return
        message, plaintext = heap[-1 if last else place % len(heap)]
        sender, receiver = self.ends(to)
        before = self.state_of(receiver, sender)
        try:
            opened = receiver.decrypt(sender, message)
        except CryptoError:
            assert self.state_of(receiver, sender) == before
            return
        assert opened == plaintext
        assert self.restored or plaintext not in self.read[to], "read twice"
        self.read[to].add(plaintext)

    @precondition(lambda self: any(self.heaps.values()))
    @rule(to=sides, place=places, at=places, bit=st.integers(0, 7))
    def deliver_changed(self, to: bool, place: int, at: int, bit: int) -> None:
        heap = self.heaps[to]
        if not heap:
            return
        message, plaintext = heap[place % len(heap)]
        changed = bytearray(message)
        changed[at % len(changed)] ^= 1 << bit
        sender, receiver = self.ends(to)
        before = self.state_of(receiver, sender)
        try:
            opened = receiver.decrypt(sender, bytes(changed))
        except CryptoError:
            assert self.state_of(receiver, sender) == before
            return
        # Only the wrapper of a first message is free, once its session is there; what it wraps is not.
        assert COOEE_V1.framing.kind(message) is MessageKind.FIRST
        assert at % len(changed) < len(message) - len(COOEE_V1.framing.decode_first(message).message)
        assert opened == plaintext
        assert self.restored or plaintext not in self.read[to]
        self.read[to].add(plaintext)

    @rule(to=sides)
    def reflect(self, to: bool) -> None:
        """Deliver a message to its own sender."""
        sender, receiver = self.ends(to)
        for message, _ in self.heaps[to][-1:]:
            with pytest.raises(CryptoError):
                sender.decrypt(receiver, message)

    @rule(to=sides)
    def keep_and_load(self, to: bool) -> None:
        """Stop a device and start it again."""
        sender, receiver = self.ends(to)
        record = receiver.records.get(sender.me.ref)
        if record is not None:
            receiver.records[sender.me.ref] = SessionRecord.load(record.dump())

    @rule(to=sides)
    def back_up(self, to: bool) -> None:
        sender, receiver = self.ends(to)
        self.old[to] = receiver.records.get(sender.me.ref)

    @rule(to=sides, retire=st.booleans())
    def restore(self, to: bool, retire: bool) -> None:
        """Bring an old record back; ``retire``: as a careful caller does."""
        sender, receiver = self.ends(to)
        old = self.old[to]
        if old is not None:
            receiver.records[sender.me.ref] = old.retired() if retire else old
            self.restored = True
            self.careless[not to] |= not retire

    @rule(to=sides)
    def heal(self, to: bool) -> None:
        """Begin anew: the next message is read at once, and the answer to it."""
        sender, receiver = self.ends(to)
        sender.start(receiver)
        message = sender.encrypt(receiver, b"anew")
        self.note_place(to, message)
        assert receiver.decrypt(sender, message) == b"anew"
        answer = receiver.encrypt(sender, b"answer")
        self.note_place(not to, answer)
        assert sender.decrypt(receiver, answer) == b"answer"
        assert sender.records[receiver.me.ref].base_key() == receiver.records[sender.me.ref].base_key()

    @invariant()
    def nothing_grows_without_bound(self) -> None:
        for device in self.devices:
            for record in device.records.values():
                assert len(record.archived) <= MAX_ARCHIVED
                for one in (record.current, *record.archived):
                    if one is not None:
                        assert len(one.ratchet.receiving) <= MAX_RECEIVER_CHAINS
                        assert sum(len(chain.skipped) for chain in one.ratchet.receiving) <= MAX_SKIPPED

    @staticmethod
    def state_of(device: Device, peer: Device) -> object:
        record = device.records.get(peer.me.ref)
        data = None if record is None else record.dump()
        return data, set(device.one_time), set(device.kems), set(device.tags)


TestTalk = Talk.TestCase
TestTalk.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@given(st.permutations(range(12)), st.integers(0, 12), st.booleans())
@settings(max_examples=40, deadline=None)
def test_whatever_is_lost_and_reordered_the_rest_is_read(order: list[int], lost: int, both: bool) -> None:
    """Of one flight nothing is refused that was not read before, also when both began at once."""
    alice, bob = make_pair(talk=False)
    alice.start(bob)
    if both:
        bob.start(alice)
        alice.decrypt(bob, bob.encrypt(alice, b"at once"))
    flight = [alice.encrypt(bob, b"%d" % number) for number in range(12)]
    arriving = order[lost:]
    assert [bob.decrypt(alice, flight[number]) for number in arriving] == [b"%d" % number for number in arriving]
    for number in arriving:
        with pytest.raises(Duplicate):
            bob.decrypt(alice, flight[number])


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40))
@settings(max_examples=40, deadline=None)
def test_without_tampering_nothing_that_arrives_is_refused(talk: list[tuple[bool, bool]]) -> None:
    """Any alternation of sending, any losses: each message that arrives is read."""
    pair = make_pair()
    for number, (to, arrives) in enumerate(talk):
        message = pair[not to].encrypt(pair[to], b"%d" % number)
        if arrives:
            assert pair[to].decrypt(pair[not to], message) == b"%d" % number


steps = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=8)


@given(steps, steps, st.lists(st.integers(0, 15), max_size=8))
@settings(max_examples=60, deadline=None)
def test_after_a_restore_no_message_key_serves_twice(
    before: list[tuple[bool, bool]], since: list[tuple[bool, bool]], late: list[int]
) -> None:
    """Alice loses what happened since her backup; what Bob sent comes late, and she goes on writing."""
    alice, bob = make_pair()
    used: set[tuple[bytes, int]] = set()
    to_alice: list[bytes] = []

    def write() -> None:
        if not alice.records[bob.me.ref].can_encrypt():
            alice.start(bob)
        message = alice.encrypt(bob, b"a")
        place = place_of(alice, bob, message)
        assert place not in used
        used.add(place)
        with suppress(CryptoError):
            bob.decrypt(alice, message)

    def talk(turns: list[tuple[bool, bool]]) -> None:
        for from_alice, arrives in turns:
            if from_alice:
                write()
                continue
            to_alice.append(bob.encrypt(alice, b"b"))
            if arrives:
                alice.decrypt(bob, to_alice[-1])

    talk(before)
    backup = alice.records[bob.me.ref]
    talk(since)
    alice.records[bob.me.ref] = backup.retired()
    for number in late:
        with suppress(CryptoError):
            alice.decrypt(bob, to_alice[number % len(to_alice)] if to_alice else b"")
        write()
