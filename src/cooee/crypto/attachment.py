"""Files, encrypted in one pass (docs/e2ee.md, "Files").

A file is ``iv(16) ‖ AES-256-CBC ‖ HMAC-SHA-256(32)``, the MAC over iv and ciphertext, under a random key of its own:
32 bytes for the cipher, then 32 for the MAC. Before, zero bytes are put behind it up to a size that many files share.
Key, SHA-256 of the whole encrypted file, and the true size travel in the message's body.

**What is checked when.** `Opening.update` gives plaintext that *nothing* has vouched for yet: MAC and digest stand at
the end. Write it where nobody looks (a part file), call `finish`, and only when that returns give the file its name.
"""

import hmac
import math
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Final, NamedTuple, Self

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from cooee.crypto.errors import BadKey, BadMessage
from cooee.crypto.keys import Key
from cooee.crypto.primitives import Random, equal

LEAST_PADDED: Final = 541
"""The smallest padded size, in bytes."""
MAX_SIZE: Final = 2**53 - 1
_GROWTH: Final = 1.05
_SPARE: Final = 64 * 1024
_IV: Final = 16
_BLOCK: Final = 16
_MAC: Final = 32


class FileKey(Key):
    """Opens one file: 32 bytes for AES-256-CBC, 32 for HMAC-SHA-256."""

    __slots__ = ()
    SIZE = 64

    @classmethod
    def generate(cls, random: Random) -> Self:
        """Make a new key out of 64 random bytes."""
        return cls(random(cls.SIZE))

    def cipher(self) -> bytes:
        """Return the half that encrypts."""
        return self._encoded[:32]

    def mac(self) -> bytes:
        """Return the half that authenticates."""
        return self._encoded[32:]


class Sealed(NamedTuple):
    """The end of an encrypted file, and what the body says of all of it."""

    tail: bytes
    digest: bytes
    size: int
    """Bytes of the whole encrypted file."""


def padded_size(size: int) -> int:
    """Return what a file of ``size`` bytes is padded to: max(541, ⌊1.05^⌈log₁.₀₅ size⌉⌋), never below ``size``.

    Who opens a file does not compute it: the body tells the true size, and the rest is dropped.
    """
    if size <= LEAST_PADDED:
        return LEAST_PADDED
    exponent = math.ceil(math.log(size) / math.log(_GROWTH))
    return max(size, LEAST_PADDED, math.floor(_GROWTH**exponent))


