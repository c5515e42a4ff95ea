"""What a message to send must look like, before anybody asks where it goes (PROTOCOL.md §3)."""

import re

import msgspec

from cooee.domain.errors import CooeeError, ErrorCode, bad_frame
from cooee.domain.ids import DEVICE_ID, is_client_message_id, is_user_id
from cooee.domain.limits import Limits
from cooee.domain.media import is_media_key
from cooee.domain.message import CONTENT_ENCRYPTED, CONTENT_TEXT, MEDIA_TYPES
from cooee.protocol.frames import Send
from cooee.protocol.media import media_content

CONTENT_TYPES: tuple[str, ...] = (CONTENT_TEXT, "image", "video", "audio", "document", CONTENT_ENCRYPTED)
"""What this version takes; clients learn it from ``welcome.limits.contentTypes``."""
MAX_ENVELOPE = 8_192
"""Characters of base64url in one envelope, or in the one of a group."""
MAX_MEDIA_KEYS = 20
"""Files that one encrypted message holds."""

_BASE64URL = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_HASH = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)

_MAX_ID_DIGITS = 20
_decode_string = msgspec.json.Decoder(str).decode


def check_send(frame: Send, limits: Limits) -> None:
    """Refuse a frame that no conversation could take.

    Raises:
        CooeeError: ``bad_frame``, or ``too_large`` when only the size is wrong.
    """
    if (frame.conversation_id is None) is (frame.to is None):
        raise bad_frame("give either conversationId or to")
    message_id = frame.client_message_id
    if not (0 < len(message_id) <= 64 and message_id.isascii() and message_id.isprintable()) and (
        not is_client_message_id(message_id)
    ):
        raise bad_frame("clientMessageId must have 1 to 64 characters and no control characters")
    if frame.content_type == CONTENT_TEXT:
        _check_text(bytes(frame.content), limits.content_bytes)
    elif frame.content_type == CONTENT_ENCRYPTED:
        _check_encrypted(frame, limits)
        return
    else:
        _check_media(frame, limits)
    if frame.notification_preview:
        _check_preview(frame.notification_preview, limits.preview_bytes)
    if frame.reply_to is not None and not _is_message_id(frame.reply_to):
        raise bad_frame("replyTo must be a messageId: a decimal number in a string")
    if frame.mentions:
        _check_mentions(frame.mentions, limits.mentions)
    if frame.envelopes or frame.media_keys or frame.group_envelope is not None:
        raise bad_frame(f"envelopes, groupEnvelope and mediaKeys do not go with contentType {frame.content_type}")
    if frame.roster_version is not None or frame.device_list_hash is not None:
        raise bad_frame(f"rosterVersion and deviceListHash do not go with contentType {frame.content_type}")


def _check_media(frame: Send, limits: Limits) -> None:
    if frame.content_type not in MEDIA_TYPES:
        raise bad_frame(f"contentType must be one of: {', '.join(CONTENT_TYPES)}")
    media_content(frame.content_type, bytes(frame.content), limits.content_bytes)


def _check_text(content: bytes, limit: int) -> None:
    """Refuse what is no JSON string in UTF-8, is empty, or is larger than ``limit`` bytes once unescaped."""
    if content[0] != 0x22:
        raise bad_frame("content of contentType text must be a string")
    if len(content) == 2:
        raise bad_frame("content must not be empty")
    if not content.isascii():
        try:
            content.decode()
        except UnicodeDecodeError:
            raise bad_frame("content must be valid UTF-8") from None
    if len(content) - 2 > limit and _unescaped_size(content) > limit:
        raise CooeeError(ErrorCode.TOO_LARGE, f"content must have at most {limit} bytes")


def _check_encrypted(frame: Send, limits: Limits) -> None:
    """Refuse what is no encrypted message by its shape (§15); whom it must be for is not looked at here."""
    content = bytes(frame.content)
    if content[0] != 0x22 or not is_base64url(content[1:-1].decode("ascii", "replace")):
        raise bad_frame("content of contentType encrypted must be base64url without padding")
    if len(content) - 2 > limits.content_bytes:
        raise CooeeError(ErrorCode.TOO_LARGE, f"content must have at most {limits.content_bytes} bytes")
    if frame.reply_to is not None or frame.mentions:
        raise bad_frame("replyTo and mentions of an encrypted message stand inside it")
    if frame.notification_preview:
        _check_preview(frame.notification_preview, limits.preview_bytes)
    keys = frame.media_keys
    if len(keys) > MAX_MEDIA_KEYS or len(set(keys)) != len(keys) or not all(map(is_media_key, keys)):
        raise bad_frame(f"mediaKeys names at most {MAX_MEDIA_KEYS} files, each once")
    if (frame.conversation_id or "").startswith("group:"):
        _check_for_group(frame)
    else:
        _check_for_devices(frame, 2 * limits.devices_per_user)


def _check_for_group(frame: Send) -> None:
    if frame.envelopes:
        raise bad_frame("envelopes go with direct chats; a group has one groupEnvelope")
    if frame.group_envelope is None or frame.roster_version is None or frame.device_list_hash is None:
        raise bad_frame("an encrypted message to a group needs groupEnvelope, rosterVersion and deviceListHash")
    _check_envelope(frame.group_envelope)
    if _HASH.fullmatch(frame.device_list_hash) is None:
        raise bad_frame("deviceListHash must be base64url of 32 bytes")


def _check_for_devices(frame: Send, most: int) -> None:
    if frame.group_envelope is not None or frame.roster_version is not None or frame.device_list_hash is not None:
        raise bad_frame("groupEnvelope, rosterVersion and deviceListHash go with groups")
    devices = set()
    for envelope in frame.envelopes:
        if not is_user_id(envelope.user_id) or DEVICE_ID.fullmatch(envelope.device_id) is None:
            raise bad_frame("userId and deviceId of an envelope must name a device")
        _check_envelope(envelope.content)
        devices.add((envelope.user_id, envelope.device_id))
    if len(devices) != len(frame.envelopes):
        raise bad_frame("each device has one envelope")
    if len(devices) > most:
        raise bad_frame(f"envelopes are for at most {most} devices")


def _check_envelope(content: str) -> None:
    if not is_base64url(content):
        raise bad_frame("an envelope must be base64url without padding")
    if len(content) > MAX_ENVELOPE:
        raise CooeeError(ErrorCode.TOO_LARGE, f"an envelope must have at most {MAX_ENVELOPE} characters")


def is_base64url(text: str) -> bool:
    """Tell whether ``text`` may be bytes in base64url without padding; one byte at least."""
    return len(text) % 4 != 1 and _BASE64URL.fullmatch(text) is not None


def _unescaped_size(content: bytes) -> int:
    return len(_decode_string(content).encode())


def _check_preview(preview: str, limit: int) -> None:
    if len(preview.encode()) > limit:
        raise CooeeError(ErrorCode.TOO_LARGE, f"notificationPreview must have at most {limit} bytes")


def _is_message_id(text: str) -> bool:
    return 0 < len(text) <= _MAX_ID_DIGITS and text.isascii() and text.isdigit()


def _check_mentions(mentions: tuple[str, ...], limit: int) -> None:
    if len(mentions) > limit:
        raise bad_frame(f"mentions names at most {limit} users")
    if not all(is_user_id(user_id) for user_id in mentions):
        raise bad_frame("mentions must be userIds")
