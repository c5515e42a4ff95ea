"""Who is, and who was, a member of a group: from what the server says now, and from its system messages."""

from typing import Any, Final

import msgspec

from cooee.client.e2ee.kinds import GroupState
from cooee.client.e2ee.step import Step
from cooee.domain.ids import is_direct
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


def said(step: Step, conversation_id: str, number: int) -> None:
    """Note that a message of this user has a number in a group: who comes in later has not joined before it."""
    if not is_direct(conversation_id) and number > _said(step, conversation_id):
        step.put("said", conversation_id, b"%d" % number)


def _said(step: Step, conversation_id: str) -> int:
    return int(step.find("said", conversation_id) or 0)


def _joined(step: Step, former: GroupState, group: Group) -> dict[str, int]:
    """Return since when the members are such, never earlier than this device can have overlooked it.

    The server says it, and could say of somebody whom it adds now that he was there from the beginning: then he would
    be given the keys of everything. So who was no member when the group was looked at last has joined after the
    messages that were sent since, and who was one has not joined earlier than it was said then.
    """
    after = _said(step, group.conversation_id) + 1 if former.roster_version else 0
    known = former.since if former.gone else former.members
    return {member.user_id: max(member.joined, known.get(member.user_id, after)) for member in group.members}


def take(step: Step, group: Group) -> None:
    """Take in a group as the server has it now."""
    former = step.group(group.conversation_id) or GroupState()
    if group.roster_version < former.roster_version:
        step.tally("groups_outdated")
        return
    members = _joined(step, former, group)
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
