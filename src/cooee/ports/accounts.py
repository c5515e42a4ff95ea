"""Accounts: people and bots, their password, profile and privacy settings."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Protocol

import msgspec

from cooee.domain.digest import NotificationSettings


class AccountKind(StrEnum):
    """Who stands behind an account."""

    PERSON = "person"
    BOT = "bot"


class LastSeenAudience(StrEnum):
    """Who sees presence and last seen (PROTOCOL.md §7)."""

    EVERYONE = "everyone"
    CONTACTS = "contacts"
    NOBODY = "nobody"


class GroupAddAudience(StrEnum):
    """Who may add the user to a group without asking."""

    EVERYONE = "everyone"
    CONTACTS = "contacts"


class Privacy(msgspec.Struct, frozen=True, rename="camel"):
    """A user's own choices."""

    last_seen: LastSeenAudience = LastSeenAudience.CONTACTS
    read_receipts: bool = True
    searchable: bool = True
    group_adds: GroupAddAudience = GroupAddAudience.EVERYONE
    notifications: NotificationSettings = NotificationSettings()
    encrypted_previews: bool = False


class Account(msgspec.Struct, frozen=True):
    """One account. ``password_hash`` is argon2id in PHC form; empty: no password log-in.

    A bot has an owner, a person's userId; empty: the server itself. ``disabled_with_owner``: it was disabled because
    its owner was, and comes back with him.
    """

    user_id: str
    display_name: str
    password_hash: str
    created_at: int
    about: str = ""
    privacy: Privacy = Privacy()
    disabled: bool = False
    deleted: bool = False
    admin: bool = False
    last_seen: int = 0
    kind: AccountKind = AccountKind.PERSON
    owner_id: str = ""
    disabled_with_owner: bool = False

    @property
    def is_bot(self) -> bool:
        """Whether a program stands behind it."""
        return self.kind is AccountKind.BOT


class Accounts(Protocol):
    """Accounts by userId. A deleted account keeps its userId for ever, and nothing else."""

    async def create(self, account: Account) -> bool:
        """Store a new account; False when the userId was ever taken. Durable."""
        ...

    async def find(self, user_id: str) -> Account | None:
        """Return the account, also a disabled or deleted one; None when there never was one."""
        ...

    async def find_many(self, user_ids: Sequence[str]) -> dict[str, Account]:
        """Return those that exist, by userId."""
        ...

    async def update(self, user_id: str, changes: dict[str, Any]) -> Account | None:
        """Set the named fields of `Account` and return the new state; None when there is no such account (any more).

        Raises:
            ValueError: ``changes`` names something else than a changeable field.
        """
        ...

    async def note_seen(self, seen: Mapping[str, int]) -> None:
        """Move ``last_seen`` of the accounts forward, never back, in one durable step; unknown ones are left out."""
        ...

    async def search(self, query: str, limit: int) -> Sequence[Account]:
        """Return searchable, live accounts whose userId or whose display name from some word on starts with ``query``.

        Case and compatibility forms do not matter. Ordered by what matched, then by userId.
        """
        ...

    async def page(self, after: str, limit: int) -> Sequence[Account]:
        """Return accounts in ascending userId order, for administration."""
        ...

    async def erase(self, user_id: str) -> None:
        """Delete the account with all that is the user's alone: devices, contacts, blocks, settings, codes, hooks.

        Contents of his messages stay with those who got them; the name is never given again.
        """
        ...
