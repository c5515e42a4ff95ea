"""The rules of groups: who may do what, and which system messages tell of it (PROTOCOL.md §8).

Each rule is a pure decision: it takes the group as it stands and returns the group as it shall stand together with the
records for its timeline, or None when there is nothing to do, or raises the refusal. The store runs it in the
transaction that stores the outcome, so no two changes of one group can pass each other.
"""

import unicodedata
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from cooee.domain.conversation import Group, Member, Role
from cooee.domain.errors import CooeeError, ErrorCode, bad_frame, not_a_member, not_found
from cooee.domain.message import CONTENT_SYSTEM, LogRecord

MAX_NAME = 100
_FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cs", "Co", "Cn"})
_BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

_encode = msgspec.json.encode


class Change(NamedTuple):
    """What a rule decided: the new group, its system records, and per record the users let in or sent away."""

    group: Group
    records: tuple[LogRecord, ...]
    subjects: tuple[tuple[str, ...], ...]


class Actor(NamedTuple):
    """Who asks for a change, when (ms), and under which id the change is known (a retry is the same change)."""

    user_id: str
    timestamp: int
    change_id: str


def clean_name(name: str, what: str = "the group's name", limit: int = MAX_NAME) -> str:
    """Return ``name`` in NFC without surrounding space.

    Raises:
        CooeeError: ``bad_frame`` when it is empty, too long, or holds control or direction-changing characters.
    """
    cleaned = unicodedata.normalize("NFC", name).strip()
    if not cleaned or len(cleaned) > limit:
        raise bad_frame(f"{what} must have 1 to {limit} characters")
    if any(ch in _BIDI_CONTROLS or unicodedata.category(ch) in _FORBIDDEN_CATEGORIES for ch in cleaned):
        raise bad_frame(f"{what} must not contain control characters")
    return cleaned


def create(
    group: Group | None, actor: Actor, conversation_id: str, name: str, member_ids: Sequence[str], limit: int
) -> Change | None:
    """Found a group with ``actor`` as owner and ``member_ids`` as members; nothing when it is there already."""
    if group is not None:
        return None
    users = list(dict.fromkeys([actor.user_id, *member_ids]))
    _check_size(len(users), limit)
    members = {user: Member(user, Role.OWNER if user == actor.user_id else Role.MEMBER, 0) for user in users}
    founded = Group(conversation_id, name, actor.user_id, members, 1, actor.timestamp)
    record = _record(founded, actor, 0, "group_created", name=name, members=users)
    return Change(founded, (record,), (tuple(users),))


def rename(group: Group | None, actor: Actor, name: str) -> Change | None:
    """Give the group another name (admins)."""
    group = _standing(group)
    _require(group, actor, Role.ADMIN)
    if name == group.name:
        return None
    return _change(group, actor, "group_renamed", {"name": name}, name=name)


def add_members(group: Group | None, actor: Actor, user_ids: Sequence[str], limit: int) -> Change | None:
    """Let users in (admins); those who are in already stay as they are."""
    group = _standing(group)
    _require(group, actor, Role.ADMIN)
    return _let_in(group, actor, user_ids, limit, by_link=False)


def join(group: Group | None, actor: Actor, limit: int) -> Change | None:
    """Come in by an invitation link; one who was removed does not."""
    if group is None or group.deleted:
        raise not_found("the group")
    if actor.user_id in group.barred:
        raise CooeeError(ErrorCode.FORBIDDEN, "you were removed from this group; ask an admin to add you")
    return _let_in(group, actor, (actor.user_id,), limit, by_link=True)


def _let_in(group: Group, actor: Actor, user_ids: Sequence[str], limit: int, *, by_link: bool) -> Change | None:
    new = [user for user in dict.fromkeys(user_ids) if user not in group.members]
    if not new:
        return None
    _check_size(len(group.members) + len(new), limit)
    members = group.members | {user: Member(user, Role.MEMBER, 0) for user in new}
    fields: dict[str, Any] = {"userIds": new} | ({"byLink": True} if by_link else {})
    return _change(
        group, actor, "member_added", fields, subjects=new, members=members, barred=group.barred.difference(new)
    )


def remove_member(group: Group | None, actor: Actor, user_id: str) -> Change | None:
    """Send a member away (admins, never the owner), or leave. The owner hands over first, unless he is alone."""
    group = _standing(group)
    if actor.user_id == user_id:
        return _leave(group, actor)
    _require(group, actor, Role.ADMIN)
    if user_id not in group.members:
        return None
    if user_id == group.owner_id:
        raise CooeeError(ErrorCode.FORBIDDEN, "the owner cannot be removed")
    if group.members[user_id].role is Role.ADMIN and actor.user_id != group.owner_id:
        raise CooeeError(ErrorCode.FORBIDDEN, "only the owner removes an admin")
    return _change(
        group,
        actor,
        "member_removed",
        {"userIds": [user_id]},
        subjects=[user_id],
        members=_without(group, user_id),
        barred=group.barred | {user_id},
    )


