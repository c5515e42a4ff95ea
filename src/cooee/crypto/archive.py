"""One long encrypted stream: backups (under a passphrase) and history for a new device (under a random key).

Header: ``COOEEARC ‖ 01 ‖ kind ‖ salt(32)``, kind 0: a key, 1: a passphrase; for a passphrase also Argon2id's (RFC 9106)
memory in KiB (4 bytes, big-endian), passes (4) and lanes (1); then HMAC-SHA-256(header key, all before), so that a
wrong key is told from damage, and one archive opens under one key only. Then chunks of 64 KiB, the last one shorter or
full, each AES-256-GCM with a tag of 16 bytes and the nonce ``number(11, big-endian) ‖ last(1)`` (STREAM, by Hoang,
Reyhanitabar, Rogaway and Vizár). Cut, reordered, repeated or continued archives are refused.

Secret = the key, or Argon2id(passphrase in Unicode NFC and UTF-8, salt) of 32 bytes.
Header key ‖ chunk key = HKDF-SHA-256(secret, salt, info = ``cooee-v1 archive`` ‖ 00 ‖ the header before its MAC), 64
bytes.
"""

import struct
import unicodedata
from typing import Final, NamedTuple, Never, Self

from argon2.exceptions import HashingError
from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cooee.crypto.errors import BadMessage, CryptoError, UnsupportedVersion
from cooee.crypto.keys import Key
from cooee.crypto.primitives import KEY_BYTES, Random, equal, hkdf, hmac_sha256

CHUNK: Final = 64 * 1024
"""Bytes of plaintext in each chunk but the last."""
MAX_CHUNKS: Final = 1 << 40
_MAGIC: Final = b"COOEEARC"
_VERSION: Final = 1
_BY_KEY: Final = 0
_BY_PASSPHRASE: Final = 1
_SALT: Final = 32
_TAG: Final = 16
_MAC: Final = 32
_FIXED: Final = len(_MAGIC) + 2 + _SALT
_COSTS: Final = struct.Struct(">IIB")


class WrongKey(CryptoError):
    """The key or passphrase is not the archive's; or its header was changed."""


class NotEnoughMemory(CryptoError):
    """The memory that an archive's passphrase takes is not there: up to 1 GiB, 64 MiB by default."""


class ArchiveKey(Key):
    """Opens one archive."""

    __slots__ = ()

    @classmethod
    def generate(cls, random: Random) -> Self:
        """Make a new key out of 32 random bytes."""
        return cls(random(KEY_BYTES))


class Costs(NamedTuple):
    """Argon2id's parameters. The default is the second choice of RFC 9106 §4: 64 MiB, three passes, four lanes."""

    memory_kib: int = 64 * 1024
    passes: int = 3
    lanes: int = 4

    def are_bearable(self) -> bool:
        """Tell whether an archive may ask for this: no more than 1 GiB, 16 passes, 16 lanes."""
        return 8 * self.lanes <= self.memory_kib <= 1 << 20 and 1 <= self.passes <= 16 and 1 <= self.lanes <= 16


class Passphrase:
    """What a person remembers. Not shown by ``repr``."""

    __slots__ = ("_octets",)

    def __init__(self, text: str) -> None:
        self._octets = unicodedata.normalize("NFC", text).encode("utf-8", "surrogatepass")

    def __repr__(self) -> str:
        return "<Passphrase>"

    def __reduce__(self) -> Never:
        raise TypeError("passphrases are not pickled")

    def derive(self, salt: bytes, costs: Costs) -> bytes:
        """Return 32 bytes; takes the time and memory that ``costs`` say.

        Raises:
            NotEnoughMemory: there is not as much.
        """
        try:
            return hash_secret_raw(
                self._octets,
                salt,
                time_cost=costs.passes,
                memory_cost=costs.memory_kib,
                parallelism=costs.lanes,
                hash_len=KEY_BYTES,
                type=Type.ID,
            )
        except HashingError:
            raise NotEnoughMemory("there is not enough memory for the passphrase of an archive") from None


DEFAULT_COSTS: Final = Costs()


