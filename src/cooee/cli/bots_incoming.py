"""``cooee bots incoming``: addresses by which other programs post as a bot."""

import click

from cooee.cli.account import checked_user
from cooee.cli.choices import account_options
from cooee.cli.invocation import Invocation, pass_invocation
from cooee.cli.names import CHATS
from cooee.cli.records import record
from cooee.cli.render import clock, safe, table
from cooee.cli.targets import find_conversation, group_titles
from cooee.client.api import Api
from cooee.protocol import bots as bodies


@click.group()
@account_options
def incoming() -> None:
    """A bot's incoming webhooks: create, list, rotate, delete."""


@incoming.command()
@click.argument("bot")
@click.argument("conversation", shell_complete=CHATS)
@click.option("--name", metavar="TEXT", default="webhook", show_default=True, help="How you tell it from others.")
@account_options
@pass_invocation
def create(invocation: Invocation, bot: str, conversation: str, name: str) -> None:
    """Make an address that posts as BOT into CONVERSATION: the bot's chat with a user, or a group it is in.

    \b
    Example: cooee bots incoming create build-bot Team --name nightly
    """  # noqa: D301  # click needs the character itself
    bot_id = checked_user(bot)

    async def creating(api: Api) -> bodies.NewIncomingHook:
        conversation_id = await find_conversation(conversation, bot_id, lambda: group_titles(api))
        return await api.create_incoming_hook(bot_id, name, conversation_id)

    _tell(invocation, invocation.call(creating))


@incoming.command("list")
@click.argument("bot")
@account_options
@pass_invocation
def list_hooks(invocation: Invocation, bot: str) -> None:
    """List a bot's incoming webhooks, without their address."""
    bot_id = checked_user(bot)
    found = invocation.call(lambda api: api.incoming_hooks(bot_id))
    for hook in found:
        invocation.tell(record("incoming_hook", hook))
    now = invocation.now
    rows = [
        (hook.hook_id, safe(hook.name), hook.conversation_id, clock(hook.last_used, now) if hook.last_used else "never")
        for hook in found
    ]
    invocation.say(*table(invocation.look, ("WEBHOOK", "NAME", "POSTS TO", "LAST USED"), rows))
    if not found:
        invocation.note("It has none; `cooee bots incoming create BOT CONVERSATION` makes one.")


@incoming.command()
@click.argument("bot")
@click.argument("webhook")
@account_options
@pass_invocation
def rotate(invocation: Invocation, bot: str, webhook: str) -> None:
    """Give a webhook another address; the former one is void at once."""
    bot_id = checked_user(bot)
    _tell(invocation, invocation.call(lambda api: api.rotate_incoming_hook(bot_id, webhook)))


@incoming.command()
@click.argument("bot")
@click.argument("webhook")
@account_options
@pass_invocation
def delete(invocation: Invocation, bot: str, webhook: str) -> None:
    """End a webhook, named as `list` names it."""
    bot_id = checked_user(bot)
    invocation.call(lambda api: api.delete_incoming_hook(bot_id, webhook))
    invocation.tell(
        {"type": "incoming_hook_deleted", "userId": bot_id, "hookId": webhook}, f"{safe(webhook)} has ended."
    )


def _tell(invocation: Invocation, made: bodies.NewIncomingHook) -> None:
    url = invocation.login().url.rstrip("/") + made.path
    invocation.tell(record("incoming_hook", made, url=url), url)
    invocation.note("Who has this address posts as the bot: keep it secret. It is shown only now.")
