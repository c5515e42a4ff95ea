"""Sender keys: order does not matter, the past stays closed, who left reads no further, and every bound holds."""

import hashlib
from collections.abc import Callable

import msgspec
import pytest

from cooee.crypto import sender_key
from cooee.crypto.errors import (
    BadMessage,
    BadSignature,
    CryptoError,
    Duplicate,
    NoSession,
    TooFarAhead,
    UnsupportedVersion,
)
from cooee.crypto.keys import ChainKey
from cooee.crypto.sender_key import MAX_AHEAD, MAX_CHAINS, MAX_MESSAGES, MAX_SKIPPED, OwnSenderKey, PeerSenderKeys
from cooee.domain.ids import DeviceRef

GROUP = "group:cafe"
ALICE = DeviceRef("alice", "d1")
ROSTER = (4, "hash")


def random_of(seed: str) -> Callable[[int], bytes]:
    """Return the same bytes in each run."""
    state = hashlib.shake_256(seed.encode())
    at = 0

    def take(count: int) -> bytes:
        nonlocal at
        at += count
        return state.digest(at)[-count:] if count else b""

    return take


@pytest.fixture
def own() -> OwnSenderKey:
    return OwnSenderKey.generate(GROUP, 1_000, random_of("own"))


def say(own: OwnSenderKey, text: bytes = b"hello") -> tuple[OwnSenderKey, bytes]:
    return sender_key.encrypt(own, text, *ROSTER, ALICE, random_of("say"))


def told(own: OwnSenderKey, known: PeerSenderKeys | None = None) -> PeerSenderKeys:
    return sender_key.accept(known, GROUP, ALICE, own.distribution())


def hear(known: PeerSenderKeys | None, message: bytes) -> tuple[PeerSenderKeys, bytes]:
    return sender_key.decrypt(known, message, *ROSTER)


def after(own: OwnSenderKey, steps: int) -> OwnSenderKey:
    """Return the chain so many messages later, without making them."""
    key = own.chain_key
    for _ in range(steps):
        key = sender_key._step(key)[1]
    return msgspec.structs.replace(own, iteration=own.iteration + steps, chain_key=key)


def test_messages_are_read_in_any_order_and_each_once(own: OwnSenderKey) -> None:
    peer = told(own)
    messages = []
    for text in (b"a", b"b", b"c", b"d"):
        own, message = say(own, text)
        messages.append((text, message))
    for text, message in (messages[i] for i in (2, 0, 3, 1)):
        peer, heard = hear(peer, message)
        assert heard == text
    for _, message in messages:
        with pytest.raises(Duplicate):
            hear(peer, message)


def test_a_distribution_opens_nothing_from_before_it(own: OwnSenderKey) -> None:
    later, old = say(own)
    peer = told(later)
    with pytest.raises(Duplicate):
        hear(peer, old)


def test_a_repeated_distribution_does_not_open_a_message_again(own: OwnSenderKey) -> None:
    first = own.distribution()
    peer = told(own)
    own, message = say(own)
    peer, _ = hear(peer, message)
    again = sender_key.accept(peer, GROUP, ALICE, first)
    assert again == peer
    with pytest.raises(Duplicate):
        hear(again, message)


def test_who_left_cannot_read_the_next_chain_even_with_all_that_he_had(own: OwnSenderKey) -> None:
    left = told(own)
    fresh = OwnSenderKey.generate(GROUP, 2_000, random_of("after he left"))
    _, message = say(fresh, b"he is gone")
    with pytest.raises(NoSession):
        hear(left, message)
    chain = left.chains[0]
    forged = msgspec.structs.replace(left, chains=(msgspec.structs.replace(chain, chain_id=fresh.chain_id),))
    with pytest.raises(BadSignature):
        hear(forged, message)
    signing = fresh.signing.public()
    knows_signer = msgspec.structs.replace(chain, chain_id=fresh.chain_id, signing=signing)
    with pytest.raises(BadMessage):
        hear(msgspec.structs.replace(left, chains=(knows_signer,)), message)


