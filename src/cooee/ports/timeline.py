"""The timeline: numbered messages, heads and inboxes, as they can be read."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from cooee.domain.conversation import Span
from cooee.domain.ids import DeviceRef
from cooee.domain.message import Message


class ConversationHead(msgspec.Struct, frozen=True, gc=False):
    """How long a conversation is: ``first``..``last`` are kept (``first`` > ``last`` when all is gone or none came).

    ``last_timestamp`` is the record time (ms) of ``last``, 0 for an empty conversation.
    """

    conversation_id: str
    last: int = 0
    first: int = 1
    last_timestamp: int = 0


class Page(msgspec.Struct, frozen=True, gc=False):
    """A part of a conversation, ascending; numbers within the cover that are not listed do not exist.

    ``complete``: nothing further lies that way (PROTOCOL.md §6). Empty: ``covered_from`` > ``covered_through``.
    """

    messages: tuple[Message, ...]
    covered_from: int
    covered_through: int
    complete: bool


class Missed(msgspec.Struct, frozen=True, gc=False):
    """A conversation in which a device lacks ``received``+1..``last``; ``last`` ends at the user's removal."""

    conversation_id: str
    received: int
    last: int


class InboxEntry(msgspec.Struct, frozen=True, gc=False):
    """One row of a user's conversation list: the last number that he may see, and its time."""

    conversation_id: str
    last: int
    last_timestamp: int


class Timeline(Protocol):
    """Durable reads. Every read sees all that was acknowledged before it was called."""

    async def head(self, conversation_id: str) -> ConversationHead:
        """Return the conversation's head; an unknown conversation is an empty one."""
        ...

    async def read_after(
        self, conversation_id: str, after: int, limit: int, spans: Sequence[Span], device: DeviceRef
    ) -> Page:
        """Return the oldest messages above ``after`` within ``spans``, at most ``limit``.

        Of the envelopes, only the device's own are there.
        """
        ...

    async def read_before(
        self, conversation_id: str, before: int, limit: int, spans: Sequence[Span], device: DeviceRef
    ) -> Page:
        """Return the newest messages below ``before`` (0: below the end) within ``spans``, ascending.

        At most ``limit``; of the envelopes, only the device's own.
        """
        ...

    async def find(self, conversation_id: str, sequence_number: int) -> Message | None:
        """Return one message with all its envelopes, or None when it was never there or has been swept."""
        ...

    async def missed(self, device: DeviceRef) -> Sequence[Missed]:
        """Return the conversations in which the device lacks something, oldest activity first.

        The cost follows what was missed, not how many conversations the account has.
        """
        ...

    async def inbox(self, user_id: str, before: tuple[int, str] | None, limit: int) -> Sequence[InboxEntry]:
        """Return a page of the user's conversations, last activity first.

        ``before`` is the (timestamp, conversationId) of the last one that was seen.
        """
        ...

    async def unread(self, conversation_id: str, user_id: str, read: int, through: int, cap: int) -> int:
        """Count messages in (read, through] that are not the user's own, system, deleted or silent; at most ``cap``."""
        ...

    async def senders(self, conversation_id: str, after: int, through: int) -> frozenset[str]:
        """Return who sent the messages in (after, through], system messages excepted."""
        ...
