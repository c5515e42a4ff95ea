"""``cooee contacts``, ``blocks`` and ``users``."""

from collections.abc import Awaitable, Callable, Sequence

import click

from cooee.cli.account import checked_user
from cooee.cli.choices import account_options
from cooee.cli.invocation import Invocation, pass_invocation
from cooee.cli.names import USER, USERS
from cooee.cli.records import record
from cooee.cli.render import safe, table
from cooee.client.api import Api
from cooee.protocol import http


@click.group(invoke_without_command=True)
@account_options
@click.pass_context
def contacts(context: click.Context) -> None:
    """List, add and remove contacts. Without a command: list them."""
    if context.invoked_subcommand is None:
        context.invoke(list_contacts)


@contacts.command("list")
@account_options
@pass_invocation
def list_contacts(invocation: Invocation) -> None:
    """List your contacts."""
    _show_users(invocation, "contact", invocation.call(lambda api: api.contacts()))


@contacts.command("add")
@USERS
@account_options
@pass_invocation
def add_contact(invocation: Invocation, users: tuple[str, ...]) -> None:
    """Make USERS your contacts."""
    _each(invocation, users, "contact_added", "{} is a contact now.", lambda api, user: api.add_contact(user))


@contacts.command("remove")
@USERS
@account_options
@pass_invocation
def remove_contact(invocation: Invocation, users: tuple[str, ...]) -> None:
    """Make USERS no contacts any more."""
    _each(
        invocation, users, "contact_removed", "{} is no contact any more.", lambda api, user: api.remove_contact(user)
    )


@click.group(invoke_without_command=True)
@account_options
@click.pass_context
def blocks(context: click.Context) -> None:
    """List whom you block, block and unblock. Without a command: list them.

    Between two of whom one blocks the other there are no direct messages and no presence.
    """
    if context.invoked_subcommand is None:
        context.invoke(list_blocks)


@blocks.command("list")
@account_options
@pass_invocation
def list_blocks(invocation: Invocation) -> None:
    """List whom you block."""
    _show_users(invocation, "block", invocation.call(lambda api: api.blocks()))


@blocks.command("add")
@USERS
@account_options
@pass_invocation
def add_block(invocation: Invocation, users: tuple[str, ...]) -> None:
    """Block USERS."""
    _each(invocation, users, "blocked", "{} is blocked.", lambda api, user: api.block(user))


@blocks.command("remove")
@USERS
@account_options
@pass_invocation
def remove_block(invocation: Invocation, users: tuple[str, ...]) -> None:
    """Block USERS no longer."""
    _each(invocation, users, "unblocked", "{} is not blocked any more.", lambda api, user: api.unblock(user))


@click.group()
@account_options
def users() -> None:
    """Find other users."""


@users.command()
@click.argument("query")
@account_options
@pass_invocation
def search(invocation: Invocation, query: str) -> None:
    """Find users whose userId or name begins with QUERY (3 characters at least, 20 users at most)."""
    found = invocation.call(lambda api: api.search_users(query))
    _show_users(invocation, "user", found)
    if not found:
        invocation.note("Nobody was found.")


@users.command()
@USER
@account_options
@pass_invocation
def show(invocation: Invocation, user: str) -> None:
    """Show what a user tells of himself."""
    user_id = checked_user(user)
    found = invocation.call(lambda api: api.user(user_id))
    about = (safe(found.about),) if found.about else ()
    bot = ", a bot" if found.bot else ""
    invocation.tell(record("user", found), f"{found.user_id} ({safe(found.display_name)}){bot}", *about)


def _show_users(invocation: Invocation, kind: str, found: Sequence[http.User]) -> None:
    for user in found:
        invocation.tell(record(kind, user))
    rows = [
        (
            user.user_id,
            "(deleted)" if user.deleted else safe(user.display_name),
            safe(user.about),
            "bot" if user.bot else "",
        )
        for user in found
    ]
    invocation.say(*table(invocation.look, ("USER", "NAME", "ABOUT", ""), rows))


def _each(
    invocation: Invocation,
    users: Sequence[str],
    kind: str,
    text: str,
    change: Callable[[Api, str], Awaitable[None]],
) -> None:
    user_ids = [checked_user(user) for user in users]

    async def changing(api: Api) -> None:
        for user_id in user_ids:
            await change(api, user_id)
            invocation.tell({"type": kind, "userId": user_id}, text.format(user_id))

    invocation.call(changing)
