"""The key of a store, and how it is wrapped for keeping. Pure: what is random is passed in, files are read elsewhere.

A store's key is 32 random bytes, so nothing about it can be guessed. Kept under a passphrase it is encrypted by
AES-256-GCM (NIST SP 800-38D) under a key that Argon2id (RFC 9106) makes of the passphrase, in NFC. Its *check value*
tells a right key from a wrong one; being a MAC by the key (HMAC-SHA-256 under a label of its own), it says nothing
about it.
"""

import base64
import hmac
import secrets
import unicodedata
from collections.abc import Callable
from typing import Literal, Never

import msgspec
from argon2.exceptions import HashingError
from argon2.low_level import ARGON2_VERSION, Type, hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

Random = Callable[[int], bytes]
Protection = Literal["file", "passphrase", "elsewhere"]
"""Where a store's key is: in the clear in its file, in its file under a passphrase, or with whoever opens the store."""

KEY_BYTES = 32
VERSION = 1
SALT_BYTES = 16
NONCE_BYTES = 12
MAX_PASSES = 16
MAX_MEMORY_KIB = 1 << 20
"""1 GiB: a file that asks for more is refused, so that a planted one cannot use up the memory."""
MAX_LANES = 16
_CHECK_BYTES = 16
_CHECK_LABEL = b"cooee-v1 store key check"
_WRAP_LABEL = b"cooee-v1 store key wrap"


class NotAKey(ValueError):
    """Bytes are no store key, or a wrapped key is malformed. The text holds nothing of either."""


class DoesNotFit(Exception):
    """The passphrase is another one, or the wrapped key was changed."""


class NotEnoughMemory(Exception):
    """The memory that trying a passphrase takes is not there now; nothing is said about the passphrase."""


class StoreKey:
    """The 32 bytes that encrypt a store. Shows nothing of itself, and is compared in constant time."""

    __slots__ = ("_raw",)

    def __init__(self, raw: bytes) -> None:
        """Take 32 bytes.

        Raises:
            NotAKey: it is another number of them.
        """
        if len(raw) != KEY_BYTES:
            raise NotAKey(f"a store's key has {KEY_BYTES} bytes, not {len(raw)}")
        self._raw = bytes(raw)

    @classmethod
    def generate(cls, random: Random = secrets.token_bytes) -> "StoreKey":
        """Return a new key."""
        return cls(random(KEY_BYTES))

    @property
    def raw(self) -> bytes:
        """The bytes, for whoever keeps them; never for a log."""
        return self._raw

    @property
    def check(self) -> bytes:
        """A value by which the key is known again, and which says nothing about it."""
        return hmac.digest(self._raw, _CHECK_LABEL, "sha256")[:_CHECK_BYTES]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StoreKey) and hmac.compare_digest(self._raw, other._raw)

    def __hash__(self) -> int:
        return hash(self.check)

    def __repr__(self) -> str:
        return "StoreKey(…)"

    def __reduce__(self) -> Never:
        raise TypeError("keys are not pickled")


class Costs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What trying one passphrase costs (RFC 9106 §3.1). The defaults are §4's second recommendation: 64 MiB."""

    passes: int = 3
    memory_kib: int = 1 << 16
    lanes: int = 4

    @property
    def sane(self) -> bool:
        """Whether they are within the bounds of RFC 9106 and of what this program takes from a file."""
        least = 8 * self.lanes
        return (
            0 < self.passes <= MAX_PASSES
            and 0 < self.lanes <= MAX_LANES
            and max(least, 8) <= self.memory_kib <= MAX_MEMORY_KIB
        )


