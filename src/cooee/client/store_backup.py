"""Backups of the SDK's store: one encrypted file, from which the same device goes on elsewhere.

In it are conversations, messages with their keys, the state of end-to-end encryption, the outbox and whose device it
is; not the token, and no files. Inside the container (`cooee.crypto.archive`) stand frames, each 4 bytes of length
(big-endian) and MessagePack: first `Head`, then parts of tables, ``[table, [row, …]]``, and in the end the number of
rows. Nothing is ever on the disk in the clear, and no more than a few parts are in memory.

A restored store is an old one: it is marked, so that the agent makes new sessions and new pre-keys before it sends.
"""

import os
import secrets
import shutil
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import msgspec

from cooee.client.account import save_account
from cooee.client.database import DATABASE_NAME, Connection, Error, connect, sync_file, sync_folder
from cooee.client.errors import BackupUnusable, StoreUnusable
from cooee.client.key_wrap import StoreKey
from cooee.client.model import Account
from cooee.client.schema import MIGRATIONS, migrate
from cooee.client.store_key import open_key
from cooee.crypto.archive import ArchiveReader, ArchiveWriter, NotEnoughMemory, Passphrase, WrongKey
from cooee.crypto.errors import CryptoError

Progress = Callable[[int, int], None]
"""Is told how many rows are done, and of how many."""

FORMAT = "cooee-store"
VERSION = 1
MAX_FRAME = 16 << 20
"""Bytes of one frame; a longer one is refused."""
PART = 1 << 18
"""Bytes after which a part of a table is written."""
_READ = 1 << 16
_LENGTH = struct.Struct(">I")
_TABLES = (
    "facts",
    "conversations",
    "messages",
    "ranges",
    "outbox",
    "media",
    "records",
    "message_keys",
    "reactions",
    "edits",
)
"""What is kept. Not ``uploads``, whose files are not in the backup, and not the index, which is made anew."""
_OLDEST = 3
"""The first version of the tables that was ever backed up."""

