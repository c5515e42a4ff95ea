"""A suite: everything that two programs must agree about, as one frozen record.

The rules of PQXDH and of the Double Ratchet are code (`pqxdh`, `ratchet`, `session`); labels, encodings, lengths and
framing are here, so that another suite runs through the same code. ``COOEE_V1`` is the only one that ships.
"""

from collections.abc import Callable
from enum import Enum, auto
from hashlib import sha256
from typing import Final, NamedTuple, Protocol, TypeVar

import msgspec

from cooee.crypto.errors import BadMessage, UnsupportedVersion
from cooee.crypto.kem import CIPHERTEXT_BYTES, Kem, MlKem1024
from cooee.crypto.keys import CurvePublicKey, DhPublicKey, IdentityPublicKey, SaltKey
from cooee.crypto.primitives import verify_xeddsa
from cooee.crypto.wire import MAX_BYTES, Field, Kind, read, write
from cooee.domain.ids import DeviceRef

K = TypeVar("K", bound=CurvePublicKey)

VERSION: Final = 1
MAX_COUNTER: Final = (1 << 32) - 1
MAX_KEY_ID: Final = (1 << 32) - 1


class MessageKind(Enum):
    """A first message carries what sets a session up; a next one needs a session."""

    FIRST = auto()
    NEXT = auto()


class Party(msgspec.Struct, frozen=True, array_like=True):
    """One side of a session: which device, with which identity key."""

    ref: DeviceRef
    identity: IdentityPublicKey


class Route(NamedTuple):
    """Who made a message, and for whom."""

    sender: Party
    receiver: Party
    first: bool = False
    """The message travels inside a first message."""


class Header(NamedTuple):
    """The clear part of a ratchet message (Double Ratchet §3.2)."""

    ratchet_key: DhPublicKey
    counter: int
    """How many messages of this chain came before."""
    previous: int
    """How many messages the sender's previous chain had."""


class FirstMessage(NamedTuple):
    """What a first message carries (PQXDH §3.3), and the ratchet message inside."""

    identity: IdentityPublicKey
    base_key: DhPublicKey
    """The initiator's ephemeral key; it names the session."""
    signed_pre_key_id: int
    one_time_pre_key_id: int | None
    kem_key_id: int
    kem_ciphertext: bytes
    message: bytes


class Framing(Protocol):
    """How keys and messages look as bytes. All decoding is strict and raises `BadMessage` or `BadKey`."""

    def encode_public(self, key: CurvePublicKey) -> bytes:
        """Return a public key as it is published, signed and sent (PQXDH's EncodeEC)."""
        ...

    def decode_public(self, kind: type[K], encoded: bytes) -> K:
        """Undo `encode_public`, into a key of that class."""
        ...

    def associated_data(self, route: Route) -> bytes:
        """Return what is put before a ratchet message's bytes when its MAC is computed.

        To be one value per direction of a session, whatever ``route.first``.
        """
        ...

    def kind(self, message: bytes) -> MessageKind:
        """Tell a first message from a next one; the version is checked."""
        ...

    def encode_message(self, route: Route, header: Header, ciphertext: bytes) -> bytes:
        """Return a ratchet message without its MAC, which is computed over just this and appended."""
        ...

    def decode_message(self, route: Route, body: bytes) -> tuple[Header, bytes]:
        """Undo `encode_message`; nothing is authentic yet. What the route contradicts may be refused."""
        ...

    def encode_first(self, first: FirstMessage) -> bytes:
        """Return a first message."""
        ...

    def decode_first(self, message: bytes) -> FirstMessage:
        """Undo `encode_first`."""
        ...


class Salt(Protocol):
    """Salts message keys with those of a second ratchet that began with the same agreement (Double Ratchet §6)."""

    def start(self, secrets: bytes, *, initiated: bool) -> SaltKey:
        """Return what a session keeps, out of what the root key is derived from; ``initiated`` by this side."""
        ...

    def of(self, key: SaltKey, header: Header) -> bytes:
        """Return the salt of one message; the header is not authentic yet."""
        ...


class Labels(NamedTuple):
    """The ``info`` of each HKDF, so that no output serves two purposes."""

    agreement: bytes
    """PQXDH's result: the first root key."""
    ratchet: bytes
    """A step of the root chain (KDF_RK)."""
    message: bytes
    """A message key's cipher key, MAC key and vector."""


class Suite(msgspec.Struct, frozen=True):
    """What both sides agree about."""

    name: str
    labels: Labels
    framing: Framing
    kem: Kem
    mac_bytes: int = 32
    """How much of HMAC-SHA-256 a message carries."""
    verify: Callable[[bytes, bytes, bytes], None] = verify_xeddsa
    """Checks a pre-key's signature: (identity key of 32 bytes, what was signed, signature); raises `BadSignature`."""
    salt: Salt | None = None
    """The salt of a message key's HKDF; None: empty."""


