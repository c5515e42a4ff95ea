"""The Double Ratchet: order, loss, bounds, and what is kept."""

import msgspec
import pytest

from cooee.crypto import ratchet
from cooee.crypto.errors import BadMessage, Duplicate, NoSession, TooFarAhead
from cooee.crypto.keys import RootKey, SaltKey
from cooee.crypto.pqxdh import Agreed
from cooee.crypto.primitives import hmac_sha256
from cooee.crypto.ratchet import MAX_AHEAD, MAX_RECEIVER_CHAINS, MAX_SKIPPED, RatchetState, SkippedKeys
from cooee.crypto.suite import COOEE_V1, MAX_COUNTER, Header, Route
from tests.fakes.pairwise import make_pair

ALICE, BOB = make_pair(talk=False)
THERE, BACK = Route(ALICE.party, BOB.party), Route(BOB.party, ALICE.party)
ROOT = Agreed(RootKey(b"r" * 32), None)


class Side:
    """One end, which keeps its newest state."""

    def __init__(self, state: RatchetState, route: Route, back: Route) -> None:
        self.state = state
        self.route = route
        self.back = back

    def send(self, plaintext: bytes = b"m") -> bytes:
        self.state, message = ratchet.encrypt(COOEE_V1, self.state, self.route, plaintext, ALICE.random)
        return message

    def receive(self, message: bytes) -> bytes:
        parsed = ratchet.parse(COOEE_V1, self.back, message)
        self.state, plaintext = ratchet.decrypt(COOEE_V1, self.state, self.back, parsed)
        return plaintext

    def skipped(self) -> int:
        return sum(len(chain.skipped) for chain in self.state.receiving)


def make_sides() -> tuple[Side, Side]:
    alice = ratchet.initiate(COOEE_V1, ROOT, BOB.signed.private.public(), ALICE.random)
    bob = ratchet.respond(ROOT, BOB.signed.private)
    return Side(alice, THERE, BACK), Side(bob, BACK, THERE)


def test_two_sides_talk() -> None:
    alice, bob = make_sides()
    for number in range(5):
        assert bob.receive(alice.send(b"a%d" % number)) == b"a%d" % number
        assert bob.receive(alice.send(b"again")) == b"again"
        assert alice.receive(bob.send(b"b%d" % number)) == b"b%d" % number


def test_no_two_messages_have_the_same_key_or_bytes() -> None:
    alice, _ = make_sides()
    messages = [alice.send(b"the same") for _ in range(20)]
    assert len({message[-48:] for message in messages}) == 20


def test_the_responder_cannot_send_before_it_received() -> None:
    _, bob = make_sides()
    with pytest.raises(NoSession):
        bob.send()


def test_a_used_up_chain_sends_no_more() -> None:
    alice, _ = make_sides()
    assert alice.state.sending is not None
    last = msgspec.structs.replace(alice.state.sending, counter=MAX_COUNTER)
    alice.state = msgspec.structs.replace(alice.state, sending=last)
    alice.send()
    with pytest.raises(NoSession):
        alice.send()


def test_the_ratchet_turns_with_each_answer() -> None:
    """§2.3: what was known of one side's state is worth nothing after one round trip."""
    alice, bob = make_sides()
    bob.receive(alice.send())
    before = (bytes(alice.state.root), bytes(alice.state.own))
    alice.receive(bob.send())
    assert alice.state.sending is None
    alice.send()
    assert bytes(alice.state.root) != before[0]
    assert bytes(alice.state.own) != before[1]


def test_old_chain_keys_are_forgotten() -> None:
    """§2.2, forward secrecy: no state holds a key that a message before it was read with, or could be made with."""
    alice, bob = make_sides()
    message = alice.send()
    assert alice.state.sending is not None
    parsed = ratchet.parse(COOEE_V1, THERE, message)
    root, chain = ratchet._turn(COOEE_V1, bob.state.root, bob.state.own, parsed.header.ratchet_key)
    bob.receive(message)
    kept = msgspec.msgpack.encode(bob.state, enc_hook=bytes)
    assert bytes(root) in kept
    assert bytes(chain) not in kept
    assert hmac_sha256(bytes(chain), b"\x01") not in kept


