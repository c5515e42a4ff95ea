"""What happens, as an application gets it from ``client.events()``. Emitted only after the local store has it."""

from typing import Literal

import msgspec

from cooee.client.model import ConversationView, Message, TickStatus


class MessageDeleted(msgspec.Struct, frozen=True, gc=False):
    """A message was deleted for everyone; its number stays."""

    conversation_id: str
    sequence_number: int
    by: str


class TickChanged(msgspec.Struct, frozen=True, gc=False):
    """Ticks of own messages changed; they never go back.

    ``sent`` and ``failed`` are about the one message ``client_message_id`` (``failed``: ``code`` and ``reason`` say
    why). ``delivered`` and ``read`` hold for every own message of the conversation up to ``sequence_number``.
    """

    conversation_id: str
    status: TickStatus
    sequence_number: int | None = None
    client_message_id: str | None = None
    code: str | None = None
    reason: str | None = None


class Typing(msgspec.Struct, frozen=True, gc=False):
    """Somebody types (``started``) or stopped; it stops by itself after 6 s. ``kind``: ``recording``."""

    conversation_id: str
    user_id: str
    status: Literal["started", "stopped"]
    kind: str | None = None


class Presence(msgspec.Struct, frozen=True, gc=False):
    """A watched user came or went; ``last_seen`` (ms) is None for who may not see it."""

    user_id: str
    status: str
    last_seen: int | None = None


class ConnectionState(msgspec.Struct, frozen=True, gc=False):
    """How the connection stands. ``waiting``: the next try is in ``retry_in_ms``; ``stopped``: there is none."""

    state: Literal["connecting", "catching_up", "online", "waiting", "stopped"]
    transport: Literal["websocket", "longpoll", ""] = ""
    retry_in_ms: int = 0
    reason: str = ""


class ConversationUpdated(msgspec.Struct, frozen=True, gc=False):
    """A conversation changed: new messages, read elsewhere, flags, title, members."""

    conversation: ConversationView


class AccountUpdated(msgspec.Struct, frozen=True, gc=False):
    """The own account changed on another device: ``changed`` is profile, privacy, contacts, blocks or devices."""

    changed: str


class MediaUpdated(msgspec.Struct, frozen=True, gc=False):
    """The server looked at a file of the conversation; its messages in the store say so from now on (§18).

    ``thumbnail``: there is one. ``waveform``: base64url without padding.
    """

    conversation_id: str
    media_key: str
    thumbnail: bool = False
    width: int | None = None
    height: int | None = None
    duration_ms: int | None = None
    blurhash: str | None = None
    waveform: str | None = None


class ToDevice(msgspec.Struct, frozen=True, gc=False):
    """A blob for this device (PROTOCOL.md §9)."""

    sequence_number: int
    sender_id: str
    sender_device_id: str
    content: str


class MessageUpdated(msgspec.Struct, frozen=True, gc=False):
    """A message that was told before is another now: readable at last, edited, reacted to, or gone (expired)."""

    message: Message


class KeyChanged(msgspec.Struct, frozen=True, gc=False):
    """A user has another account key than before: he began anew, or somebody stands between.

    ``verified``: his former key was verified; nothing is sent to him until `Client.accept_key`.
    """

    user_id: str
    verified: bool


class EncryptionChanged(msgspec.Struct, frozen=True, gc=False):
    """A conversation is written in another way from here on; ``by`` said so.

    ``plain``: by others; this user's messages stay encrypted until he agrees (`Client.set_mode`). The server alone says
    who set it.
    """

    conversation_id: str
    mode: Literal["plain", "encrypted"]
    by: str


class DeviceLinked(msgspec.Struct, frozen=True, gc=False):
    """A device of the own account was linked: this one, or another."""

    device_id: str


class DeviceUnlinked(msgspec.Struct, frozen=True, gc=False):
    """A device of the own account is not linked any more: this one (it can send nothing encrypted), or another."""

    device_id: str


class LinkNeeded(msgspec.Struct, frozen=True, gc=False):
    """The account has other devices, and this one is not linked: `Client.link_code`, or `Client.start_anew`."""


class EncryptionProblem(msgspec.Struct, frozen=True, gc=False):
    """Something that a person may have to know.

    ``code``: ``list_refused``, ``wrong_password``, ``link_failed`` or ``internal``.
    """

    code: str
    text: str
    user_id: str = ""


class SetupProgress(msgspec.Struct, frozen=True, gc=False):
    """How far it is with getting ready to write to a conversation: devices done, of all that take part.

    Of the archive that a newly linked device gets, ``conversation_id`` is empty, and it is about bytes.
    """

    conversation_id: str
    done: int
    total: int


Event = (
    Message
    | MessageDeleted
    | TickChanged
    | Typing
    | Presence
    | ConnectionState
    | ConversationUpdated
    | AccountUpdated
    | MediaUpdated
    | ToDevice
    | MessageUpdated
    | KeyChanged
    | EncryptionChanged
    | DeviceLinked
    | DeviceUnlinked
    | LinkNeeded
    | EncryptionProblem
    | SetupProgress
)