def _leave(group: Group, actor: Actor) -> Change | None:
    if actor.user_id not in group.members:
        raise not_a_member()
    if actor.user_id == group.owner_id and len(group.members) > 1:
        raise CooeeError(ErrorCode.CONFLICT, "hand the group over to another member before you leave")
    members = _without(group, actor.user_id)
    return _change(
        group,
        actor,
        "member_left",
        {"userIds": [actor.user_id]},
        subjects=[actor.user_id],
        members=members,
        deleted=not members,
    )


def depart(group: Group | None, actor: Actor) -> Change | None:
    """Take a user whose account ends out of the group; ownership goes to the oldest admin, else the oldest member."""
    if group is None or group.deleted or actor.user_id not in group.members:
        return None
    members = _without(group, actor.user_id)
    records = [_record(group, actor, 0, "member_left", userIds=[actor.user_id])]
    subjects: list[tuple[str, ...]] = [(actor.user_id,)]
    owner_id = group.owner_id
    if owner_id == actor.user_id and members:
        heir = min(members.values(), key=lambda member: (member.role is not Role.ADMIN, member.joined, member.user_id))
        owner_id = heir.user_id
        members[owner_id] = Member(owner_id, Role.OWNER, heir.joined)
        records.append(_record(group, actor, 1, "owner_changed", userId=owner_id))
        subjects.append(())
    changed = msgspec.structs.replace(
        group, members=members, owner_id=owner_id, deleted=not members, roster_version=group.roster_version + 1
    )
    return Change(changed, tuple(records), tuple(subjects))


def set_role(group: Group | None, actor: Actor, user_id: str, role: Role) -> Change | None:
    """Make a member admin or member again (owner); ``owner`` hands the group over."""
    group = _standing(group)
    _require(group, actor, Role.OWNER)
    member = group.members.get(user_id)
    if member is None:
        raise not_found("the member")
    if member.role is role:
        return None
    if role is Role.OWNER:
        return _hand_over(group, actor, member)
    if user_id == group.owner_id:
        raise CooeeError(ErrorCode.CONFLICT, "hand the group over by giving another member the role owner")
    members = group.members | {user_id: Member(user_id, role, member.joined)}
    return _change(group, actor, "role_changed", {"userId": user_id, "role": role.value}, members=members)


def _hand_over(group: Group, actor: Actor, heir: Member) -> Change:
    former = group.members[group.owner_id]
    members = group.members | {
        heir.user_id: Member(heir.user_id, Role.OWNER, heir.joined),
        former.user_id: Member(former.user_id, Role.ADMIN, former.joined),
    }
    return _change(group, actor, "owner_changed", {"userId": heir.user_id}, members=members, owner_id=heir.user_id)


def delete(group: Group | None, actor: Actor) -> Change | None:
    """End the group for everybody (owner)."""
    if group is not None and group.deleted and group.owner_id == actor.user_id:
        return None
    group = _standing(group)
    _require(group, actor, Role.OWNER)
    leaving = list(group.members)
    return _change(
        group, actor, "member_removed", {"userIds": leaving, "groupDeleted": True}, leaving, members={}, deleted=True
    )


def require_admin(group: Group | None, user_id: str) -> Group:
    """Return the group if the user administers it.

    Raises:
        CooeeError: ``not_found``, ``not_a_member`` or ``forbidden``.
    """
    group = _standing(group)
    _require(group, Actor(user_id, 0, ""), Role.ADMIN)
    return group


_RANK = {Role.MEMBER: 0, Role.ADMIN: 1, Role.OWNER: 2}


def _standing(group: Group | None) -> Group:
    if group is None or group.deleted:
        raise not_a_member()
    return group


def _require(group: Group, actor: Actor, role: Role) -> None:
    member = group.members.get(actor.user_id)
    if member is None:
        raise not_a_member()
    if _RANK[member.role] < _RANK[role]:
        raise CooeeError(ErrorCode.FORBIDDEN, f"this takes the role {role.value}")


def _check_size(count: int, limit: int) -> None:
    if count > limit:
        raise CooeeError(ErrorCode.TOO_LARGE, f"a group has at most {limit} members")


def _without(group: Group, user_id: str) -> dict[str, Member]:
    return {user: member for user, member in group.members.items() if user != user_id}


def _change(
    group: Group, actor: Actor, event: str, fields: dict[str, Any], subjects: Sequence[str] = (), **changes: Any
) -> Change:
    changed = msgspec.structs.replace(group, roster_version=group.roster_version + 1, **changes)
    return Change(changed, (_record(group, actor, 0, event, **fields),), (tuple(subjects),))


def _record(group: Group, actor: Actor, part: int, event: str, **fields: Any) -> LogRecord:
    body = _encode({"content": {"event": event, "actorId": actor.user_id, **fields}})
    return LogRecord(
        group.conversation_id,
        actor.user_id,
        "",
        f"{actor.change_id}.{part}",
        actor.timestamp,
        CONTENT_SYSTEM,
        body,
    )
