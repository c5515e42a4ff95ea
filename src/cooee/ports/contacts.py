"""Whom a user knows, and whom he will not hear."""

from collections.abc import Sequence
from typing import Protocol


class Contacts(Protocol):
    """Two one-way relations between accounts: contact and block."""

    async def set_contact(self, user_id: str, other_id: str, present: bool) -> bool:
        """Add or remove a contact; False when nothing changed."""
        ...

    async def contacts(self, user_id: str, after: str, limit: int) -> Sequence[str]:
        """Return the user's contacts above ``after`` in ascending order."""
        ...

    async def is_contact(self, user_id: str, other_id: str) -> bool:
        """Tell whether ``other_id`` is among the contacts of ``user_id``."""
        ...

    async def who_have(self, user_id: str, other_ids: Sequence[str]) -> frozenset[str]:
        """Return those of ``other_ids`` that have ``user_id`` among their contacts."""
        ...

    async def set_block(self, user_id: str, other_id: str, present: bool) -> bool:
        """Block or unblock; False when nothing changed."""
        ...

    async def blocks(self, user_id: str, after: str, limit: int) -> Sequence[str]:
        """Return whom the user blocks above ``after`` in ascending order."""
        ...

    async def blocked_either_way(self, user_id: str, other_ids: Sequence[str]) -> frozenset[str]:
        """Return those of ``other_ids`` that block the user or are blocked by him."""
        ...
