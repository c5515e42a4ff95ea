"""Conversations in memory: what the log, the timeline, the watermarks, the groups and the broom share."""

import asyncio
from collections.abc import Callable, Sequence

from cooee.domain.conversation import Group, Span
from cooee.domain.ids import DeviceRef, direct_members, is_direct
from cooee.domain.message import CONTENT_DELETED, EMPTY_BODY, DedupKey, LogRecord, Message, Placed
from cooee.domain.receipt import Watermark
from cooee.domain.sequence import Head, sequence


class Conversation:
    """One conversation with everything that is known of it."""

    def __init__(self, conversation_id: str) -> None:
        self.id = conversation_id
        self.head = Head()
        self.first = 1
        self.messages: dict[int, Message] = {}
        self.positions: dict[int, int] = {}
        self.timestamps: dict[int, int] = {}
        self.dedup: dict[DedupKey, Placed] = {}
        self.swept: dict[int, DedupKey] = {}
        self.media: dict[int, tuple[str, ...]] = {}
        self.spans: dict[str, list[Span]] = {}
        self.group: Group | None = None
        self.received: dict[DeviceRef, int] = {}
        self.members: dict[str, Watermark] = {}

    @property
    def last(self) -> int:
        """The last number given."""
        return self.head.last_sequence_number

    def base(self, user_id: str) -> int:
        """Return what every device of the user has at least: the number before his first joining."""
        spans = self.spans.get(user_id)
        return spans[0].joined - 1 if spans else 0

    def last_of(self, user_id: str) -> int:
        """Return the last number that the user may see."""
        left = self.spans[user_id][-1].left
        return self.last if left is None else left

    def current_members(self) -> list[str]:
        """Return who is in now."""
        return [user_id for user_id, spans in self.spans.items() if spans[-1].left is None]

    def merge(self, user_id: str, received: int, read: int) -> None:
        """Merge a user's watermark."""
        self.members[user_id] = self.members.get(user_id, Watermark()).merge(received, read)


class Conversations:
    """All conversations of one imaginary server, and the devices that receive."""

    def __init__(self) -> None:
        self._all: dict[str, Conversation] = {}
        self._position = 0
        self.current: set[DeviceRef] = set()
        """Devices that were started and not revoked."""
        self.revoked: set[DeviceRef] = set()
        self.emit: Callable[[Sequence[Message]], None] = _emit_nothing
        """Gets newly numbered messages, on the event loop."""
        self.note_media: Callable[[LogRecord], None] = _note_nothing
        """Gets records of messages that hold media."""

    def get(self, conversation_id: str) -> Conversation:
        """Return the conversation; one that nobody named before is empty."""
        return self._all.get(conversation_id) or self._all.setdefault(conversation_id, Conversation(conversation_id))

    def all(self) -> list[Conversation]:
        """Return all conversations."""
        return list(self._all.values())

    def of_user(self, user_id: str) -> list[Conversation]:
        """Return the conversations that stand in the user's list."""
        return [one for one in self._all.values() if user_id in one.spans]

    def append(self, record: LogRecord) -> Placed:
        """Number and store ``record``, and have it told."""
        conversation = self.get(record.conversation_id)
        prior = conversation.dedup.get(record.dedup_key)
        decision = sequence(conversation.head, record, self._position + 1, prior)
        placed, message = decision.placed, decision.message
        if message is None:
            return placed
        self._position += 1
        number = placed.sequence_number
        conversation.head = decision.head
        conversation.dedup[record.dedup_key] = placed
        conversation.messages[number] = message
        conversation.positions[number] = self._position
        conversation.timestamps[number] = record.timestamp
        if record.media:
            conversation.media[number] = record.media
            self.note_media(record)
        if number == 1 and is_direct(record.conversation_id):
            conversation.spans = {user_id: [Span(1)] for user_id in direct_members(record.conversation_id)}
        erased = conversation.messages.get(record.erases)
        if erased is not None and record.erases < number:
            conversation.messages[record.erases] = _erased(erased)
            conversation.media.pop(record.erases, None)
        self._hold_own(conversation, DeviceRef(record.sender_id, record.device_id), number)
        asyncio.get_running_loop().call_soon(self.emit, (message,))
        return placed

    def received(self, conversation: Conversation, device: DeviceRef) -> int:
        """Return what the device has."""
        own = 0 if device in self.revoked else conversation.received.get(device, 0)
        return max(own, conversation.base(device.user_id))

    def _hold_own(self, conversation: Conversation, device: DeviceRef, number: int) -> None:
        if not device.device_id or device in self.revoked:
            return
        if self.received(conversation, device) == number - 1:
            conversation.received[device] = number
            conversation.merge(device.user_id, number, 0)


def _erased(message: Message) -> Message:
    return Message(
        message.conversation_id,
        message.sequence_number,
        message.message_id,
        message.sender_id,
        message.device_id,
        message.client_message_id,
        message.timestamp,
        CONTENT_DELETED,
        EMPTY_BODY,
        message.silent,
    )


def _emit_nothing(_messages: Sequence[Message]) -> None:
    """Nobody follows."""


def _note_nothing(_record: LogRecord) -> None:
    """Nobody keeps media."""