def test_messages_may_come_in_any_order() -> None:
    alice, bob = make_sides()
    messages = [alice.send(b"%d" % number) for number in range(10)]
    for number in (9, 0, 5, 4, 8, 1, 2, 3, 6, 7):
        assert bob.receive(messages[number]) == b"%d" % number
    assert bob.skipped() == 0


def test_a_message_of_a_former_chain_is_still_read() -> None:
    alice, bob = make_sides()
    bob.receive(alice.send())
    late = [alice.send(b"late"), alice.send(b"later")]
    alice.receive(bob.send())
    assert bob.receive(alice.send(b"new")) == b"new"
    assert bob.skipped() == 2
    assert [bob.receive(message) for message in reversed(late)] == [b"later", b"late"]


def test_a_former_chain_is_closed() -> None:
    """Its chain key is gone, so who steals the state can read nothing that may still be sent in it."""
    alice, bob = make_sides()
    bob.receive(alice.send())
    fork = Side(alice.state, THERE, BACK)
    alice.receive(bob.send())
    bob.receive(alice.send())
    assert [chain.key is None for chain in bob.state.receiving] == [True, False]
    with pytest.raises(BadMessage):
        bob.receive(fork.send())


@pytest.mark.parametrize("again", [0, 1, 2])
def test_a_message_is_read_once(again: int) -> None:
    alice, bob = make_sides()
    messages = [alice.send() for _ in range(3)]
    for number in (2, 0, 1):
        bob.receive(messages[number])
    state = bob.state
    with pytest.raises(Duplicate):
        bob.receive(messages[again])
    assert bob.state is state


def test_a_message_may_skip_2000_and_no_more() -> None:
    alice, bob = make_sides()
    messages = [alice.send() for _ in range(MAX_AHEAD + 2)]
    with pytest.raises(TooFarAhead):
        bob.receive(messages[MAX_AHEAD + 1])
    assert bob.receive(messages[MAX_AHEAD]) == b"m"
    assert bob.skipped() == MAX_AHEAD
    assert bob.receive(messages[MAX_AHEAD + 1]) == b"m"


def test_the_end_of_a_former_chain_may_skip_2000_and_no_more() -> None:
    for missing, error in ((MAX_AHEAD, None), (MAX_AHEAD + 1, TooFarAhead)):
        alice, bob = make_sides()
        bob.receive(alice.send())
        for _ in range(missing):
            alice.send()
        alice.receive(bob.send())
        message = alice.send()
        if error is None:
            assert bob.receive(message) == b"m"
            assert bob.skipped() == missing
        else:
            with pytest.raises(error):
                bob.receive(message)


def test_at_most_2000_skipped_keys_are_kept_and_the_oldest_go() -> None:
    alice, bob = make_sides()
    first = [alice.send(b"%d" % number) for number in range(1500)]
    bob.receive(first[-1])
    alice.receive(bob.send())
    second = [alice.send(b"%d" % number) for number in range(1001)]
    bob.receive(second[-1])
    assert bob.skipped() == MAX_SKIPPED
    with pytest.raises(Duplicate):
        bob.receive(first[498])
    assert bob.receive(first[499]) == b"499"
    assert bob.receive(second[0]) == b"0"


def test_at_most_5_receiving_chains_are_kept_and_the_oldest_goes() -> None:
    alice, bob = make_sides()
    lost: list[bytes] = []
    for _ in range(MAX_RECEIVER_CHAINS + 1):
        lost.append(alice.send(b"lost"))
        bob.receive(alice.send())
        alice.receive(bob.send())
    assert len(bob.state.receiving) == MAX_RECEIVER_CHAINS
    with pytest.raises(BadMessage):
        bob.receive(lost[0])
    for message in lost[1:]:
        assert bob.receive(message) == b"lost"


def test_every_byte_of_a_message_counts_and_a_refusal_changes_nothing() -> None:
    alice, bob = make_sides()
    bob.receive(alice.send())
    message = alice.send()
    state = bob.state
    data = msgspec.msgpack.encode(state, enc_hook=bytes)
    for place in range(len(message)):
        changed = message[:place] + bytes((message[place] ^ 1,)) + message[place + 1 :]
        with pytest.raises((BadMessage, TooFarAhead, Duplicate)):
            bob.receive(changed)
        assert bob.state is state
    assert msgspec.msgpack.encode(bob.state, enc_hook=bytes) == data
    assert bob.receive(message) == b"m"