_encode = msgspec.msgpack.encode


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a backup begins with: of which tables it is, whose, and how many rows follow."""

    format: str
    version: int
    tables: int
    url: str
    user_id: str
    device_id: str
    rows: int


_decode_head = msgspec.msgpack.Decoder(Head).decode
_decode_part = msgspec.msgpack.Decoder(tuple[str, list[list[Any]]] | int).decode


def backup(
    folder: Path, key: StoreKey, account: Account, path: Path, passphrase: str, progress: Progress = lambda *_: None
) -> None:
    """Write all that is committed in the store in ``folder`` at this moment to ``path``, under ``passphrase``.

    The store may be open, and go on meanwhile. ``path`` appears when it is whole and durable, in the place of what was
    there; until then there is only a part file beside it. Takes long; to be called in a thread.

    Raises:
        StoreUnusable: the store cannot be read, or the backup not be written.
        BackupUnusable: the passphrase is empty.
    """
    if not passphrase:
        raise BackupUnusable("an empty passphrase protects nothing; choose one")
    draft = path.with_name(f"{path.name}.part")
    try:
        draft.unlink(missing_ok=True)
        with (
            closing(connect(folder / DATABASE_NAME, key, read_only=True)) as db,
            os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file,
        ):
            writer = ArchiveWriter(Passphrase(passphrase), secrets.token_bytes)
            file.write(writer.start())
            for frame in _frames(db, account, progress):
                file.write(writer.update(_LENGTH.pack(len(frame)) + frame))
            file.write(writer.finish())
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        sync_folder(path.parent)
    except (OSError, Error, NotEnoughMemory) as problem:
        raise StoreUnusable(f"the backup {path} cannot be written: {problem}") from None
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def _frames(db: Connection, account: Account, progress: Progress) -> Iterator[bytes]:
    """Yield the frames of what is committed now; the transaction keeps that together while others write."""
    db.execute("BEGIN")
    tables = db.execute("PRAGMA user_version").fetchone()[0]
    total = sum(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in _TABLES)  # noqa: S608  # ours
    yield _encode(Head(FORMAT, VERSION, tables, account.url, account.user_id, account.device_id, total))
    done = 0
    progress(done, total)
    for table in _TABLES:
        for rows in _parts(db, table):
            yield _encode((table, rows))
            done += len(rows)
            progress(done, total)
    yield _encode(done)
    db.execute("ROLLBACK")


def _parts(db: Connection, table: str) -> Iterator[list[tuple[Any, ...]]]:
    rows: list[tuple[Any, ...]] = []
    size = 0
    for row in db.execute(f"SELECT * FROM {table}"):  # noqa: S608  # a table of ours
        rows.append(row)
        size += sum(len(value) if isinstance(value, str | bytes) else 9 for value in row)
        if size >= PART:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


def restore(
    path: Path,
    passphrase: str,
    folder: Path,
    progress: Progress = lambda *_: None,
    *,
    store_passphrase: str | None = None,
    store_key: bytes | None = None,
) -> Account:
    """Make the store in ``folder``, empty or not there yet, out of the backup ``path``, and return whose it is.

    The new store has a key of its own, kept as `store_key.open_key` says. A log-in into it goes on with the device of
    the backup. The folder appears when all of it is there and verified; before, and when anything fails, it is as it
    was. Takes long; to be called in a thread.

    Raises:
        BackupUnusable: the passphrase is another one, or the backup is damaged, cut, or of a newer version.
        StoreUnusable: something is in ``folder``, or it cannot be written.
    """
    try:
        if folder.exists() and any(folder.iterdir()):
            raise StoreUnusable(f"{folder} is not empty; restore into a new folder")
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".restoring", dir=folder.parent))
    except OSError as problem:
        raise StoreUnusable(f"{folder} cannot be written: {problem}") from None
    try:
        key = open_key(draft, passphrase=store_passphrase, store_key=store_key)
        account = _build(path, passphrase, draft / DATABASE_NAME, key, progress)
        save_account(draft, account)
        if folder.exists():
            folder.rmdir()
        draft.rename(folder)
        sync_folder(folder.parent)
    except OSError as problem:
        raise StoreUnusable(f"{folder} cannot be restored: {problem}") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return account


def _build(path: Path, passphrase: str, database: Path, key: StoreKey, progress: Progress) -> Account:
    try:
        os.close(os.open(database, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        with path.open("rb") as file, closing(connect(database, key)) as db:
            db.execute("PRAGMA journal_mode = OFF")
            db.execute("PRAGMA synchronous = OFF")
            account = _fill(db, database, _read(file, passphrase), progress)
        sync_file(database)
    except WrongKey:
        raise BackupUnusable(f"this is not the passphrase of the backup {path}, or its beginning is damaged") from None
    except NotEnoughMemory as problem:
        raise StoreUnusable(f"the backup {path} cannot be read: {problem}") from None
    except (CryptoError, msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError, Error) as problem:
        raise BackupUnusable(f"the backup {path} is damaged: {problem}; use another one") from None
    return account


def _fill(db: Connection, database: Path, frames: Iterator[bytes], progress: Progress) -> Account:
    head = _decode_head(next(frames, b""))
    if head.format != FORMAT or head.version != VERSION or not _OLDEST <= head.tables <= len(MIGRATIONS):
        raise BackupUnusable("the backup is of another version of this program; update it")
    migrate(db, database, head.tables)
    db.execute("BEGIN IMMEDIATE")
    done = 0
    progress(done, head.rows)
    for frame in frames:
        part = _decode_part(frame)
        if isinstance(part, int):
            break
        table, rows = part
        if table not in _TABLES:
            raise BackupUnusable("the backup holds what no store does")
        for row in rows:
            db.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608  # checked above
        done += len(rows)
        progress(done, head.rows)
    else:
        raise BackupUnusable("the backup is cut off; use another one")
    if not part == done == head.rows or next(frames, None) is not None:
        raise BackupUnusable("the backup holds more or less than it says; use another one")
    db.execute("DELETE FROM facts WHERE name = 'sync_token'")
    db.execute("INSERT OR REPLACE INTO facts VALUES ('restored', '1')")
    db.execute("COMMIT")
    return Account(head.url, head.user_id, head.device_id, "")


def _read(file: Any, passphrase: str) -> Iterator[bytes]:
    """Yield the frames of an archive; that it has ended where it should shows with the last one."""
    reader = ArchiveReader(Passphrase(passphrase))
    held = bytearray()
    ended = False
    while not ended:
        data = file.read(_READ)
        ended = not data
        held += reader.finish() if ended else reader.update(data)
        while len(held) >= _LENGTH.size:
            length = _LENGTH.unpack_from(held)[0]
            if length > MAX_FRAME:
                raise BackupUnusable("the backup holds a part that is too long")
            if len(held) < _LENGTH.size + length:
                break
            yield bytes(held[_LENGTH.size : _LENGTH.size + length])
            del held[: _LENGTH.size + length]
    if held:
        raise BackupUnusable("the backup ends within a part; use another one")
