-- People, their devices, whom they know, what they set, and what waits for their devices.
-- Names stand as they are: these tables are small or rarely written. Secrets are kept as hashes only.

-- A deleted account keeps its name, and nothing else.
CREATE TABLE account (
    user_id TEXT PRIMARY KEY,
    display_name TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    about TEXT NOT NULL,
    privacy TEXT NOT NULL,                  -- JSON of ports.accounts.Privacy
    disabled INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    admin INTEGER NOT NULL,
    last_seen INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What a search must be a prefix of (domain.search); only of accounts that may be found.
CREATE TABLE account_term (
    term TEXT NOT NULL,
    user_id TEXT NOT NULL,
    PRIMARY KEY (term, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX account_term_of_user ON account_term (user_id);

-- A revoked device keeps its row without content, so that its id is never given again.
CREATE TABLE device (
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    token_hash BLOB,                        -- NULL: logged out
    created_at INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    revoked INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (user_id, device_id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX device_token ON device (token_hash) WHERE token_hash IS NOT NULL;
CREATE INDEX device_idle ON device (last_seen, user_id, device_id) WHERE revoked = 0;

CREATE TABLE relation (
    kind INTEGER NOT NULL,                  -- 1: user_id has other_id as a contact, 2: user_id blocks other_id
    user_id TEXT NOT NULL,
    other_id TEXT NOT NULL,
    PRIMARY KEY (kind, user_id, other_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE conversation_flags (
    user_id TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    muted_until INTEGER NOT NULL,           -- ms; 0: not muted, -1: for ever
    pinned INTEGER NOT NULL,
    archived INTEGER NOT NULL,
    PRIMARY KEY (user_id, conversation_id)
) STRICT, WITHOUT ROWID;

-- The latest change per (user, conversation); the empty conversation is the account itself.
CREATE TABLE own_change (
    user_id TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (user_id, conversation_id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX own_change_position ON own_change (user_id, position);

CREATE TABLE recovery_code (
    user_id TEXT NOT NULL,
    code_hash BLOB NOT NULL,
    PRIMARY KEY (user_id, code_hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE registration_invite (
    token_hash BLOB PRIMARY KEY,
    expires_at INTEGER NOT NULL,            -- ms; 0: never
    max_uses INTEGER NOT NULL,              -- 0: no bound
    uses INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row per device that ever got something; "last" never goes back.
CREATE TABLE to_device_queue (
    key INTEGER PRIMARY KEY,
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    last INTEGER NOT NULL,                  -- sequence number
    messages INTEGER NOT NULL,              -- how many are queued
    bytes INTEGER NOT NULL,                 -- of their contents
    UNIQUE (user_id, device_id)
) STRICT;

CREATE TABLE to_device_message (
    key INTEGER PRIMARY KEY,
    queue INTEGER NOT NULL,
    number INTEGER NOT NULL,
    sender_id TEXT NOT NULL,
    sender_device_id TEXT NOT NULL,
    timestamp INTEGER NOT NULL,
    content TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX to_device_message_number ON to_device_message (queue, number);
CREATE INDEX to_device_message_time ON to_device_message (timestamp);

-- Time-ordered ids come first, so that rows are appended.
CREATE TABLE to_device_seen (
    client_message_id TEXT NOT NULL,
    sender_id TEXT NOT NULL,
    sender_device_id TEXT NOT NULL,
    timestamp INTEGER NOT NULL,
    PRIMARY KEY (client_message_id, sender_id, sender_device_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX to_device_seen_time ON to_device_seen (timestamp);

CREATE TABLE push_entry (
    user_id TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    device_id TEXT NOT NULL,                -- empty: all devices of the user
    sequence_number INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, conversation_id, device_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX push_entry_due ON push_entry (due_at, user_id, device_id, conversation_id);
