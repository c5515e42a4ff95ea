"""``cooee chat``: the full-screen client. Textual is imported only when it runs."""

import sys

import click

from cooee.cli.choices import account_options
from cooee.cli.errors import CliError, usage
from cooee.cli.invocation import Invocation, pass_invocation
from cooee.cli.names import CHATS
from cooee.cli.performing import client_of
from cooee.client import Client


@click.command()
@click.argument("conversation", required=False, shell_complete=CHATS)
@click.option("--theme", type=click.Choice(["dark", "light"]), help="Colours; F2 changes them  [as last time; dark]")
@account_options
@pass_invocation
def chat(invocation: Invocation, conversation: str | None, theme: str | None) -> None:
    """Chat, full screen: conversations, messages with ticks, groups, search. F1 shows all keys.

    Opens CONVERSATION (a user, or a group's title) when it is named. Works without a connection from what is on this
    machine; what is written then goes out later.

    \b
    Examples: cooee chat
              cooee chat bob --as alice
    """  # noqa: D301  # click needs the character itself
    if invocation.as_json:
        raise usage("`cooee chat` is for people; `cooee listen --json` and `cooee send` are for programs.")
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise usage("`cooee chat` needs a terminal; `cooee listen` and `cooee send` work with pipes.")
    client = client_of(invocation, invocation.login())
    invocation.run(_chat(client, conversation, theme), bar=False)


async def _chat(client: Client, conversation: str | None, theme: str | None) -> None:
    from cooee.cli.tui.run import run  # noqa: PLC0415  # Textual takes a while to import

    if not await run(client, conversation, theme):
        raise CliError("The screen ended by a defect; please report what stands above.", code="defect")
