"""Sender keys: one message for all members of a group (docs/e2ee.md, "Groups").

Each device has, per group, one chain of its own: a chain key that only goes forward, and a key that signs. It tells
both to every other device over their pairwise sessions (a *distribution*); from then on one encryption serves all.
A chain does not heal: a new one is begun when a member or device leaves, after 1,000 messages, and after 7 days.

Distribution: ``01 03``, then fields: 1 conversationId, 2 chain id, 3 iteration, 4 chain key, 5 public signing key.
Message: ``01 04``, then fields: 1 chain id, 2 iteration, 3 ciphertext; then HMAC-SHA-256 (32), then XEdDSA (64).
"""

from hashlib import sha256
from typing import Final, NamedTuple, Self

import msgspec

from cooee.crypto.errors import BadMessage, Duplicate, NoSession, TooFarAhead, UnsupportedVersion
from cooee.crypto.keys import ChainKey, CurvePrivateKey, CurvePublicKey, MessageKey
from cooee.crypto.primitives import (
    SIGNATURE_BYTES,
    Random,
    decrypt_cbc,
    encrypt_cbc,
    equal,
    hkdf,
    hmac_sha256,
    sign_xeddsa,
    verify_xeddsa,
)
from cooee.crypto.stored import Stored
from cooee.crypto.wire import Field, Kind, read, write
from cooee.domain.ids import DeviceRef

MAX_AHEAD: Final = 2_000
"""Messages of a chain that may be skipped at once."""
MAX_SKIPPED: Final = 2_000
"""Skipped keys kept per sender device, over all its chains; the oldest are given up."""
MAX_CHAINS: Final = 5
"""Chains kept per sender device, the newest first."""
MAX_MESSAGES: Final = 1_000
"""Messages after which a chain is worn out."""
MAX_AGE_MS: Final = 7 * 24 * 60 * 60 * 1000
"""Age at which a chain is worn out."""
MAX_PLAINTEXT: Final = 4_096
_VERSION: Final = 1
_DISTRIBUTION: Final = bytes((_VERSION, 3))
_MESSAGE: Final = bytes((_VERSION, 4))
_MAC: Final = 32
_TAIL: Final = _MAC + SIGNATURE_BYTES
_MAX_ID: Final = (1 << 31) - 1
_MAX_ITERATION: Final = (1 << 32) - 1
_DISTRIBUTION_FIELDS: Final = {
    1: Field(Kind.BYTES, most=128),
    2: Field(Kind.NUMBER, most=_MAX_ID),
    3: Field(Kind.NUMBER, most=_MAX_ITERATION),
    4: Field(Kind.BYTES, most=32),
    5: Field(Kind.BYTES, most=32),
}
_MESSAGE_FIELDS: Final = {
    1: Field(Kind.NUMBER, most=_MAX_ID),
    2: Field(Kind.NUMBER, most=_MAX_ITERATION),
    3: Field(Kind.BYTES, most=MAX_PLAINTEXT + 16),
}


class SigningPublicKey(CurvePublicKey):
    """What verifies the messages of one chain."""

    __slots__ = ()

    def verify(self, message: bytes, signature: bytes) -> None:
        """Check an XEdDSA signature; `BadSignature` when it does not fit."""
        verify_xeddsa(self._encoded, message, signature)


class SigningPrivateKey(CurvePrivateKey):
    """What signs the messages of one chain."""

    __slots__ = ()

    def public(self) -> SigningPublicKey:
        """Return the public key."""
        return SigningPublicKey(self.public_bytes())

    def sign(self, message: bytes, random: Random) -> bytes:
        """Return a 64-byte XEdDSA signature."""
        return sign_xeddsa(self._encoded, message, random)


class GroupPlace(NamedTuple):
    """What a group message is bound to, as it stands in clear beside it."""

    conversation_id: str
    sender: DeviceRef
    roster_version: int
    device_list_hash: str

    def associated_data(self) -> bytes:
        """Return 32 bytes that stand for it: SHA-256 of label and parts, each ended by a zero byte."""
        text = (
            f"cooee-v1 sender key\x00{self.conversation_id}\x00{self.sender.user_id}\x00{self.sender.device_id}\x00"
            f"{self.roster_version}\x00{self.device_list_hash}\x00"
        )
        return sha256(text.encode()).digest()