class ArchiveWriter:
    """Writes one archive: `start`, `update` as often as there is something, `finish`.

    With a passphrase its making takes the time and memory of ``costs``.
    """

    def __init__(self, secret: ArchiveKey | Passphrase, random: Random, costs: Costs = DEFAULT_COSTS) -> None:
        salt = random(_SALT)
        by = _BY_KEY if isinstance(secret, ArchiveKey) else _BY_PASSPHRASE
        head = _MAGIC + bytes((_VERSION, by)) + salt
        if by == _BY_PASSPHRASE:
            if not costs.are_bearable():
                raise ValueError("such an archive would not be read")
            head += _COSTS.pack(*costs)
        mac_key, chunk_key = _keys(secret, salt, costs, head)
        self._header = head + hmac_sha256(mac_key, head)
        self._cipher = AESGCM(chunk_key)
        self._held = bytearray()
        self._number = 0

    def start(self) -> bytes:
        """Return the header."""
        return self._header

    def update(self, data: bytes) -> bytes:
        """Return the chunks that are full now; there may be none."""
        self._held += data
        out = bytearray()
        while len(self._held) > CHUNK:
            out += self._seal(bytes(self._held[:CHUNK]), last=False)
            del self._held[:CHUNK]
        return bytes(out)

    def finish(self) -> bytes:
        """Return the last chunk."""
        return self._seal(bytes(self._held), last=True)

    def _seal(self, chunk: bytes, *, last: bool) -> bytes:
        nonce = _nonce(self._number, last=last)
        self._number += 1
        return self._cipher.encrypt(nonce, chunk, None)


class ArchiveReader:
    """Reads one archive. What `update` returns is authentic and in its place; only `finish` tells that it is all.

    Raises (by `update` and `finish`):
        WrongKey: the key or passphrase is another one. UnsupportedVersion: a newer program wrote it.
        BadMessage: this is no archive, or it was changed, cut, reordered or continued. `NotEnoughMemory`.
    """

    def __init__(self, secret: ArchiveKey | Passphrase) -> None:
        self._secret = secret
        self._held = bytearray()
        self._cipher: AESGCM | None = None
        self._number = 0

    def update(self, data: bytes) -> bytes:
        """Return what can be read now. The first bytes of one with a passphrase take the time of its derivation."""
        self._held += data
        if self._cipher is None:
            self._cipher = self._begin()
            if self._cipher is None:
                return b""
        out = bytearray()
        while len(self._held) > CHUNK + _TAG:
            out += self._open(self._cipher, bytes(self._held[: CHUNK + _TAG]), last=False)
            del self._held[: CHUNK + _TAG]
        return bytes(out)

    def finish(self) -> bytes:
        """Return the rest, which must be the archive's end."""
        if self._cipher is None:
            raise BadMessage("an archive is cut off")
        if len(self._held) == _TAG and self._number:
            raise BadMessage("an archive has an empty end")
        rest = self._open(self._cipher, bytes(self._held), last=True)
        self._held.clear()
        return rest

    def _begin(self) -> AESGCM | None:
        """Read the header when all of it is there."""
        held = bytes(self._held[: _FIXED + _COSTS.size + _MAC])
        if not _MAGIC.startswith(held[: len(_MAGIC)]):
            raise BadMessage("this is no archive")
        if len(held) < _FIXED:
            return None
        version, by = held[len(_MAGIC)], held[len(_MAGIC) + 1]
        if version != _VERSION:
            raise UnsupportedVersion("an archive is of another version")
        if by != (_BY_KEY if isinstance(self._secret, ArchiveKey) else _BY_PASSPHRASE):
            raise BadMessage("an archive is locked in another way")
        end = _FIXED + (_COSTS.size if by == _BY_PASSPHRASE else 0)
        if len(held) < end + _MAC:
            return None
        costs = Costs(*_COSTS.unpack_from(held, _FIXED)) if by == _BY_PASSPHRASE else DEFAULT_COSTS
        if not costs.are_bearable():
            raise BadMessage("an archive asks for too much")
        mac_key, chunk_key = _keys(self._secret, held[len(_MAGIC) + 2 : _FIXED], costs, held[:end])
        if not equal(hmac_sha256(mac_key, held[:end]), held[end : end + _MAC]):
            raise WrongKey("an archive has another key or passphrase")
        del self._held[: end + _MAC]
        return AESGCM(chunk_key)

    def _open(self, cipher: AESGCM, chunk: bytes, *, last: bool) -> bytes:
        if len(chunk) < _TAG or self._number >= MAX_CHUNKS:
            raise BadMessage("an archive is cut off")
        try:
            plain = cipher.decrypt(_nonce(self._number, last=last), chunk, None)
        except InvalidTag:
            raise BadMessage("an archive was changed, cut or continued") from None
        self._number += 1
        return plain


def _keys(secret: ArchiveKey | Passphrase, salt: bytes, costs: Costs, head: bytes) -> tuple[bytes, bytes]:
    octets = bytes(secret) if isinstance(secret, ArchiveKey) else secret.derive(salt, costs)
    both = hkdf(octets, 2 * KEY_BYTES, salt=salt, info=b"cooee-v1 archive\x00" + head)
    return both[:KEY_BYTES], both[KEY_BYTES:]


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes((last,))
