"""What is written to the log, and what it becomes once it has a number."""

import msgspec

CONTENT_TEXT = "text"
CONTENT_ENCRYPTED = "encrypted"
CONTENT_SYSTEM = "system"
CONTENT_DELETED = "deleted"
MEDIA_TYPES = frozenset({"image", "video", "audio", "document"})
UNCOUNTED_TYPES = frozenset({CONTENT_SYSTEM, CONTENT_DELETED})
"""Content types that stand in no unread count and cause no push."""

EMPTY_BODY = b"{}"


DedupKey = tuple[str, str, str, str]
"""(conversationId, senderId, deviceId, clientMessageId): what a record and all its re-sends share."""


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """The part of an encrypted message that is for one device only (opaque base64url)."""

    user_id: str
    device_id: str
    content: str


class LogRecord(msgspec.Struct, frozen=True, gc=False):
    """One record of the message log: accepted, not yet numbered.

    ``body`` is a JSON object with the fields that go to members as they are (``content``, ``replyTo``, ``mentions`` …).
    ``timestamp`` (ms) is read once, when the record is accepted; every later decision uses it and never a clock.
    ``erases`` is the sequence number whose content and envelopes this record removes for everyone, or 0.
    ``preview`` is the text for a push notification; it goes to nobody else.
    ``media`` are the objects that the message holds: what it holds is not collected (`ports.media`).
    """

    conversation_id: str
    sender_id: str
    device_id: str
    client_message_id: str
    timestamp: int
    content_type: str
    body: bytes
    silent: bool = False
    erases: int = 0
    preview: str = ""
    envelopes: tuple[Envelope, ...] = ()
    media: tuple[str, ...] = ()

    @property
    def dedup_key(self) -> "DedupKey":
        """Names the record among all re-sends (PROTOCOL.md §1)."""
        return (self.conversation_id, self.sender_id, self.device_id, self.client_message_id)


class Message(msgspec.Struct, frozen=True, gc=False):
    """A numbered message, as stored in the timeline and given to members."""

    conversation_id: str
    sequence_number: int
    message_id: int
    sender_id: str
    device_id: str
    client_message_id: str
    timestamp: int
    content_type: str
    body: bytes
    silent: bool = False
    preview: str = ""
    envelopes: tuple[Envelope, ...] = ()

    @property
    def counts_as_unread(self) -> bool:
        """Whether the message may stand in somebody's unread count and be pushed."""
        return not self.silent and self.content_type not in UNCOUNTED_TYPES


class Placed(msgspec.Struct, frozen=True, gc=False):
    """Where a record ended up: what its ``ack`` says. The same for a record and all its re-sends."""

    message_id: int
    sequence_number: int
    timestamp: int
