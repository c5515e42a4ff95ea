"""Safety numbers: what two people compare to know that nobody stands between them (docs/e2ee.md, "Safety numbers").

Both sides compute the same 60 digits from both account keys and userIds: 30 digits a side, the smaller side first.
A side is SHA-512 iterated 5,200 times, so that searching for a key with similar digits costs as much:
h₀ = 00 01 ‖ key ‖ userId; hₙ = SHA-512(``cooee-v1 safety number`` ‖ 00 ‖ hₙ₋₁ ‖ key). Of the last, six times five bytes
give five digits each (big-endian, modulo 100,000). The QR text holds the first 32 bytes of both sides.
"""

from hashlib import sha512
from typing import Final, NamedTuple

from cooee.crypto.errors import BadMessage
from cooee.crypto.keys import AccountPublicKey
from cooee.crypto.primitives import equal
from cooee.domain import base64url

ITERATIONS: Final = 5_200
QR_PREFIX: Final = "cooee-safety:1:"
_LABEL: Final = b"cooee-v1 safety number\x00"
_VERSION: Final = b"\x00\x01"
_SIDE: Final = 32


class SafetyNumber(NamedTuple):
    """``digits``: 60 of them, the same for both. ``qr``: what this side shows, to be scanned by the other."""

    digits: str
    qr: str

    def grouped(self) -> str:
        """Return the digits in twelve groups of five."""
        return " ".join(self.digits[at : at + 5] for at in range(0, 60, 5))

    def matches(self, scanned: str) -> bool:
        """Tell whether the QR text of the other side says the same about both keys.

        Raises:
            BadMessage: this is no QR text of a safety number.
        """
        theirs = _sides(scanned)
        mine = _sides(self.qr)
        return equal(theirs[:_SIDE], mine[_SIDE:]) and equal(theirs[_SIDE:], mine[:_SIDE])


def safety_number(my_id: str, my_key: AccountPublicKey, their_id: str, their_key: AccountPublicKey) -> SafetyNumber:
    """Return the safety number between two accounts. Takes some milliseconds."""
    mine, theirs = _side(my_id, my_key), _side(their_id, their_key)
    digits = "".join(sorted((_digits(mine), _digits(theirs))))
    return SafetyNumber(digits, QR_PREFIX + base64url.encode(mine[:_SIDE] + theirs[:_SIDE]))


def _side(user_id: str, account_key: AccountPublicKey) -> bytes:
    key = bytes(account_key)
    value = _VERSION + key + user_id.encode()
    for _ in range(ITERATIONS):
        value = sha512(_LABEL + value + key).digest()
    return value


def _digits(side: bytes) -> str:
    return "".join(f"{int.from_bytes(side[at : at + 5], 'big') % 100_000:05d}" for at in range(0, 30, 5))


def _sides(text: str) -> bytes:
    try:
        both = base64url.decode(text.removeprefix(QR_PREFIX))
    except ValueError:
        both = b""
    if not text.startswith(QR_PREFIX) or len(both) != 2 * _SIDE:
        raise BadMessage("this is no safety number")
    return both
