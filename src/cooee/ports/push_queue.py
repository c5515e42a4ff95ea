"""What is to be pushed to phones and browsers: durable, delayed, at least once."""

from collections.abc import Collection, Sequence
from typing import Protocol

import msgspec


class PushEntry(msgspec.Struct, frozen=True, gc=False):
    """Wake a device (empty id: all devices of the user without a live session) for a conversation.

    One entry per (user, device, conversation): a later message replaces the number and keeps the earlier due time.
    """

    user_id: str
    device_id: str
    conversation_id: str
    sequence_number: int
    due_at: int


class PushQueue(Protocol):
    """The hand-over from live delivery to push notification."""

    async def append(self, entries: Sequence[PushEntry]) -> None:
        """Store the entries. Durable before it returns."""
        ...

    async def due(self, now_ms: int, limit: int, but_of: Collection[str] = ()) -> Sequence[PushEntry]:
        """Return entries whose time has come, earliest first, but none of these users. They stay until `complete`."""
        ...

    async def complete(self, entries: Sequence[PushEntry]) -> None:
        """Remove the entries, unless a later message has replaced them meanwhile."""
        ...

    async def postpone(self, entries: Sequence[PushEntry]) -> None:
        """Move entries that are there to the later ``due_at`` that these give; their numbers stay. Durable."""
        ...

    async def cancel(self, user_id: str, conversation_id: str, through: int) -> None:
        """Remove what is covered by the user's reading through ``through``."""
        ...
