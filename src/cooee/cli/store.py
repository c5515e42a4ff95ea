"""``cooee store``: how the messages on this machine are protected, and their backups."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import click

from cooee.cli.choices import account_options
from cooee.cli.errors import CliError, usage
from cooee.cli.invocation import Invocation, pass_invocation
from cooee.cli.keeping import keyring_choice
from cooee.cli.profile import Login, login_command
from cooee.cli.progress import Bar
from cooee.cli.unlocking import drop_key, given_passphrase, new_passphrase, opened_key
from cooee.cli.vault import VaultFailed
from cooee.cli.whole_file import check_target
from cooee.client import store_backup
from cooee.client.account import StoreLock, load_account
from cooee.client.database import DATABASE_NAME
from cooee.client.errors import StoreLocked
from cooee.client.key_wrap import Protection, StoreKey
from cooee.client.model import Account
from cooee.client.store_key import protect, protection

Place = Literal["keyring", "passphrase", "file"]
_PLACES: dict[Protection, Place] = {"elsewhere": "keyring", "passphrase": "passphrase", "file": "file"}
_BACKUP_VARIABLE = "COOEE_BACKUP_PASSPHRASE"
SHORT_PASSPHRASE = 8
"""Characters below which the passphrase of a backup is warned of."""
_IN_WORDS: dict[Place, str] = {
    "keyring": "its key is in the system's keyring",
    "passphrase": "its key is under a passphrase",
    "file": "its key lies beside it, in a file for you alone: who reads the whole folder reads the messages",
}


@click.group()
@account_options
def store() -> None:
    """Protect what is kept on this machine, back it up and restore it.

    The messages, their keys and those of this device lie in an encrypted store, one an account.
    """


@store.command()
@account_options
@pass_invocation
def status(invocation: Invocation) -> None:
    """Say where the store is, and what protects it; asks no server, and for no passphrase."""
    name, account = invocation.profiles.account(invocation.profile, invocation.url)
    folder = invocation.profiles.store(name)
    kept = place_of_key(folder)
    size = sum(path.stat().st_size for path in folder.glob(f"{DATABASE_NAME}*"))
    used = in_use(folder)
    invocation.tell(
        {
            "type": "store",
            "profile": name,
            "userId": account.user_id,
            "folder": str(folder),
            "key": kept,
            "bytes": size,
            "inUse": used,
        },
        f"The store of {account.user_id} is {folder} ({size:,} bytes).",
        f"It is encrypted; {_IN_WORDS[kept]}." if kept else "There is nothing in it yet.",
        *(("A program uses it now.",) if used else ()),
    )


@store.command("protect")
@click.option("--keyring", "place", flag_value="keyring", help="In the system's keyring, locked with your session.")
@click.option("--passphrase", "place", flag_value="passphrase", help="Under a passphrase that is asked for each time.")
@click.option("--file", "place", flag_value="file", help="In a file beside it, for you alone.")
@account_options
@pass_invocation
def protect_store(invocation: Invocation, place: Place | None) -> None:
    """Keep the key of the store elsewhere from now on; without an option, in the keyring.

    A new passphrase is asked for twice, or is a line of standard input; for a store that had none, COOEE_PASSPHRASE or
    --passphrase-file may give it. Nobody can open the store without its key: keep a backup (`cooee store backup`).

    \b
    Examples: cooee store protect
              cooee store protect --passphrase
    """  # noqa: D301  # click needs the character itself
    chosen = _of_account(invocation)
    vault = invocation.profiles.vault
    if place in {None, "keyring"} and not vault.usable():
        raise usage("There is no keyring here that keeps secrets locked: say --passphrase, or --file.")
    place = place or "keyring"
    lock = StoreLock(chosen.store)
    try:
        former, key = place_of_key(chosen.store), opened_key(invocation, chosen)
        _keep(invocation, chosen.store, key, place, former)
    finally:
        lock.release()
    told = _IN_WORDS[place]
    invocation.tell({"type": "store_protected", "profile": chosen.profile, "key": place}, f"Done: {told}.")
    if former == "file" and place != "file":
        invocation.note("The key stood in a file before. Who copied the folder until now can still read that copy.")


def _keep(invocation: Invocation, folder: Path, key: StoreKey, place: Place, former: Place | None) -> None:
    if place == "keyring":
        invocation.profiles.vault.put_key(key)
        protect(folder, key, elsewhere=True)
    elif place == "passphrase":
        given = given_passphrase(invocation) if former != "passphrase" else None
        protect(folder, key, passphrase=new_passphrase("New passphrase of the store", given=given))
    else:
        protect(folder, key)
    if former == "keyring" != place:
        drop_key(invocation, key.check.hex())


@store.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@account_options
@pass_invocation
def backup(invocation: Invocation, file: Path, force: bool) -> None:
    """Write what is on this machine of an account to FILE, encrypted under a passphrase of its own.

    In it are messages with their keys, what was not sent yet, and the keys of this device; not the files, which the
    server has, and not the token. It may be made while `cooee listen` or `cooee chat` runs. The passphrase is asked
    for twice, or comes from COOEE_BACKUP_PASSPHRASE, or is a line of standard input.
    Example: cooee store backup alice.cooee
    """
    target = file.absolute()
    check_target(target, force=force)
    chosen = _of_account(invocation)
    if place_of_key(chosen.store) is None:
        raise CliError("There is nothing in the store yet.")
    account = load_account(chosen.store)
    assert account is not None  # noqa: S101  # it was there a moment ago
    key = opened_key(invocation, chosen)
    secret = new_passphrase("Passphrase of the backup", given=_from_environment())
    if len(secret) < SHORT_PASSPHRASE:
        invocation.note(
            f"That passphrase is shorter than {SHORT_PASSPHRASE} characters: who has the file can guess it. "
            "Better make another backup, under several words."
        )
    with _rows(invocation, "Writing the backup") as progress:
        store_backup.backup(chosen.store, key, account, target, secret, progress)
    size = target.stat().st_size
    invocation.tell(
        {"type": "store_backup", "file": str(target), "bytes": size, "userId": account.user_id},
        f"{target}: {size:,} bytes, encrypted.",
    )
    invocation.note("Nothing opens it without its passphrase; keep that, and keep it elsewhere.")


@store.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@keyring_choice
@account_options
@pass_invocation
def restore(invocation: Invocation, file: Path, in_keyring: bool) -> None:
    """Take an account out of the backup FILE onto this machine; log in afterwards.

    It becomes the profile of its user, or what --as says. It goes on as the device it was: the machine that the backup
    is of must not be used any more. Example: cooee store restore alice.cooee
    """
    if not file.is_file():
        raise CliError(f"There is no file {file}.", code="not_found")
    secret = _passphrase_of_backup()
    kept = invocation.profiles
    if invocation.profile is not None and _taken(kept.store(invocation.profile)):
        raise _there_already(invocation.profile)
    folder = kept.home / "profiles"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = _new_key(invocation) if in_keyring else None
    try:
        with tempfile.TemporaryDirectory(prefix=".restoring-", dir=folder) as draft:
            place = Path(draft) / "store"
            with _rows(invocation, "Reading the backup") as progress:
                account = store_backup.restore(file, secret, place, progress, store_key=key.raw if key else None)
            profile = _profile_for(invocation, account)
            target = kept.store(profile)
            if target.is_dir():
                target.rmdir()
            place.rename(target)
    except BaseException:
        if key is not None:
            drop_key(invocation, key.check.hex())
        raise
    again = login_command(profile, account)
    invocation.tell(
        {
            "type": "store_restored",
            "profile": profile,
            "userId": account.user_id,
            "deviceId": account.device_id,
            "url": account.url,
        },
        f"Restored {account.user_id} at {account.url} as the profile {profile}.",
        f"Now log in: {again}",
    )
    invocation.note("It is the same device as before: do not go on with it on the machine that the backup is of.")


def _passphrase_of_backup() -> str:
    given = _from_environment()
    if given:
        return given
    if sys.stdin.isatty():
        typed: str = click.prompt("Passphrase of the backup", hide_input=True, err=True)
        return typed
    return new_passphrase("Passphrase of the backup")


def _new_key(invocation: Invocation) -> StoreKey | None:
    """Put a new key into the keyring, where there is one."""
    vault = invocation.profiles.vault
    key = StoreKey.generate()
    try:
        if not vault.usable():
            return None
        vault.put_key(key)
    except VaultFailed as failure:
        invocation.note(f"The keyring does not take the key of the store ({failure.message}): it is kept in a file.")
        return None
    return key


def _profile_for(invocation: Invocation, account: Account) -> str:
    """Return the profile that a restored account becomes. Raises CliError when there is somebody in it."""
    profile = invocation.profiles.for_log_in(account.user_id, account.url, invocation.profile)
    if _taken(invocation.profiles.store(profile)):
        raise _there_already(profile)
    return profile


def _taken(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _there_already(profile: str) -> CliError:
    return CliError(
        f"The profile {profile} is on this machine already; restore beside it with --as NAME, or erase it first: "
        f"cooee logout --as {profile} --erase"
    )


def _from_environment() -> str | None:
    return os.environ.get(_BACKUP_VARIABLE) or None


def _of_account(invocation: Invocation) -> Login:
    """Return the account to use, which may be logged out."""
    name, account = invocation.profiles.account(invocation.profile, invocation.url)
    return Login(name, account.url, account.user_id, account.device_id, "", invocation.profiles.store(name))


@contextmanager
def _rows(invocation: Invocation, text: str) -> Iterator[store_backup.Progress]:
    """Show how many rows are done."""
    with Bar(text, quiet=invocation.as_json) as bar:
        yield lambda done, total: bar.show(text, done, total)


def place_of_key(folder: Path) -> Place | None:
    """Tell where the key of a store is; None: there is none yet. Raises `StoreError`."""
    kept = protection(folder) if folder.is_dir() else None
    return None if kept is None else _PLACES[kept]


def in_use(folder: Path) -> bool:
    """Tell whether a program has the store open now."""
    if not folder.is_dir():
        return False
    try:
        StoreLock(folder).release()
    except StoreLocked:
        return True
    return False
