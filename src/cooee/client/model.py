"""What an application sees: messages, conversations, and the account of a store."""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal

import msgspec

from cooee.client.e2ee.results import Letter, Sealed
from cooee.domain.ids import DeviceRef
from cooee.domain.message import (
    CONTENT_DELETED,
    CONTENT_ENCRYPTED,
    CONTENT_SYSTEM,
    CONTENT_TEXT,
    MEDIA_TYPES,
    UNCOUNTED_TYPES,
)
from cooee.domain.receipt import Watermark
from cooee.domain.reference import reference_of_stored
from cooee.protocol import frames

CONTENT_CONTROL = "control"
"""The content type of what an encrypted message says of others or of the conversation; never on the wire."""

CONTENT_UNSUPPORTED = "unsupported"
"""The content type of what says nothing here: a newer program wrote it, or it is malformed."""

TickStatus = Literal["sent", "delivered", "read", "failed"]


class Media(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """A file in a message (§18): what its sender says of it, and what the server found out.

    ``size`` in bytes; ``waveform`` in base64url without padding. ``thumbnail``: there is one, at the server, or of an
    encrypted file in ``picture``, a JPEG in base64url. ``key`` and ``digest`` open an encrypted file; they are secret.
    """

    media_key: str
    mime_type: str
    size: int
    filename: str | None = None
    caption: str | None = None
    width: int | None = None
    height: int | None = None
    duration_ms: int | None = None
    blurhash: str | None = None
    waveform: str | None = None
    thumbnail: bool = False
    picture: str = ""
    key: str = ""
    digest: str = ""

    @property
    def encrypted(self) -> bool:
        """Whether the file is encrypted end to end."""
        return bool(self.key)

    def __repr__(self) -> str:
        return f"Media({self.media_key}, {self.mime_type}, {self.size})"


class Message(msgspec.Struct, frozen=True, gc=False):
    """A numbered message (PROTOCOL.md §4). ``content`` is decoded JSON: a string for text, an object otherwise.

    ``encrypted``: it came end-to-end encrypted. ``problem``: why it cannot be read (yet); empty when it can be. What is
    said of other messages (reactions, edits, deletions) and of the conversation (the timer) has the content type
    ``control`` and its body as content; it is `hidden`, but for the timer.
    ``edited``: its sender changed its text since. ``reactions``: emoji by userId. ``expires_at``: when it is deleted
    here by itself, in ms since the Unix epoch; 0 for never, or, with ``expires_in`` (ms), not before it is read.
    ``reply_to``: the messageId of the message that it answers. An encrypted one names it by ``reply_reference``, the
    other message's `reference`; then ``reply_to`` is None for as long as the other is not held here.
    """

    conversation_id: str
    sequence_number: int
    message_id: str
    sender_id: str
    sender_device_id: str
    client_message_id: str
    timestamp: int
    content_type: str
    content: Any = None
    reply_to: str | None = None
    mentions: tuple[str, ...] = ()
    silent: bool = False
    envelope: str | None = None
    group_envelope: str | None = None
    roster_version: int | None = None
    device_list_hash: str | None = None
    media_keys: tuple[str, ...] = ()
    encrypted: bool = False
    problem: str = ""
    edited: bool = False
    reactions: Mapping[str, str] = {}
    expires_at: int = 0
    expires_in: int = 0
    reply_reference: str = ""

    @property
    def reference(self) -> str:
        """How encrypted bodies name this message (`domain.reference`); empty when they cannot."""
        return reference_of_stored(self.sender_id, self.sender_device_id, self.client_message_id, self.content_type)

    @property
    def text(self) -> str:
        """The text for people: the text itself, a caption, or empty."""
        if self.content_type == CONTENT_TEXT and isinstance(self.content, str):
            return self.content
        if isinstance(self.content, dict):
            caption = self.content.get("caption")
            return caption if isinstance(caption, str) else ""
        return ""

    @property
    def media(self) -> Media | None:
        """The file of the message; None when it has none. One that came in the clear has no key, whatever it says."""
        found = media_of(self.content_type, self.content)
        if found is not None and found.encrypted and not self.encrypted:
            return msgspec.structs.replace(found, key="", digest="", picture="")
        return found

    @property
    def event(self) -> str:
        """The event that a system message tells of; empty for any other message."""
        if self.content_type == CONTENT_SYSTEM and isinstance(self.content, dict):
            event = self.content.get("event")
            return event if isinstance(event, str) else ""
        return ""

    @property
    def control(self) -> str:
        """What kind of control it is: ``reaction``, ``edit``, ``delete``, ``timer``; empty for a message to be read."""
        if self.content_type == CONTENT_CONTROL and isinstance(self.content, dict):
            kind = self.content.get("kind")
            return kind if isinstance(kind, str) else ""
        return ""

    @property
    def hidden(self) -> bool:
        """Whether it is not to be shown itself: what it does shows in another message."""
        return self.content_type == CONTENT_CONTROL and self.control != "timer"

    @property
    def deleted(self) -> bool:
        """Whether the message was deleted for everyone."""
        return self.content_type == CONTENT_DELETED

    @property
    def counts_as_unread(self) -> bool:
        """Whether the message may stand in somebody's unread count (§7)."""
        return not self.silent and self.content_type not in UNCOUNTED_TYPES and self.content_type != CONTENT_CONTROL

    def sent_by(self, device: DeviceRef) -> bool:
        """Whether ``device`` itself sent the message, and no other device of the account."""
        return self.sender_id == device.user_id and self.sender_device_id == device.device_id

    def __repr__(self) -> str:
        return f"Message({self.conversation_id} {self.sequence_number}, {self.content_type} of {self.sender_id})"


def frame_of(message: Message) -> frames.MessageFrame:
    """Return the ``message`` frame that ``message`` was, as far as it was not opened."""
    return frames.MessageFrame(
        message.message_id,
        message.conversation_id,
        message.sequence_number,
        message.sender_id,
        message.sender_device_id,
        message.client_message_id,
        message.timestamp,
        message.content_type,
        msgspec.Raw(msgspec.json.encode(message.content)),
        message.reply_to,
        message.mentions,
        message.silent,
        message.envelope,
        message.group_envelope,
        message.roster_version,
        message.device_list_hash,
        message.media_keys,
    )


def media_of(content_type: str, content: Any) -> Media | None:
    """Return the file that ``content`` names; None when there is none. One not uploaded yet has no ``media_key``."""
    if content_type not in MEDIA_TYPES or not isinstance(content, dict):
        return None
    try:
        return msgspec.convert({"mediaKey": ""} | content, Media)
    except msgspec.ValidationError:
        return None


def message_of(frame: frames.MessageFrame) -> Message:
    """Return the message of a ``message`` frame; content that is no JSON counts as none.

    What only an opened body can be (`CONTENT_CONTROL`) is not taken from a frame: nobody would have signed for it.
    """
    content = None
    if not isinstance(frame.content, msgspec.UnsetType):
        with suppress(msgspec.DecodeError, RecursionError):
            content = msgspec.json.decode(frame.content)
    if frame.content_type == CONTENT_CONTROL:
        frame, content = msgspec.structs.replace(frame, content_type=CONTENT_UNSUPPORTED), None
    return Message(
        frame.conversation_id,
        frame.sequence_number,
        frame.message_id,
        frame.sender_id,
        frame.sender_device_id,
        frame.client_message_id,
        frame.timestamp,
        frame.content_type,
        content,
        frame.reply_to,
        frame.mentions,
        frame.silent,
        frame.envelope,
        frame.group_envelope,
        frame.roster_version,
        frame.device_list_hash,
        frame.media_keys,
    )


class Pending(msgspec.Struct, frozen=True, gc=False):
    """A message in the outbox: kept until its number is known.

    ``order`` is the order of writing; ``device_id`` names the device that may send it: the key of deduplication holds
    it, so no other device may. ``status`` is ``pending`` or ``failed``; then ``code`` and ``reason`` say why.
    ``body``: the JSON of `protocol.body` that is sent encrypted, empty for a plain message; ``content_type`` and
    ``content`` say what it is here. ``letter``: its encrypted form, made once. ``sealed``: for which devices it is
    readable, as long as the server agrees; not stored. ``media_keys``: its files. ``expires_in``: ms; 0 never.
    ``reply_reference``: see `Message`.
    """

    client_message_id: str
    conversation_id: str
    device_id: str
    created_at: int
    content_type: str
    content: Any
    order: int = 0
    reply_to: str | None = None
    mentions: tuple[str, ...] = ()
    silent: bool = False
    preview: str = ""
    status: Literal["pending", "failed"] = "pending"
    code: str = ""
    reason: str = ""
    body: str = ""
    letter: Letter | None = None
    sealed: Sealed | None = None
    media_keys: tuple[str, ...] = ()
    expires_in: int = 0
    reply_reference: str = ""

    @property
    def encrypted(self) -> bool:
        """Whether it is sent end-to-end encrypted."""
        return bool(self.body)

    @property
    def ready(self) -> bool:
        """Whether it may be sent as it is."""
        return not self.body or (self.letter is not None and self.sealed is not None)

    @property
    def text(self) -> str:
        """The text, when it is a text; the caption of a file."""
        if isinstance(self.content, dict):
            caption = self.content.get("caption")
            return caption if isinstance(caption, str) else ""
        return self.content if isinstance(self.content, str) else ""

    @property
    def media(self) -> Media | None:
        """The file of the message; None when it has none."""
        return media_of(self.content_type, self.content)

    def frame(self) -> frames.Send:
        """Return the ``send`` frame; every re-send of a plain message is the same. Call when `ready`."""
        if self.letter is not None and self.sealed is not None:
            return frames.Send(
                self.client_message_id,
                CONTENT_ENCRYPTED,
                msgspec.Raw(msgspec.json.encode(self.letter.content)),
                self.conversation_id,
                notification_preview=self.preview,
                silent=self.silent,
                envelopes=self.sealed.envelopes,
                group_envelope=self.sealed.group_envelope,
                roster_version=self.sealed.roster_version,
                device_list_hash=self.sealed.device_list_hash,
                media_keys=self.media_keys,
            )
        return frames.Send(
            self.client_message_id,
            self.content_type,
            msgspec.Raw(msgspec.json.encode(self.content)),
            self.conversation_id,
            notification_preview=self.preview,
            reply_to=self.reply_to,
            mentions=self.mentions,
            silent=self.silent,
        )

    def placed(self, me: DeviceRef, message_id: str, sequence_number: int, timestamp: int) -> Message:
        """Return the message that this became."""
        return Message(
            self.conversation_id,
            sequence_number,
            message_id,
            me.user_id,
            self.device_id,
            self.client_message_id,
            timestamp,
            self.content_type,
            self.content,
            self.reply_to,
            self.mentions,
            self.silent,
            media_keys=self.media_keys,
            encrypted=self.encrypted,
            expires_at=timestamp + self.expires_in if self.expires_in else 0,
            expires_in=self.expires_in,
            reply_reference=self.reply_reference,
        )

    def __repr__(self) -> str:
        return f"Pending({self.client_message_id} to {self.conversation_id}, {self.content_type}, {self.status})"


class ConversationView(msgspec.Struct, frozen=True):
    """One conversation as the local store knows it.

    ``position``: everything up to it is held here. ``head``: the newest number known to exist. ``unread`` is derived,
    and capped at 999. ``delivered_through``, ``read_through``: own messages up to there have the second, the blue tick.
    ``plain``: what this user writes in it is not encrypted. ``told_plain``: a member said that it is written in the
    clear; this user's messages are encrypted until he agrees. ``timer``: after how many ms it disappears once read; 0:
    never.
    """

    conversation_id: str
    kind: Literal["direct", "group"]
    title: str
    position: int
    head: int
    read: int
    unread: int
    muted_until: int
    pinned: bool
    archived: bool
    left: bool
    last: Message | None
    last_activity: int
    delivered_through: int
    read_through: int
    members: Mapping[str, Watermark]
    plain: bool = False
    timer: int = 0
    told_plain: bool = False


class HistoryPage(msgspec.Struct, frozen=True):
    """A page of history, ascending. ``complete``: nothing older exists for this device."""

    messages: tuple[Message, ...]
    complete: bool
    from_server: bool


class Account(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Whose store it is. ``token`` is empty after a log-out; the device id stays and is used at the next log-in.

    It is empty too when the token is kept elsewhere, in a keyring perhaps; ``token_digest`` tells that one then.
    ``bot``: it is a bot's, which reads and writes in the clear.
    """

    url: str
    user_id: str
    device_id: str
    token: str
    token_digest: str = ""
    bot: bool = False

    @property
    def me(self) -> DeviceRef:
        """The device."""
        return DeviceRef(self.user_id, self.device_id)

    @property
    def logged_in(self) -> bool:
        """Whether there is a token, here or elsewhere."""
        return bool(self.token or self.token_digest)

    def owns(self, token: str) -> bool:
        """Tell whether ``token`` is this account's, as far as that is known here."""
        return bool(token) and (token == self.token or _digest(token) == self.token_digest)

    def without_token(self) -> "Account":
        """Return the account as it is written when its token is kept elsewhere."""
        digest = _digest(self.token) if self.token else ""
        return Account(self.url, self.user_id, self.device_id, "", digest, self.bot)

    def __repr__(self) -> str:
        return f"Account({self.user_id}/{self.device_id} at {self.url})"


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
