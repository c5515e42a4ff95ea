"""``cooee groups``: create and administer groups. Groups are named by their title or id."""

import re
from collections.abc import Sequence

import click

from cooee.cli.account import checked_user
from cooee.cli.choices import account_options
from cooee.cli.invocation import Invocation, pass_invocation
from cooee.cli.names import GROUP, PEOPLE, USER, USERS
from cooee.cli.records import conversation as conversation_record
from cooee.cli.records import record
from cooee.cli.render import safe, table
from cooee.cli.targets import find_group, moment
from cooee.client.api import Api
from cooee.domain.conversation import Role
from cooee.protocol import http

_DASHED_CODE = re.compile(r"-[A-Za-z0-9_-]{21}", re.ASCII)


@click.group(invoke_without_command=True)
@account_options
@click.pass_context
def groups(context: click.Context) -> None:
    """List, found and administer groups. Without a command: list them.

    GROUP is a group's title or its id (group:…).
    """
    if context.invoked_subcommand is None:
        context.invoke(list_groups)


@groups.command("list")
@account_options
@pass_invocation
def list_groups(invocation: Invocation) -> None:
    """List the groups you are in."""

    async def listing(api: Api) -> list[http.Conversation]:
        return [found async for found in api.conversations() if found.kind == "group" and not found.left]

    found = invocation.call(listing)
    for conversation in found:
        invocation.tell(conversation_record(conversation, invocation.login().user_id))
    rows = [
        (safe(group.title), str(group.member_count), group.role.value if group.role else "", group.conversation_id)
        for group in found
    ]
    invocation.say(*table(invocation.look, ("GROUP", "MEMBERS", "ROLE", "ID"), rows))
    if not found:
        invocation.note("You are in no group; `cooee groups create NAME USER…` makes one.")


@groups.command()
@click.argument("name")
@click.argument("users", nargs=-1, shell_complete=PEOPLE)
@account_options
@pass_invocation
def create(invocation: Invocation, name: str, users: tuple[str, ...]) -> None:
    """Found the group NAME with USERS as members.

    Example: cooee groups create Team bob carol
    """
    members = [checked_user(user) for user in users]
    group = invocation.call(lambda api: api.create_group(name, members))
    invocation.tell(record("group", group), f"Created {safe(group.name)} ({group.conversation_id}).")
    _tell_not_added(invocation, group)


@groups.command()
@GROUP
@account_options
@pass_invocation
def show(invocation: Invocation, group: str) -> None:
    """Show a group and its members."""

    async def showing(api: Api) -> http.Group:
        return await api.group(await find_group(api, group))

    _show(invocation, invocation.call(showing))


@groups.command()
@GROUP
@click.argument("name")
@account_options
@pass_invocation
def rename(invocation: Invocation, group: str, name: str) -> None:
    """Give a group another NAME (admins)."""

    async def renaming(api: Api) -> http.Group:
        return await api.rename_group(await find_group(api, group), name)

    changed = invocation.call(renaming)
    invocation.tell(record("group", changed), f"The group is called {safe(changed.name)} now.")


@groups.command()
@GROUP
@USERS
@account_options
@pass_invocation
def add(invocation: Invocation, group: str, users: tuple[str, ...]) -> None:
    """Add USERS to a group (admins)."""
    members = [checked_user(user) for user in users]

    async def adding(api: Api) -> http.Group:
        return await api.add_members(await find_group(api, group), members)

    changed = invocation.call(adding)
    invocation.tell(record("group", changed), f"{safe(changed.name)} has {len(changed.members)} members now.")
    _tell_not_added(invocation, changed)


@groups.command()
@GROUP
@USERS
@account_options
@pass_invocation
def remove(invocation: Invocation, group: str, users: tuple[str, ...]) -> None:
    """Remove USERS from a group (admins)."""
    members = [checked_user(user) for user in users]

    async def removing(api: Api) -> str:
        conversation_id = await find_group(api, group)
        for user in members:
            await api.remove_member(conversation_id, user)
        return conversation_id

    conversation_id = invocation.call(removing)
    for user in members:
        invocation.tell(
            {"type": "member_removed", "conversationId": conversation_id, "userId": user}, f"Removed {user}."
        )


