"""Contacts and blocks in sets."""

from collections import defaultdict
from collections.abc import Sequence


class MemoryContacts:
    """`Contacts` that a restart forgets."""

    def __init__(self) -> None:
        self._contacts: defaultdict[str, set[str]] = defaultdict(set)
        self._blocks: defaultdict[str, set[str]] = defaultdict(set)

    async def set_contact(self, user_id: str, other_id: str, present: bool) -> bool:
        """Add or remove a contact; False when nothing changed."""
        return _set(self._contacts[user_id], other_id, present)

    async def contacts(self, user_id: str, after: str, limit: int) -> Sequence[str]:
        """Return the user's contacts above ``after`` in ascending order."""
        return _page(self._contacts.get(user_id), after, limit)

    async def is_contact(self, user_id: str, other_id: str) -> bool:
        """Tell whether ``other_id`` is among the contacts of ``user_id``."""
        return other_id in self._contacts.get(user_id, ())

    async def who_have(self, user_id: str, other_ids: Sequence[str]) -> frozenset[str]:
        """Return those of ``other_ids`` that have ``user_id`` among their contacts."""
        return frozenset(other for other in other_ids if user_id in self._contacts.get(other, ()))

    async def set_block(self, user_id: str, other_id: str, present: bool) -> bool:
        """Block or unblock; False when nothing changed."""
        return _set(self._blocks[user_id], other_id, present)

    async def blocks(self, user_id: str, after: str, limit: int) -> Sequence[str]:
        """Return whom the user blocks above ``after`` in ascending order."""
        return _page(self._blocks.get(user_id), after, limit)

    async def blocked_either_way(self, user_id: str, other_ids: Sequence[str]) -> frozenset[str]:
        """Return those of ``other_ids`` that block the user or are blocked by him."""
        own = self._blocks.get(user_id, ())
        return frozenset(other for other in other_ids if other in own or user_id in self._blocks.get(other, ()))

    def forget_user(self, user_id: str) -> None:
        """Remove the user's own contacts and blocks."""
        self._contacts.pop(user_id, None)
        self._blocks.pop(user_id, None)


def _set(others: set[str], other_id: str, present: bool) -> bool:
    changed = (other_id in others) != present
    if present:
        others.add(other_id)
    else:
        others.discard(other_id)
    return changed


def _page(others: set[str] | None, after: str, limit: int) -> list[str]:
    return sorted(other for other in others or () if other > after)[:limit]
