"""Accounts in a dictionary."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from cooee.domain.search import search_prefix, search_terms
from cooee.ports.accounts import Account, AccountKind

_CHANGEABLE = frozenset(Account.__struct_fields__) - {"user_id", "deleted", "kind"}


class MemoryAccounts:
    """`Accounts` that a restart forgets.

    ``erase_owned`` removes what other adapters hold of a user; it is awaited before `erase` returns.
    """

    def __init__(self, erase_owned: Callable[[str], Awaitable[None]] | None = None) -> None:
        self._accounts: dict[str, Account] = {}
        self._erase_owned = erase_owned

    async def create(self, account: Account) -> bool:
        """Store a new account; False when the userId was ever taken."""
        if account.user_id in self._accounts:
            return False
        self._accounts[account.user_id] = account
        return True

    async def find(self, user_id: str) -> Account | None:
        """Return the account, also a disabled or deleted one."""
        return self._accounts.get(user_id)

    async def find_many(self, user_ids: Sequence[str]) -> dict[str, Account]:
        """Return those that exist, by userId."""
        return {user_id: self._accounts[user_id] for user_id in user_ids if user_id in self._accounts}

    async def update(self, user_id: str, changes: dict[str, Any]) -> Account | None:
        """Set the named fields; None when there is no such account or it is deleted."""
        if not changes.keys() <= _CHANGEABLE:
            raise ValueError(f"not changeable: {sorted(changes.keys() - _CHANGEABLE)}")
        account = self._accounts.get(user_id)
        if account is None or account.deleted:
            return None
        account = self._accounts[user_id] = msgspec.structs.replace(account, **changes)
        return account

    async def note_seen(self, seen: Mapping[str, int]) -> None:
        """Move last seen of the accounts forward, never back."""
        for user_id, at in seen.items():
            account = self._accounts.get(user_id)
            if account is not None and not account.deleted and account.last_seen < at:
                self._accounts[user_id] = msgspec.structs.replace(account, last_seen=at)

    async def search(self, query: str, limit: int) -> Sequence[Account]:
        """Return searchable, live accounts, by the matching text and then userId."""
        prefix = search_prefix(query)
        if not prefix:
            return []
        found = [
            (min(terms), account.user_id, account)
            for account in self._accounts.values()
            if account.privacy.searchable and not account.disabled and not account.deleted
            if (terms := [t for t in search_terms(account.user_id, account.display_name) if t.startswith(prefix)])
        ]
        return [account for _, _, account in sorted(found, key=lambda hit: hit[:2])[:limit]]

    async def page(self, after: str, limit: int) -> Sequence[Account]:
        """Return accounts above ``after`` in ascending userId order."""
        return [self._accounts[user_id] for user_id in sorted(self._accounts) if user_id > after][:limit]

    async def erase(self, user_id: str) -> None:
        """Delete the account with all that is the user's alone; the name stays taken."""
        if user_id not in self._accounts:
            return
        self._accounts[user_id] = Account(user_id, display_name="", password_hash="", created_at=0, deleted=True)
        if self._erase_owned is not None:
            await self._erase_owned(user_id)

    def of_kind(self, kind: AccountKind) -> list[Account]:
        """Return the live accounts of a kind, by userId."""
        return [self._accounts[user_id] for user_id in sorted(self._accounts) if self._accounts[user_id].kind is kind]

    def is_erased(self, user_id: str) -> bool:
        """Tell whether the account is deleted."""
        account = self._accounts.get(user_id)
        return account is not None and account.deleted
