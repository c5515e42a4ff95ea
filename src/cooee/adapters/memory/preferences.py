"""Conversation flags and own changes in dictionaries."""

import secrets
from collections import defaultdict
from collections.abc import Sequence

from cooee.ports.preferences import ConversationFlags, OwnChange

_COUNTER_BITS = 33


class MemoryPreferences:
    """`Preferences` that a restart forgets; another instance's positions are recognised as foreign."""

    def __init__(self) -> None:
        self._base = (1 + secrets.randbelow((1 << 29) - 1)) << _COUNTER_BITS
        self._flags: defaultdict[str, dict[str, ConversationFlags]] = defaultdict(dict)
        self._changes: defaultdict[str, dict[str, int]] = defaultdict(dict)

    async def flags(self, user_id: str, conversation_ids: Sequence[str]) -> dict[str, ConversationFlags]:
        """Return the flags that were ever set, by conversationId."""
        own = self._flags.get(user_id, {})
        return {conversation_id: own[conversation_id] for conversation_id in conversation_ids if conversation_id in own}

    async def set_flags(self, user_id: str, conversation_id: str, flags: ConversationFlags) -> int:
        """Store the flags and note the change; return its position."""
        self._flags[user_id][conversation_id] = flags
        return await self.note_change(user_id, conversation_id)

    async def note_change(self, user_id: str, conversation_id: str) -> int:
        """Note that the user's state of a conversation (empty id: of the account) changed; return the position."""
        changes = self._changes[user_id]
        position = max(changes.values(), default=self._base) + 1
        changes[conversation_id] = position
        return position

    async def changes_after(self, user_id: str, position: int, limit: int) -> Sequence[OwnChange] | None:
        """Return the latest change per conversation above ``position``, ascending; None for a foreign position."""
        changes = self._changes.get(user_id, {})
        newest = max(changes.values(), default=0)
        if position != 0 and not self._base < position <= newest:
            return None
        above = sorted((at, conversation_id) for conversation_id, at in changes.items() if at > position)
        return [OwnChange(at, conversation_id) for at, conversation_id in above[:limit]]

    async def position(self, user_id: str) -> int:
        """Return the position of the user's newest change, 0 when there was none."""
        return max(self._changes.get(user_id, {}).values(), default=0)

    def forget_user(self, user_id: str) -> None:
        """Remove the user's flags and changes."""
        self._flags.pop(user_id, None)
        self._changes.pop(user_id, None)
