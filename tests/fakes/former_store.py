"""A store as the version before encryption wrote it: plain SQLite, with the first two steps of the tables."""

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from cooee.client.model import message_of
from cooee.client.schema import APPLICATION_ID, MIGRATIONS
from tests.fakes.client_frames import CHAT, said

SECRET = "the treasure is under the third palm"
FORMER_VERSION = 2


def write_former_store(path: Path, count: int = 3, *, fold_in: bool = True) -> None:
    """Write a database with ``count`` messages, the first of which says `SECRET`; its log stays unless ``fold_in``."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript("".join(MIGRATIONS[:FORMER_VERSION]))
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {FORMER_VERSION}")
        for number in range(1, count + 1):
            message = message_of(said(number, SECRET if number == 1 else f"Text {number}"))
            encoded = msgspec.json.encode(message).decode()
            db.execute(
                "INSERT INTO messages VALUES (?, ?, 'bob', 'd7', ?, ?, 1, 'text', ?, ?)",
                (CHAT, number, f"bob-{number}", number * 1000, message.text, encoded),
            )
        db.execute("INSERT INTO facts VALUES ('sync_token', 't9'), ('device_id', 'd1')")
        if fold_in:
            return
        copies = {end: path.with_name(path.name + end).read_bytes() for end in ("", "-wal")}
    for end, content in copies.items():
        path.with_name(path.name + end).write_bytes(content)
