"""The encrypted database file of a store (SQLCipher 4): opening it, and encrypting one of an earlier version.

Every page of the file and of its write-ahead log is encrypted by AES-256-CBC under a fresh IV and authenticated by
HMAC-SHA-512 together with its number; that holds for all tables, the full-text index among them. Temporary tables and
sorts stay in memory (``TEMP_STORE=2``). Not protected: names, sizes and times of the files, how much is written when,
pages put back to what they were earlier, and whatever can read the memory of the running program.

The key is given raw, so that nothing is derived slowly at each start; keeping it is the matter of `store_key`.
"""

import os
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from sqlcipher3 import dbapi2

from cooee.client.errors import StoreUnusable
from cooee.client.key_wrap import StoreKey

DATABASE_NAME = "store.db"
DRAFT_NAME = "store.db.encrypting"
PLAIN_HEADER = b"SQLite format 3\x00"
WAIT_S = 5.0
_SIDES = ("-wal", "-shm", "-journal")
_CIPHER = 4
"""The generation of SQLCipher's format; named, so that a later library reads and writes the same."""

Connection = Any
"""A connection of ``sqlcipher3``, which ships no types; it is used as one of ``sqlite3``."""
Error: type[Exception] = dbapi2.Error

Step = Callable[[str], None]


def connect(path: Path, key: StoreKey, *, read_only: bool = False, wait_s: float = WAIT_S) -> Connection:
    """Return a connection in autocommit mode, usable from any thread, but one at a time.

    Nothing is read yet: that the key is right shows at the first statement. Raises `Error`.
    """
    target = f"{path.absolute().as_uri()}?mode=ro" if read_only else str(path)
    db = dbapi2.connect(target, isolation_level=None, check_same_thread=False, timeout=wait_s, uri=read_only)
    try:
        db.execute("PRAGMA cipher_log_level = NONE")  # a wrong key is told by an error; nothing goes to stderr
        db.execute(f"PRAGMA key = {_literal(key)}")
        db.execute(f"PRAGMA cipher_compatibility = {_CIPHER}")
        db.execute("PRAGMA secure_delete = ON")
    except BaseException:
        db.close()
        raise
    return db


def is_encrypted(folder: Path) -> bool:
    """Tell whether a database is in ``folder`` that is not one of an earlier version, in the clear."""
    head = _head(folder / DATABASE_NAME)
    return bool(head) and head != PLAIN_HEADER


def encrypt_former(folder: Path, key: StoreKey, step: Step = lambda _: None) -> bool:
    """Encrypt the database of an earlier version, which was in the clear; False when there is none.

    Whenever the program is killed, one whole store is there: until the last rename the former one, and then the
    encrypted one. ``step`` is called with a name between the steps. What stood in the clear is removed; the disk may
    hold it until it is written over. The caller has the store's lock.

    Raises:
        StoreUnusable: it is damaged, in use, or cannot be written; it is as it was.
    """
    path, draft = folder / DATABASE_NAME, folder / DRAFT_NAME
    _remove(draft)
    if _head(path) != PLAIN_HEADER:
        return False
    try:
        step("begun")
        with closing(dbapi2.connect(str(path), isolation_level=None, timeout=WAIT_S)) as db:
            _fold_log(db, path)
            step("folded")
            os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            _export(db, draft, key)
        step("exported")
        sync_file(draft)
        step("synced")
        draft.replace(path)
        step("renamed")
        sync_folder(folder)
    except (OSError, Error) as problem:
        _remove(draft)
        raise StoreUnusable(f"{path} cannot be encrypted: {problem}; free some space and try again") from None
    return True


def _fold_log(db: Connection, path: Path) -> None:
    """Bring all into the one file: a log that stayed would be taken for that of the encrypted one."""
    if db.execute("PRAGMA journal_mode = DELETE").fetchone()[0] != "delete":
        raise StoreUnusable(f"{path} is in use by another program; close it first")
    if path.with_name(path.name + "-wal").exists():
        raise StoreUnusable(f"{path} has a log that cannot be folded in; close what uses it first")


def _export(db: Connection, draft: Path, key: StoreKey) -> None:
    db.execute(f"ATTACH DATABASE ? AS draft KEY {_literal(key)}", (str(draft),))
    db.execute(f"PRAGMA draft.cipher_compatibility = {_CIPHER}")
    db.execute("SELECT sqlcipher_export('draft')")
    for name in ("user_version", "application_id"):
        value = int(db.execute(f"PRAGMA main.{name}").fetchone()[0])
        db.execute(f"PRAGMA draft.{name} = {value}")
    db.execute("DETACH DATABASE draft")


def _literal(key: StoreKey) -> str:
    """Return the key as SQLCipher takes a raw one; it cannot be bound as a value."""
    return f"\"x'{key.raw.hex()}'\""


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(len(PLAIN_HEADER))
    except FileNotFoundError:
        return b""
    except OSError as problem:
        raise StoreUnusable(f"{path} cannot be opened: {problem}") from None


def _remove(path: Path) -> None:
    with suppress(OSError):
        for end in ("", *_SIDES):
            path.with_name(path.name + end).unlink(missing_ok=True)


def sync_file(path: Path) -> None:
    """Make what is in a file durable."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make the renames in ``folder`` durable, where the system can."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
