"""Keys as values: one class per meaning, so that none is taken for another.

All compare in constant time and show nothing of themselves in ``repr``, ``str`` or a traceback; secret ones can
neither be hashed nor pickled. Public keys are checked when they are made: a value of the class *is* a usable key.
The parsed object of the library is made at first use and kept. Python cannot wipe memory; nothing here claims it.
"""

from typing import ClassVar, Final, Never, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM1024PrivateKey, MLKEM1024PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from cooee.crypto.errors import BadKey, BadSignature
from cooee.crypto.primitives import (
    KEY_BYTES,
    Random,
    check_edwards,
    check_u,
    clamp,
    equal,
    sign_xeddsa,
    verify_xeddsa,
)

KEM_PUBLIC_BYTES: Final = 1568
KEM_SEED_BYTES: Final = 64


class Key:
    """Bytes of one meaning and of one length, immutable. ``bytes(key)`` gives them."""

    __slots__ = ("_encoded",)
    SIZE: ClassVar[int] = KEY_BYTES

    def __init__(self, encoded: bytes) -> None:
        if len(encoded) != self.SIZE:
            raise BadKey("a key has the wrong length")
        self._encoded = bytes(encoded)

    def __bytes__(self) -> bytes:
        return self._encoded

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Key) or type(self) is not type(other):
            return False
        return equal(self._encoded, other._encoded)

    def __hash__(self) -> int:
        raise TypeError("secret keys are not hashed")

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __reduce__(self) -> Never:
        raise TypeError("keys are not pickled")


class PublicKey(Key):
    """A key that may be known. It can be hashed, and still is not printed: a log shall not tie people to keys."""

    __slots__ = ()

    def __hash__(self) -> int:
        return hash(self._encoded)


class CurvePublicKey(PublicKey):
    """A point of Curve25519 (RFC 7748): canonical, not of low order.

    Raises:
        BadKey: when made of anything else.
    """

    __slots__ = ("_parsed",)

    def __init__(self, encoded: bytes) -> None:
        check_u(encoded)
        super().__init__(encoded)
        self._parsed: X25519PublicKey | None = None

    def parsed(self) -> X25519PublicKey:
        """Return the library's object, made once."""
        if self._parsed is None:
            self._parsed = X25519PublicKey.from_public_bytes(self._encoded)
        return self._parsed


class CurvePrivateKey(Key):
    """A scalar of Curve25519."""

    __slots__ = ("_parsed", "_public")

    def __init__(self, encoded: bytes) -> None:
        super().__init__(encoded)
        self._parsed: X25519PrivateKey | None = None
        self._public: bytes | None = None

    @classmethod
    def generate(cls, random: Random) -> Self:
        """Make a new key out of 32 random bytes."""
        return cls(clamp(random(KEY_BYTES)))

    def parsed(self) -> X25519PrivateKey:
        """Return the library's object, made once."""
        if self._parsed is None:
            self._parsed = X25519PrivateKey.from_private_bytes(self._encoded)
        return self._parsed

    def public_bytes(self) -> bytes:
        """Return the 32 bytes of the public key, computed once."""
        if self._public is None:
            self._public = self.parsed().public_key().public_bytes_raw()
        return self._public

    def exchange(self, other: CurvePublicKey) -> bytes:
        """Return the 32 bytes of X25519 (RFC 7748 §6.1).

        Raises:
            BadKey: the result is all zero.
        """
        try:
            return self.parsed().exchange(other.parsed())
        except ValueError:
            raise BadKey("the result of an exchange is zero") from None


class DhPublicKey(CurvePublicKey):
    """A pre-key, an ephemeral key or a ratchet key."""

    __slots__ = ()


class DhPrivateKey(CurvePrivateKey):
    """The secret of a `DhPublicKey`."""

    __slots__ = ()

    def public(self) -> DhPublicKey:
        """Return the public key."""
        return DhPublicKey(self.public_bytes())


