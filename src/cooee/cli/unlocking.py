"""The key of an account's store: from its file, from the keyring, or by a passphrase (`client.store_key`).

A new store's key goes where the account's token is: into the keyring, else into a file beside the store. A passphrase
is asked for on a terminal, three times at most; scripts give it as ``COOEE_PASSPHRASE`` or by ``--passphrase-file``.
"""

import os
import sys
from pathlib import Path

import click

from cooee.cli.errors import usage
from cooee.cli.invocation import Invocation
from cooee.cli.profile import Login
from cooee.cli.vault import VaultFailed
from cooee.client.account import load_account, make_folder
from cooee.client.database import is_encrypted
from cooee.client.errors import StoreError, WrongPassphrase
from cooee.client.key_wrap import StoreKey
from cooee.client.store_key import check_value, open_key, protection

VARIABLE = "COOEE_PASSPHRASE"
TRIES = 3
"""How often a person may mistype the passphrase."""
_LONGEST = 4096


def store_key(invocation: Invocation, chosen: Login) -> bytes | None:
    """Return the key that opens the store of ``chosen``; None where it stands in the store's folder.

    Asks for a passphrase if there must be one; call it before the work begins, while nothing else is on the terminal.

    Raises:
        CliError: there is no passphrase to be had, or it is wrong; the keyring does not give the key (``keyring``).
        StoreError: the key is lost, or its file cannot be read.
    """
    kept = protection(chosen.store)
    if kept == "passphrase":
        return by_passphrase(invocation, chosen.store).raw
    if kept == "elsewhere":
        return invocation.profiles.vault.key(check_value(chosen.store) or "").raw
    if kept is None and not is_encrypted(chosen.store):
        return _new_key(invocation, chosen)
    return None


def opened_key(invocation: Invocation, chosen: Login) -> StoreKey:
    """Return the key of the store of ``chosen`` wherever it is. Raises as `store_key`."""
    return open_key(chosen.store, store_key=store_key(invocation, chosen))


def _new_key(invocation: Invocation, chosen: Login) -> bytes | None:
    """Make the key of a new store and put it into the keyring, where the token is there too."""
    account = load_account(chosen.store) if chosen.user_id else None
    if account is None or account.token or not account.token_digest:
        return None
    key = StoreKey.generate()
    try:
        invocation.profiles.vault.put_key(key)
    except VaultFailed as failure:
        invocation.note(f"The keyring does not take the key of the store ({failure.message}): it is kept in a file.")
        return None
    make_folder(chosen.store)
    open_key(chosen.store, store_key=key.raw)  # its file says from now on where the key is
    return key.raw


def by_passphrase(invocation: Invocation, folder: Path) -> StoreKey:
    """Return the key of a store that is kept under a passphrase.

    Raises:
        CliError, WrongPassphrase: there is none, or it is another one.
    """
    given = given_passphrase(invocation)
    if given is not None:
        return open_key(folder, passphrase=given)
    if not sys.stdin.isatty():
        raise usage(f"The store is protected by a passphrase; set {VARIABLE}, or name --passphrase-file.")
    for left in reversed(range(TRIES)):
        typed: str = click.prompt("Passphrase of the store", hide_input=True, err=True)
        try:
            return open_key(folder, passphrase=typed)
        except WrongPassphrase:
            if not left:
                raise
            click.echo("That is not the passphrase; try again.", err=True)
    raise AssertionError("the last try returns or raises")


def given_passphrase(invocation: Invocation) -> str | None:
    """Return the passphrase that a script gives; None: there is none."""
    if invocation.passphrase_file is not None:
        return _first_line(Path(invocation.passphrase_file))
    return os.environ.get(VARIABLE) or None


def _first_line(path: Path) -> str:
    try:
        with path.open("rb") as file:
            line = file.readline(_LONGEST).decode()
    except UnicodeDecodeError:
        raise usage(f"{path} is not UTF-8.") from None
    line = line.rstrip("\r\n")
    if not line:
        raise usage(f"There is no passphrase in the first line of {path}.")
    return line


def new_passphrase(prompt: str, *, given: str | None = None) -> str:
    """Return a passphrase that is chosen now: typed twice unseen, else ``given``, else a line of standard input.

    Raises:
        CliError: there is none.
    """
    if given:
        return given
    if sys.stdin.isatty():
        typed: str = click.prompt(prompt, hide_input=True, confirmation_prompt=True, err=True)
        return typed
    try:
        line = sys.stdin.readline().rstrip("\r\n")
    except UnicodeDecodeError:
        raise usage(f"{prompt}: standard input is not UTF-8.") from None
    if not line:
        raise usage(f"{prompt}: there is none; type it on a terminal, or give it as a line of standard input.")
    return line


def forget_key(invocation: Invocation, folder: Path) -> None:
    """Take the key of a store that is erased out of the keyring; a keyring that does not obey is only told of."""
    try:
        check = check_value(folder) if protection(folder) == "elsewhere" else None
    except StoreError:
        return  # nobody can tell which key it was
    if check is not None:
        drop_key(invocation, check)


def drop_key(invocation: Invocation, check: str) -> None:
    """Take a key that is of no use any more out of the keyring; a keyring that does not obey is only told of."""
    try:
        invocation.profiles.vault.drop_key(check)
    except VaultFailed as failure:
        invocation.note(f"The keyring may hold the key of the store still: {failure.message}.")
