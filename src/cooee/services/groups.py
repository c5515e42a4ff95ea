"""Groups: found, change, invite, join. Every change is a durable system message before it is answered."""

import secrets
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from cooee.domain import groups as rules
from cooee.domain.conversation import Group, Role
from cooee.domain.errors import CooeeError, ErrorCode, bad_frame, not_a_member, not_found
from cooee.domain.ids import DeviceRef, group_conversation_id, is_user_id
from cooee.ports.accounts import Accounts, GroupAddAudience
from cooee.ports.clock import Clock
from cooee.ports.contacts import Contacts
from cooee.ports.groups import GroupChanged, Groups, InviteToken, Rule
from cooee.services.budgets import Budgets
from cooee.services.conversations import ConversationViews
from cooee.services.own_conversations import OwnConversations

_TOKEN_BYTES = 16


class Added(NamedTuple):
    """A group after people were added, and who could not be: they let only their contacts add them, or block."""

    group: Group
    not_added: tuple[str, ...]


class GroupService:
    """The use cases of groups. The rules themselves are in `cooee.domain.groups`."""

    def __init__(
        self,
        groups: Groups,
        accounts: Accounts,
        contacts: Contacts,
        own: OwnConversations,
        views: ConversationViews,
        clock: Clock,
        budgets: Budgets,
    ) -> None:
        self._groups = groups
        self._accounts = accounts
        self._contacts = contacts
        self._own = own
        self._views = views
        self._clock = clock
        self._budgets = budgets
        self._limits = budgets.limits

    async def create(self, actor: DeviceRef, name: str, member_ids: Sequence[str]) -> Added:
        """Found a group; its id is new and unguessable."""
        cleaned = rules.clean_name(name)
        self._spend(actor.user_id)
        if len(await self._groups.of_user(actor.user_id)) >= self._limits.groups_per_user:
            raise CooeeError(
                ErrorCode.TOO_LARGE, f"you are in {self._limits.groups_per_user} groups, the most there may be"
            )
        self._check_count(len(set(member_ids) | {actor.user_id}))
        allowed, refused = await self._addable(actor.user_id, member_ids)
        conversation_id = group_conversation_id(secrets.token_urlsafe(12))
        by = self._actor(actor)
        limit = self._limits.group_members
        changed = await self._change(
            conversation_id, lambda group: rules.create(group, by, conversation_id, cleaned, allowed, limit)
        )
        await self._own.changed(changed.group.members, conversation_id)
        return Added(changed.group, refused)

    async def get(self, user_id: str, conversation_id: str) -> Group:
        """Return a group that the user is in; nobody else learns whether it exists."""
        group = await self._groups.find(conversation_id)
        if group is None or user_id not in group.members:
            raise not_a_member()
        return group

    async def rename(self, actor: DeviceRef, conversation_id: str, name: str) -> Group:
        """Give the group another name."""
        cleaned = rules.clean_name(name)
        self._spend(actor.user_id)
        by = self._actor(actor)
        changed = await self._change(conversation_id, lambda group: rules.rename(group, by, cleaned))
        if changed.placed:
            await self._own.changed(changed.group.members, conversation_id)
        return changed.group

    async def delete(self, actor: DeviceRef, conversation_id: str) -> None:
        """End the group for everybody."""
        self._spend(actor.user_id)
        by = self._actor(actor)
        before = await self._groups.find(conversation_id)
        await self._change(conversation_id, lambda group: rules.delete(group, by))
        await self._groups.delete_invites(conversation_id)
        if before is not None:
            await self._own.changed(before.members, conversation_id)

    async def add_members(self, actor: DeviceRef, conversation_id: str, user_ids: Sequence[str]) -> Added:
        """Let users in. Those who may not be added by the actor are left out and named."""
        self._spend(actor.user_id)
        rules.require_admin(await self._groups.find(conversation_id), actor.user_id)
        self._check_count(len(set(user_ids)))
        allowed, refused = await self._addable(actor.user_id, user_ids)
        if user_ids and not allowed:
            raise CooeeError(
                ErrorCode.FORBIDDEN, "these users let only their contacts add them; send an invitation link"
            )
        by = self._actor(actor)
        limit = self._limits.group_members
        changed = await self._change(conversation_id, lambda group: rules.add_members(group, by, allowed, limit))
        if changed.placed:
            await self._own.changed(allowed, conversation_id)
        return Added(changed.group, refused)

    async def remove_member(self, actor: DeviceRef, conversation_id: str, user_id: str) -> None:
        """Send a member away, or leave (own id). Idempotent for one who is not in."""
        self._spend(actor.user_id)
        by = self._actor(actor)
        changed = await self._change(conversation_id, lambda group: rules.remove_member(group, by, user_id))
        if changed.placed:
            await self._own.changed((user_id,), conversation_id)

    async def set_role(self, actor: DeviceRef, conversation_id: str, user_id: str, role: Role) -> Group:
        """Change a member's role; the role owner hands the group over."""
        self._spend(actor.user_id)
        by = self._actor(actor)
        changed = await self._change(conversation_id, lambda group: rules.set_role(group, by, user_id, role))
        return changed.group

    async def depart(self, user_id: str) -> None:
        """Take a user whose account ends out of all his groups."""
        for conversation_id in await self._groups.of_user(user_id):
            by = rules.Actor(user_id, self._clock.wall_ms(), secrets.token_hex(8))
            await self._change(conversation_id, _departing(by))

    async def create_invite(self, actor: DeviceRef, conversation_id: str, expires_at: int, max_uses: int) -> str:
        """Return a new invitation token of 128 bits; the former one of the group ends. Only its hash is kept."""
        self._spend(actor.user_id)
        if expires_at and expires_at <= self._clock.wall_ms():
            raise bad_frame("expiresAt lies in the past")
        rules.require_admin(await self._groups.find(conversation_id), actor.user_id)
        token = secrets.token_hex(_TOKEN_BYTES)
        await self._groups.put_invite(InviteToken(_hash(token), conversation_id, actor.user_id, expires_at, max_uses))
        return token

    async def delete_invites(self, actor: DeviceRef, conversation_id: str) -> None:
        """End the group's invitation."""
        self._spend(actor.user_id)
        rules.require_admin(await self._groups.find(conversation_id), actor.user_id)
        await self._groups.delete_invites(conversation_id)

    async def join(self, actor: DeviceRef, token: str) -> Group:
        """Come in by an invitation. Who is in already, or is refused, uses none up."""
        self._spend(actor.user_id)
        if len(await self._groups.of_user(actor.user_id)) >= self._limits.groups_per_user:
            raise CooeeError(
                ErrorCode.TOO_LARGE, f"you are in {self._limits.groups_per_user} groups, the most there may be"
            )
        by = self._actor(actor)
        limit = self._limits.group_members
        invite = await self._groups.find_invite(_hash(token), by.timestamp)
        if invite is None:
            raise _no_such_invite()
        group = await self._groups.find(invite.conversation_id)
        if rules.join(group, by, limit) is None:
            return await self.get(actor.user_id, invite.conversation_id)
        if await self._groups.use_invite(_hash(token), by.timestamp) is None:
            raise _no_such_invite()
        changed = await self._change(invite.conversation_id, lambda group: rules.join(group, by, limit))
        if changed.placed:
            await self._own.changed((actor.user_id,), invite.conversation_id)
        return changed.group

    async def _change(self, conversation_id: str, rule: Rule) -> GroupChanged:
        changed = await self._groups.change(conversation_id, rule)
        self._views.forget(conversation_id)
        return changed

    async def _addable(self, actor_id: str, user_ids: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
        """Split ``user_ids`` into those the actor may add and those he may not.

        Raises:
            CooeeError: ``bad_frame`` for an impossible id, ``not_found`` for a user who is not there.
        """
        others = [user for user in dict.fromkeys(user_ids) if user != actor_id]
        if not all(is_user_id(user) for user in others):
            raise bad_frame("memberIds must be userIds")
        found = await self._accounts.find_many(others)
        for user in others:
            if user not in found or found[user].deleted or found[user].disabled:
                raise not_found(f"the user {user}")
        blocked = await self._contacts.blocked_either_way(actor_id, others)
        allowed: list[str] = []
        refused: list[str] = []
        for user in others:
            only_contacts = found[user].privacy.group_adds is GroupAddAudience.CONTACTS
            barred = user in blocked or (only_contacts and not await self._contacts.is_contact(user, actor_id))
            (refused if barred else allowed).append(user)
        return allowed, tuple(refused)

    def _check_count(self, count: int) -> None:
        if count > self._limits.group_members:
            raise CooeeError(ErrorCode.TOO_LARGE, f"a group has at most {self._limits.group_members} members")

    def _actor(self, device: DeviceRef) -> rules.Actor:
        return rules.Actor(device.user_id, self._clock.wall_ms(), secrets.token_hex(8))

    def _spend(self, user_id: str) -> None:
        self._budgets.spend("group_changes", user_id)


def _departing(by: rules.Actor) -> Rule:
    return lambda group: rules.depart(group, by)


def _no_such_invite() -> CooeeError:
    return not_found("the invitation (it may have expired)")


def _hash(token: str) -> bytes:
    return sha256(token.encode()).digest()
