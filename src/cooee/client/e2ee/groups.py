"""Who is, and who was, a member of a group: from what the server says now, and from its system messages."""

from typing import Any, Final

import msgspec

from cooee.client.e2ee.kinds import GroupState
from cooee.client.e2ee.step import Step
from cooee.protocol import frames
from cooee.protocol.http import Group

PAST_LIMIT: Final = 1_000
"""Former memberships that are remembered of one group."""
CHANGES: Final = frozenset({"group_created", "member_added", "member_removed", "member_left"})


class _Event(msgspec.Struct, rename="camel"):
    event: str = ""
    user_ids: tuple[str, ...] = ()
    members: tuple[str, ...] = ()


def need(step: Step, conversation_id: str) -> None:
    """Have a group fetched."""
    step.after(lambda: step.memory.groups.add(conversation_id))


def take(step: Step, group: Group) -> None:
    """Take in a group as the server has it now."""
    former = step.group(group.conversation_id) or GroupState()
    if group.roster_version < former.roster_version:
        step.tally("groups_outdated")
        return
    members = {member.user_id: member.joined for member in group.members}
    versions = {member.user_id: member.device_list_version for member in group.members}
    state = msgspec.structs.replace(
        former,
        roster_version=group.roster_version,
        members=members,
        since=former.since | members,
        list_versions=versions,
        server_hash=group.device_list_hash,
        gone=False,
    )
    step.put("group", group.conversation_id, state)


def gone(step: Step, conversation_id: str) -> None:
    """The server shows the group no more: its user is no member."""
    former = step.group(conversation_id) or GroupState()
    step.put("group", conversation_id, msgspec.structs.replace(former, members={}, gone=True))


def system(step: Step, frame: frames.MessageFrame) -> None:
    """Note who left at which number, and have the group fetched before the next message."""
    event = _event(frame)
    if event is None or event.event not in CHANGES:
        return
    state = step.group(frame.conversation_id) or GroupState()
    number, members, since, past = frame.sequence_number, dict(state.members), dict(state.since), state.past
    for user in (*event.user_ids, *event.members):
        if event.event in {"member_removed", "member_left"}:
            joined = since.pop(user, None)
            if joined is not None and joined <= number:
                past = (*past, (user, joined, number))[-PAST_LIMIT:]
            if members.get(user, number) < number:
                del members[user]
        elif since.get(user, 0) < number:
            since[user] = number
    step.put("group", frame.conversation_id, msgspec.structs.replace(state, members=members, since=since, past=past))
    need(step, frame.conversation_id)


def _event(frame: frames.MessageFrame) -> _Event | None:
    content: Any = frame.content
    if isinstance(content, msgspec.UnsetType):
        return None
    try:
        return msgspec.json.decode(content, type=_Event)
    except msgspec.DecodeError:
        return None