def test_a_member_cannot_speak_as_another(own: OwnSenderKey) -> None:
    peer = told(own)
    mallory = OwnSenderKey.generate(GROUP, 0, random_of("mallory"))
    chain = peer.chains[0]
    forger = msgspec.structs.replace(mallory, chain_id=chain.chain_id, chain_key=chain.chain_key)
    with pytest.raises(BadSignature):
        hear(peer, say(forger)[1])


@pytest.mark.parametrize(
    ("conversation", "sender", "roster"),
    [
        ("group:other", ALICE, ROSTER),
        (GROUP, DeviceRef("alice", "d2"), ROSTER),
        (GROUP, DeviceRef("bob", "d1"), ROSTER),
        (GROUP, ALICE, (5, "hash")),
        (GROUP, ALICE, (4, "other")),
    ],
)
def test_a_message_counts_only_in_its_place(
    own: OwnSenderKey, conversation: str, sender: DeviceRef, roster: tuple[int, str]
) -> None:
    peer = told(own)
    elsewhere = msgspec.structs.replace(
        peer, conversation_id=conversation, user_id=sender.user_id, device_id=sender.device_id
    )
    with pytest.raises(BadSignature):
        sender_key.decrypt(elsewhere, say(own)[1], *roster)


def test_a_distribution_counts_only_in_its_conversation_and_for_its_sender(own: OwnSenderKey) -> None:
    with pytest.raises(BadMessage):
        sender_key.accept(None, "group:other", ALICE, own.distribution())
    with pytest.raises(BadMessage):
        sender_key.accept(told(own), GROUP, DeviceRef("bob", "d1"), own.distribution())


def test_every_changed_byte_is_refused_and_changes_nothing(own: OwnSenderKey) -> None:
    peer = told(own)
    _, message = say(own)
    for at in range(len(message)):
        changed = bytearray(message)
        changed[at] ^= 0x10
        with pytest.raises(CryptoError):
            hear(peer, bytes(changed))
    assert hear(peer, message)[1] == b"hello"


def test_skipping_is_bounded(own: OwnSenderKey) -> None:
    peer = told(own)
    chain = peer.chains[0]
    hop = sender_key._key_at(chain, MAX_AHEAD)[0]
    assert len(hop.skipped) == MAX_AHEAD
    with pytest.raises(TooFarAhead):
        sender_key._key_at(chain, MAX_AHEAD + 1)


def test_skipped_keys_are_bounded_over_all_chains_and_the_newest_stay(own: OwnSenderKey) -> None:
    peer = told(own)
    old = sender_key._key_at(peer.chains[0], 1_500)[0]
    new = sender_key._key_at(msgspec.structs.replace(peer.chains[0], chain_id=7), 1_500)[0]
    bounded = sender_key._bounded((new, old))
    assert [len(chain.skipped) for chain in bounded] == [1_500, MAX_SKIPPED - 1_500]
    assert min(bounded[1].skipped) == 1_000


def test_chains_are_bounded_and_the_newest_stay() -> None:
    peer = None
    owns = [OwnSenderKey.generate(GROUP, 0, random_of(f"chain {n}")) for n in range(MAX_CHAINS + 1)]
    for own in owns:
        peer = told(own, peer)
    assert peer is not None
    assert [chain.chain_id for chain in peer.chains] == [own.chain_id for own in reversed(owns[1:])]
    with pytest.raises(NoSession):
        hear(peer, say(owns[0])[1])
    assert hear(peer, say(owns[1])[1])[1] == b"hello"


def test_a_later_distribution_of_a_known_chain_helps_over_a_gap_that_is_too_wide(own: OwnSenderKey) -> None:
    peer = told(own)
    far = after(own, MAX_AHEAD + 5)
    peer = told(far, peer)
    assert len(peer.chains) == 1
    assert peer.chains[0].iteration == MAX_AHEAD + 5
    near = after(own, 5)
    assert told(near, told(own)) == told(own)


