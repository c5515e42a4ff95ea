"""Key encapsulation as a suite sees it: which key, which encoding, which secret."""

from typing import Final, Protocol

from cooee.crypto.errors import BadMessage
from cooee.crypto.keys import KemPrivateKey, KemPublicKey

CIPHERTEXT_BYTES: Final = 1568
SECRET_BYTES: Final = 32


class Kem(Protocol):
    """A KEM over ML-KEM-1024 keys: the encodings are the suite's, and so is what becomes of the secret."""

    def encode_public(self, key: KemPublicKey) -> bytes:
        """Return the bytes that are published and signed (PQXDH's EncodeKEM)."""
        ...

    def decode_public(self, encoded: bytes) -> KemPublicKey:
        """Undo `encode_public`.

        Raises:
            BadKey: these bytes are no key.
        """
        ...

    def encapsulate(self, key: KemPublicKey) -> tuple[bytes, bytes]:
        """Return a fresh 32-byte secret and its encoded ciphertext. The randomness is the library's own."""
        ...

    def decapsulate(self, key: KemPrivateKey, ciphertext: bytes) -> bytes:
        """Return the secret. A forged ciphertext of the right length gives another one, never an error (FIPS 203 §6.3).

        Raises:
            BadMessage: the ciphertext has the wrong length or encoding.
        """
        ...


class MlKem1024:
    """Plain ML-KEM-1024 (FIPS 203): no wrapper, the secret as it comes."""

    def encode_public(self, key: KemPublicKey) -> bytes:
        """Return the 1568 bytes of the key."""
        return bytes(key)

    def decode_public(self, encoded: bytes) -> KemPublicKey:
        """Take 1568 bytes."""
        return KemPublicKey(encoded)

    def encapsulate(self, key: KemPublicKey) -> tuple[bytes, bytes]:
        """Return secret (32 bytes) and ciphertext (1568 bytes)."""
        return key.parsed().encapsulate()

    def decapsulate(self, key: KemPrivateKey, ciphertext: bytes) -> bytes:
        """Return the 32-byte secret."""
        if len(ciphertext) != CIPHERTEXT_BYTES:
            raise BadMessage("a KEM ciphertext has the wrong length")
        return key.parsed().decapsulate(ciphertext)
