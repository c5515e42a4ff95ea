"""``cooee bots``: bots that you own, and their tokens."""

from collections.abc import Sequence
from datetime import datetime

import click

from cooee.cli.account import checked_user
from cooee.cli.bots_incoming import incoming
from cooee.cli.bots_webhooks import webhooks
from cooee.cli.choices import account_options
from cooee.cli.invocation import Invocation, pass_invocation
from cooee.cli.records import record
from cooee.cli.render import clock, safe, table
from cooee.cli.targets import moment
from cooee.domain.scopes import GRANTABLE
from cooee.protocol import bots as bodies
from cooee.protocol import http

SCOPES = click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice([scope.value for scope in GRANTABLE]),
    default=("messages:read", "messages:write"),
    show_default=True,
    help="What it is good for; may be repeated.",
)
EXPIRES = click.option("--expires", callback=moment(0), help="When it ends: 8h, 30d or a date  [default: never]")


@click.group(invoke_without_command=True)
@account_options
@click.pass_context
def bots(context: click.Context) -> None:
    """Make bots, give them tokens, and end them. Without a command: list them.

    A bot is an account that a program uses by a token: COOEE_TOKEN=… cooee send bob hello
    """
    if context.invoked_subcommand is None:
        context.invoke(list_bots)


bots.add_command(incoming)
bots.add_command(webhooks)


@bots.command("list")
@account_options
@pass_invocation
def list_bots(invocation: Invocation) -> None:
    """List your bots."""
    found = invocation.call(lambda api: api.bots())
    show_bots(invocation, found)
    if not found:
        invocation.note("You have no bot; `cooee bots create NAME` makes one.")


@bots.command()
@click.argument("bot")
@click.option("--display-name", metavar="TEXT", default="", help="How people see the bot  [default: its name]")
@account_options
@pass_invocation
def create(invocation: Invocation, bot: str, display_name: str) -> None:
    """Make a bot called BOT; like every account's, its name is never given again."""
    bot_id = checked_user(bot)
    made = invocation.call(lambda api: api.create_bot(bot_id, display_name=display_name))
    invocation.tell(record("bot", made), f"Made the bot {made.user_id}.")
    invocation.note(f"A program uses it by a token: cooee bots tokens create {made.user_id} NAME")


@bots.command()
@click.argument("bot")
@account_options
@pass_invocation
def show(invocation: Invocation, bot: str) -> None:
    """Show a bot of yours."""
    bot_id = checked_user(bot)
    found = invocation.call(lambda api: api.bot(bot_id))
    rows = [
        ("bot", found.user_id),
        ("name", safe(found.display_name)),
        ("about", safe(found.about)),
        ("made", clock(found.created_at, invocation.now)),
        *((("state", "disabled"),) if found.disabled else ()),
    ]
    invocation.tell(record("bot", found), *(f"{name:8} {value}" for name, value in rows))


@bots.command()
@click.argument("bot")
@click.argument("name")
@account_options
@pass_invocation
def rename(invocation: Invocation, bot: str, name: str) -> None:
    """Let people see a bot as NAME; its userId stays."""
    bot_id = checked_user(bot)
    changed = invocation.call(lambda api: api.update_bot(bot_id, http.PatchMe(display_name=name)))
    invocation.tell(record("bot", changed), f"{changed.user_id} is seen as {safe(changed.display_name)} now.")


@bots.command()
@click.argument("bot")
@click.option("--yes", is_flag=True, help="Do not ask.")
@account_options
@pass_invocation
def delete(invocation: Invocation, bot: str, yes: bool) -> None:
    """End a bot with all its data. There is no way back."""
    bot_id = checked_user(bot)
    if not yes:
        invocation.confirm(f"End the bot {bot_id} with all its data?")
    invocation.call(lambda api: api.delete_bot(bot_id))
    invocation.tell({"type": "bot_deleted", "userId": bot_id}, f"{bot_id} has ended.")


@bots.group()
@account_options
def tokens() -> None:
    """A bot's tokens: create, list, revoke."""


@tokens.command("create")
@click.argument("bot")
@click.argument("name")
@SCOPES
@EXPIRES
@account_options
@pass_invocation
def create_token(invocation: Invocation, bot: str, name: str, scopes: tuple[str, ...], expires: int) -> None:
    """Make a token for BOT, called NAME to tell it from others; one program uses one token.

    \b
    Example: cooee bots tokens create echo laptop --scope messages:read --scope messages:write
    """  # noqa: D301  # click needs the character itself
    bot_id = checked_user(bot)
    made = invocation.call(lambda api: api.create_bot_token(bot_id, name, scopes, expires_at=expires))
    tell_token(invocation, made)


@tokens.command("list")
@click.argument("bot")
@account_options
@pass_invocation
def list_tokens(invocation: Invocation, bot: str) -> None:
    """List a bot's tokens, without their secret."""
    bot_id = checked_user(bot)
    show_tokens(invocation, invocation.call(lambda api: api.bot_tokens(bot_id)))


@tokens.command("revoke")
@click.argument("bot")
@click.argument("token")
@account_options
@pass_invocation
def revoke_token(invocation: Invocation, bot: str, token: str) -> None:
    """End a token, named as `list` names it; its connections are closed at once."""
    bot_id = checked_user(bot)
    invocation.call(lambda api: api.revoke_bot_token(bot_id, token))
    invocation.tell({"type": "bot_token_revoked", "userId": bot_id, "tokenId": token}, f"Revoked {safe(token)}.")


def show_bots(invocation: Invocation, found: Sequence[bodies.Bot], *, owners: bool = False) -> None:
    """Write a list of bots, with their owners if need be."""
    for bot in found:
        invocation.tell(record("bot", bot))
    rows = [
        (
            bot.user_id,
            safe(bot.display_name),
            *((bot.owner_id or "the server",) if owners else ()),
            safe(bot.about),
            "disabled" if bot.disabled else "",
        )
        for bot in found
    ]
    invocation.say(*table(invocation.look, ("BOT", "NAME", *(("OWNER",) if owners else ()), "ABOUT", ""), rows))


def show_tokens(invocation: Invocation, found: Sequence[bodies.BotToken]) -> None:
    """Write a list of tokens."""
    for token in found:
        invocation.tell(record("bot_token", token))
    now = invocation.now
    rows = [
        (
            token.token_id,
            safe(token.name),
            " ".join(token.scopes),
            clock(token.last_used, now),
            _end(token.expires_at, now),
        )
        for token in found
    ]
    invocation.say(*table(invocation.look, ("TOKEN", "NAME", "SCOPES", "LAST USED", "ENDS"), rows))
    if not found:
        invocation.note("It has no token; `cooee bots tokens create BOT NAME` makes one.")


def tell_token(invocation: Invocation, made: bodies.NewBotToken) -> None:
    """Write a new token, the only time that it is shown."""
    invocation.tell(record("bot_token", made), made.token)
    invocation.note("Keep it where others cannot read it: it is shown only now. Use it as COOEE_TOKEN.")


def _end(expires_at: int, now: datetime) -> str:
    if not expires_at:
        return "never"
    return "expired" if expires_at <= now.timestamp() * 1000 else clock(expires_at, now)
