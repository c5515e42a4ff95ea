"""The suite of the independent implementation, made from outside, so that the core of the project runs through it.

Only for the tests of this folder. Everything here was found by looking at that implementation's own messages and at the
states that it exports, and by trying; README.md says how. Two things are not ours and are kept as small as they can be:

- messages carry a field of a post-quantum ratchet. Ours say "version 1, epoch 1, number 0, nothing" for ever, so that
  the ratchet of the other side never turns, and our message keys have no salt;
- those of the other side are numbered from 1, and their message keys are salted with the key of that number, out of a
  chain that begins with the agreement.
"""

from functools import lru_cache
from hashlib import sha3_256, shake_256
from typing import Final, TypeVar
from uuid import UUID

import xeddsa

from cooee.crypto.errors import BadMessage, BadSignature
from cooee.crypto.kem import MlKem1024
from cooee.crypto.keys import (
    CurvePublicKey,
    DhPublicKey,
    IdentityPublicKey,
    KemPrivateKey,
    KemPublicKey,
    SaltKey,
)
from cooee.crypto.primitives import hkdf, verify_xeddsa
from cooee.crypto.suite import FirstMessage, Header, Labels, MessageKind, Route, Suite
from cooee.crypto.wire import Field, Kind, read, write
from cooee.domain.ids import DeviceRef

K = TypeVar("K", bound=CurvePublicKey)

REGISTRATION_ID: Final = 4711
"""The other side wants one and does nothing with it."""
VERSION: Final = 0x44
_CURVE: Final = b"\x05"
_KEM: Final = b"\x08"
_AGREEMENT: Final = b"WhisperText_X25519_SHA-256_CRYSTALS-KYBER-1024"
_CHAIN_START: Final = b"Signal PQ Ratchet V1 Chain  Start"
_CHAIN_NEXT: Final = b"Signal PQ Ratchet V1 Chain Next"
_NO_RATCHET: Final = bytes((1, 1, 0, 0))
_MAX_NUMBER: Final = 10_000

_MESSAGE: Final = {
    1: Field(Kind.BYTES, most=33),
    2: Field(Kind.NUMBER),
    3: Field(Kind.NUMBER),
    4: Field(Kind.BYTES, most=65_536),
    5: Field(Kind.BYTES, most=2_000),
    6: Field(Kind.BYTES, required=False, most=36),
}
_FIRST: Final = {
    1: Field(Kind.NUMBER, required=False),
    2: Field(Kind.BYTES, most=33),
    3: Field(Kind.BYTES, most=33),
    4: Field(Kind.BYTES, most=65_536),
    5: Field(Kind.NUMBER),
    6: Field(Kind.NUMBER),
    7: Field(Kind.NUMBER),
    8: Field(Kind.BYTES, most=1569),
}


class NumberedHeader(Header):
    """A header of the other side, with the number of its key in the post-quantum ratchet; 0: it has none."""

    number: int


def address(ref: DeviceRef) -> bytes:
    """Return a zero byte, the UUID of the user and one byte for the device."""
    return b"\x00" + UUID(ref.user_id).bytes + bytes((int(ref.device_id),))


class LibsignalFraming:
    """Version 4: ``44``, then protobuf. First and next messages look alike but for their fields."""

    def encode_public(self, key: CurvePublicKey) -> bytes:
        return _CURVE + bytes(key)

    def decode_public(self, kind: type[K], encoded: bytes) -> K:
        if encoded[:1] != _CURVE:
            raise BadMessage("a key is of another kind")
        return kind(encoded[1:])

    def associated_data(self, route: Route) -> bytes:
        return self.encode_public(route.sender.identity) + self.encode_public(route.receiver.identity)

    def kind(self, message: bytes) -> MessageKind:
        if len(message) < 2 or message[0] != VERSION:
            raise BadMessage("a message is of another version")
        first_field = message[1] >> 3
        if first_field == 1 and message[1] & 7 == Kind.BYTES.value:
            return MessageKind.NEXT
        return MessageKind.FIRST

    def encode_message(self, route: Route, header: Header, ciphertext: bytes) -> bytes:
        addresses = address(route.sender.ref) + address(route.receiver.ref) if route.first else None
        return bytes((VERSION,)) + write(
            (
                (1, self.encode_public(header.ratchet_key)),
                (2, header.counter),
                (3, max(0, header.previous - 1)),
                (4, ciphertext),
                (5, _NO_RATCHET),
                (6, addresses),
            )
        )

    def decode_message(self, route: Route, body: bytes) -> tuple[Header, bytes]:
        if body[:1] != bytes((VERSION,)):
            raise BadMessage("a message is of another version")
        numbers, octets = read(body[1:], _MESSAGE)
        if octets.get(6) not in {None, address(route.sender.ref) + address(route.receiver.ref)}:
            raise BadMessage("a message is between others")
        # Field 3 is the number of the last message of the sender's previous chain, not how many there were.
        header = NumberedHeader(self.decode_public(DhPublicKey, octets[1]), numbers[2], numbers[3] + 1)
        header.number = _number(octets[5])
        return header, octets[4]

    def encode_first(self, first: FirstMessage) -> bytes:
        return bytes((VERSION,)) + write(
            (
                (1, first.one_time_pre_key_id),
                (2, self.encode_public(first.base_key)),
                (3, self.encode_public(first.identity)),
                (4, first.message),
                (5, REGISTRATION_ID),
                (6, first.signed_pre_key_id),
                (7, first.kem_key_id),
                (8, first.kem_ciphertext),
            )
        )

    def decode_first(self, message: bytes) -> FirstMessage:
        numbers, octets = read(message[1:], _FIRST)
        return FirstMessage(
            self.decode_public(IdentityPublicKey, octets[3]),
            self.decode_public(DhPublicKey, octets[2]),
            numbers[6],
            numbers.get(1),
            numbers[7],
            octets[8],
            octets[4],
        )


