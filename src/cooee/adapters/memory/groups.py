"""Groups in memory."""

from collections.abc import Sequence

import msgspec

from cooee.adapters.memory.conversations import Conversation, Conversations
from cooee.domain.conversation import Group, Span
from cooee.domain.errors import not_found
from cooee.domain.groups import Change
from cooee.ports.groups import GroupChanged, InviteToken, Rule


class MemoryGroups:
    """`Groups` that a restart forgets."""

    def __init__(self, conversations: Conversations) -> None:
        self._conversations = conversations
        self._invites: dict[bytes, InviteToken] = {}

    async def change(self, conversation_id: str, rule: Rule) -> GroupChanged:
        """Let ``rule`` decide on the group as it stands, and store what it decided."""
        conversation = self._conversations.get(conversation_id)
        change = rule(conversation.group)
        if change is not None:
            return self._store(conversation, change)
        if conversation.group is None:
            raise not_found("the group")
        return GroupChanged(conversation.group, ())

    async def find(self, conversation_id: str) -> Group | None:
        """Return the group as it stands."""
        return self._conversations.get(conversation_id).group

    async def spans(self, conversation_id: str, user_id: str) -> Sequence[Span]:
        """Return what the user may see of the group, oldest first."""
        return list(self._conversations.get(conversation_id).spans.get(user_id, ()))

    async def of_user(self, user_id: str) -> Sequence[str]:
        """Return the ids of the groups that the user is in now, ascending."""
        own = self._conversations.of_user(user_id)
        return sorted(one.id for one in own if one.group is not None and user_id in one.group.members)

    async def put_invite(self, invite: InviteToken) -> None:
        """Store an invitation in place of every other of the group."""
        await self.delete_invites(invite.conversation_id)
        self._invites[invite.token_hash] = invite

    async def find_invite(self, token_hash: bytes, now_ms: int) -> InviteToken | None:
        """Return the invitation without using it."""
        invite = self._invites.get(token_hash)
        if invite is None or (invite.expires_at and invite.expires_at <= now_ms):
            return None
        return None if invite.max_uses and invite.uses >= invite.max_uses else invite

    async def use_invite(self, token_hash: bytes, now_ms: int) -> InviteToken | None:
        """Count one use and return the invitation as it is then."""
        invite = await self.find_invite(token_hash, now_ms)
        if invite is None:
            return None
        invite = self._invites[token_hash] = msgspec.structs.replace(invite, uses=invite.uses + 1)
        return invite

    async def delete_invites(self, conversation_id: str) -> None:
        """Remove the group's invitations."""
        self._invites = {
            token: invite for token, invite in self._invites.items() if invite.conversation_id != conversation_id
        }

    def _store(self, conversation: Conversation, change: Change) -> GroupChanged:
        before = conversation.group.members if conversation.group is not None else {}
        placed = tuple(self._conversations.append(record) for record in change.records)
        number_for = dict.fromkeys([*before, *change.group.members], placed[-1].sequence_number)
        for place, subjects in zip(placed, change.subjects, strict=True):
            number_for.update(dict.fromkeys(subjects, place.sequence_number))

        members = dict(change.group.members)
        for user_id in before.keys() - members.keys():
            spans = conversation.spans[user_id]
            spans[-1] = Span(spans[-1].joined, number_for[user_id])
        for user_id in members.keys() - before.keys():
            members[user_id] = msgspec.structs.replace(members[user_id], joined=number_for[user_id])
            conversation.spans.setdefault(user_id, []).append(Span(number_for[user_id]))
        in_order = sorted(members.values(), key=lambda member: (member.joined, member.user_id))
        members = {member.user_id: member for member in in_order}
        conversation.group = msgspec.structs.replace(change.group, members=members)
        return GroupChanged(conversation.group, placed)