class IdentityPublicKey(CurvePublicKey):
    """The identity key of a device; it also verifies XEdDSA signatures."""

    __slots__ = ()

    def verify(self, message: bytes, signature: bytes) -> None:
        """Check an XEdDSA signature.

        Raises:
            BadSignature: it does not fit.
        """
        verify_xeddsa(self._encoded, message, signature)


class IdentityPrivateKey(CurvePrivateKey):
    """The secret of a device's identity."""

    __slots__ = ()

    def public(self) -> IdentityPublicKey:
        """Return the public key."""
        return IdentityPublicKey(self.public_bytes())

    def sign(self, message: bytes, random: Random) -> bytes:
        """Return a 64-byte XEdDSA signature; 64 random bytes are used."""
        return sign_xeddsa(self._encoded, message, random)


class KemPublicKey(PublicKey):
    """An ML-KEM-1024 encapsulation key (FIPS 203), 1568 bytes, its coefficients checked (§7.2).

    Raises:
        BadKey: when made of anything else.
    """

    __slots__ = ("_parsed",)
    SIZE = KEM_PUBLIC_BYTES

    def __init__(self, encoded: bytes) -> None:
        super().__init__(encoded)
        try:
            self._parsed = MLKEM1024PublicKey.from_public_bytes(self._encoded)
        except ValueError:
            raise BadKey("a KEM key is not canonical") from None

    def parsed(self) -> MLKEM1024PublicKey:
        """Return the library's object."""
        return self._parsed


class KemPrivateKey(Key):
    """The 64-byte seed (d ‖ z) of an ML-KEM-1024 decapsulation key (FIPS 203 §7.1)."""

    __slots__ = ("_parsed",)
    SIZE = KEM_SEED_BYTES

    def __init__(self, encoded: bytes) -> None:
        super().__init__(encoded)
        self._parsed: MLKEM1024PrivateKey | None = None

    @classmethod
    def generate(cls, random: Random) -> Self:
        """Make a new key out of 64 random bytes."""
        return cls(random(KEM_SEED_BYTES))

    def parsed(self) -> MLKEM1024PrivateKey:
        """Return the library's object, made once."""
        if self._parsed is None:
            self._parsed = MLKEM1024PrivateKey.from_seed_bytes(self._encoded)
        return self._parsed

    def public(self) -> KemPublicKey:
        """Return the encapsulation key."""
        return KemPublicKey(self.parsed().public_key().public_bytes_raw())


class AccountPublicKey(PublicKey):
    """The Ed25519 key of an account (RFC 8032). It verifies device lists and nothing else.

    Raises:
        BadKey: when made of what is no canonical point, or one of low order: under that everybody can sign.
    """

    __slots__ = ()

    def __init__(self, encoded: bytes) -> None:
        check_edwards(encoded)
        super().__init__(encoded)

    def verify(self, message: bytes, signature: bytes) -> None:
        """Check an Ed25519 signature.

        Raises:
            BadSignature: it does not fit.
        """
        try:
            Ed25519PublicKey.from_public_bytes(self._encoded).verify(signature, message)
        except (InvalidSignature, ValueError):
            raise BadSignature("a signature does not fit") from None


class AccountPrivateKey(Key):
    """The 32-byte Ed25519 seed of an account."""

    __slots__ = ()

    @classmethod
    def generate(cls, random: Random) -> Self:
        """Make a new key out of 32 random bytes."""
        return cls(random(KEY_BYTES))

    def public(self) -> AccountPublicKey:
        """Return the public key."""
        return AccountPublicKey(Ed25519PrivateKey.from_private_bytes(self._encoded).public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature, always the same for the same message."""
        return Ed25519PrivateKey.from_private_bytes(self._encoded).sign(message)


class RootKey(Key):
    """The root of a Double Ratchet."""

    __slots__ = ()


class ChainKey(Key):
    """The head of a sending or receiving chain."""

    __slots__ = ()


class SaltKey(Key):
    """What a suite salts message keys with, when it has a second ratchet beside the first."""

    __slots__ = ()


class MessageKey(Key):
    """The seed of one message's cipher key, MAC key and vector."""

    __slots__ = ()
