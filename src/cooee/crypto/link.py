"""The code that links a new device (docs/e2ee.md, "Linking").

The new device shows it; an old device of the same account reads it from the screen. It says which published identity
key is the real one (16 bytes of its SHA-256), and holds a secret that proves to the new device that the answer comes
from somebody who saw its screen. It is good for ten minutes, which the new device enforces: it alone knows the start.

Packed: ``01 ‖ length ‖ userId ‖ length ‖ deviceId ‖ secret(16) ‖ fingerprint(16) ‖ check(3)``, check = the first
three bytes of SHA-256(``cooee-v1 link code`` ‖ 00 ‖ all before). As text: base32 (RFC 4648 §6) without padding in
groups of five; as QR: ``cooee-link:1:`` and base64url.
"""

import base64
import binascii
from hashlib import sha256
from typing import Final, NamedTuple

from cooee.crypto.errors import BadSignature, CryptoError
from cooee.crypto.keys import AccountPublicKey, IdentityPublicKey
from cooee.crypto.primitives import Random, equal, hmac_sha256
from cooee.domain import base64url
from cooee.domain.ids import DEVICE_ID, DeviceRef, is_user_id

LIFETIME_MS: Final = 10 * 60 * 1000
"""How long after making it a new device honours an answer to its code."""
QR_PREFIX: Final = "cooee-link:1:"
MAX_TEXT: Final = 400
"""Characters of a code that are looked at, groups and spaces included."""
_SECRET: Final = 16
_FINGERPRINT: Final = 16
_CHECK: Final = 3
_GROUP: Final = 5
_VERSION: Final = b"\x01"
_READ_AS: Final = str.maketrans({"0": "O", "1": "I", "8": "B", "-": "", " ": "", "\n": "", "\r": "", "\t": ""})


class BadLinkCode(CryptoError):
    """This is no link code, or it was mistyped."""


class LinkCode(NamedTuple):
    """Which device asks to be linked, how its key begins, and what proves that its screen was seen."""

    device: DeviceRef
    secret: bytes
    fingerprint: bytes

    def __repr__(self) -> str:
        return "<LinkCode>"

    def text(self) -> str:
        """Return it for typing, in groups of five capital letters and digits."""
        letters = base64.b32encode(_packed(self)).rstrip(b"=").decode()
        return "-".join(letters[at : at + _GROUP] for at in range(0, len(letters), _GROUP))

    def qr(self) -> str:
        """Return it for a QR code."""
        return QR_PREFIX + base64url.encode(_packed(self))

    def is_of(self, identity: IdentityPublicKey) -> bool:
        """Tell whether this is the identity key of the device that shows the code."""
        return equal(_fingerprint(identity), self.fingerprint)


def make(device: DeviceRef, identity: IdentityPublicKey, random: Random) -> LinkCode:
    """Make the code of a new device, out of 16 random bytes."""
    return LinkCode(device, random(_SECRET), _fingerprint(identity))


def parse(text: str) -> LinkCode:
    """Read either form of a code; of the typed one case, spaces and dashes do not matter, and 0, 1, 8 are O, I, B.

    Raises:
        BadLinkCode: it is none, or was mistyped.
    """
    if len(text) > MAX_TEXT:
        raise BadLinkCode("this is no link code")
    stripped = text.strip()
    try:
        if stripped.startswith(QR_PREFIX):
            packed = base64url.decode(stripped.removeprefix(QR_PREFIX))
        else:
            letters = stripped.upper().translate(_READ_AS)
            packed = base64.b32decode(letters + "=" * (-len(letters) % 8))
            if base64.b32encode(packed).rstrip(b"=").decode() != letters:
                raise BadLinkCode("this is no link code")
    except (ValueError, binascii.Error):
        raise BadLinkCode("this is no link code") from None
    return _unpacked(packed)


def prove(
    code: LinkCode, new: IdentityPublicKey, old_device: str, old: IdentityPublicKey, account: AccountPublicKey
) -> bytes:
    """Return the 32 bytes by which the old device shows that it saw the code: `linked`'s ``proof``.

    HMAC-SHA-256(secret, ``cooee-v1 linked`` ‖ 00 ‖ userId ‖ 00 ‖ new deviceId ‖ 00 ‖ old deviceId ‖ 00
    ‖ new identity key ‖ old identity key ‖ account key).
    """
    text = f"cooee-v1 linked\x00{code.device.user_id}\x00{code.device.device_id}\x00{old_device}\x00"
    return hmac_sha256(code.secret, text.encode() + bytes(new) + bytes(old) + bytes(account))


def check_proof(
    code: LinkCode,
    new: IdentityPublicKey,
    old_device: str,
    old: IdentityPublicKey,
    account: AccountPublicKey,
    proof: bytes,
) -> None:
    """Check the proof on the new device. ``account`` is that of the private key which came with it.

    Raises:
        BadSignature: whoever sent it did not see this code, or means other keys.
    """
    if not equal(prove(code, new, old_device, old, account), proof):
        raise BadSignature("a proof of linking does not fit")


def _fingerprint(identity: IdentityPublicKey) -> bytes:
    return sha256(bytes(identity)).digest()[:_FINGERPRINT]


def _packed(code: LinkCode) -> bytes:
    user, device = code.device.user_id.encode(), code.device.device_id.encode()
    body = b"%b%c%b%c%b%b%b" % (_VERSION, len(user), user, len(device), device, code.secret, code.fingerprint)
    return body + _check(body)


def _check(body: bytes) -> bytes:
    return sha256(b"cooee-v1 link code\x00" + body).digest()[:_CHECK]


def _unpacked(packed: bytes) -> LinkCode:
    body, check = packed[:-_CHECK], packed[-_CHECK:]
    if len(packed) < _CHECK or not equal(_check(body), check):
        raise BadLinkCode("a link code was mistyped")
    if body[:1] != _VERSION:
        raise BadLinkCode("a link code is of another version")
    user, rest = _string(body[1:])
    device, rest = _string(rest)
    if len(rest) != _SECRET + _FINGERPRINT or not is_user_id(user) or DEVICE_ID.fullmatch(device) is None:
        raise BadLinkCode("this is no link code")
    return LinkCode(DeviceRef(user, device), rest[:_SECRET], rest[_SECRET:])


def _string(octets: bytes) -> tuple[str, bytes]:
    length = octets[0] if octets else 0
    return octets[1 : 1 + length].decode("ascii", "replace"), octets[1 + length :]