def test_a_chain_wears_out(own: OwnSenderKey) -> None:
    assert not own.is_worn(own.created_at)
    assert not own.is_worn(own.created_at + sender_key.MAX_AGE_MS - 1)
    assert own.is_worn(own.created_at + sender_key.MAX_AGE_MS)
    assert own.is_worn(own.created_at - 1)
    worn = msgspec.structs.replace(own, iteration=MAX_MESSAGES)
    assert worn.is_worn(own.created_at)
    assert not msgspec.structs.replace(own, iteration=MAX_MESSAGES - 1).is_worn(own.created_at)
    with pytest.raises(NoSession):
        say(worn)


def test_a_message_is_not_too_long(own: OwnSenderKey) -> None:
    longest = b"x" * sender_key.MAX_PLAINTEXT
    assert hear(told(own), say(own, longest)[1])[1] == longest
    with pytest.raises(BadMessage):
        say(own, longest + b"x")


def test_states_survive_a_store_and_show_no_key(own: OwnSenderKey) -> None:
    peer = sender_key._key_at(told(own).chains[0], 3)[0]
    known = msgspec.structs.replace(told(own), chains=(peer,))
    assert OwnSenderKey.load(own.dump()) == own
    assert PeerSenderKeys.load(known.dump()) == known
    secret = bytes(own.chain_key)
    assert isinstance(own.chain_key, ChainKey)
    assert repr(secret)[2:-1] not in repr(own) + repr(known)
    assert secret.hex() not in repr(own) + repr(known)


def test_a_sender_cannot_give_one_message_two_meanings(own: OwnSenderKey) -> None:
    """Who signs could give different chain keys to different members; the MAC commits to one."""
    _, message = say(own)
    clear = message[: -sender_key._TAIL] + bytes(32)
    bound = sender_key.GroupPlace(GROUP, ALICE, *ROSTER).associated_data()
    forged = clear + own.signing.sign(bound + clear, random_of("sign"))
    with pytest.raises(BadMessage, match="authentic"):
        hear(told(own), forged)


def test_another_chain_of_the_same_id_takes_its_place(own: OwnSenderKey) -> None:
    other = msgspec.structs.replace(OwnSenderKey.generate(GROUP, 0, random_of("other")), chain_id=own.chain_id)
    peer = told(other, told(own))
    assert len(peer.chains) == 1
    assert hear(peer, say(other)[1])[1] == b"hello"
    with pytest.raises(BadSignature):
        hear(peer, say(own)[1])


def test_skipped_keys_survive_a_wide_gap(own: OwnSenderKey) -> None:
    peer = told(own)
    later, first = say(own)
    peer, _ = hear(peer, say(later)[1])
    peer = told(after(own, MAX_AHEAD + 10), peer)
    assert hear(peer, first)[1] == b"hello"


def test_a_state_is_not_changed_by_what_follows_from_it(own: OwnSenderKey) -> None:
    messages = []
    peer = told(own)
    for _ in range(6):
        own, message = say(own)
        messages.append(message)
    peer, _ = hear(peer, messages[2])
    before = peer.dump()
    for message in (messages[5], messages[1]):
        hear(peer, message)
        assert peer.dump() == before


def test_another_version_is_told(own: OwnSenderKey) -> None:
    with pytest.raises(UnsupportedVersion):
        hear(told(own), b"\x02" + say(own)[1][1:])
    with pytest.raises(UnsupportedVersion):
        sender_key.accept(None, GROUP, ALICE, b"\x02" + own.distribution()[1:])
    with pytest.raises(BadMessage):
        hear(told(own), own.distribution())


def test_nothing_is_decrypted_before_signature_and_mac_were_right(
    own: OwnSenderKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The MAC counts too when the signature fits: nothing is told about a padding that was made to try."""
    peer = told(own)
    bound = sender_key.GroupPlace(GROUP, ALICE, *ROSTER).associated_data()
    signing, good = own.signing, say(own)[1]
    monkeypatch.setattr(sender_key, "decrypt_cbc", lambda *_: pytest.fail("decrypted without a MAC"))
    for at in (-97, -65):
        forged = bytearray(good)
        forged[at] ^= 1
        with pytest.raises(BadSignature):
            hear(peer, bytes(forged))
        body = bytes(forged[:-64])
        with pytest.raises(BadMessage):
            hear(peer, body + signing.sign(bound + body, random_of("again")))
