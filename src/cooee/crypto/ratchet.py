"""The Double Ratchet, revision 4 (§3; no header encryption), on immutable states.

Two things that the specification leaves open: the ratchet's own key is renewed when the next message is *sent*, not
when one is received (§6.5, "deferring"), and a receiving chain is closed when the peer's next one begins, its missing
keys up to the peer's count being kept and its chain key forgotten. Nothing is kept of a message before its MAC was
verified.
"""

from bisect import bisect_left
from typing import Final, NamedTuple

import msgspec

from cooee.crypto.errors import BadMessage, Duplicate, NoSession, TooFarAhead
from cooee.crypto.keys import ChainKey, DhPrivateKey, DhPublicKey, Key, MessageKey, RootKey, SaltKey
from cooee.crypto.pqxdh import Agreed
from cooee.crypto.primitives import Random, decrypt_cbc, encrypt_cbc, equal, hkdf, hmac_sha256
from cooee.crypto.suite import MAX_COUNTER, Header, Route, Suite

MAX_AHEAD: Final = 2000
"""How many messages of a chain one message may skip."""
MAX_SKIPPED: Final = 2000
"""How many skipped keys a session keeps, over all its chains; the oldest are given up."""
MAX_RECEIVER_CHAINS: Final = 5
"""How many of the peer's chains are remembered; the oldest is given up with its skipped keys."""

_MESSAGE_STEP: Final = b"\x01"
_CHAIN_STEP: Final = b"\x02"
_INDEX_BYTES: Final = 4
_ENTRY: Final = _INDEX_BYTES + MessageKey.SIZE


class SkippedKeys(Key):
    """Message keys that wait for their message: 4 bytes of number and 32 of seed each, ascending. Secret."""

    __slots__ = ()

    def __init__(self, encoded: bytes = b"") -> None:
        if len(encoded) % _ENTRY:
            raise ValueError("skipped keys have the wrong length")
        self._encoded = encoded

    def __len__(self) -> int:
        return len(self._encoded) // _ENTRY

    def find(self, counter: int) -> int | None:
        """Return the place of the key with that number."""
        wanted = counter.to_bytes(_INDEX_BYTES)
        place = bisect_left(range(len(self)), wanted, key=self._number)
        return place if place < len(self) and self._number(place) == wanted else None

    def at(self, place: int) -> MessageKey:
        """Return the key at a place."""
        return MessageKey(self._encoded[place * _ENTRY + _INDEX_BYTES : (place + 1) * _ENTRY])

    def without(self, place: int) -> "SkippedKeys":
        """Return all keys but the one at that place."""
        return SkippedKeys(self._encoded[: place * _ENTRY] + self._encoded[(place + 1) * _ENTRY :])

    def without_oldest(self, count: int) -> "SkippedKeys":
        """Return all but the ``count`` lowest."""
        return SkippedKeys(self._encoded[count * _ENTRY :])

    def with_chain(self, chain_keys: list[bytes], counter: int) -> "SkippedKeys":
        """Add the message keys of these chain keys, whose numbers go up from ``counter``."""
        entries = (
            number.to_bytes(_INDEX_BYTES) + hmac_sha256(chain_key, _MESSAGE_STEP)
            for number, chain_key in enumerate(chain_keys, counter)
        )
        return SkippedKeys(self._encoded + b"".join(entries))

    def _number(self, place: int) -> bytes:
        return self._encoded[place * _ENTRY : place * _ENTRY + _INDEX_BYTES]


