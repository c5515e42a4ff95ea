"""Who takes part in a conversation, since when, and what he may therefore see."""

from enum import StrEnum
from typing import NamedTuple

import msgspec


class Role(StrEnum):
    """Group roles, weakest first (PROTOCOL.md §8)."""

    MEMBER = "member"
    ADMIN = "admin"
    OWNER = "owner"


class Span(NamedTuple):
    """Numbers a user may see: from ``joined`` (the number of his joining) to ``left`` (of his leaving), inclusive."""

    joined: int
    left: int | None = None

    def covers(self, number: int) -> bool:
        """Tell whether ``number`` lies within the span."""
        return number >= self.joined and (self.left is None or number <= self.left)


class Member(msgspec.Struct, frozen=True, gc=False):
    """A current member: his role and the number of the system message that let him in (1 in a direct chat)."""

    user_id: str
    role: Role
    joined: int


class Group(msgspec.Struct, frozen=True):
    """A group as it stands after ``roster_version`` changes.

    ``barred`` are users who were removed: a link does not let them in again, an admin does.
    """

    conversation_id: str
    name: str
    owner_id: str
    members: dict[str, Member]
    roster_version: int
    created_at: int
    deleted: bool = False
    barred: frozenset[str] = frozenset()
