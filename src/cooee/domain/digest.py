"""From what a device lacks to what it shows: one notification for a burst, with as much as settings allow."""

from base64 import urlsafe_b64encode
from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from cooee.domain.message import CONTENT_TEXT

TITLE = "Cooee"
NEW_MESSAGE = "New message"
KINDS = {"image": "Picture", "video": "Video", "audio": "Sound", "document": "File"}
"""What is shown of files without a preview."""
MAX_COUNT = 999
"""Counts beyond it are shown as ``999+``."""
FOR_EVER = -1
PREVIEW_BYTES = 200
DAY_MIN = 24 * 60
_MINUTE_MS = 60_000


class QuietHours(msgspec.Struct, frozen=True):
    """From when to when nothing is shown, in minutes after midnight, where it is ``offset_min`` later than in UTC.

    ``start`` after ``end``: over midnight. Both the same: never.
    """

    start: int
    end: int
    offset_min: int = 0

    def ends_at(self, now_ms: int) -> int | None:
        """Return when the quiet hours end (ms) that ``now_ms`` lies in; None when it lies in none."""
        minutes = now_ms // _MINUTE_MS + self.offset_min
        today = minutes % DAY_MIN
        length, since = (self.end - self.start) % DAY_MIN, (today - self.start) % DAY_MIN
        if since >= length:
            return None
        return (minutes + length - since - self.offset_min) * _MINUTE_MS


class NotificationSettings(msgspec.Struct, frozen=True):
    """A user's own choices: previews of texts, whether mentions are shown of muted chats, and quiet hours."""

    preview: bool = True
    mentions: bool = True
    quiet_hours: QuietHours | None = None


class Pending(msgspec.Struct, frozen=True):
    """What a device lacks in one conversation: ``count`` unread messages, of which these are facts of the newest.

    ``group`` is the group's name, empty in a direct chat; ``mentioned``: one of them mentions the user.
    """

    conversation_id: str
    sequence_number: int
    count: int
    sender: str
    group: str = ""
    preview: str = ""
    encrypted: bool = False
    mentioned: bool = False
    muted: bool = False
    content_type: str = CONTENT_TEXT


class Notice(msgspec.Struct, frozen=True):
    """What one device is to show. ``conversation_id`` and ``sequence_number``: where it leads; a digest: nowhere."""

    title: str
    body: str
    collapse_key: str
    conversation_id: str = ""
    sequence_number: int = 0


def is_muted(muted_until: int, now_ms: int) -> bool:
    """Tell whether a conversation is muted now: for ever, or until a time that has not come."""
    return muted_until == FOR_EVER or muted_until > now_ms


def is_heard(pending: Pending, settings: NotificationSettings) -> bool:
    """Tell whether the user is to be told: of a muted conversation only when he is mentioned in clear, and wants it."""
    if not pending.count:
        return False
    return not pending.muted or (settings.mentions and pending.mentioned and not pending.encrypted)


def collapse_key(user_id: str, conversation_id: str = "") -> str:
    """Return the name under which later notifications replace earlier ones; without a conversation that of a digest.

    22 characters of base64url. Who knows of whom it may be can find out by trying: it goes to the user's own devices,
    and to platforms that read what they carry.
    """
    name = f"{user_id}\0{conversation_id}".encode("utf-8", "surrogatepass")
    return urlsafe_b64encode(blake2b(name, digest_size=16).digest()).rstrip(b"=").decode()


def digest(user_id: str, pending: Sequence[Pending], settings: NotificationSettings) -> Notice | None:
    """Return the one notification for what a device lacks; None when nothing of it is to be shown."""
    heard = [one for one in pending if is_heard(one, settings)]
    if not heard:
        return None
    if len(heard) > 1:
        total = counted(sum(one.count for one in heard), "message")
        return Notice(TITLE, f"{total} from {counted(len(heard), 'conversation')}", collapse_key(user_id))
    (one,) = heard
    key = collapse_key(user_id, one.conversation_id)
    if one.count > 1:
        return Notice(
            one.group or one.sender, counted(one.count, "message"), key, one.conversation_id, one.sequence_number
        )
    title = f"{one.sender} in {one.group}" if one.group else one.sender
    body = ""
    if settings.preview:
        body = preview_of(one.preview) or KINDS.get(one.content_type, "")
    return Notice(title, body or NEW_MESSAGE, key, one.conversation_id, one.sequence_number)


def preview_of(text: str) -> str:
    """Return the beginning of a text as a notification shows it: on one line, at most 200 bytes of UTF-8."""
    line = " ".join(text[: 2 * PREVIEW_BYTES].split())
    if len(line.encode("utf-8", "replace")) <= PREVIEW_BYTES:
        return line
    room = PREVIEW_BYTES - len("…".encode())
    return line.encode("utf-8", "replace")[:room].decode("utf-8", "ignore").rstrip() + "…"


def counted(number: int, noun: str) -> str:
    """Return a count with its noun: ``1 message``, ``50 messages``, ``999+ messages``."""
    if number == 1:
        return f"1 {noun}"
    return f"{number if number < MAX_COUNT else f'{MAX_COUNT}+'} {noun}s"
