"""What a message to send must look like, before anybody asks where it goes (PROTOCOL.md §3)."""

import msgspec

from cooee.domain.errors import CooeeError, ErrorCode, bad_frame
from cooee.domain.ids import is_client_message_id, is_user_id
from cooee.domain.limits import Limits
from cooee.domain.message import CONTENT_TEXT, MEDIA_TYPES
from cooee.protocol.frames import Send
from cooee.protocol.media import media_content

CONTENT_TYPES: tuple[str, ...] = (CONTENT_TEXT, "image", "video", "audio", "document")
"""What this version takes; clients learn it from ``welcome.limits.contentTypes``."""

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
    elif frame.content_type in MEDIA_TYPES:
        media_content(frame.content_type, bytes(frame.content), limits.content_bytes)
    else:
        raise bad_frame(f"contentType must be one of: {', '.join(CONTENT_TYPES)}")
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