def _number(field: bytes) -> int:
    """Read the field of the post-quantum ratchet: version, epoch, number, and what is not looked at."""
    if field[:2] != b"\x01\x01":
        raise BadMessage("the other ratchet has turned")
    number, shift = 0, 0
    for byte in field[2:]:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    if number > _MAX_NUMBER:
        raise BadMessage("a number is too large")
    return number


class RoundThreeKem(MlKem1024):
    """Kyber-1024 as of round 3 over ML-KEM-1024: the last step of its key derivation is put on top."""

    def encode_public(self, key: KemPublicKey) -> bytes:
        return _KEM + super().encode_public(key)

    def decode_public(self, encoded: bytes) -> KemPublicKey:
        if encoded[:1] != _KEM:
            raise BadMessage("a key is of another kind")
        return super().decode_public(encoded[1:])

    def encapsulate(self, key: KemPublicKey) -> tuple[bytes, bytes]:
        secret, ciphertext = super().encapsulate(key)
        return _derive(secret, ciphertext), _KEM + ciphertext

    def decapsulate(self, key: KemPrivateKey, ciphertext: bytes) -> bytes:
        if ciphertext[:1] != _KEM:
            raise BadMessage("a KEM ciphertext is of another kind")
        return _derive(super().decapsulate(key, ciphertext[1:]), ciphertext[1:])


def _derive(secret: bytes, ciphertext: bytes) -> bytes:
    return shake_256(secret + sha3_256(ciphertext).digest()).digest(32)


class FirstEpoch:
    """The keys of the other side's post-quantum ratchet, of the epoch before its first turn."""

    def start(self, secrets: bytes, *, initiated: bool) -> SaltKey:
        """Keep the chain key that the other side sends with: third of three if we began, else second."""
        key = hkdf(secrets, 96, info=_AGREEMENT)[64:]
        chains = hkdf(key, 96, info=_CHAIN_START)
        return SaltKey(chains[64:] if initiated else chains[32:64])

    def of(self, key: SaltKey, header: Header) -> bytes:
        """Return the key with the header's number; our own headers have none."""
        return _key_at(bytes(key), header.number) if isinstance(header, NumberedHeader) and header.number else b""


@lru_cache(maxsize=4096)
def _key_at(chain: bytes, number: int) -> bytes:
    key = b""
    for step in range(1, number + 1):
        output = hkdf(chain, 64, info=step.to_bytes(4, "big") + _CHAIN_NEXT)
        chain, key = output[:32], output[32:]
    return key


def verify(public: bytes, message: bytes, signature: bytes) -> None:
    """Check a signature whose top bit holds the sign of the signer's Edwards point; XEdDSA's is always 0."""
    if len(signature) != 64 or not signature[63] >> 7:
        verify_xeddsa(public, message, signature)
        return
    point = xeddsa.curve25519_pub_to_ed25519_pub(public, set_sign_bit=True)
    plain = signature[:63] + bytes((signature[63] & 0x7F,))
    if not xeddsa.ed25519_verify(plain, point, message):
        raise BadSignature("a signature does not fit")


LIBSIGNAL: Final = Suite(
    name="libsignal-v4",
    labels=Labels(agreement=_AGREEMENT, ratchet=b"WhisperRatchet", message=b"WhisperMessageKeys"),
    framing=LibsignalFraming(),
    kem=RoundThreeKem(),
    mac_bytes=8,
    verify=verify,
    salt=FirstEpoch(),
)
"""PQXDH and Double Ratchet, as `COOEE_V1`, in the other implementation's labels, lengths and frames."""
