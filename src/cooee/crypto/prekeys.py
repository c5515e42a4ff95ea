"""Pre-keys: what a device publishes, keeps and gives out (PQXDH §3.2), and the bundle that a peer claims.

Ids are numbers 1…2³²-1 of the caller's. One-time KEM keys and the last-resort key share one space of ids, since a first
message names either by its id alone. JSON has the shape of ``PUT /v1/keys`` and of an item of ``POST /v1/keys/claim``.
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, NamedTuple, Protocol, Self

import msgspec

from cooee.crypto.errors import BadKey, CryptoError
from cooee.crypto.keys import (
    DhPrivateKey,
    DhPublicKey,
    IdentityPrivateKey,
    IdentityPublicKey,
    KemPrivateKey,
    KemPublicKey,
)
from cooee.crypto.primitives import SIGNATURE_BYTES, Random
from cooee.crypto.stored import Stored
from cooee.crypto.suite import MAX_KEY_ID, Suite

Json = dict[str, Any]


class SignedPreKey(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A signed pre-key with its secret; a new one each week, the former kept while messages to it may be under way."""

    key_id: int
    private: DhPrivateKey
    signature: bytes

    def dump(self) -> bytes:
        """Return it as bytes for a store at rest: secret."""
        return _SIGNED.dump(self)

    @classmethod
    def load(cls, data: bytes) -> Self:
        """Undo `dump`.

        Raises:
            BadState: these bytes are none.
        """
        return _SIGNED.load(cls, data)