class SendingChain(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The chain that this side sends with; ``counter`` is the next message's number."""

    key: ChainKey
    counter: int


class ReceivingChain(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One of the peer's chains; ``counter`` is the next number, ``key`` None when the chain is closed."""

    ratchet_key: DhPublicKey
    key: ChainKey | None
    counter: int
    skipped: SkippedKeys


class RatchetState(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The state variables of §3.2. ``sending`` is None from a turn of the peer's ratchet until the next message."""

    root: RootKey
    own: DhPrivateKey
    own_public: DhPublicKey
    sending: SendingChain | None
    previous: int
    """How many messages the sending chain before the current one had."""
    receiving: tuple[ReceivingChain, ...]
    """Oldest first."""
    salt: SaltKey | None = None
    """Never changes; None when the suite has no salt."""


class Parsed(NamedTuple):
    """A message taken apart, nothing of it verified."""

    header: Header
    ciphertext: bytes
    body: bytes
    mac: bytes
    salt: bytes = b""
    """Of its message key; it depends on the session that decrypts."""

    def __repr__(self) -> str:
        return "<Parsed>"


def initiate(suite: Suite, agreed: Agreed, remote: DhPublicKey, random: Random) -> RatchetState:
    """Begin as the initiator, against the responder's signed pre-key (§3.3, §5.1)."""
    own = DhPrivateKey.generate(random)
    root, chain = _turn(suite, agreed.root, own, remote)
    return RatchetState(root, own, own.public(), SendingChain(chain, 0), 0, (), agreed.salt)


def respond(agreed: Agreed, own: DhPrivateKey) -> RatchetState:
    """Begin as the responder, with the signed pre-key that was used. It cannot send before it has received."""
    return RatchetState(agreed.root, own, own.public(), None, 0, (), agreed.salt)


def parse(suite: Suite, route: Route, message: bytes) -> Parsed:
    """Take a message apart.

    Raises:
        BadMessage: it has not the form of the suite's messages.
        BadKey: its ratchet key is none.
    """
    cut = len(message) - suite.mac_bytes
    if cut <= 0:
        raise BadMessage("a message is cut off")
    body = message[:cut]
    header, ciphertext = suite.framing.decode_message(route, body)
    return Parsed(header, ciphertext, body, message[cut:])


def knows(state: RatchetState, header: Header) -> bool:
    """Tell whether the message belongs to a chain of this session. Ratchet keys are random: to no other, then."""
    return any(chain.ratchet_key == header.ratchet_key for chain in state.receiving)


def encrypt(
    suite: Suite, state: RatchetState, route: Route, plaintext: bytes, random: Random
) -> tuple[RatchetState, bytes]:
    """Encrypt the next message (§3.4); turns the ratchet first when the peer turned his.

    Raises:
        NoSession: the responder has received nothing yet, or the chain is used up.
    """
    root, own, public, sending, previous = state.root, state.own, state.own_public, state.sending, state.previous
    if sending is None:
        if not state.receiving:
            raise NoSession("nothing was received yet")
        own = DhPrivateKey.generate(random)
        public = own.public()
        root, chain = _turn(suite, root, own, state.receiving[-1].ratchet_key)
        sending = SendingChain(chain, 0)
    if sending.counter > MAX_COUNTER:
        raise NoSession("a chain is used up")
    chain_key = bytes(sending.key)
    header = Header(public, sending.counter, previous)
    cipher_key, mac_key, iv = _message_keys(suite, hmac_sha256(chain_key, _MESSAGE_STEP), _salt(suite, state, header))
    body = suite.framing.encode_message(route, header, encrypt_cbc(cipher_key, iv, plaintext))
    after = SendingChain(ChainKey(hmac_sha256(chain_key, _CHAIN_STEP)), sending.counter + 1)
    new = RatchetState(root, own, public, after, previous, state.receiving, state.salt)
    return new, body + _mac(suite, mac_key, route, body)


def decrypt(suite: Suite, state: RatchetState, route: Route, message: Parsed) -> tuple[RatchetState, bytes]:
    """Decrypt a message of any chain (§3.5).

    Raises:
        BadMessage: the MAC or the padding is wrong, or the chain was closed before this number.
        Duplicate: its key was used or given up.
        TooFarAhead: it skips more than `MAX_AHEAD` messages of a chain.
        BadKey: the exchange gives zero.
    """
    header = message.header
    message = message._replace(salt=_salt(suite, state, header))
    for place, chain in enumerate(state.receiving):
        if chain.ratchet_key == header.ratchet_key:
            chain, plaintext = _open(suite, chain, route, message)  # noqa: PLW2901
            chains = (*state.receiving[:place], chain, *state.receiving[place + 1 :])
            return msgspec.structs.replace(state, receiving=_bounded(chains)), plaintext
    ends_at = state.receiving[-1].counter if state.receiving else header.previous
    if header.counter > MAX_AHEAD or header.previous - ends_at > MAX_AHEAD:
        raise TooFarAhead("a message skips too many")
    root, key = _turn(suite, state.root, state.own, header.ratchet_key)
    chain, plaintext = _open(suite, ReceivingChain(header.ratchet_key, key, 0, SkippedKeys()), route, message)
    before = state.receiving
    if before:
        before = (*before[:-1], _closed(before[-1], header.previous))
    previous = state.previous if state.sending is None else state.sending.counter
    chains = _bounded((*before, chain)[-MAX_RECEIVER_CHAINS:])
    return RatchetState(root, state.own, state.own_public, None, previous, chains, state.salt), plaintext


def _open(suite: Suite, chain: ReceivingChain, route: Route, message: Parsed) -> tuple[ReceivingChain, bytes]:
    """Decrypt in this chain. Keys of skipped messages are made after the MAC was verified."""
    counter = message.header.counter
    if counter < chain.counter:
        place = chain.skipped.find(counter)
        if place is None:
            raise Duplicate("a message was decrypted before, or its key was given up")
        plaintext = _unseal(suite, bytes(chain.skipped.at(place)), route, message)
        return msgspec.structs.replace(chain, skipped=chain.skipped.without(place)), plaintext
    if chain.key is None:
        raise BadMessage("a chain was closed before this message")
    *passed, here, after = _advanced(chain.key, counter - chain.counter + 1)
    plaintext = _unseal(suite, hmac_sha256(here, _MESSAGE_STEP), route, message)
    skipped = chain.skipped.with_chain(passed, chain.counter) if passed else chain.skipped
    return ReceivingChain(chain.ratchet_key, ChainKey(after), counter + 1, skipped), plaintext


def _closed(chain: ReceivingChain, end: int) -> ReceivingChain:
    """Keep the keys up to ``end`` and forget how to make more."""
    if chain.key is None:
        return chain
    passed = _advanced(chain.key, max(0, end - chain.counter))[:-1]
    skipped = chain.skipped.with_chain(passed, chain.counter)
    return ReceivingChain(chain.ratchet_key, None, chain.counter + len(passed), skipped)


def _advanced(key: ChainKey, steps: int) -> list[bytes]:
    """Return the chain key and those of the next ``steps`` steps."""
    if steps > MAX_AHEAD + 1:
        raise TooFarAhead("a message skips too many")
    keys = [bytes(key)]
    for _ in range(steps):
        keys.append(hmac_sha256(keys[-1], _CHAIN_STEP))
    return keys


def _bounded(chains: tuple[ReceivingChain, ...]) -> tuple[ReceivingChain, ...]:
    """Give up the oldest skipped keys beyond `MAX_SKIPPED`."""
    surplus = sum(len(chain.skipped) for chain in chains) - MAX_SKIPPED
    if surplus <= 0:
        return chains
    result = []
    for chain in chains:
        given_up = min(surplus, len(chain.skipped))
        surplus -= given_up
        result.append(msgspec.structs.replace(chain, skipped=chain.skipped.without_oldest(given_up)))
    return tuple(result)


def _turn(suite: Suite, root: RootKey, own: DhPrivateKey, remote: DhPublicKey) -> tuple[RootKey, ChainKey]:
    """KDF_RK (§5.2): one step of the root chain, the head of a new chain beside it."""
    output = hkdf(own.exchange(remote), 64, salt=bytes(root), info=suite.labels.ratchet)
    return RootKey(output[:32]), ChainKey(output[32:])


def _salt(suite: Suite, state: RatchetState, header: Header) -> bytes:
    return b"" if suite.salt is None or state.salt is None else suite.salt.of(state.salt, header)


def _message_keys(suite: Suite, seed: bytes, salt: bytes) -> tuple[bytes, bytes, bytes]:
    """Return cipher key, MAC key and vector of one message (§5.2)."""
    output = hkdf(seed, 80, salt=salt, info=suite.labels.message)
    return output[:32], output[32:64], output[64:]


def _mac(suite: Suite, key: bytes, route: Route, body: bytes) -> bytes:
    return hmac_sha256(key, suite.framing.associated_data(route) + body)[: suite.mac_bytes]


def _unseal(suite: Suite, seed: bytes, route: Route, message: Parsed) -> bytes:
    cipher_key, mac_key, iv = _message_keys(suite, seed, message.salt)
    if not equal(_mac(suite, mac_key, route, message.body), message.mac):
        raise BadMessage("a MAC is wrong")
    return decrypt_cbc(cipher_key, iv, message.ciphertext)
