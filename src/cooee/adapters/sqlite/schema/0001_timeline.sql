-- The log, the timeline, the watermarks and the groups. docs/adr/0002-embedded-store-layout.md says why it is so.
-- Strings that repeat are interned once and named by small integers ("key") everywhere else.

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value ANY
) STRICT, WITHOUT ROWID;

-- A fresh file has a fresh epoch: tokens that name positions of another file are recognised.
INSERT INTO meta VALUES ('epoch', lower(hex(randomblob(8))));

CREATE TABLE chat_user (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE chat_device (
    key INTEGER PRIMARY KEY,
    user INTEGER NOT NULL,
    id TEXT NOT NULL,
    status INTEGER NOT NULL DEFAULT 0,      -- 0 only named, 1 current, 2 revoked
    floor INTEGER NOT NULL DEFAULT 0,       -- it has all activity of slots below, but for the conversations in "behind"
    UNIQUE (user, id)
) STRICT;

-- Conversations under a slot below the device's floor in which it lacks something. Rows may be out of date.
CREATE TABLE behind (
    device INTEGER NOT NULL,
    slot INTEGER NOT NULL,
    conversation INTEGER NOT NULL,
    PRIMARY KEY (device, slot, conversation)
) STRICT, WITHOUT ROWID;

CREATE TABLE conversation (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    first INTEGER NOT NULL DEFAULT 1,       -- lowest number that is kept
    large INTEGER NOT NULL DEFAULT 0,       -- 1: fanned out at read time
    sweep_at INTEGER NOT NULL DEFAULT 0,    -- when the broom looks here next (ms); 0: nothing to sweep
    held INTEGER NOT NULL DEFAULT 0         -- 1: what is due lacks a device's receipt; any receipt brings the broom
) STRICT;
CREATE INDEX conversation_to_sweep ON conversation (sweep_at) WHERE sweep_at > 0;

-- One row a conversation, rewritten once a commit. Small, so that many lie on a page.
CREATE TABLE head (
    conversation INTEGER PRIMARY KEY,
    last INTEGER NOT NULL,                  -- sequence number
    message_id INTEGER NOT NULL,
    position INTEGER NOT NULL,              -- of the last message
    timestamp INTEGER NOT NULL,             -- of the last message (ms)
    slot INTEGER NOT NULL                   -- under which the members' inbox entries stand
) STRICT;

-- The message row is the log, and its rowid the log position. body NULL: swept, kept for deduplication only.
CREATE TABLE message (
    position INTEGER PRIMARY KEY,
    previous INTEGER NOT NULL,              -- position of the same conversation's message before
    conversation INTEGER NOT NULL,
    number INTEGER NOT NULL,
    message_id INTEGER NOT NULL,
    device INTEGER NOT NULL,
    client_message_id TEXT NOT NULL,
    timestamp INTEGER NOT NULL,
    content_type TEXT NOT NULL,
    silent INTEGER NOT NULL,
    preview TEXT NOT NULL,
    body BLOB
) STRICT;
-- Time-ordered ids (UUIDv7, ULID) make this an append too, because they come first.
CREATE INDEX message_dedup ON message (client_message_id, conversation, device);
-- Every 16th number; from there a reader walks along "previous".
CREATE INDEX message_milestone ON message (conversation, number) WHERE number % 16 = 0;
CREATE INDEX message_swept ON message (timestamp) WHERE body IS NULL;

CREATE TABLE envelope (
    position INTEGER NOT NULL,
    device INTEGER NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (position, device)
) STRICT, WITHOUT ROWID;

-- Watermarks: one row a device, and one (device 0) for what revoked devices had reached. A member's watermark is the
-- maximum over his rows.
CREATE TABLE cursor (
    conversation INTEGER NOT NULL,
    user INTEGER NOT NULL,
    device INTEGER NOT NULL,
    received INTEGER NOT NULL,
    read INTEGER NOT NULL,
    PRIMARY KEY (conversation, user, device)
) STRICT, WITHOUT ROWID;

-- Who has which conversation in his list. slot: log position / 16384 of its last activity, so that an entry moves once
-- per 16384 messages of the whole server at most; a very high one for large groups, whose members read the head.
-- left_*: number, time and position of the message that sent him away; 0: still a member.
CREATE TABLE inbox (
    user INTEGER NOT NULL,
    slot INTEGER NOT NULL,
    conversation INTEGER NOT NULL,
    left_number INTEGER NOT NULL DEFAULT 0,
    left_timestamp INTEGER NOT NULL DEFAULT 0,
    left_position INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (user, slot, conversation)
) STRICT, WITHOUT ROWID;

CREATE TABLE chat_group (
    conversation INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    owner TEXT NOT NULL,
    roster_version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    deleted INTEGER NOT NULL
) STRICT;

-- Members of direct chats and groups, former ones included: one row for each time that somebody was in.
CREATE TABLE membership (
    conversation INTEGER NOT NULL,
    user INTEGER NOT NULL,
    joined INTEGER NOT NULL,                -- number of the message that let him in
    left_number INTEGER,                    -- number of the message that sent him away; NULL: a member
    role TEXT NOT NULL,
    PRIMARY KEY (conversation, user, joined)
) STRICT, WITHOUT ROWID;

CREATE TABLE barred (
    conversation INTEGER NOT NULL,
    user INTEGER NOT NULL,
    PRIMARY KEY (conversation, user)
) STRICT, WITHOUT ROWID;

CREATE TABLE group_invite (
    token_hash BLOB PRIMARY KEY,
    conversation INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    max_uses INTEGER NOT NULL,
    uses INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX group_invite_of ON group_invite (conversation);