class OwnSenderKey(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """This device's chain of one group. ``created_at``: ms since 1970, of the caller's clock."""

    conversation_id: str
    chain_id: int
    iteration: int
    chain_key: ChainKey
    signing: SigningPrivateKey
    created_at: int

    @classmethod
    def generate(cls, conversation_id: str, now_ms: int, random: Random) -> Self:
        """Begin a chain, with an id and keys out of 68 random bytes."""
        chain_id = int.from_bytes(random(4), "big") & _MAX_ID
        return cls(conversation_id, chain_id, 0, ChainKey(random(32)), SigningPrivateKey.generate(random), now_ms)

    def distribution(self) -> bytes:
        """Return what lets another device read from here on, not before. Secret: for pairwise sessions only."""
        fields = (
            (1, self.conversation_id.encode()),
            (2, self.chain_id),
            (3, self.iteration),
            (4, bytes(self.chain_key)),
            (5, self.signing.public_bytes()),
        )
        return _DISTRIBUTION + write(fields)

    def is_worn(self, now_ms: int) -> bool:
        """Tell whether a new chain must be begun: 1,000 messages, 7 days, or its start lies ahead."""
        return self.iteration >= MAX_MESSAGES or not 0 <= now_ms - self.created_at < MAX_AGE_MS

    def dump(self) -> bytes:
        """Return it as bytes for a store at rest: secret."""
        return _OWN.dump(self)

    @classmethod
    def load(cls, data: bytes) -> Self:
        """Undo `dump`; `BadState` when these bytes are none."""
        return _OWN.load(cls, data)


class PeerChain(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One chain of another device. ``skipped`` is never changed in place."""

    chain_id: int
    iteration: int
    chain_key: ChainKey
    signing: SigningPublicKey
    skipped: dict[int, MessageKey] = {}


class PeerSenderKeys(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What this device knows of another device's chains in one group, the newest first."""

    conversation_id: str
    user_id: str
    device_id: str
    chains: tuple[PeerChain, ...] = ()

    def dump(self) -> bytes:
        """Return it as bytes for a store at rest: secret."""
        return _PEER.dump(self)

    @classmethod
    def load(cls, data: bytes) -> Self:
        """Undo `dump`; `BadState` when these bytes are none."""
        return _PEER.load(cls, data)


_OWN: Final = Stored(version=1)
_PEER: Final = Stored(version=1)


def encrypt(
    own: OwnSenderKey, plaintext: bytes, roster_version: int, device_list_hash: str, sender: DeviceRef, random: Random
) -> tuple[OwnSenderKey, bytes]:
    """Encrypt for all who have the chain. Store the new state before the message is sent.

    Raises:
        BadMessage: more than ``MAX_PLAINTEXT`` bytes.
        NoSession: the chain has had its 1,000 messages.
    """
    if len(plaintext) > MAX_PLAINTEXT:
        raise BadMessage("a group message is too long")
    if own.iteration >= MAX_MESSAGES:
        raise NoSession("a chain is worn out")
    bound = GroupPlace(own.conversation_id, sender, roster_version, device_list_hash).associated_data()
    message_key, chain_key = _step(own.chain_key)
    cipher_key, mac_key, iv = _message_keys(message_key)
    fields = ((1, own.chain_id), (2, own.iteration), (3, encrypt_cbc(cipher_key, iv, plaintext)))
    body = _MESSAGE + write(fields)
    body += hmac_sha256(mac_key, bound + body)
    signature = own.signing.sign(bound + body, random)
    return msgspec.structs.replace(own, iteration=own.iteration + 1, chain_key=chain_key), body + signature


def accept(
    known: PeerSenderKeys | None, conversation_id: str, sender: DeviceRef, distribution: bytes
) -> PeerSenderKeys:
    """Take a distribution that came over the pairwise session with ``sender``.

    A chain that is known already, with its signing key, stays where it is: a repeated distribution opens nothing twice.

    Raises:
        BadMessage: malformed, or of another conversation. BadKey: it holds what is no key.
    """
    chain = _read_distribution(distribution, conversation_id)
    if known is None:
        return PeerSenderKeys(conversation_id, sender.user_id, sender.device_id, (chain,))
    if (known.conversation_id, known.user_id, known.device_id) != (conversation_id, *sender):
        raise BadMessage("these are the chains of another device")
    former = next((one for one in known.chains if one.chain_id == chain.chain_id), None)
    if former is not None and former.signing == chain.signing:
        if chain.iteration - former.iteration <= MAX_AHEAD:
            return known
        chain = msgspec.structs.replace(chain, skipped=former.skipped)
    others = tuple(one for one in known.chains if one.chain_id != chain.chain_id)
    return msgspec.structs.replace(known, chains=_bounded((chain, *others)))


def decrypt(
    known: PeerSenderKeys | None, message: bytes, roster_version: int, device_list_hash: str
) -> tuple[PeerSenderKeys, bytes]:
    """Decrypt a group message. The signature is checked before anything else is computed.

    Raises:
        NoSession: the chain is not known: its distribution is lacking.
        BadMessage: malformed, or not authentic for this place. BadSignature: not signed by the chain's owner.
        Duplicate: decrypted before, or its key was given up. TooFarAhead: it skips more than 2,000 messages.
    """
    chain_id, iteration, ciphertext = _read_message(message)
    found = None if known is None else next((one for one in known.chains if one.chain_id == chain_id), None)
    if known is None or found is None:
        raise NoSession("the chain of a group message is not known")
    sender = DeviceRef(known.user_id, known.device_id)
    bound = GroupPlace(known.conversation_id, sender, roster_version, device_list_hash).associated_data()
    found.signing.verify(bound + message[:-SIGNATURE_BYTES], message[-SIGNATURE_BYTES:])
    chain, key = _key_at(found, iteration)
    cipher_key, mac_key, iv = _message_keys(key)
    if not equal(hmac_sha256(mac_key, bound + message[:-_TAIL]), message[-_TAIL:-SIGNATURE_BYTES]):
        raise BadMessage("a group message is not authentic")
    plaintext = decrypt_cbc(cipher_key, iv, ciphertext)
    chains = tuple(chain if one is found else one for one in known.chains)
    return msgspec.structs.replace(known, chains=_bounded(chains)), plaintext


def _key_at(chain: PeerChain, iteration: int) -> tuple[PeerChain, MessageKey]:
    """Return the chain as it is after this message, and the message's key."""
    if iteration < chain.iteration:
        key = chain.skipped.get(iteration)
        if key is None:
            raise Duplicate("a group message was decrypted before, or its key was given up")
        left = {number: kept for number, kept in chain.skipped.items() if number != iteration}
        return msgspec.structs.replace(chain, skipped=left), key
    if iteration - chain.iteration > MAX_AHEAD:
        raise TooFarAhead("a group message skips too many others")
    skipped = chain.skipped if iteration == chain.iteration else dict(chain.skipped)
    key, chain_key = _step(chain.chain_key)
    for number in range(chain.iteration, iteration):
        skipped[number] = key
        key, chain_key = _step(chain_key)
    return msgspec.structs.replace(chain, iteration=iteration + 1, chain_key=chain_key, skipped=skipped), key


def _bounded(chains: tuple[PeerChain, ...]) -> tuple[PeerChain, ...]:
    """Keep ``MAX_CHAINS`` chains and ``MAX_SKIPPED`` skipped keys, those of the newest chains first."""
    room = MAX_SKIPPED
    kept = []
    for chain in chains[:MAX_CHAINS]:
        left = chain
        if len(chain.skipped) > room:
            numbers = sorted(chain.skipped)[len(chain.skipped) - room :]
            left = msgspec.structs.replace(chain, skipped={number: chain.skipped[number] for number in numbers})
        room -= len(left.skipped)
        kept.append(left)
    return tuple(kept)


def _step(chain_key: ChainKey) -> tuple[MessageKey, ChainKey]:
    """Return the message key of this place, and the next place (Double Ratchet §5.2)."""
    secret = bytes(chain_key)
    return MessageKey(hmac_sha256(secret, b"\x01")), ChainKey(hmac_sha256(secret, b"\x02"))


def _message_keys(key: MessageKey) -> tuple[bytes, bytes, bytes]:
    """Return cipher key, MAC key and vector."""
    out = hkdf(bytes(key), 80, info=b"cooee-v1 sender key message")
    return out[:32], out[32:64], out[64:]


def _read_distribution(distribution: bytes, conversation_id: str) -> PeerChain:
    _check_head(distribution, _DISTRIBUTION)
    numbers, octets = read(distribution[2:], _DISTRIBUTION_FIELDS)
    if octets[1] != conversation_id.encode():
        raise BadMessage("a distribution is of another conversation")
    return PeerChain(numbers[2], numbers[3], ChainKey(octets[4]), SigningPublicKey(octets[5]))


def _read_message(message: bytes) -> tuple[int, int, bytes]:
    _check_head(message, _MESSAGE)
    if len(message) < len(_MESSAGE) + _TAIL:
        raise BadMessage("a group message is cut off")
    numbers, octets = read(message[2:-_TAIL], _MESSAGE_FIELDS)
    return numbers[1], numbers[2], octets[3]


def _check_head(message: bytes, head: bytes) -> None:
    if message[:1] and message[0] != _VERSION:
        raise UnsupportedVersion("a message is of another version")
    if message[:2] != head:
        raise BadMessage("a message is of another kind")
