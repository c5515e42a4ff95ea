"""A user's own state of his conversations, and the log of changes that his devices follow by a sync token."""

from collections.abc import Sequence
from typing import Protocol

import msgspec


class ConversationFlags(msgspec.Struct, frozen=True, rename="camel"):
    """How one user keeps one conversation. ``muted_until`` in ms: 0 = not muted, -1 = for ever."""

    muted_until: int = 0
    pinned: bool = False
    archived: bool = False


class OwnChange(msgspec.Struct, frozen=True):
    """Something of a user's own state changed at ``position``: a conversation, or (empty id) the account."""

    position: int
    conversation_id: str


class Preferences(Protocol):
    """Flags per (user, conversation), and the change log behind ``syncToken`` (PROTOCOL.md §5)."""

    async def flags(self, user_id: str, conversation_ids: Sequence[str]) -> dict[str, ConversationFlags]:
        """Return the flags that were ever set, by conversationId."""
        ...

    async def set_flags(self, user_id: str, conversation_id: str, flags: ConversationFlags) -> int:
        """Store the flags and note the change; return its position."""
        ...

    async def note_change(self, user_id: str, conversation_id: str) -> int:
        """Note that the user's state of a conversation (empty id: of the account) changed; return the position."""
        ...

    async def changes_after(self, user_id: str, position: int, limit: int) -> Sequence[OwnChange] | None:
        """Return the latest change per conversation above ``position``, ascending; 0 returns them from the beginning.

        None when the position is not one of this store's (too high, or of a store before it): start from 0.
        """
        ...

    async def position(self, user_id: str) -> int:
        """Return the position of the user's newest change, 0 when there was none."""
        ...
