"""The primitives: HKDF, HMAC, AES-CBC, X25519's public values, XEdDSA, comparison. Bytes in, bytes out.

Nothing here keeps a state or chooses a label. Randomness is an argument.
"""

import hmac
from collections.abc import Callable
from typing import Final, TypeAlias

import xeddsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from cooee.crypto.errors import BadKey, BadMessage, BadSignature

Random: TypeAlias = Callable[[int], bytes]
"""Gives that many bytes of secure randomness; ``secrets.token_bytes`` outside of tests."""

KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
_HASH_BYTES: Final = 32
_BLOCK: Final = 16

_P: Final = 2**255 - 19
_LOW_ORDER: Final = frozenset(
    {
        0,
        1,
        _P - 1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
    }
)
"""The canonical u-coordinates whose exchange gives zero with every private key (curve and twist)."""


_D: Final = -121665 * pow(121666, -1, _P) % _P
_LOW_ORDER_Y: Final = frozenset(
    {
        0,
        1,
        _P - 1,
        2707385501144840649318225287225658788936804267575313519463743609750303402022,
        55188659117513257062467267217118295137698188065244968500265048394206261417927,
    }
)
"""The y-coordinates of the points of order 1, 2, 4 and 8 on edwards25519: under such a key anybody can sign."""


def hmac_sha256(key: bytes, data: bytes) -> bytes:
    """Return the 32-byte HMAC-SHA-256 (RFC 2104)."""
    return hmac.digest(key, data, "sha256")


def hkdf(secret: bytes, length: int, *, salt: bytes = b"", info: bytes = b"") -> bytes:
    """Return ``length`` bytes of HKDF-SHA-256 (RFC 5869), at most 8160. An empty salt is 32 zero bytes (§2.2).

    Raises:
        ValueError: ``length`` is not in 0…8160.
    """
    if not 0 <= length <= 255 * _HASH_BYTES:
        raise ValueError("HKDF gives 0 to 8160 bytes")
    pseudo_random_key = hmac.digest(salt or bytes(_HASH_BYTES), secret, "sha256")
    block, result, count = b"", b"", 0
    while len(result) < length:
        count += 1
        block = hmac.digest(pseudo_random_key, b"%b%b%c" % (block, info, count), "sha256")
        result += block
    return result[:length]


def equal(one: bytes, other: bytes) -> bool:
    """Compare in a time that does not depend on where they differ (it does on their lengths)."""
    return hmac.compare_digest(one, other)


def encrypt_cbc(key: bytes, iv: bytes, plaintext: bytes) -> bytes:
    """Return AES-256-CBC of ``plaintext`` with PKCS #7 padding (RFC 5652 §6.3). Not authenticated.

    Raises:
        BadKey: key is not 32 bytes or iv not 16.
    """
    if len(key) != KEY_BYTES or len(iv) != _BLOCK:
        raise BadKey("a cipher key or vector has the wrong length")
    padding = _BLOCK - len(plaintext) % _BLOCK
    cipher = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return cipher.update(plaintext + bytes((padding,)) * padding) + cipher.finalize()


def decrypt_cbc(key: bytes, iv: bytes, ciphertext: bytes) -> bytes:
    """Undo `encrypt_cbc`. To be called only after the MAC was verified: the padding check is not constant in time.

    Raises:
        BadKey: key is not 32 bytes or iv not 16.
        BadMessage: length or padding is wrong.
    """
    if len(key) != KEY_BYTES or len(iv) != _BLOCK:
        raise BadKey("a cipher key or vector has the wrong length")
    if not ciphertext or len(ciphertext) % _BLOCK:
        raise BadMessage("the ciphertext is not whole blocks")
    cipher = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
    padded = cipher.update(ciphertext) + cipher.finalize()
    padding = padded[-1]
    if not 1 <= padding <= _BLOCK or padded[-padding:] != bytes((padding,)) * padding:
        raise BadMessage("the padding is wrong")
    return padded[:-padding]


def check_u(encoded: bytes) -> None:
    """Refuse a public X25519 value that RFC 7748 §5 and §6.1 would let through but nobody generates.

    Raises:
        BadKey: not 32 bytes, not below p (or the top bit is set), or of low order.
    """
    if len(encoded) != KEY_BYTES:
        raise BadKey("a public key has the wrong length")
    u = int.from_bytes(encoded, "little")
    if u >= _P:
        raise BadKey("a public key is not canonical")
    if u in _LOW_ORDER:
        raise BadKey("a public key is of low order")


def check_edwards(encoded: bytes) -> None:
    """Refuse a public Ed25519 key that RFC 8032 §5.1.3 cannot decode, or under which signatures mean nothing.

    Raises:
        BadKey: not 32 bytes, not canonical, no point of the curve, or of low order.
    """
    if len(encoded) != KEY_BYTES:
        raise BadKey("a public key has the wrong length")
    y = int.from_bytes(encoded, "little") & (1 << 255) - 1
    if y >= _P:
        raise BadKey("a public key is not canonical")
    if y in _LOW_ORDER_Y:
        raise BadKey("a public key is of low order")
    square = y * y
    if pow((square - 1) * (_D * square + 1) % _P, (_P - 1) // 2, _P) != 1:
        raise BadKey("a public key is no point")


def clamp(scalar: bytes) -> bytes:
    """Return the scalar that X25519 really uses (RFC 7748 §5, decodeScalar25519)."""
    return bytes((scalar[0] & 248,)) + scalar[1:31] + bytes((scalar[31] & 127 | 64,))


def sign_xeddsa(private: bytes, message: bytes, random: Random) -> bytes:
    """Return the 64-byte XEdDSA signature of ``message`` by an X25519 private key (XEdDSA §3.4).

    Uses 64 bytes of randomness, so two signatures of the same differ.
    """
    even = xeddsa.priv_force_sign(clamp(private), set_sign_bit=False)
    return xeddsa.ed25519_priv_sign(even, message, random(64))


def verify_xeddsa(public: bytes, message: bytes, signature: bytes) -> None:
    """Check an XEdDSA signature against the X25519 public key (XEdDSA §3.4).

    Raises:
        BadSignature: it does not fit, or is not 64 bytes.
        BadKey: the key is no canonical public key.
    """
    check_u(public)
    if len(signature) != SIGNATURE_BYTES:
        raise BadSignature("a signature has the wrong length")
    point = xeddsa.curve25519_pub_to_ed25519_pub(public, set_sign_bit=False)
    if not xeddsa.ed25519_verify(signature, point, message):
        raise BadSignature("a signature does not fit")
