"""Whose store a folder is: the account file with the token (mode 0600), and the lock of its one writer."""

import os
import sys
from pathlib import Path
from typing import IO, Any

import msgspec

from cooee.client.errors import StoreLocked, StoreUnusable
from cooee.client.model import Account

ACCOUNT_NAME = "account.json"
LOCK_NAME = "lock"


def make_folder(folder: Path) -> None:
    """Create the store's folder for its owner alone.

    Raises:
        StoreUnusable: it cannot be created.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as problem:
        raise StoreUnusable(f"{folder} cannot be created: {problem}") from None


def load_account(store: str | Path) -> Account | None:
    """Return the account of a store, or None when nobody ever logged in there. Takes no lock.

    Raises:
        StoreUnusable: the file cannot be read or understood.
    """
    path = Path(store) / ACCOUNT_NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=Account)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as problem:
        raise StoreUnusable(f"{path} cannot be read: {problem}; remove it and log in again") from None


def save_account(store: str | Path, account: Account) -> None:
    """Write the account file at once and wholly, readable for its owner alone; durable when it returns.

    Raises:
        StoreUnusable: it cannot be written.
    """
    path = Path(store) / ACCOUNT_NAME
    draft = path.with_suffix(".new")
    try:
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(account)))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as problem:
        raise StoreUnusable(f"{path} cannot be written: {problem}") from None


class StoreLock:
    """Keeps other processes away from a store; given back by the system when the process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        """Take the lock.

        Raises:
            StoreLocked: another process has it.
            StoreUnusable: the lock file cannot be opened.
        """
        path = folder / LOCK_NAME
        try:
            self._file = os.fdopen(os.open(path, os.O_CREAT | os.O_RDWR, 0o600), "r+")
        except OSError as problem:
            raise StoreUnusable(f"{path} cannot be opened: {problem}") from None
        try:
            lock_file(self._file)
        except OSError:
            holder = self._file.read().strip()
            self._file.close()
            who = f" (process {holder})" if holder.isdigit() else ""
            raise StoreLocked(f"the store {folder} is in use by another program{who}; close it first") from None
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def release(self) -> None:
        """Give the lock back."""
        self._file.close()


if sys.platform == "win32":
    import msvcrt

    def lock_file(file: IO[Any]) -> None:
        """Take the one lock on a file, or raise OSError; it ends with the file."""
        file.seek(1 << 30)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        file.seek(0)

else:
    import fcntl

    def lock_file(file: IO[Any]) -> None:
        """Take the one lock on a file, or raise OSError; it ends with the file."""
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