_NEXT: Final = bytes((VERSION, 1))
_FIRST: Final = bytes((VERSION, 2))
_MESSAGE: Final = {
    1: Field(Kind.BYTES, most=32),
    2: Field(Kind.NUMBER, most=MAX_COUNTER),
    3: Field(Kind.NUMBER, most=MAX_COUNTER),
    4: Field(Kind.BYTES, most=MAX_BYTES),
}
_FIRST_MESSAGE: Final = {
    1: Field(Kind.BYTES, most=32),
    2: Field(Kind.BYTES, most=32),
    3: Field(Kind.NUMBER, most=MAX_KEY_ID),
    4: Field(Kind.NUMBER, required=False, most=MAX_KEY_ID),
    5: Field(Kind.NUMBER, most=MAX_KEY_ID),
    6: Field(Kind.BYTES, most=CIPHERTEXT_BYTES),
    7: Field(Kind.BYTES, most=MAX_BYTES),
}


class CooeeFraming:
    """Cooee's own frames: version byte, kind byte (1 next, 2 first), then fields in protobuf's wire encoding.

    Next: 1 ratchet key, 2 counter, 3 previous, 4 ciphertext; then the MAC. First: 1 identity key, 2 base key, 3 signed
    pre-key's id, 4 one-time pre-key's id (may be absent), 5 KEM key's id, 6 KEM ciphertext, 7 the ratchet message.
    """

    def encode_public(self, key: CurvePublicKey) -> bytes:
        """Return the 32 bytes of RFC 7748."""
        return bytes(key)

    def decode_public(self, kind: type[K], encoded: bytes) -> K:
        """Take 32 bytes."""
        return kind(encoded)

    def associated_data(self, route: Route) -> bytes:
        """Return 32 bytes that bind both addresses and both identity keys, in the order of sending."""
        digest = sha256(b"cooee-v1 session\x00")
        for ref, identity in ((party.ref, party.identity) for party in (route.sender, route.receiver)):
            digest.update(f"{ref.user_id}\x00{ref.device_id}\x00".encode())
            digest.update(bytes(identity))
        return digest.digest()

    def kind(self, message: bytes) -> MessageKind:
        """Read the first two bytes."""
        if message[:2] == _NEXT:
            return MessageKind.NEXT
        if message[:2] == _FIRST:
            return MessageKind.FIRST
        if message and message[0] != VERSION:
            raise UnsupportedVersion("a message is of another version")
        raise BadMessage("a message is of no known kind")

    def encode_message(self, route: Route, header: Header, ciphertext: bytes) -> bytes:
        """Return the frame without its MAC."""
        return _NEXT + write(
            ((1, bytes(header.ratchet_key)), (2, header.counter), (3, header.previous), (4, ciphertext))
        )

    def decode_message(self, route: Route, body: bytes) -> tuple[Header, bytes]:
        """Take a frame without its MAC."""
        if body[:2] != _NEXT:
            raise BadMessage("this is no ratchet message")
        numbers, octets = read(body[2:], _MESSAGE)
        return Header(DhPublicKey(octets[1]), numbers[2], numbers[3]), octets[4]

    def encode_first(self, first: FirstMessage) -> bytes:
        """Return the frame."""
        return _FIRST + write(
            (
                (1, bytes(first.identity)),
                (2, bytes(first.base_key)),
                (3, first.signed_pre_key_id),
                (4, first.one_time_pre_key_id),
                (5, first.kem_key_id),
                (6, first.kem_ciphertext),
                (7, first.message),
            )
        )

    def decode_first(self, message: bytes) -> FirstMessage:
        """Take a frame."""
        if message[:2] != _FIRST:
            raise BadMessage("this is no first message")
        numbers, octets = read(message[2:], _FIRST_MESSAGE)
        return FirstMessage(
            IdentityPublicKey(octets[1]),
            DhPublicKey(octets[2]),
            numbers[3],
            numbers.get(4),
            numbers[5],
            octets[6],
            octets[7],
        )


COOEE_V1: Final = Suite(
    name="cooee-v1",
    labels=Labels(
        agreement=b"cooee-v1 PQXDH_CURVE25519_SHA-256_ML-KEM-1024",
        ratchet=b"cooee-v1 ratchet",
        message=b"cooee-v1 message keys",
    ),
    framing=CooeeFraming(),
    kem=MlKem1024(),
)
"""PQXDH and Double Ratchet with X25519, ML-KEM-1024, SHA-256, AES-256-CBC and HMAC-SHA-256 of 32 bytes."""
