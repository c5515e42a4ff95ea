"""``cooee accounts``: the accounts of this machine, and which of them acts when none is named."""

from typing import Any

import click

from cooee.cli.choices import account_options
from cooee.cli.errors import usage
from cooee.cli.invocation import Invocation, pass_invocation
from cooee.cli.keeping import place_of
from cooee.cli.names import profiles
from cooee.cli.profile import login_command
from cooee.cli.render import table
from cooee.client.model import Account


@click.group(invoke_without_command=True)
@account_options
@click.pass_context
def accounts(context: click.Context) -> None:
    """List the accounts of this machine, and choose the usual one. Without a command: list them."""
    if context.invoked_subcommand is None:
        context.invoke(list_accounts)


@accounts.command("list")
@account_options
@pass_invocation
def list_accounts(invocation: Invocation) -> None:
    """List the accounts of this machine; asks no server."""
    tell_accounts(invocation)


@accounts.command()
@click.argument("name", required=False, shell_complete=profiles)
@click.option("--none", "nobody", is_flag=True, help="Let nobody be the usual one any more.")
@account_options
@pass_invocation
def use(invocation: Invocation, name: str | None, nobody: bool) -> None:
    """Let the account NAME (a profile, a user, or user@host) act whenever none is named.

    \b
    Examples: cooee accounts use alice
              cooee accounts use alice@chat.example.org
    """  # noqa: D301  # click needs the character itself
    if (name is None) != nobody:
        raise usage("Name one account, or say --none: cooee accounts use NAME")
    kept = invocation.profiles
    if name is None:
        kept.choose("")
        invocation.tell({"type": "account_chosen", "profile": None}, "Nobody acts unnamed now.")
        return
    profile, account = kept.account(name, invocation.url)
    kept.choose(profile)
    invocation.tell(
        {"type": "account_chosen", "profile": profile}, f"{account.user_id} at {account.url} acts when nobody is named."
    )


def tell_accounts(invocation: Invocation) -> None:
    """Write the list of accounts."""
    found = invocation.profiles.all()
    chosen = invocation.profiles.chosen()
    for profile, account in found.items():
        more = {"loggedIn": account.logged_in, "tokenIn": place_of(account) or None, "usual": profile == chosen}
        invocation.tell(account_record("account", profile, account) | more)
    rows = [
        (
            profile,
            account.user_id,
            account.url,
            f"yes, token in {place_of(account)}" if account.logged_in else f"no: {login_command(profile, account)}",
            "usual" if profile == chosen else "",
        )
        for profile, account in found.items()
    ]
    invocation.say(*table(invocation.look, ("PROFILE", "USER", "SERVER", "LOGGED IN", ""), rows))
    for folder in invocation.profiles.broken():
        invocation.note(f"The account in {folder} cannot be read; remove its account.json and log in again.")
    if not found:
        invocation.note("There is no account on this machine; `cooee register NAME` makes one.")


def account_record(kind: str, profile: str, account: Account) -> dict[str, Any]:
    """Return an account of this machine as an object of type ``kind``."""
    return {
        "type": kind,
        "profile": profile,
        "url": account.url,
        "userId": account.user_id,
        "deviceId": account.device_id,
    }
