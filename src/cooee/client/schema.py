"""The tables of the local store. A step is never changed once it is released; a new one is added behind it.

The steps use two functions that SQLite does not have: ``fold``, see `folding`, and ``reference``, see
`domain.reference`.
"""

from pathlib import Path

from cooee.client.database import Connection
from cooee.client.errors import StoreUnusable
from cooee.client.folding import fold
from cooee.domain.reference import reference_of_stored

MIGRATIONS: tuple[str, ...] = (
    """
    -- Single values, such as the sync token.
    CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

    -- One row per conversation; `members` (roster and watermarks) is apart, because it changes less often than `state`.
    CREATE TABLE conversations (
        conversation_id TEXT PRIMARY KEY,
        last_activity INTEGER NOT NULL,
        state TEXT NOT NULL,
        members TEXT NOT NULL
    ) WITHOUT ROWID;

    -- Every message this device holds, also those that wait for earlier ones. `counted`: may stand in the unread count.
    CREATE TABLE messages (
        conversation_id TEXT NOT NULL,
        sequence_number INTEGER NOT NULL,
        sender_id TEXT NOT NULL,
        sender_device_id TEXT NOT NULL,
        client_message_id TEXT NOT NULL,
        timestamp INTEGER NOT NULL,
        counted INTEGER NOT NULL,
        content_type TEXT NOT NULL,
        text TEXT NOT NULL,
        message TEXT NOT NULL,
        PRIMARY KEY (conversation_id, sequence_number)
    ) WITHOUT ROWID;
    CREATE INDEX messages_counted ON messages (conversation_id, sequence_number) WHERE counted = 1;
    CREATE INDEX messages_own ON messages (client_message_id);

    -- History fetched page by page: numbers first..through are complete here.
    CREATE TABLE ranges (
        conversation_id TEXT NOT NULL,
        first INTEGER NOT NULL,
        through INTEGER NOT NULL,
        PRIMARY KEY (conversation_id, first)
    ) WITHOUT ROWID;

    -- Messages whose number is not known yet, in the order of writing, and those that failed.
    CREATE TABLE outbox (
        "order" INTEGER PRIMARY KEY AUTOINCREMENT,
        client_message_id TEXT NOT NULL UNIQUE,
        entry TEXT NOT NULL
    );
    """,
    """
    -- Messages whose file is not uploaded yet, in the order of writing; each moves to the outbox when it is.
    CREATE TABLE uploads (
        "order" INTEGER PRIMARY KEY AUTOINCREMENT,
        client_message_id TEXT NOT NULL UNIQUE,
        entry TEXT NOT NULL
    );

    -- What the server found out about files, as `media` frames told it.
    CREATE TABLE media (media_key TEXT PRIMARY KEY, details TEXT NOT NULL) WITHOUT ROWID;
    """,
    """
    -- The messages again, with a number for the full-text index. `text` is folded, and there to be searched only.
    -- `expires_at`: ms since the Unix epoch, 0 for never. `reference`: how encrypted bodies name it; empty: not at all.
    ALTER TABLE messages RENAME TO former_messages;
    CREATE TABLE messages (
        row INTEGER PRIMARY KEY,
        conversation_id TEXT NOT NULL,
        sequence_number INTEGER NOT NULL,
        message_id TEXT NOT NULL,
        sender_id TEXT NOT NULL,
        sender_device_id TEXT NOT NULL,
        client_message_id TEXT NOT NULL,
        timestamp INTEGER NOT NULL,
        counted INTEGER NOT NULL,
        content_type TEXT NOT NULL,
        expires_at INTEGER NOT NULL,
        text TEXT NOT NULL,
        message TEXT NOT NULL,
        reference TEXT NOT NULL,
        UNIQUE (conversation_id, sequence_number)
    );

    -- Any part of a text of at least three characters. Texts stand in `messages` alone, and triggers keep step.
    CREATE VIRTUAL TABLE texts USING fts5(
        text, content='messages', content_rowid='row', columnsize=0, tokenize='trigram case_sensitive 1'
    );
    -- What is deleted is taken out of the index at once, not only marked.
    INSERT INTO texts (texts, rank) VALUES ('secure-delete', 1);
    CREATE TRIGGER text_added AFTER INSERT ON messages WHEN new.text != '' BEGIN
        INSERT INTO texts (rowid, text) VALUES (new.row, new.text);
    END;
    CREATE TRIGGER text_removed AFTER DELETE ON messages WHEN old.text != '' BEGIN
        INSERT INTO texts (texts, rowid, text) VALUES ('delete', old.row, old.text);
    END;
    CREATE TRIGGER text_changed AFTER UPDATE OF text ON messages WHEN old.text != new.text BEGIN
        INSERT INTO texts (texts, rowid, text) SELECT 'delete', old.row, old.text WHERE old.text != '';
        INSERT INTO texts (rowid, text) SELECT new.row, new.text WHERE new.text != '';
    END;

    INSERT INTO messages SELECT NULL, conversation_id, sequence_number, json_extract(message, '$.message_id'),
        sender_id, sender_device_id, client_message_id, timestamp, counted, content_type, 0, fold(text), message,
        reference(sender_id, sender_device_id, client_message_id, content_type)
        FROM former_messages ORDER BY timestamp;
    DROP TABLE former_messages;
    CREATE INDEX messages_counted ON messages (conversation_id, sequence_number) WHERE counted = 1;
    CREATE INDEX messages_own ON messages (client_message_id);
    CREATE INDEX messages_by_reference ON messages (conversation_id, reference);
    CREATE INDEX messages_by_id ON messages (message_id);
    CREATE INDEX messages_unreadable ON messages (conversation_id, sequence_number) WHERE content_type = 'encrypted';
    CREATE INDEX messages_expiring ON messages (expires_at) WHERE expires_at > 0;

    -- State of end-to-end encryption: sessions, pre-keys, sender keys, device lists, as `client.e2ee` writes them.
    CREATE TABLE records (
        kind TEXT NOT NULL, id TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (kind, id)
    ) WITHOUT ROWID;

    -- Under which each encrypted message can be read again. Without its key a message is deleted for good.
    CREATE TABLE message_keys (
        conversation_id TEXT NOT NULL,
        sender_id TEXT NOT NULL,
        sender_device_id TEXT NOT NULL,
        client_message_id TEXT NOT NULL,
        sequence_number INTEGER NOT NULL,
        key BLOB NOT NULL,
        PRIMARY KEY (conversation_id, sender_id, sender_device_id, client_message_id)
    ) WITHOUT ROWID;
    CREATE INDEX message_keys_by_number ON message_keys (conversation_id, sequence_number);

    -- What was said of a message (`target`, its reference), held or not; the newest by its number counts.
    -- `emoji`: empty when taken back. `text`: NULL when the target is deleted.
    CREATE TABLE reactions (
        conversation_id TEXT NOT NULL,
        target TEXT NOT NULL,
        user_id TEXT NOT NULL,
        sequence_number INTEGER NOT NULL,
        emoji TEXT NOT NULL,
        PRIMARY KEY (conversation_id, target, user_id)
    ) WITHOUT ROWID;
    CREATE TABLE edits (
        conversation_id TEXT NOT NULL,
        target TEXT NOT NULL,
        user_id TEXT NOT NULL,
        sequence_number INTEGER NOT NULL,
        text TEXT,
        PRIMARY KEY (conversation_id, target, user_id)
    ) WITHOUT ROWID;
    """,
)

APPLICATION_ID = 0x434F4F45
"""`COOE`, stands in the file's header."""


def migrate(db: Connection, path: Path, version: int = len(MIGRATIONS)) -> None:
    """Bring the tables of ``db``, the database at ``path``, to ``version``, in one transaction.

    Raises:
        StoreUnusable: they are of a newer version than this program knows.
    """
    db.create_function("fold", 1, fold)
    db.create_function("reference", 4, reference_of_stored)
    former = db.execute("PRAGMA user_version").fetchone()[0]
    if former > len(MIGRATIONS):
        raise StoreUnusable(f"{path} was written by a newer version; update this program")
    if former >= version:
        return
    script = "".join(MIGRATIONS[former:version])
    db.executescript(
        f"BEGIN IMMEDIATE;{script};PRAGMA application_id = {APPLICATION_ID};PRAGMA user_version = {version};COMMIT;"
    )
