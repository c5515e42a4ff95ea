"""Reads conversation views from the store."""

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

from cooee.domain.conversation import Member, Role
from cooee.domain.errors import not_a_member, not_found
from cooee.domain.fanout import DEFAULT_LARGE_GROUP_MEMBERS, is_large
from cooee.domain.ids import direct_members, is_direct
from cooee.ports.accounts import Account, Accounts
from cooee.ports.contacts import Contacts
from cooee.ports.cursors import Cursors
from cooee.ports.groups import Groups
from cooee.ports.timeline import Timeline
from cooee.services.conversation_view import ConversationView


class ViewSources(NamedTuple):
    """Where views are loaded from, and from how many members on a group is large."""

    accounts: Accounts
    contacts: Contacts
    groups: Groups
    timeline: Timeline
    cursors: Cursors
    large_group_members: int = DEFAULT_LARGE_GROUP_MEMBERS

    async def read(self, conversation_id: str) -> ConversationView:
        """Return the conversation as it stands.

        Raises:
            CooeeError: ``not_found`` for a user that never was, ``not_a_member`` for such a group.
        """
        if is_direct(conversation_id):
            return await self._read_direct(conversation_id)
        return await self._read_group(conversation_id)

    async def _read_direct(self, conversation_id: str) -> ConversationView:
        one, other = direct_members(conversation_id)
        accounts, blocked, head = await asyncio.gather(
            self.accounts.find_many((one, other)),
            self.contacts.blocked_either_way(one, (other,)),
            self.timeline.head(conversation_id),
        )
        if one not in accounts or other not in accounts:
            raise not_found("the user")
        members = {user_id: Member(user_id, Role.MEMBER, 1) for user_id in (one, other)}
        view = ConversationView(conversation_id, members, head=head.last)
        view.blocked = one != other and bool(blocked)
        view.gone = any(account.deleted or account.disabled for account in accounts.values())
        view.hidden_readers = _hidden_readers(accounts.values())
        view.previewed = _previewed(accounts.values())
        if head.last == 0 and one != other:
            view.strangers = await self._strangers(one, other)
        return view

    async def _strangers(self, one: str, other: str) -> frozenset[str]:
        """Return which of the two is no contact of the other."""
        one_known, other_known = await asyncio.gather(
            self.contacts.is_contact(other, one), self.contacts.is_contact(one, other)
        )
        return frozenset(user for user, known in ((one, one_known), (other, other_known)) if not known)

    async def _read_group(self, conversation_id: str) -> ConversationView:
        group, head = await asyncio.gather(self.groups.find(conversation_id), self.timeline.head(conversation_id))
        if group is None:
            raise not_a_member()
        large = is_large(len(group.members), self.large_group_members)
        accounts = await self.accounts.find_many(tuple(group.members))
        marks = await self.cursors.members(conversation_id) if large else None
        view = ConversationView(
            conversation_id,
            dict(group.members),
            large=large,
            roster_version=group.roster_version,
            head=head.last,
            watermarks=marks,
        )
        view.gone = group.deleted
        view.hidden_readers = _hidden_readers(accounts.values())
        view.previewed = _previewed(accounts.values())
        return view


def _hidden_readers(accounts: Iterable[Account]) -> frozenset[str]:
    return frozenset(account.user_id for account in accounts if not account.privacy.read_receipts)


def _previewed(accounts: Iterable[Account]) -> frozenset[str]:
    return frozenset(account.user_id for account in accounts if account.privacy.encrypted_previews)
