"""The body of a message, encrypted once for everybody (docs/e2ee.md, "Messages").

Each message has a fresh key K. ``content`` is ``01 ‖ iv(16) ‖ AES-256-CBC ‖ HMAC-SHA-256(32)``, encrypt-then-MAC: with
a full HMAC nobody can make one ciphertext that opens to two texts under two keys. Conversation, sender and
clientMessageId are bound by both key derivation and MAC, so nothing can be moved to another place.

Keys are HKDF-SHA-256(K, info = ``cooee-v1 content keys`` ‖ 00 ‖ place), 32 bytes for the cipher, then 32 for the MAC;
place = SHA-256(``cooee-v1 content`` ‖ 00 ‖ conversationId ‖ 00 ‖ userId ‖ 00 ‖ deviceId ‖ 00 ‖ clientMessageId ‖ 00).
"""

from hashlib import sha256
from typing import Final, Self

from cooee.crypto.errors import BadMessage, UnsupportedVersion
from cooee.crypto.keys import Key
from cooee.crypto.primitives import KEY_BYTES, Random, decrypt_cbc, encrypt_cbc, equal, hkdf, hmac_sha256
from cooee.domain.ids import DeviceRef

VERSION: Final = 1
PADDED_TO: Final = 160
"""Ciphertexts are multiples of this many bytes, so that the length of a short text does not show."""
MAX_CONTENT_BYTES: Final = 48 * 1024 * 3 // 4
"""Longest content: in base64url it fits into a message of 48 KiB."""
_IV: Final = 16
_MAC: Final = 32
_DIGEST: Final = 32
_LEAST: Final = 1 + _IV + PADDED_TO + _MAC
MAX_BODY_BYTES: Final = (MAX_CONTENT_BYTES - 1 - _IV - _MAC) // PADDED_TO * PADDED_TO - 2
"""Longest body that can be sealed. `protocol.body` stays below it."""
PAYLOAD_BYTES: Final = KEY_BYTES + _DIGEST
"""Length of what an envelope carries."""


class ContentKey(Key):
    """K: opens one message. Who deletes it has deleted the message."""

    __slots__ = ()

    @classmethod
    def generate(cls, random: Random) -> Self:
        """Make a new key out of 32 random bytes."""
        return cls(random(KEY_BYTES))


def seal_body(
    key: ContentKey, body: bytes, conversation_id: str, sender: DeviceRef, client_message_id: str, random: Random
) -> bytes:
    """Return the content of a message; 16 random bytes are used. A key is for one body.

    Raises:
        BadMessage: the body has more than ``MAX_BODY_BYTES``.
    """
    if len(body) > MAX_BODY_BYTES:
        raise BadMessage("a body is too long")
    place = _place(conversation_id, sender, client_message_id)
    cipher_key, mac_key = _keys(key, place)
    iv = random(_IV)
    padded = body + b"\x80"
    padded += bytes(-(len(padded) + 1) % PADDED_TO)  # the cipher's own padding adds one byte more
    sealed = bytes((VERSION,)) + iv + encrypt_cbc(cipher_key, iv, padded)
    return sealed + hmac_sha256(mac_key, place + sealed)


def open_body(
    key: ContentKey, content: bytes, conversation_id: str, sender: DeviceRef, client_message_id: str
) -> bytes:
    """Return the body.

    Raises:
        BadMessage: not made with this key for this place, or malformed. `UnsupportedVersion`: made by a newer program.
    """
    if content and content[0] != VERSION:
        raise UnsupportedVersion("content is of another version")
    if not _LEAST <= len(content) <= MAX_CONTENT_BYTES or (len(content) - _LEAST) % PADDED_TO:
        raise BadMessage("content has no length that content has")
    place = _place(conversation_id, sender, client_message_id)
    cipher_key, mac_key = _keys(key, place)
    if not equal(hmac_sha256(mac_key, place + content[:-_MAC]), content[-_MAC:]):
        raise BadMessage("content is not authentic")
    padded = decrypt_cbc(cipher_key, content[1 : 1 + _IV], content[1 + _IV : -_MAC])
    body, mark, rest = padded.rpartition(b"\x80")
    if not mark or rest.strip(b"\x00") or len(rest) >= PADDED_TO:
        raise BadMessage("the padding is wrong")
    return body


def envelope_payload(key: ContentKey, content: bytes) -> bytes:
    """Return what envelopes carry, ``K ‖ SHA-256(content)``: who opens one knows which content was meant."""
    return bytes(key) + sha256(content).digest()


def key_for(payload: bytes, content: bytes) -> ContentKey:
    """Return the key that an envelope's ``payload`` carries for ``content``.

    Raises:
        BadMessage: the payload is malformed, or belongs to another content.
    """
    if len(payload) != PAYLOAD_BYTES:
        raise BadMessage("an envelope's payload has the wrong length")
    if not equal(payload[KEY_BYTES:], sha256(content).digest()):
        raise BadMessage("an envelope belongs to another content")
    return ContentKey(payload[:KEY_BYTES])


def _place(conversation_id: str, sender: DeviceRef, client_message_id: str) -> bytes:
    text = f"cooee-v1 content\x00{conversation_id}\x00{sender.user_id}\x00{sender.device_id}\x00{client_message_id}\x00"
    return sha256(text.encode()).digest()


def _keys(key: ContentKey, place: bytes) -> tuple[bytes, bytes]:
    both = hkdf(bytes(key), 2 * KEY_BYTES, info=b"cooee-v1 content keys\x00" + place)
    return both[:KEY_BYTES], both[KEY_BYTES:]