class OneTimePreKey(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A pre-key for one session, with its secret."""

    key_id: int
    private: DhPrivateKey

    def dump(self) -> bytes:
        """Return it as bytes for a store at rest: secret."""
        return _ONE_TIME.dump(self)

    @classmethod
    def load(cls, data: bytes) -> Self:
        """Undo `dump`.

        Raises:
            BadState: these bytes are none.
        """
        return _ONE_TIME.load(cls, data)


class KemPreKey(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A signed KEM key with its secret: for one session, or the last resort that serves many."""

    key_id: int
    private: KemPrivateKey
    signature: bytes
    last_resort: bool

    def dump(self) -> bytes:
        """Return it as bytes for a store at rest: secret."""
        return _KEM.dump(self)

    @classmethod
    def load(cls, data: bytes) -> Self:
        """Undo `dump`.

        Raises:
            BadState: these bytes are none.
        """
        return _KEM.load(cls, data)


_SIGNED: Final = Stored(version=1)
_ONE_TIME: Final = Stored(version=1)
_KEM: Final = Stored(version=1)


class PreKeys(Protocol):
    """The pre-keys of this device, as `session.decrypt` looks them up. Nothing is changed through it."""

    def signed_pre_key(self, key_id: int) -> DhPrivateKey | None:
        """Return the secret of a signed pre-key, current or former."""
        ...

    def one_time_pre_key(self, key_id: int) -> DhPrivateKey | None:
        """Return the secret of a one-time pre-key that is not used up."""
        ...

    def kem_key(self, key_id: int) -> KemPreKey | None:
        """Return a KEM key, one-time or last-resort."""
        ...

    def was_seen(self, tag: bytes) -> bool:
        """Tell whether `Decrypted.replay_tag` was ``tag`` before. Tags are kept as long as their last-resort key."""
        ...


class NoPreKeys:
    """For messages that must belong to a session already: it has no key and saw nothing."""

    def signed_pre_key(self, key_id: int) -> DhPrivateKey | None:
        """Return None."""

    def one_time_pre_key(self, key_id: int) -> DhPrivateKey | None:
        """Return None."""

    def kem_key(self, key_id: int) -> KemPreKey | None:
        """Return None."""

    def was_seen(self, tag: bytes) -> bool:
        """Return False."""
        return False


def make_signed_pre_key(suite: Suite, identity: IdentityPrivateKey, key_id: int, random: Random) -> SignedPreKey:
    """Make a signed pre-key."""
    private = DhPrivateKey.generate(random)
    signature = identity.sign(suite.framing.encode_public(private.public()), random)
    return SignedPreKey(_checked(key_id), private, signature)


def make_one_time_pre_keys(first_id: int, count: int, random: Random) -> tuple[OneTimePreKey, ...]:
    """Make ``count`` one-time pre-keys with the ids from ``first_id`` on."""
    return tuple(OneTimePreKey(_checked(first_id + n), DhPrivateKey.generate(random)) for n in range(count))


def make_kem_keys(
    suite: Suite, identity: IdentityPrivateKey, first_id: int, count: int, random: Random
) -> tuple[KemPreKey, ...]:
    """Make ``count`` signed one-time KEM keys with the ids from ``first_id`` on."""
    return tuple(_make_kem_key(suite, identity, first_id + n, random, last_resort=False) for n in range(count))


def make_last_resort_key(suite: Suite, identity: IdentityPrivateKey, key_id: int, random: Random) -> KemPreKey:
    """Make the signed KEM key that is given out when the one-time ones are used up."""
    return _make_kem_key(suite, identity, key_id, random, last_resort=True)


def _make_kem_key(
    suite: Suite, identity: IdentityPrivateKey, key_id: int, random: Random, *, last_resort: bool
) -> KemPreKey:
    private = KemPrivateKey.generate(random)
    signature = identity.sign(suite.kem.encode_public(private.public()), random)
    return KemPreKey(_checked(key_id), private, signature, last_resort)


def _checked(key_id: int) -> int:
    if not 1 <= key_id <= MAX_KEY_ID:
        raise ValueError("a key's id is out of range")
    return key_id


def publication(
    suite: Suite,
    identity: IdentityPublicKey,
    *,
    signed_pre_key: SignedPreKey | None = None,
    last_resort: KemPreKey | None = None,
    one_time_pre_keys: Iterable[OneTimePreKey] = (),
    kem_keys: Iterable[KemPreKey] = (),
) -> Json:
    """Return the body of ``PUT /v1/keys``: public parts only; what is not given is left out."""
    body: Json = {"identityKey": _text(suite.framing.encode_public(identity))}
    if signed_pre_key is not None:
        body["signedPreKey"] = {
            "id": signed_pre_key.key_id,
            "key": _text(suite.framing.encode_public(signed_pre_key.private.public())),
            "signature": _text(signed_pre_key.signature),
        }
    if last_resort is not None:
        body["lastResortKemKey"] = _kem_json(suite, last_resort)
    if one_time := [
        {"id": key.key_id, "key": _text(suite.framing.encode_public(key.private.public()))} for key in one_time_pre_keys
    ]:
        body["oneTimePreKeys"] = one_time
    if kems := [_kem_json(suite, key) for key in kem_keys]:
        body["oneTimeKemKeys"] = kems
    return body


def _kem_json(suite: Suite, key: KemPreKey) -> Json:
    encoded = suite.kem.encode_public(key.private.public())
    return {"id": key.key_id, "key": _text(encoded), "signature": _text(key.signature)}


class PreKeyBundle(NamedTuple):
    """What a peer's device gave out for one session. Not verified yet: `session.start` does that."""

    identity: IdentityPublicKey
    signed_pre_key_id: int
    signed_pre_key: DhPublicKey
    signed_pre_key_signature: bytes
    kem_key_id: int
    kem_key: KemPublicKey
    kem_key_signature: bytes
    one_time_pre_key_id: int | None = None
    one_time_pre_key: DhPublicKey | None = None

    @classmethod
    def from_json(cls, suite: Suite, item: Mapping[str, Any]) -> Self:
        """Take one item of the answer of ``POST /v1/keys/claim``; who it belongs to is the caller's business.

        Raises:
            BadKey: a part is missing, malformed, or no key.
        """
        try:
            claimed = msgspec.convert(item, _Claimed)
        except (msgspec.ValidationError, UnicodeError):
            raise BadKey("a bundle is malformed") from None
        one_time = claimed.oneTimePreKey
        framing = suite.framing
        try:
            return cls(
                framing.decode_public(IdentityPublicKey, _octets(claimed.identityKey)),
                claimed.signedPreKey.id,
                framing.decode_public(DhPublicKey, _octets(claimed.signedPreKey.key)),
                _signature(claimed.signedPreKey.signature),
                claimed.kemKey.id,
                suite.kem.decode_public(_octets(claimed.kemKey.key)),
                _signature(claimed.kemKey.signature),
                None if one_time is None else one_time.id,
                None if one_time is None else framing.decode_public(DhPublicKey, _octets(one_time.key)),
            )
        except CryptoError:
            raise BadKey("a bundle holds what is no key") from None

    def verify(self, suite: Suite) -> None:
        """Check both signatures by the bundle's identity key.

        Raises:
            BadSignature: one does not fit.
        """
        signer = bytes(self.identity)
        suite.verify(signer, suite.framing.encode_public(self.signed_pre_key), self.signed_pre_key_signature)
        suite.verify(signer, suite.kem.encode_public(self.kem_key), self.kem_key_signature)


class _ClaimedKey(msgspec.Struct, frozen=True):
    id: Annotated[int, msgspec.Meta(ge=1, le=MAX_KEY_ID)]
    key: str


class _ClaimedSignedKey(_ClaimedKey, frozen=True):
    signature: str


class _Claimed(msgspec.Struct, frozen=True):
    identityKey: str  # noqa: N815  # the wire's name
    signedPreKey: _ClaimedSignedKey  # noqa: N815
    kemKey: _ClaimedSignedKey  # noqa: N815
    oneTimePreKey: _ClaimedKey | None = None  # noqa: N815


def _text(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


def _octets(text: str) -> bytes:
    """Decode base64url without padding, in its one canonical form."""
    try:
        octets = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, binascii.Error):
        raise BadKey("a key is no base64url") from None
    if _text(octets) != text:
        raise BadKey("a key is no canonical base64url")
    return octets


def _signature(text: str) -> bytes:
    signature = _octets(text)
    if len(signature) != SIGNATURE_BYTES:
        raise BadKey("a signature has the wrong length")
    return signature
