"""What one step changes: collected apart from the state, so that it is stored first and can be dropped (rule 6)."""

from typing import Any, NamedTuple

import msgspec

from cooee.client.events import Event
from cooee.client.model import Message, Pending
from cooee.client.state import ConversationState, State, new_conversation
from cooee.protocol.frames import MediaSeen


class MessageKey(NamedTuple):
    """The key K of one encrypted message, under which this device can read it again; deleting it is for good."""

    conversation_id: str
    sequence_number: int
    sender_id: str
    sender_device_id: str
    client_message_id: str
    key: bytes

    def __repr__(self) -> str:
        return f"MessageKey({self.conversation_id} {self.sequence_number})"


class Reaction(NamedTuple):
    """What ``user_id`` said of the message ``target`` (its reference) at ``sequence_number``; ``""`` takes it back."""

    conversation_id: str
    target: str
    user_id: str
    sequence_number: int
    emoji: str


class Edit(NamedTuple):
    """The text, or caption, that ``user_id`` gave the message ``target`` (its reference); None: it is deleted.

    Counts only when the target is that user's. Of several the one with the greatest number counts.
    """

    conversation_id: str
    target: str
    user_id: str
    sequence_number: int
    text: str | None


class Page(NamedTuple):
    """A page of history: of the numbers ``first`` to ``through`` exactly ``messages`` exist for this device."""

    conversation_id: str
    messages: tuple[Message, ...]
    first: int
    through: int


class Changes:
    """The changes of one step of ``state``, which stays as it is until `install`. ``now``: ms of a monotonic clock."""

    def __init__(self, state: State, now: int = 0) -> None:
        self.state = state
        self.now = now
        self.conversations: dict[str, ConversationState] = {}
        self.messages: dict[tuple[str, int], Message] = {}
        self.erased: list[tuple[str, int]] = []
        self.seen: dict[str, MediaSeen] = {}
        self.placed: dict[str, Message] = {}
        self.accepted: dict[str, int] = {}
        self.failed: dict[str, Pending] = {}
        self.held_back: dict[str, int | None] = {}
        self.typing: dict[tuple[str, str], int | None] = {}
        self.sync_token: str | None = None
        self.to_device = state.to_device
        self.keeps_to_device = False
        """Whether ``to_device`` is stored: what came up to there was taken in for good, and is not handed on again."""
        self.records: dict[tuple[str, str], bytes | None] = {}
        """State of end-to-end encryption by (kind, id); None removes it."""
        self.message_keys: list[MessageKey] = []
        self.reactions: list[Reaction] = []
        self.edits: list[Edit] = []
        self.dropped_keys: list[tuple[str, int]] = []
        """Keys of messages that open nothing."""
        self.pages: list[Page] = []
        self.read_at: dict[str, tuple[int, int, int]] = {}
        """Of which conversations numbers (from, through] were read now, and when (ms since the epoch)."""
        self.sealed: dict[str, Pending] = {}
        self.unsealed: set[str] = set()
        """Messages of the outbox that were encrypted, and are to be encrypted again."""
        self.setup: dict[str, tuple[int, int]] = {}
        self.events: list[Event] = []
        self.learn: set[str] = set()
        self.rosters: set[str] = set()
        self.redelivered: dict[str, int] = {}

    def conversation(self, conversation_id: str) -> ConversationState:
        """Return the conversation as these changes leave it; a new one when it is unknown."""
        found = self.conversations.get(conversation_id) or self.state.find(conversation_id)
        return found or new_conversation(conversation_id)

    def change(self, conversation_id: str, **changes: Any) -> ConversationState:
        """Change fields of a conversation."""
        changed = msgspec.structs.replace(self.conversation(conversation_id), **changes)
        self.conversations[conversation_id] = changed
        return changed

    def pending(self, client_message_id: str | None) -> Pending | None:
        """Return a message of the outbox that has neither number nor failure yet."""
        if client_message_id is None or client_message_id in self.placed or client_message_id in self.failed:
            return None
        return self.state.outbox.find(client_message_id)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to store."""
        stored = (self.conversations, self.messages, self.erased, self.seen, self.placed, self.failed)
        secret = (self.records, self.message_keys, self.reactions, self.edits, self.dropped_keys, self.pages)
        return not any(stored) and not any(secret) and not self.sync_token and not self.keeps_to_device

    @property
    def updated(self) -> list[str]:
        """The conversations whose visible part changes."""
        changed = []
        for conversation_id, after in self.conversations.items():
            before = self.state.find(conversation_id)
            if before is None or before.visible() != after.visible():
                changed.append(conversation_id)
        return changed

    def install(self) -> None:
        """Make the changes the state. Call after they are stored."""
        state = self.state
        state.conversations.update(self.conversations)
        state.sync_token = self.sync_token or state.sync_token
        state.to_device = self.to_device
        for client_message_id, timestamp in self.accepted.items():
            state.outbox.accepted(client_message_id, timestamp, self.now)
        for client_message_id in self.placed:
            state.outbox.remove(client_message_id)
        for entry in self.failed.values():
            state.outbox.fail(entry)
        for entry in self.sealed.values():
            state.outbox.replace(entry)
        for client_message_id in self.unsealed:
            state.outbox.unseal(client_message_id, self.now)
        state.setup.update(self.setup)
        for client_message_id, retry_after_ms in self.held_back.items():
            state.outbox.hold_back(client_message_id, retry_after_ms, self.now)
        for key, until in self.typing.items():
            if until is None:
                state.typing.pop(key, None)
            else:
                state.typing[key] = until
