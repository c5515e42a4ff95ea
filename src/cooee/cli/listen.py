"""``cooee listen``: what arrives, and ticks as they change, until Ctrl-C."""

import asyncio
from contextlib import aclosing

import click
import msgspec

from cooee.cli.at_hand import serving
from cooee.cli.choices import account_options
from cooee.cli.errors import CliError
from cooee.cli.invocation import Invocation, pass_invocation
from cooee.cli.names import CHATS
from cooee.cli.performing import client_of
from cooee.cli.screen import Screen, Wishes
from cooee.cli.targets import find_conversation
from cooee.client import Client, ConnectionState, Event, LinkNeeded
from cooee.client.ledger import EventStream


class Wanted(msgspec.Struct, frozen=True):
    """What to listen to, and for how long (s)."""

    conversations: tuple[str, ...]
    only_new: bool
    seconds: float | None


@click.command()
@click.argument("conversations", nargs=-1, shell_complete=CHATS)
@click.option("--no-read", is_flag=True, help="Do not mark as read what is shown.")
@click.option("--new", "only_new", is_flag=True, help="Do not show first what is unread already.")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after N messages from others.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="End after this time.")
@click.option("--retry", is_flag=True, help="Keep trying when the server cannot be reached at the start.")
@account_options
@pass_invocation
def listen(
    invocation: Invocation,
    conversations: tuple[str, ...],
    no_read: bool,
    only_new: bool,
    count: int | None,
    timeout: float | None,
    retry: bool,
) -> None:
    """Show messages, ticks, typing and presence as they come, until Ctrl-C.

    Other commands of the same account go through it. Only of the CONVERSATIONS (users or groups) named, if any are.
    What is shown is marked as read unless --no-read is given. First comes what is unread already. A lost connection
    comes back by itself.

    \b
    Examples: cooee listen
              cooee listen --json --no-read | jq -r 'select(.type == "message").text'
    """  # noqa: D301  # click needs the character itself
    chosen = invocation.login()
    wanted = Wanted(conversations, only_new, timeout)
    wishes = Wishes(read=not no_read, count=count, retry=retry)
    client = client_of(invocation, chosen, follow_large_groups=True)
    full = invocation.run(_listen(invocation, client, wanted, wishes))
    if not full and count is not None:
        raise CliError("The time was over before the messages came.", code="timeout")


async def _listen(invocation: Invocation, client: Client, wanted: Wanted, wishes: Wishes) -> bool:
    """Listen until it is enough; tell whether it was the number of messages that was reached."""
    async with client, serving(client):
        limit = asyncio.timeout(wanted.seconds)
        try:
            async with limit, aclosing(client.events()) as events:
                screen = Screen(invocation, client, wishes, encrypts=client.encrypts)
                await _begin(invocation, client, events, screen, wanted)
                while not screen.full:
                    await screen.show(await anext(events))
        except TimeoutError:
            if not limit.expired():
                raise
            return False
        except StopAsyncIteration:
            return False
        return True


async def _begin(invocation: Invocation, client: Client, events: EventStream, screen: Screen, wanted: Wanted) -> None:
    """Wait until everything missed is here, show what is unread, and then what happened meanwhile."""
    meanwhile: list[Event] = []
    while client.connection.state != "online":
        event = await anext(events)
        if isinstance(event, ConnectionState):
            await screen.show(event)
        else:
            meanwhile.append(event)
            invocation.progress("Catching up", len(meanwhile), None)
    invocation.settle()
    if client.encrypts and client.standing == "unlinked":
        await screen.show(LinkNeeded())
    screen.open(await client.conversations())

    async def titles() -> dict[str, str]:
        return screen.naming.titles

    me = client.me.user_id
    screen.only = frozenset([await find_conversation(text, me, titles) for text in wanted.conversations])
    await screen.watch()
    if not wanted.only_new:
        await screen.show_unread()
        for event in meanwhile:
            await screen.show(event)
