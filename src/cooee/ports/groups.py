"""Groups: the roster is changed together with the system message that tells of it, or not at all."""

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from cooee.domain.conversation import Group, Span
from cooee.domain.groups import Change
from cooee.domain.message import Placed


class GroupChanged(msgspec.Struct, frozen=True):
    """The group as stored, and where its system messages stand (empty: the rule found nothing to do)."""

    group: Group
    placed: tuple[Placed, ...]


class InviteToken(msgspec.Struct, frozen=True):
    """An invitation to a group, by the hash of its token. ``max_uses`` 0: no bound; ``expires_at`` 0: never."""

    token_hash: bytes
    conversation_id: str
    created_by: str
    expires_at: int = 0
    max_uses: int = 0
    uses: int = 0


Rule = Callable[[Group | None], Change | None]
"""A pure decision on the group as it stands (None: no such group); raises CooeeError to refuse, None: nothing to do.

``joined`` of a new member is 0 in the decision: the store puts the number of the system record there.
"""


class Groups(Protocol):
    """Groups, their members and their invitations."""

    async def change(self, conversation_id: str, rule: Rule) -> GroupChanged:
        """Read the group, let ``rule`` decide, and store its change with its system messages: one atomic, durable step.

        Concurrent changes of one group are put in order; ``rule`` may run off the event loop and more than once.
        """
        ...

    async def find(self, conversation_id: str) -> Group | None:
        """Return the group as it stands; a deleted one has no members."""
        ...

    async def spans(self, conversation_id: str, user_id: str) -> Sequence[Span]:
        """Return what the user may see of the group, oldest first; empty for one who was never in it."""
        ...

    async def of_user(self, user_id: str) -> Sequence[str]:
        """Return the ids of the groups that the user is in now."""
        ...

    async def put_invite(self, invite: InviteToken) -> None:
        """Store an invitation; it replaces every other of the same group."""
        ...

    async def find_invite(self, token_hash: bytes, now_ms: int) -> InviteToken | None:
        """Return the invitation without using it; None when unknown, expired or used up."""
        ...

    async def use_invite(self, token_hash: bytes, now_ms: int) -> InviteToken | None:
        """Return the invitation and count one use, atomically; None when unknown, expired or used up."""
        ...

    async def delete_invites(self, conversation_id: str) -> None:
        """Remove the group's invitations."""
        ...
