"""Routes of groups (PROTOCOL.md §8)."""

from cooee.domain.conversation import Group
from cooee.domain.errors import ErrorCode, bad_frame
from cooee.domain.ids import check_conversation_id, is_direct
from cooee.domain.scopes import Scope
from cooee.gateway.http.route import Call, Route
from cooee.gateway.http.services import HttpServices
from cooee.protocol import http
from cooee.services.device_lists import hash_of
from cooee.services.profiles import checked_user_id

_Call = Call[HttpServices]


def _group_id(call: _Call) -> str:
    conversation_id = call.path["conversationId"]
    check_conversation_id(conversation_id)
    if is_direct(conversation_id):
        raise bad_frame("this is a direct chat, not a group")
    return conversation_id


async def _seen(call: _Call, group: Group, not_added: tuple[str, ...] = ()) -> http.Group:
    """Return a group as its members see it, in the order in which they joined."""
    ranked = sorted(group.members.values(), key=lambda member: (member.joined, member.user_id))
    lists = await call.services.device_lists.load(tuple(group.members))
    versions = {user_id: 0 if found is None else found.list.version for user_id, found in lists.items()}
    members = tuple(
        http.GroupMember(member.user_id, member.role, member.joined, versions[member.user_id]) for member in ranked
    )
    return http.Group(
        group.conversation_id,
        group.name,
        group.owner_id,
        members,
        group.roster_version,
        group.created_at,
        not_added,
        hash_of(lists),
    )


async def create_group(call: _Call) -> http.Group:
    """Found a group."""
    wanted: http.CreateGroup = call.body
    return await _seen(call, *await call.services.groups.create(call.caller, wanted.name, wanted.member_ids))


async def get_group(call: _Call) -> http.Group:
    """Return a group."""
    return await _seen(call, await call.services.groups.get(call.caller.user_id, _group_id(call)))


async def patch_group(call: _Call) -> http.Group:
    """Rename a group."""
    patch: http.PatchGroup = call.body
    conversation_id = _group_id(call)
    if isinstance(patch.name, str):
        return await _seen(call, await call.services.groups.rename(call.caller, conversation_id, patch.name))
    return await _seen(call, await call.services.groups.get(call.caller.user_id, conversation_id))


async def delete_group(call: _Call) -> None:
    """End a group."""
    await call.services.groups.delete(call.caller, _group_id(call))


async def add_group_members(call: _Call) -> http.Group:
    """Let users in."""
    wanted: http.AddMembers = call.body
    return await _seen(call, *await call.services.groups.add_members(call.caller, _group_id(call), wanted.user_ids))


async def remove_group_member(call: _Call) -> None:
    """Send a member away, or leave."""
    user_id = checked_user_id(call.path["userId"])
    await call.services.groups.remove_member(call.caller, _group_id(call), user_id)


async def set_group_role(call: _Call) -> http.Group:
    """Change a member's role."""
    wanted: http.SetRole = call.body
    user_id = checked_user_id(call.path["userId"])
    return await _seen(call, await call.services.groups.set_role(call.caller, _group_id(call), user_id, wanted.role))


async def create_group_invite(call: _Call) -> http.Invite:
    """Make an invitation."""
    wanted: http.CreateInvite = call.body
    token = await call.services.groups.create_invite(call.caller, _group_id(call), wanted.expires_at, wanted.max_uses)
    return http.Invite(token, wanted.expires_at, wanted.max_uses)


async def delete_group_invite(call: _Call) -> None:
    """End the invitation."""
    await call.services.groups.delete_invites(call.caller, _group_id(call))


async def join_group(call: _Call) -> http.Group:
    """Come in by an invitation."""
    wanted: http.Join = call.body
    return await _seen(call, await call.services.groups.join(call.caller, wanted.token))


_ONE = "/v1/groups/{conversationId}"
_CHANGES = "group_changes"
_LARGE = (ErrorCode.NOT_FOUND, ErrorCode.TOO_LARGE)

ROUTES = (
    Route(
        method="POST",
        path="/v1/groups",
        endpoint=create_group,
        summary="Found a group.",
        tag="groups",
        needs=Scope.GROUPS_WRITE,
        status=201,
        request=http.CreateGroup,
        response=http.Group,
        limit=_CHANGES,
        errors=_LARGE,
    ),
    Route(
        method="GET",
        path=_ONE,
        endpoint=get_group,
        summary="A group with its members and their roles.",
        tag="groups",
        needs=Scope.MESSAGES_READ,
        response=http.Group,
    ),
    Route(
        method="PATCH",
        path=_ONE,
        endpoint=patch_group,
        summary="Rename a group (admins).",
        tag="groups",
        needs=Scope.GROUPS_WRITE,
        request=http.PatchGroup,
        response=http.Group,
        limit=_CHANGES,
    ),
    Route(
        method="DELETE",
        path=_ONE,
        endpoint=delete_group,
        summary="End a group for everybody (owner).",
        tag="groups",
        needs=Scope.GROUPS_WRITE,
        status=204,
        limit=_CHANGES,
    ),
    Route(
        method="POST",
        path=f"{_ONE}/members",
        endpoint=add_group_members,
        summary="Add members (admins). Who lets only contacts add him is named in notAdded.",
        tag="groups",
        needs=Scope.GROUPS_WRITE,
        request=http.AddMembers,
        response=http.Group,
        limit=_CHANGES,
        errors=_LARGE,
    ),
    Route(
        method="DELETE",
        path=f"{_ONE}/members/{{userId}}",
        endpoint=remove_group_member,
        summary="Remove a member (admins), or leave with the own userId.",
        tag="groups",
        needs=Scope.GROUPS_WRITE,
        status=204,
        limit=_CHANGES,
        errors=(ErrorCode.CONFLICT,),
    ),
    Route(
        method="PUT",
        path=f"{_ONE}/members/{{userId}}/role",
        endpoint=set_group_role,
        summary="Change a member's role (owner); the role owner hands the group over.",
        tag="groups",
        needs=Scope.GROUPS_WRITE,
        request=http.SetRole,
        response=http.Group,
        limit=_CHANGES,
        errors=(ErrorCode.NOT_FOUND, ErrorCode.CONFLICT),
    ),
    Route(
        method="POST",
        path=f"{_ONE}/invite",
        endpoint=create_group_invite,
        summary="Make an invitation (admins); it replaces the former one.",
        tag="groups",
        needs=Scope.GROUPS_WRITE,
        status=201,
        request=http.CreateInvite,
        response=http.Invite,
        limit=_CHANGES,
    ),
    Route(
        method="DELETE",
        path=f"{_ONE}/invite",
        endpoint=delete_group_invite,
        summary="End the invitation (admins).",
        tag="groups",
        needs=Scope.GROUPS_WRITE,
        status=204,
        limit=_CHANGES,
    ),
    Route(
        method="POST",
        path="/v1/join",
        endpoint=join_group,
        summary="Join a group by an invitation.",
        tag="groups",
        needs=Scope.GROUPS_WRITE,
        request=http.Join,
        response=http.Group,
        limit=_CHANGES,
        errors=_LARGE,
    ),
)
