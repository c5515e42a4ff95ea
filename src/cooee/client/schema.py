"""The tables of the local store. A step is never changed once it is released; a new one is added behind it."""

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
)

APPLICATION_ID = 0x434F4F45
"""`COOE`, stands in the file's header."""
