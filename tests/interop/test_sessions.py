"""Sessions between the project's core and an independent implementation, begun by either side."""

from enum import Enum, auto

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooee.crypto.errors import CryptoError, Duplicate, IdentityMismatch, NoSession, ReplayedFirstMessage, TooFarAhead
from cooee.crypto.ratchet import MAX_AHEAD
from cooee.crypto.session import SessionRecord
from cooee.crypto.suite import Header, MessageKind, Party, Route
from tests.interop.libsignal_suite import LIBSIGNAL, LibsignalFraming
from tests.interop.oracle import Oracle, Refused
from tests.interop.talkers import Ours, Pair, Theirs

both = pytest.mark.parametrize("ours", [True, False], ids=["ours", "theirs"])
"""Which side does what the test is about."""


def is_first(message: bytes) -> bool:
    return LIBSIGNAL.framing.kind(message) is MessageKind.FIRST


@both
@pytest.mark.parametrize("last_resort", [False, True], ids=["one-time", "last-resort"])
def test_a_session_begins(oracle: Oracle, ours: bool, last_resort: bool) -> None:
    pair = Pair(oracle, ours_begins=ours, last_resort=last_resort)
    first = pair.encrypt(ours, b"hello")
    assert is_first(first)
    assert pair.decrypt(ours, first) == b"hello"
    answer = pair.encrypt(not ours, b"")
    assert not is_first(answer)
    assert pair.decrypt(not ours, answer) == b""
    later = pair.encrypt(ours, bytes(1000))
    assert not is_first(later)
    assert pair.decrypt(ours, later) == bytes(1000)


@both
def test_one_time_keys_are_used_once(oracle: Oracle, ours: bool) -> None:
    pair = Pair(oracle, ours_begins=ours)
    pair.settle()
    if ours:
        assert pair.theirs.ask("keysLeft") == {"preKeys": [], "kemPreKeys": []}
    else:
        assert set(pair.ours.device.one_time) == {2, 3}
        assert set(pair.ours.device.kems) == {2, 3}


@both
def test_the_last_resort_stays(oracle: Oracle, ours: bool) -> None:
    pair = Pair(oracle, ours_begins=ours, last_resort=True)
    pair.settle()
    if ours:
        assert pair.theirs.ask("keysLeft") == {"preKeys": [], "kemPreKeys": [1]}
    else:
        assert len(pair.ours.device.tags) == 1


@both
def test_first_messages_are_repeated_until_the_answer(oracle: Oracle, ours: bool) -> None:
    """And arrive in any order, each once."""
    pair = Pair(oracle, ours_begins=ours)
    messages = [pair.encrypt(ours, bytes((number,))) for number in range(5)]
    assert all(is_first(message) for message in messages)
    for number in (3, 0, 4, 2, 1):
        assert pair.decrypt(ours, messages[number]) == bytes((number,))
    with pytest.raises((Refused, Duplicate)):
        pair.decrypt(ours, messages[0])
    pair.tell(not ours, b"answer")
    assert not is_first(pair.encrypt(ours, b"short"))


@both
def test_the_ratchet_turns_many_times(oracle: Oracle, ours: bool) -> None:
    pair = Pair(oracle, ours_begins=ours)
    pair.settle()
    for number in range(60):
        for part in range(number % 3 + 1):
            pair.tell(bool(number % 2), f"{number}/{part}".encode())


@both
@given(steps=st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 2**16)), max_size=40))
def test_any_order_is_read(oracle: Oracle, ours: bool, steps: list[tuple[bool, bool, int]]) -> None:
    """Each message is read once, whenever it comes. Five chains of a side are remembered, so none has more here."""
    pair = Pair(oracle, ours_begins=ours)
    pair.settle()
    waiting: list[tuple[bool, bytes, bytes]] = []
    turns = 0
    last: bool | None = None
    for number, (deliver, sender, choice) in enumerate(steps):
        if deliver and waiting:
            side, message, text = waiting.pop(choice % len(waiting))
            assert pair.decrypt(side, message) == text
        elif sender == last or turns < 6:
            turns, last = turns + (sender != last), sender
            text = f"message {number}".encode() * (choice % 50)
            waiting.append((sender, pair.encrypt(sender, text), text))
    for side, message, text in reversed(waiting):
        assert pair.decrypt(side, message) == text
    pair.tell(True, b"still talking")
    pair.tell(False, b"still talking")


class Step(Enum):
    SEND = auto()
    DELIVER = auto()
    BEGIN = auto()


