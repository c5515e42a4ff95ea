"""Identifiers: their forms, and the conversation ids that both sides derive alone (PROTOCOL.md §1)."""

import re
from typing import NamedTuple

from cooee.domain.errors import bad_frame

USER_ID = re.compile(r"[a-z0-9][a-z0-9_.-]{1,31}", re.ASCII)
DEVICE_ID = re.compile(r"[A-Za-z0-9_-]{1,32}", re.ASCII)
GROUP_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.ASCII)
CLIENT_MESSAGE_ID = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,64}")

SNOWFLAKE_EPOCH_MS = 1_735_689_600_000
"""2025-01-01T00:00:00Z; 41 bits of milliseconds reach into the year 2094."""
_POSITION_BITS = 22
_POSITION_MASK = (1 << _POSITION_BITS) - 1


class DeviceRef(NamedTuple):
    """One device of one account. A login makes a device; its id is never reused."""

    user_id: str
    device_id: str


def is_user_id(text: str) -> bool:
    """Tell whether ``text`` has the form of a userId."""
    return USER_ID.fullmatch(text) is not None


def is_client_message_id(text: str) -> bool:
    """Tell whether ``text`` may be a clientMessageId: 1 to 64 characters, no control characters."""
    return CLIENT_MESSAGE_ID.fullmatch(text) is not None


def direct_conversation_id(a: str, b: str) -> str:
    """Return ``dm:{a}:{b}`` with the two userIds in ascending order of their bytes."""
    return f"dm:{a}:{b}" if a <= b else f"dm:{b}:{a}"


def group_conversation_id(group_id: str) -> str:
    """Return ``group:{id}``."""
    return f"group:{group_id}"


def is_direct(conversation_id: str) -> bool:
    """Tell a direct chat from a group by its id, which must be valid."""
    return conversation_id.startswith("dm:")


def direct_members(conversation_id: str) -> tuple[str, str]:
    """Return the two userIds of a canonical direct conversation id.

    Raises:
        CooeeError: ``bad_frame`` when the id is not ``dm:{a}:{b}`` with valid ids in ascending order.
    """
    parts = conversation_id.split(":")
    if len(parts) != 3 or parts[0] != "dm" or not is_user_id(parts[1]) or not is_user_id(parts[2]):
        raise bad_frame("conversationId must be dm:{a}:{b} or group:{id}")
    if parts[1] > parts[2]:
        raise bad_frame("the userIds of a direct conversationId stand in ascending order")
    return parts[1], parts[2]


def check_conversation_id(conversation_id: str) -> None:
    """Refuse what is neither a canonical direct nor a group conversation id.

    Raises:
        CooeeError: ``bad_frame``.
    """
    if conversation_id.startswith("group:"):
        if GROUP_ID.fullmatch(conversation_id, 6) is None:
            raise bad_frame("conversationId must be dm:{a}:{b} or group:{id}")
    else:
        direct_members(conversation_id)


def snowflake(timestamp_ms: int, position: int, last: int) -> int:
    """Return the messageId of the log record at ``position``: 64 bits, larger than ``last``.

    A pure function of the record and of the conversation's last id, so that a replay makes the same one. When the
    clock steps back, the last id's millisecond is used again: the low bits, which are the position's, keep it unique.
    The message's timestamp is kept as it was read.
    """
    since = timestamp_ms - SNOWFLAKE_EPOCH_MS
    floor = last >> _POSITION_BITS
    if since < floor:  # noqa: PLR1730  # once a message, and max() costs thrice as much
        since = floor
    low = position & _POSITION_MASK
    candidate = (since << _POSITION_BITS) | low
    return candidate if candidate > last else ((since + 1) << _POSITION_BITS) | low


def uuid7_ms(text: str) -> int | None:
    """Return the time that a UUIDv7 in its usual form holds, in ms since the Unix epoch; None: it is none."""
    return int(text[:8] + text[9:13], 16) if _UUID7.fullmatch(text) else None


def uuid7(timestamp_ms: int, random_bits: int) -> str:
    """Return a UUIDv7 (RFC 9562 §5.7), the usual clientMessageId: time-ordered, 74 of ``random_bits`` used.

    Time and randomness are the caller's, so that the same arguments give the same id.
    """
    number = (timestamp_ms & ((1 << 48) - 1)) << 80
    number |= 0x7 << 76 | ((random_bits >> 62) & 0xFFF) << 64
    number |= 0b10 << 62 | (random_bits & ((1 << 62) - 1))
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