def encrypted_size(size: int) -> int:
    """Return how many bytes a file of ``size`` bytes has when it is encrypted."""
    return _IV + (padded_size(size) // _BLOCK + 1) * _BLOCK + _MAC


class Sealing:
    """Encrypts one file of a known size: `update` as often as there is something, then `finish`."""

    def __init__(self, key: FileKey, size: int, random: Random) -> None:
        if not 0 <= size <= MAX_SIZE:
            raise ValueError("a file has no such size")
        self._iv = random(_IV)
        self._cipher = Cipher(algorithms.AES(key.cipher()), modes.CBC(self._iv)).encryptor()
        self._mac = hmac.new(key.mac(), digestmod="sha256")
        self._digest = sha256()
        self._size = size
        self._left = size
        self._missing = padded_size(size) - size
        self._out = 0

    def update(self, chunk: bytes) -> bytes:
        """Return the next encrypted bytes; there may be none.

        Raises:
            BadMessage: the file has more bytes than its size said.
        """
        if len(chunk) > self._left:
            raise BadMessage("a file is longer than its size")
        self._left -= len(chunk)
        return self._emit(self._cipher.update(chunk))

    def padding(self) -> Iterator[bytes]:
        """Yield encrypted padding in pieces of 64 KiB, all but the last. One byte in twenty of a large file is padding.

        Not needed: `finish` returns what was not taken here, at once.

        Raises:
            BadMessage: the file has fewer bytes than its size said.
        """
        self._check_whole()
        while self._missing > _SPARE:
            self._missing -= _SPARE
            yield self._emit(self._cipher.update(bytes(_SPARE)))

    def finish(self) -> Sealed:
        """Return the end, with padding and MAC.

        Raises:
            BadMessage: the file has fewer bytes than its size said.
        """
        tail = b"".join(self.padding())
        full = _BLOCK - padded_size(self._size) % _BLOCK
        end = bytes(self._missing) + bytes((full,)) * full
        tail += self._emit(self._cipher.update(end) + self._cipher.finalize())
        mac = self._mac.digest()
        self._digest.update(mac)
        return Sealed(tail + mac, self._digest.digest(), self._out + _MAC)

    def _check_whole(self) -> None:
        if self._left:
            raise BadMessage("a file is shorter than its size")

    def _emit(self, ciphertext: bytes) -> bytes:
        out = ciphertext if self._out else self._iv + ciphertext
        self._out += len(out)
        self._mac.update(out)
        self._digest.update(out)
        return out


def _nothing(_: bytes) -> bytes:
    return b""


class Opening:
    """Decrypts one file. Bounded: it takes no more bytes than a file of that size can have.

    Raises:
        BadKey: the digest is none.
    """

    def __init__(self, key: FileKey, digest: bytes, size: int) -> None:
        if len(digest) != 32:
            raise BadKey("a digest has the wrong length")
        self._key = key
        self._expected = digest
        self._mac = hmac.new(key.mac(), digestmod="sha256")
        self._digest = sha256()
        self._decrypt: Callable[[bytes], bytes] = _nothing
        self._held = bytearray()
        self._left = size
        self._room = encrypted_size(size) + size // 50 + 1024
        self._started = False

    def update(self, chunk: bytes) -> bytes:
        """Return the next bytes of the file, **not verified yet**.

        Raises:
            BadMessage: more bytes came than such a file can have.
        """
        self._room -= len(chunk)
        if self._room < 0:
            raise BadMessage("a file is longer than it can be")
        self._digest.update(chunk)
        self._held += chunk
        return self._plain(self._take())

    def finish(self) -> bytes:
        """Check digest, MAC and length of all that came, and return the last bytes.

        Raises:
            BadMessage: this is not the file that the message means, or it was cut, changed or made wrong.
        """
        if not equal(self._digest.digest(), self._expected):
            raise BadMessage("a file is not the one that was sent")
        if not self._started or len(self._held) != _BLOCK + _MAC:
            raise BadMessage("a file is cut off")
        self._mac.update(self._held[:_BLOCK])
        if not equal(self._mac.digest(), bytes(self._held[_BLOCK:])):
            raise BadMessage("a file is not authentic")
        last = self._decrypt(bytes(self._held[:_BLOCK]))
        padding = last[-1]
        if not 1 <= padding <= _BLOCK or last[-padding:] != bytes((padding,)) * padding:
            raise BadMessage("the padding is wrong")
        rest = self._plain(last[:-padding])
        if self._left:
            raise BadMessage("a file is shorter than its size")
        return rest

    def _take(self) -> bytes:
        """Decrypt whole blocks, and keep what may be the end: one block and the MAC."""
        if not self._started:
            if len(self._held) < _IV + _BLOCK + _MAC:
                return b""
            self._begin()
        whole = (len(self._held) - _MAC - _BLOCK) // _BLOCK * _BLOCK
        if whole <= 0:
            return b""
        blocks = bytes(self._held[:whole])
        del self._held[:whole]
        self._mac.update(blocks)
        return self._decrypt(blocks)

    def _begin(self) -> None:
        iv = bytes(self._held[:_IV])
        del self._held[:_IV]
        self._mac.update(iv)
        self._decrypt = Cipher(algorithms.AES(self._key.cipher()), modes.CBC(iv)).decryptor().update
        self._started = True

    def _plain(self, octets: bytes) -> bytes:
        """Drop what lies behind the file's true end."""
        plain = octets[: self._left]
        self._left -= len(plain)
        return plain