steps_of_healing = st.lists(st.tuples(st.sampled_from(Step), st.booleans(), st.integers(0, 2**16)), max_size=25)


@given(steps=steps_of_healing)
def test_any_order_is_read_while_sessions_begin(oracle: Oracle, steps: list[tuple[Step, bool, int]]) -> None:
    """Either side begins anew at any time, messages of all sessions cross, and all are read."""
    pair = Pair(oracle, ours_begins=True)
    pair.settle()
    waiting: list[tuple[bool, bytes, bytes]] = []
    for number, (step, side, choice) in enumerate(steps):
        if step is Step.BEGIN:
            pair.begin(side, number + 2)
        elif step is Step.SEND:
            text = f"message {number}".encode()
            waiting.append((side, pair.encrypt(side, text), text))
        elif waiting:
            sender, message, text = waiting.pop(choice % min(len(waiting), 5))
            assert pair.decrypt(sender, message) == text
    for sender, message, text in waiting:
        assert pair.decrypt(sender, message) == text
    pair.tell(True, b"still talking")
    pair.tell(False, b"still talking")


@both
def test_a_message_is_read_once(oracle: Oracle, ours: bool) -> None:
    pair = Pair(oracle, ours_begins=True)
    pair.settle()
    message = pair.encrypt(ours, b"once")
    assert pair.decrypt(ours, message) == b"once"
    with pytest.raises((Refused, Duplicate)):
        pair.decrypt(ours, message)
    pair.tell(ours, b"next")


@both
def test_a_changed_next_message_is_refused(oracle: Oracle, ours: bool) -> None:
    """Whichever byte it is. The message itself is still read afterwards: a refusal changes nothing."""
    pair = Pair(oracle, ours_begins=True)
    pair.settle()
    pair.tell(not ours, b"so that the next one turns the ratchet")
    message = pair.encrypt(ours, b"text")
    for place in range(len(message)):
        changed = message[:place] + bytes((message[place] ^ 1,)) + message[place + 1 :]
        with pytest.raises((Refused, CryptoError)):
            pair.decrypt(ours, changed)
    for changed in (message[:-1], message + b"\0", message[:1], b""):
        with pytest.raises((Refused, CryptoError)):
            pair.decrypt(ours, changed)
    assert pair.decrypt(ours, message) == b"text"


@both
def test_a_changed_first_message_is_refused(oracle: Oracle, ours: bool) -> None:
    """All but the registration id, which nothing protects and nobody needs."""
    pair = Pair(oracle, ours_begins=ours)
    message = pair.encrypt(ours, b"text")
    head = message.index(b"\x42\xa1\x0c")  # the KEM ciphertext, the last field
    registration = message.rindex(b"\x28", 0, head) + 1
    places = {*range(head), *range(head, len(message), 50)} - set(range(registration, registration + 2))
    for place in sorted(places):
        changed = message[:place] + bytes((message[place] ^ 1,)) + message[place + 1 :]
        with pytest.raises((Refused, CryptoError)):
            pair.decrypt(ours, changed)
    assert pair.decrypt(ours, message) == b"text"
    pair.tell(not ours, b"answer")


def test_a_replayed_first_message_is_refused_by_its_tag(oracle: Oracle) -> None:
    """With the last-resort key the keys are still there, and only the tag tells."""
    pair = Pair(oracle, ours_begins=False, last_resort=True)
    message = pair.encrypt(False, b"text")
    pair.tell(False, b"another of the same session")
    del pair.ours.device.records[pair.theirs.ref]
    with pytest.raises(ReplayedFirstMessage):
        pair.decrypt(False, message)


def test_another_identity_is_refused(oracle: Oracle) -> None:
    pair = Pair(oracle, ours_begins=False)
    message = pair.encrypt(False, b"text")
    pair.theirs.party = Party(pair.theirs.ref, Theirs(oracle).party.identity)
    with pytest.raises(IdentityMismatch):
        pair.decrypt(False, message)


def test_a_message_for_somebody_else_is_refused(oracle: Oracle) -> None:
    """The keys are right and the address is not: it is in the frame and in its MAC."""
    pair = Pair(oracle, ours_begins=False)
    message = pair.encrypt(False, b"text")
    me = pair.ours.device.me
    pair.ours.device.me = me._replace(ref=Ours().device.me.ref)
    with pytest.raises(CryptoError):
        pair.decrypt(False, message)
    pair.ours.device.me = me
    assert pair.decrypt(False, message) == b"text"


