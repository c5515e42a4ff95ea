"""``cooee admin bots``: bots of the server itself, and tokens of every bot, on a running server."""

from urllib.parse import quote

import click

from cooee.cli.account import checked_user
from cooee.cli.admin_place import Place, pass_place, running
from cooee.cli.admin_socket import AdminSocket, query
from cooee.cli.bots import EXPIRES, SCOPES, show_bots, show_tokens, tell_token
from cooee.cli.choices import json_option
from cooee.cli.invocation import Invocation, pass_invocation
from cooee.cli.records import record
from cooee.cli.render import safe
from cooee.protocol.bots import Bot, BotToken, CreateBot, CreateBotToken, NewBotToken
from cooee.protocol.http import Page

_BOTS = "/v1/admin/bots"
_PAGE = 200


@click.group()
@json_option
def bots() -> None:
    """Bots: make those of the server itself, list all, give tokens. `users` disables, enables and deletes them."""


@bots.command("list")
@json_option
@pass_place
@pass_invocation
def list_bots(invocation: Invocation, place: Place) -> None:
    """List all bots with their owners."""

    def listing(socket: AdminSocket) -> list[Bot]:
        found: list[Bot] = []
        cursor = ""
        while True:
            page = socket.call("GET", _BOTS + query(cursor=cursor, limit=_PAGE), Page[Bot])
            found += page.items
            if page.next_cursor is None:
                return found
            cursor = page.next_cursor

    show_bots(invocation, running(place, listing), owners=True)


@bots.command()
@click.argument("bot")
@click.option("--display-name", metavar="TEXT", default="", help="How people see the bot  [default: its name]")
@json_option
@pass_place
@pass_invocation
def create(invocation: Invocation, place: Place, bot: str, display_name: str) -> None:
    """Make a bot that belongs to the server itself."""
    wanted = CreateBot(checked_user(bot), display_name)
    made = running(place, lambda socket: socket.call("POST", _BOTS, Bot, wanted))
    invocation.tell(record("bot", made), f"Made the bot {made.user_id}.")
    invocation.note(f"A program uses it by a token: cooee admin bots tokens create {made.user_id} NAME")


@bots.group()
@json_option
def tokens() -> None:
    """Tokens of any bot: create, list, revoke."""


@tokens.command("create")
@click.argument("bot")
@click.argument("name")
@SCOPES
@EXPIRES
@json_option
@pass_place
@pass_invocation
def create_token(
    invocation: Invocation, place: Place, bot: str, name: str, scopes: tuple[str, ...], expires: int
) -> None:
    """Make a token for BOT, called NAME to tell it from others."""
    wanted = CreateBotToken(name, scopes, expires)
    tell_token(invocation, running(place, lambda socket: socket.call("POST", _tokens(bot), NewBotToken, wanted)))


@tokens.command("list")
@click.argument("bot")
@json_option
@pass_place
@pass_invocation
def list_tokens(invocation: Invocation, place: Place, bot: str) -> None:
    """List a bot's tokens, without their secret."""
    found = running(place, lambda socket: socket.call("GET", _tokens(bot), Page[BotToken]))
    show_tokens(invocation, found.items)


@tokens.command("revoke")
@click.argument("bot")
@click.argument("token")
@json_option
@pass_place
@pass_invocation
def revoke_token(invocation: Invocation, place: Place, bot: str, token: str) -> None:
    """End a token, named as `list` names it."""
    running(place, lambda socket: socket.ask("DELETE", f"{_tokens(bot)}/{quote(token, safe='')}"))
    invocation.tell({"type": "bot_token_revoked", "userId": bot, "tokenId": token}, f"Revoked {safe(token)}.")


def _tokens(bot: str) -> str:
    return f"{_BOTS}/{quote(checked_user(bot), safe='')}/tokens"
