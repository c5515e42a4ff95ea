"""Where a token is kept: putting it into the keyring at a log-in, moving it, and forgetting it."""

from pathlib import Path

import click
import msgspec

from cooee.cli.invocation import Invocation
from cooee.cli.vault import VARIABLE, VaultFailed
from cooee.client.account import ACCOUNT_NAME, save_account
from cooee.client.login import Keep
from cooee.client.model import Account

keyring_choice = click.option(
    "--keyring/--no-keyring",
    "in_keyring",
    default=True,
    help=f"Keep the token in the system's keyring if there is one, or in a file for you alone  [{VARIABLE}=off]",
)


def keeper(invocation: Invocation, *, in_keyring: bool) -> Keep:
    """Return what decides at a log-in where the token is kept; if the keyring fails, that is said, and a file does."""
    vault = invocation.profiles.vault

    def keep(account: Account) -> Account:
        invocation.settle()  # the keyring may want to say something
        try:
            if not in_keyring or not vault.usable():
                return account
            vault.put(account)
        except VaultFailed as failure:
            invocation.note(f"The keyring does not take the token ({failure.message}): it is kept in a file.")
            return account
        return account.without_token()

    return keep


def held_token(invocation: Invocation, account: Account) -> str:
    """Return an account's token, or nothing when the keyring does not give it, which is said."""
    if account.token or not account.logged_in:
        return account.token
    try:
        return invocation.profiles.vault.token(account)
    except click.ClickException as failure:
        invocation.note(failure.message)
        return ""


def moved(invocation: Invocation, store: Path, account: Account, token: str, *, in_keyring: bool) -> str:
    """Keep a valid token where it is wanted now, and return in words that it moved; empty when it is there already."""
    whole = msgspec.structs.replace(account, token=token, token_digest="")
    if account.token:
        kept = keeper(invocation, in_keyring=in_keyring)(whole)
        if kept.token:
            return ""
        save_account(store, kept)
        return " Its token has moved from the file into the keyring."
    if in_keyring:
        return ""
    save_account(store, whole)
    dropped(invocation, account)
    return " Its token has moved from the keyring into a file."


def dropped(invocation: Invocation, account: Account) -> None:
    """Take the token out of the keyring, if it is there; a keyring that does not obey is only told of."""
    if not account.token_digest:
        return
    try:
        invocation.profiles.vault.drop(account)
    except VaultFailed as failure:
        invocation.note(f"The keyring may hold the token still ({failure.message}); it is of no use any more.")


def place_of(account: Account) -> str:
    """Return ``file``, ``keyring``, or nothing when there is no token."""
    if account.token:
        return "file"
    return "keyring" if account.token_digest else ""


def place_in_words(account: Account, store: Path) -> str:
    """Return where the token is, as a sentence's end."""
    return "in the system's keyring" if place_of(account) == "keyring" else f"in {store / ACCOUNT_NAME}"