def test_their_side_refuses_a_wrong_address(oracle: Oracle) -> None:
    pair = Pair(oracle, ours_begins=True)
    message = pair.encrypt(True, b"text")
    pair.ours.at = {**pair.ours.at, "device": 127}
    with pytest.raises(Refused):
        pair.decrypt(True, message)


class WithoutAddresses(LibsignalFraming):
    """First messages without field 6."""

    def encode_message(self, route: Route, header: Header, ciphertext: bytes) -> bytes:
        return super().encode_message(route._replace(first=False), header, ciphertext)


class WithoutRatchet(LibsignalFraming):
    """Messages without field 5, the last one but for addresses."""

    def encode_message(self, route: Route, header: Header, ciphertext: bytes) -> bytes:
        return super().encode_message(route._replace(first=False), header, ciphertext)[:-6]


def test_their_side_does_without_addresses(oracle: Oracle) -> None:
    pair = Pair(oracle, ours_begins=True)
    pair.ours.suite = msgspec.structs.replace(LIBSIGNAL, framing=WithoutAddresses())
    pair.tell(True, b"text")


def test_their_side_wants_the_other_ratchet(oracle: Oracle) -> None:
    pair = Pair(oracle, ours_begins=True)
    pair.ours.suite = msgspec.structs.replace(LIBSIGNAL, framing=WithoutRatchet())
    message = pair.encrypt(True, b"text")
    with pytest.raises(Refused):
        pair.decrypt(True, message)


@both
def test_both_begin_at_once(oracle: Oracle, ours: bool) -> None:
    """First messages cross. Both are read, and whoever speaks next is understood."""
    pair = Pair(oracle, ours_begins=True)
    pair.theirs.start(pair.ours)
    crossing = [(side, pair.encrypt(side, b"crossing")) for side in (ours, not ours)]
    for side, message in crossing:
        assert pair.decrypt(side, message) == b"crossing"
    for number in range(6):
        pair.tell(ours, str(number).encode())
        pair.tell(not ours, str(number).encode())


@both
def test_a_new_session_takes_over(oracle: Oracle, ours: bool) -> None:
    """As after a loss: late messages of the old session are still read by both."""
    pair = Pair(oracle, ours_begins=True)
    pair.settle()
    late = [(side, pair.encrypt(side, b"late")) for side in (True, False)]
    pair.begin(ours, 2)
    first = pair.encrypt(ours, b"anew")
    assert is_first(first)
    assert pair.decrypt(ours, first) == b"anew"
    for side, message in late:
        assert pair.decrypt(side, message) == b"late"
    pair.tell(not ours, b"answer")
    pair.tell(ours, b"and on")


def test_a_session_survives_being_stored(oracle: Oracle) -> None:
    pair = Pair(oracle, ours_begins=True)
    pair.settle()
    skipped = pair.encrypt(False, b"skipped")
    for number in range(6):
        pair.tell(bool(number % 2), b"text")
        records = pair.ours.device.records
        records[pair.theirs.ref] = SessionRecord.load(records[pair.theirs.ref].dump())
    assert pair.decrypt(False, skipped) == b"skipped"


def test_no_message_may_skip_more_than_the_bound(oracle: Oracle) -> None:
    pair = Pair(oracle, ours_begins=True)
    pair.settle()
    *_, last, beyond = [pair.encrypt(False, b"") for _ in range(MAX_AHEAD + 2)]
    with pytest.raises(TooFarAhead):
        pair.decrypt(False, beyond)
    assert pair.decrypt(False, last) == b""
    assert pair.decrypt(False, beyond) == b""


def test_a_forgotten_session_is_not_guessed(oracle: Oracle) -> None:
    pair = Pair(oracle, ours_begins=True)
    pair.settle()
    message = pair.encrypt(False, b"text")
    del pair.ours.device.records[pair.theirs.ref]
    with pytest.raises(NoSession):
        pair.decrypt(False, message)


@both
def test_a_forged_pre_key_is_refused(oracle: Oracle, ours: bool) -> None:
    pair = Pair(oracle, ours_begins=True)
    genuine, other = pair.theirs.bundle(2), Theirs(oracle).bundle(2)
    if not ours:
        genuine, other = pair.ours.device.bundle(), Ours().device.bundle()
    for forged in (
        genuine._replace(signed_pre_key=other.signed_pre_key),
        genuine._replace(kem_key=other.kem_key),
        genuine._replace(signed_pre_key_signature=bytes(64)),
        genuine._replace(identity=other.identity),
    ):
        with pytest.raises((Refused, CryptoError)):
            Ours().start(pair.theirs, forged) if ours else pair.theirs.start(Ours(), forged)
