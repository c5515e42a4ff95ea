"""The frames of wire protocol v1 (PROTOCOL.md §2–§9): one struct each, shared by server and client.

Client frames and server frames are two tagged unions. Field names here are snake case; on the wire they are camel case.
"""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

Number = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
"""A sequence number, a count or a time on the wire: no larger than what every JSON reader keeps exact."""


class _Frame(msgspec.Struct, tag_field="type", rename="camel", omit_defaults=True, frozen=True, gc=False):
    """Base of all frames: defaults are not sent, unknown fields are ignored."""


# --- client to server -------------------------------------------------------------------------------------------------


class Hello(_Frame, tag="hello", frozen=True):
    """The first frame of a connection (§2)."""

    token: str
    client: str = ""
    sync_token: str | None = None
    ref: str | None = None


class WireEnvelope(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """One device's part of an encrypted message, as the sender gives it (§3)."""

    user_id: str
    device_id: str
    content: str


class Send(_Frame, tag="send", frozen=True):
    """A message to send (§3). ``content`` stays raw JSON: it is validated, stored and passed on, never rebuilt."""

    client_message_id: str
    content_type: str
    content: msgspec.Raw
    conversation_id: str | None = None
    to: str | None = None
    ref: str | None = None
    notification_preview: str = ""
    reply_to: str | None = None
    mentions: tuple[str, ...] = ()
    silent: bool = False
    envelopes: tuple[WireEnvelope, ...] = ()
    group_envelope: str | None = None
    roster_version: Number | None = None
    device_list_hash: str | None = None
    media_keys: tuple[str, ...] = ()


class Received(_Frame, tag="received", frozen=True):
    """The device holds everything up to ``sequence_number`` (§4)."""

    conversation_id: str
    sequence_number: Number
    ref: str | None = None


class Read(_Frame, tag="read", frozen=True):
    """The user has read everything up to ``sequence_number`` (§4)."""

    conversation_id: str
    sequence_number: Number
    ref: str | None = None


class Fetch(_Frame, tag="fetch", frozen=True):
    """A page of history (§6): exactly one of ``after`` and ``before``, both exclusive; neither: the newest page."""

    conversation_id: str
    after: Number | None = None
    before: Number | None = None
    limit: Number = 50
    ref: str | None = None


class WatermarksQuery(_Frame, tag="watermarks", frozen=True):
    """Ask for the current watermarks of open chats (§7)."""

    conversation_ids: tuple[str, ...]
    ref: str | None = None


class PresenceSubscribe(_Frame, tag="presence.subscribe", frozen=True):
    """Replace the set of watched users (§7)."""

    user_ids: tuple[str, ...]
    ref: str | None = None


class PresenceUnsubscribe(_Frame, tag="presence.unsubscribe", frozen=True):
    """Watch nobody any more (§7)."""

    ref: str | None = None


class Typing(_Frame, tag="typing", frozen=True):
    """The user types or records (§7); from the server with ``user_id``."""

    conversation_id: str
    status: str
    kind: str | None = None
    user_id: str | None = None
    ref: str | None = None


class ToDeviceItem(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """One blob for one device (§9)."""

    user_id: str
    device_id: str
    content: str


class ToDeviceSend(_Frame, tag="to_device", frozen=True):
    """Blobs for devices (§9); the whole batch is stored or nothing."""

    client_message_id: str
    messages: tuple[ToDeviceItem, ...]
    ref: str | None = None


class ToDeviceReceived(_Frame, tag="to_device.received", frozen=True):
    """The device holds its blobs up to ``sequence_number`` (§9)."""

    sequence_number: Number
    ref: str | None = None


class Ping(_Frame, tag="ping", frozen=True):
    """Ask for a `Pong` (§2)."""

    ref: str | None = None


ClientFrame = (
    Hello
    | Send
    | Received
    | Read
    | Fetch
    | WatermarksQuery
    | PresenceSubscribe
    | PresenceUnsubscribe
    | Typing
    | ToDeviceSend
    | ToDeviceReceived
    | Ping
)


# --- server to client -------------------------------------------------------------------------------------------------


class Heartbeat(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """When the server asks for a sign of life, and how long it waits for one."""

    interval_ms: int = 30_000
    timeout_ms: int = 10_000


class WireLimits(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """What a client must know of the limits (§13)."""

    max_frame_bytes: int = 65_536
    max_content_bytes: int = 49_152
    window: int = 256
    max_page: int = 200
    max_presence_subscriptions: int = 500
    max_group_members: int = 500
    max_to_device_messages: int = 100
    max_to_device_bytes: int = 16_384
    large_group_members: int = 50
    content_types: tuple[str, ...] = ("text", "image", "video", "audio", "document", "encrypted")


class Welcome(_Frame, tag="welcome", frozen=True):
    """The answer to `Hello` (§2)."""

    user_id: str
    device_id: str
    connection_id: str
    server_id: str
    server_time: int
    heartbeat: Heartbeat
    limits: WireLimits
    ref: str | None = None


class Ack(_Frame, tag="ack", frozen=True):
    """What was asked is done; for `Send`: durable (§3). ``status`` is ``sent`` for messages, ``ok`` otherwise."""

    status: str
    ref: str | None = None
    client_message_id: str | None = None
    message_id: str | None = None
    conversation_id: str | None = None
    sequence_number: int | None = None
    timestamp: int | None = None


class Committed(_Frame, tag="committed", frozen=True):
    """The number of a message whose ack came without (§3, cluster)."""

    client_message_id: str
    conversation_id: str
    message_id: str
    sequence_number: int


class MessageFrame(_Frame, tag="message", frozen=True):
    """A message as members get it (§4), also in pages of history."""

    message_id: str
    conversation_id: str
    sequence_number: int
    sender_id: str
    sender_device_id: str
    client_message_id: str
    timestamp: int
    content_type: str
    content: msgspec.Raw | UnsetType = UNSET
    reply_to: str | None = None
    mentions: tuple[str, ...] = ()
    silent: bool = False
    envelope: str | None = None
    group_envelope: str | None = None
    roster_version: int | None = None
    device_list_hash: str | None = None
    media_keys: tuple[str, ...] = ()


class Receipt(_Frame, tag="receipt", frozen=True):
    """A watermark of one member, or (``scope`` "all") the minimum over a large group's members (§4)."""

    conversation_id: str
    status: str
    sequence_number: int
    user_id: str | None = None
    scope: str | None = None
    timestamp: int | None = None
    ref: str | None = None


class Skipped(_Frame, tag="skipped", frozen=True):
    """Numbers that do not exist for this device (§4)."""

    conversation_id: str
    from_: int = msgspec.field(name="from")
    through: int
    reason: str


class TimelineHint(_Frame, tag="timeline", frozen=True):
    """A large group has grown; fetch when it is opened (§5)."""

    conversation_id: str
    last_sequence_number: int


class CaughtUp(_Frame, tag="caught_up", frozen=True):
    """Everything that was missed at `Hello` has been delivered (§5)."""

    sync_token: str


class Messages(_Frame, tag="messages", frozen=True):
    """A page of history (§6)."""

    conversation_id: str
    messages: tuple[msgspec.Raw, ...]
    covered_from: int
    covered_through: int
    complete: bool
    ref: str | None = None


class MemberWatermark(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """One member's watermarks in snapshots and in `Watermarks`."""

    user_id: str
    delivered: int
    read: int


class ConversationWatermarks(msgspec.Struct, rename="camel", omit_defaults=True, frozen=True, gc=False):
    """The current watermarks of one conversation: per member, or for large groups the minimum over all."""

    conversation_id: str
    last_sequence_number: int
    received_sequence_number: int
    read_sequence_number: int
    members: tuple[MemberWatermark, ...] = ()
    delivered_by_all: int | None = None
    read_by_all: int | None = None


class Watermarks(_Frame, tag="watermarks", frozen=True):
    """The answer to `WatermarksQuery`; conversations the user is not in are left out."""

    items: tuple[ConversationWatermarks, ...]
    ref: str | None = None


class Presence(_Frame, tag="presence", frozen=True):
    """A watched user's state (§7); ``last_seen`` is missing for who may not see it."""

    user_id: str
    status: str
    last_seen: int | None = None


class ToDevice(_Frame, tag="to_device", frozen=True):
    """A blob for this device (§9)."""

    sequence_number: int
    sender_id: str
    sender_device_id: str
    content: str


class ConversationChanged(_Frame, tag="conversation", frozen=True):
    """The user's own state of a conversation changed (§5): ``conversation`` is a snapshot entry as in §7."""

    conversation: msgspec.Raw
    sync_token: str


class AccountChanged(_Frame, tag="account", frozen=True):
    """The user's own account changed: profile, privacy, contacts or blocks (§5)."""

    changed: str
    account: msgspec.Raw | UnsetType = UNSET
    sync_token: str = ""


class MediaSeen(_Frame, tag="media", frozen=True):
    """A file of the conversation was looked at (§18): what was found out, and whether there is a thumbnail."""

    conversation_id: str
    media_key: str
    thumbnail: bool = False
    width: int | None = None
    height: int | None = None
    duration_ms: int | None = None
    blurhash: str | None = None
    waveform: str | None = None


class Pong(_Frame, tag="pong", frozen=True):
    """The answer to `Ping`."""

    server_time: int
    ref: str | None = None


class Reconnect(_Frame, tag="reconnect", frozen=True):
    """Leave for another server after ``delay_ms`` (§10)."""

    reason: str
    delay_ms: int


class Error(_Frame, tag="error", frozen=True):
    """A refusal (§10). ``missing`` to ``device_list_hash`` go with ``mismatched_devices``."""

    code: str
    message: str
    retryable: bool
    ref: str | None = None
    client_message_id: str | None = None
    retry_after_ms: int | None = None
    missing: tuple[dict[str, Any], ...] = ()
    extra: tuple[dict[str, Any], ...] = ()
    roster_version: int | None = None
    device_list_hash: str | None = None


ServerFrame = (
    Welcome
    | Ack
    | Committed
    | MessageFrame
    | Receipt
    | Skipped
    | TimelineHint
    | CaughtUp
    | Messages
    | Watermarks
    | Presence
    | Typing
    | ToDevice
    | ConversationChanged
    | AccountChanged
    | MediaSeen
    | Pong
    | Reconnect
    | Error
)