class Wrapped(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", omit_defaults=True):
    """What the key file says. Bytes are base64; which fields are there follows from ``protection``."""

    version: int
    protection: Protection
    check: bytes
    key: bytes = b""
    argon2id: Costs | None = None
    salt: bytes = b""
    nonce: bytes = b""

    def __repr__(self) -> str:
        return f"Wrapped({self.protection})"


def in_the_clear(key: StoreKey) -> Wrapped:
    """Return ``key`` as it is."""
    return Wrapped(VERSION, "file", key.check, key.raw)


def kept_elsewhere(key: StoreKey) -> Wrapped:
    """Return what is written about a key that somebody else keeps: only its check value."""
    return Wrapped(VERSION, "elsewhere", key.check)


def under_passphrase(
    key: StoreKey, passphrase: str, random: Random = secrets.token_bytes, costs: Costs | None = None
) -> Wrapped:
    """Return ``key`` encrypted under ``passphrase``. Takes the time and memory that ``costs`` say, on purpose.

    Raises:
        NotEnoughMemory: as it says.
    """
    costs = costs or Costs()
    salt, nonce = random(SALT_BYTES), random(NONCE_BYTES)
    sealed = AESGCM(_derive(passphrase, salt, costs)).encrypt(nonce, key.raw, _associated(key.check, costs, salt))
    return Wrapped(VERSION, "passphrase", key.check, sealed, costs, salt, nonce)


def unwrap(wrapped: Wrapped) -> StoreKey:
    """Return a key that is kept in the clear.

    Raises:
        NotAKey: there is none, or it was damaged.
    """
    return _checked(StoreKey(wrapped.key), wrapped)


def unwrap_by(wrapped: Wrapped, passphrase: str) -> StoreKey:
    """Return a key that is kept under ``passphrase``.

    Raises:
        DoesNotFit: it is another one, or the file was changed.
        NotAKey: the file is malformed, or asks for more than it may. NotEnoughMemory: or for more than there is.
    """
    costs = wrapped.argon2id
    if costs is None or not costs.sane or len(wrapped.salt) != SALT_BYTES or len(wrapped.nonce) != NONCE_BYTES:
        raise NotAKey("its parameters are out of bounds")
    aead = AESGCM(_derive(passphrase, wrapped.salt, costs))
    try:
        raw = aead.decrypt(wrapped.nonce, wrapped.key, _associated(wrapped.check, costs, wrapped.salt))
    except InvalidTag:
        raise DoesNotFit from None
    return _checked(StoreKey(raw), wrapped)


def fits(wrapped: Wrapped, key: StoreKey) -> bool:
    """Tell whether ``key`` is the one that ``wrapped`` is about."""
    return hmac.compare_digest(key.check, wrapped.check)


def encode(wrapped: Wrapped) -> bytes:
    """Return the text of the key file."""
    return msgspec.json.format(msgspec.json.encode(wrapped)) + b"\n"


def decode(text: bytes) -> Wrapped:
    """Return what a key file says.

    Raises:
        NotAKey: it is no key file, or one of a newer version.
    """
    try:
        wrapped = msgspec.json.decode(text, type=Wrapped)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise NotAKey("it is no key file") from None
    if wrapped.version != VERSION:
        raise NotAKey(f"it is of version {wrapped.version}; this program knows version {VERSION}")
    if len(wrapped.check) != _CHECK_BYTES:
        raise NotAKey("its check value has a wrong length")
    return wrapped


def _checked(key: StoreKey, wrapped: Wrapped) -> StoreKey:
    if not fits(wrapped, key):
        raise NotAKey("the key and its check value belong to different keys")
    return key


def _derive(passphrase: str, salt: bytes, costs: Costs) -> bytes:
    try:
        return hash_secret_raw(
            unicodedata.normalize("NFC", passphrase).encode("utf-8", "surrogatepass"),
            salt,
            costs.passes,
            costs.memory_kib,
            costs.lanes,
            KEY_BYTES,
            Type.ID,
            ARGON2_VERSION,
        )
    except HashingError:
        raise NotEnoughMemory from None


def _associated(check: bytes, costs: Costs, salt: bytes) -> bytes:
    """Return what the encryption binds beside the key, so that nothing in the file can be changed unseen."""
    numbers = f"{VERSION} {costs.passes} {costs.memory_kib} {costs.lanes} {base64.b64encode(salt).decode()}"
    return b"\x00".join((_WRAP_LABEL, numbers.encode(), check))