@groups.command()
@GROUP
@USER
@click.argument("role", type=click.Choice([role.value for role in Role]))
@account_options
@pass_invocation
def role(invocation: Invocation, group: str, user: str, role: str) -> None:
    """Give USER a role (owner only); "owner" hands the group over.

    Example: cooee groups role Team bob admin
    """
    user_id = checked_user(user)

    async def setting(api: Api) -> http.Group:
        return await api.set_role(await find_group(api, group), user_id, Role(role))

    changed = invocation.call(setting)
    invocation.tell(record("group", changed), f"{user_id} is {role} of {safe(changed.name)} now.")


@groups.command()
@GROUP
@account_options
@pass_invocation
def leave(invocation: Invocation, group: str) -> None:
    """Leave a group. An owner hands it over first."""

    async def leaving(api: Api) -> str:
        conversation_id = await find_group(api, group)
        await api.remove_member(conversation_id, invocation.login().user_id or (await api.me()).user_id)
        return conversation_id

    conversation_id = invocation.call(leaving)
    invocation.tell({"type": "left", "conversationId": conversation_id}, "You left the group.")


@groups.command()
@GROUP
@click.option("--yes", is_flag=True, help="Do not ask.")
@account_options
@pass_invocation
def delete(invocation: Invocation, group: str, yes: bool) -> None:
    """End a group for everybody (owner)."""
    if not yes:
        invocation.confirm(f"End the group {safe(group)} for all its members?")

    async def deleting(api: Api) -> str:
        conversation_id = await find_group(api, group)
        await api.delete_group(conversation_id)
        return conversation_id

    conversation_id = invocation.call(deleting)
    invocation.tell({"type": "group_deleted", "conversationId": conversation_id}, "The group has ended.")


@groups.command()
@GROUP
@click.option("--expires", callback=moment(0), help="When it ends: 8h, 7d or a date and time  [default: never]")
@click.option("--max-uses", type=click.IntRange(min=0), default=0, help="How many may join by it; 0: no bound.")
@click.option("--revoke", is_flag=True, help="Make the invitation void instead.")
@account_options
@pass_invocation
def invite(invocation: Invocation, group: str, expires: int, max_uses: int, revoke: bool) -> None:
    """Make an invitation to a group (admins); it replaces the former one.

    Who has its code joins with: cooee groups join CODE
    """

    async def inviting(api: Api) -> tuple[str, http.Invite | None]:
        conversation_id = await find_group(api, group)
        if revoke:
            await api.delete_invites(conversation_id)
            return conversation_id, None
        return conversation_id, await api.create_invite(conversation_id, expires_at=expires, max_uses=max_uses)

    conversation_id, made = invocation.call(inviting)
    if made is None:
        invocation.tell(
            {"type": "invites_revoked", "conversationId": conversation_id}, "The group's invitation is void."
        )
        return
    invocation.tell(record("invite", made, conversationId=conversation_id), made.token)
    invocation.note(f"Others join with: cooee groups join {made.token}")


class CodeCommand(click.Command):
    """A command whose argument is a code that may begin with a dash, and is no option for all that."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put such a code behind the options."""
        codes = [arg for arg in args if _DASHED_CODE.fullmatch(arg)]
        if codes and "--" not in args:
            args = [*(arg for arg in args if arg not in codes), "--", *codes]
        return super().parse_args(ctx, args)


@groups.command(cls=CodeCommand)
@click.argument("code")
@account_options
@pass_invocation
def join(invocation: Invocation, code: str) -> None:
    """Join a group by the CODE of an invitation."""
    group = invocation.call(lambda api: api.join(code))
    invocation.tell(record("group", group), f"You are in {safe(group.name)} now ({group.conversation_id}).")


def _show(invocation: Invocation, group: http.Group) -> None:
    invocation.tell(
        record("group", group), f"{safe(group.name)} ({group.conversation_id}), {len(group.members)} members"
    )
    rows = [(member.user_id, member.role.value) for member in _by_rank(group.members)]
    invocation.say(*table(invocation.look, ("MEMBER", "ROLE"), rows))


def _by_rank(members: Sequence[http.GroupMember]) -> list[http.GroupMember]:
    rank = [Role.OWNER, Role.ADMIN, Role.MEMBER]
    return sorted(members, key=lambda member: (rank.index(member.role), member.user_id))


def _tell_not_added(invocation: Invocation, group: http.Group) -> None:
    if group.not_added:
        invocation.note(
            f"Not added: {', '.join(group.not_added)}. They let only their contacts add them, or there is a block; "
            f"`cooee groups invite {group.conversation_id}` makes an invitation."
        )