@pytest.mark.parametrize("route", [BACK, Route(ALICE.party, ALICE.party), Route(BOB.party, BOB.party)])
def test_a_message_of_another_route_is_refused(route: Route) -> None:
    alice, bob = make_sides()
    message = alice.send()
    with pytest.raises(BadMessage):
        ratchet.decrypt(COOEE_V1, bob.state, route, ratchet.parse(COOEE_V1, route, message))


class CounterSalt:
    """A salt that depends on what the agreement gave, and on the message."""

    def start(self, secrets: bytes, *, initiated: bool) -> SaltKey:
        return SaltKey(hmac_sha256(secrets, b"salt"))

    def of(self, key: SaltKey, header: Header) -> bytes:
        return hmac_sha256(bytes(key), b"%d" % header.counter)


def test_a_suite_may_salt_message_keys() -> None:
    salted = msgspec.structs.replace(COOEE_V1, salt=CounterSalt())
    key = SaltKey(b"s" * 32)
    alice = ratchet.initiate(salted, ROOT._replace(salt=key), BOB.signed.private.public(), ALICE.random)
    bob = ratchet.respond(ROOT._replace(salt=key), BOB.signed.private)
    for _ in range(2):
        alice, message = ratchet.encrypt(salted, alice, THERE, b"there", ALICE.random)
        parsed = ratchet.parse(salted, THERE, message)
        other = msgspec.structs.replace(bob, salt=SaltKey(b"t" * 32))
        for suite, state in ((COOEE_V1, bob), (salted, other)):
            with pytest.raises(BadMessage):
                ratchet.decrypt(suite, state, THERE, parsed)
        bob, plaintext = ratchet.decrypt(salted, bob, THERE, parsed)
        assert plaintext == b"there"
        bob, message = ratchet.encrypt(salted, bob, BACK, b"back", ALICE.random)
        alice, plaintext = ratchet.decrypt(salted, alice, BACK, ratchet.parse(salted, BACK, message))
        assert plaintext == b"back"
    assert alice.salt == bob.salt == key


def test_ones_own_message_is_not_read() -> None:
    alice, _ = make_sides()
    with pytest.raises(BadMessage):
        alice.receive(alice.send())


def test_a_message_without_room_for_its_mac_is_refused() -> None:
    for length in range(33):
        with pytest.raises(BadMessage):
            ratchet.parse(COOEE_V1, THERE, bytes(length))


def test_skipped_keys_find_what_they_hold() -> None:
    keys = SkippedKeys().with_chain([b"a" * 32, b"b" * 32], 7).with_chain([b"c" * 32], 300)
    assert (len(keys), keys.find(7), keys.find(8), keys.find(300)) == (3, 0, 1, 2)
    assert [keys.find(counter) for counter in (6, 9, 299, 301)] == [None] * 4
    assert bytes(keys.at(1)) == hmac_sha256(b"b" * 32, b"\x01")
    assert (keys.without(1).find(8), keys.without(1).find(300)) == (None, 1)
    assert (len(keys.without_oldest(2)), keys.without_oldest(2).find(300)) == (1, 0)
    assert repr(keys) == "<SkippedKeys>"
    with pytest.raises(ValueError, match="length"):
        SkippedKeys(bytes(35))


def test_no_secret_in_a_repr() -> None:
    alice, bob = make_sides()
    bob.receive(alice.send())
    for state in (alice.state, bob.state):
        assert repr(bytes(state.root))[2:12] not in repr(state)
        assert "\\x" not in repr(state)
    assert repr(ratchet.parse(COOEE_V1, THERE, alice.send())) == "<Parsed>"


def test_nothing_is_decrypted_before_the_mac_was_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """No padding of a forged ciphertext is looked at, so nothing is told about it (no padding oracle)."""
    alice, bob = make_sides()
    whole = alice.send(b"m")
    monkeypatch.setattr(ratchet, "decrypt_cbc", lambda *_: pytest.fail("decrypted without a MAC"))
    for at in (-33, -1, 40):
        forged = bytearray(whole)
        forged[at] ^= 1
        with pytest.raises(BadMessage):
            bob.receive(bytes(forged))
