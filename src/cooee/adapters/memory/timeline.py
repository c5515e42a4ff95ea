"""The timeline in memory: every read looks at everything, so that it is easy to see that it is right."""

from collections.abc import Sequence

import msgspec

from cooee.adapters.memory.conversations import Conversation, Conversations
from cooee.domain.conversation import Span
from cooee.domain.ids import DeviceRef
from cooee.domain.message import CONTENT_SYSTEM, Envelope, Message
from cooee.ports.timeline import ConversationHead, InboxEntry, Missed, Page


class MemoryTimeline:
    """`Timeline` that a restart forgets."""

    def __init__(self, conversations: Conversations) -> None:
        self._conversations = conversations

    async def head(self, conversation_id: str) -> ConversationHead:
        """Return the conversation's head; an unknown conversation is an empty one."""
        one = self._conversations.get(conversation_id)
        return ConversationHead(conversation_id, one.last, one.first, one.timestamps.get(one.last, 0))

    async def read_after(
        self, conversation_id: str, after: int, limit: int, spans: Sequence[Span], device: DeviceRef
    ) -> Page:
        """Return the oldest visible messages above ``after``."""
        one = self._conversations.get(conversation_id)
        numbers = [number for number in _visible(one, spans) if number > after]
        page = numbers[: max(limit, 1)]
        complete = len(page) == len(numbers)
        through = max(_end(one, spans), after) if complete else page[-1]
        return Page(_messages(one, page, device), after + 1, through, complete)

    async def read_before(
        self, conversation_id: str, before: int, limit: int, spans: Sequence[Span], device: DeviceRef
    ) -> Page:
        """Return the newest visible messages below ``before`` (0: below the end), ascending."""
        one = self._conversations.get(conversation_id)
        through = min(before - 1, _end(one, spans)) if before else _end(one, spans)
        numbers = [number for number in _visible(one, spans) if number <= through]
        page = numbers[-max(limit, 1) :]
        complete = len(page) == len(numbers)
        return Page(_messages(one, page, device), 1 if complete else page[0], through, complete)

    async def find(self, conversation_id: str, sequence_number: int) -> Message | None:
        """Return one message with all its envelopes."""
        message = self._conversations.get(conversation_id).messages.get(sequence_number)
        if message is None:
            return None
        return msgspec.structs.replace(message, envelopes=tuple(sorted(message.envelopes, key=_by_device)))

    async def missed(self, device: DeviceRef) -> Sequence[Missed]:
        """Return the conversations in which the device lacks something, oldest activity first."""
        found: list[tuple[int, Missed]] = []
        for one in self._conversations.of_user(device.user_id):
            received, last = self._conversations.received(one, device), one.last_of(device.user_id)
            if received < last:
                found.append((one.positions[last], Missed(one.id, received, last)))
        return [missed for _, missed in sorted(found, key=lambda pair: pair[0])]

    async def inbox(self, user_id: str, before: tuple[int, str] | None, limit: int) -> Sequence[InboxEntry]:
        """Return a page of the user's conversations, last activity first."""
        entries = []
        for one in self._conversations.of_user(user_id):
            last = one.last_of(user_id)
            if before is None or (one.timestamps[last], one.id) < before:
                entries.append(InboxEntry(one.id, last, one.timestamps[last]))
        entries.sort(key=lambda entry: (entry.last_timestamp, entry.conversation_id), reverse=True)
        return entries[:limit]

    async def unread(self, conversation_id: str, user_id: str, read: int, through: int, cap: int) -> int:
        """Count what may stand in the user's unread count."""
        messages = self._between(conversation_id, read, through)
        return min(sum(one.counts_as_unread and one.sender_id != user_id for one in messages), cap)

    async def senders(self, conversation_id: str, after: int, through: int) -> frozenset[str]:
        """Return who sent the messages in (after, through], system messages excepted."""
        messages = self._between(conversation_id, after, through)
        return frozenset(one.sender_id for one in messages if one.content_type != CONTENT_SYSTEM)

    def _between(self, conversation_id: str, after: int, through: int) -> list[Message]:
        messages = self._conversations.get(conversation_id).messages
        return [message for number, message in messages.items() if after < number <= through]


def _visible(one: Conversation, spans: Sequence[Span]) -> list[int]:
    return [number for number in one.messages if any(span.covers(number) for span in spans)]


def _end(one: Conversation, spans: Sequence[Span]) -> int:
    return max((number for number in one.positions if any(span.covers(number) for span in spans)), default=0)


def _messages(one: Conversation, numbers: Sequence[int], device: DeviceRef) -> tuple[Message, ...]:
    return tuple(_for_device(one.messages[number], device) for number in numbers)


def _for_device(message: Message, device: DeviceRef) -> Message:
    own = tuple(one for one in message.envelopes if (one.user_id, one.device_id) == device)
    return msgspec.structs.replace(message, envelopes=own)


def _by_device(envelope: Envelope) -> tuple[str, str]:
    return (envelope.user_id, envelope.device_id)
