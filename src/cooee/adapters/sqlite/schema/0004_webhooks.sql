-- Outgoing webhooks. Each is a device of its bot, and goes with it.

CREATE TABLE webhook (
    bot_id TEXT NOT NULL,
    webhook_id TEXT NOT NULL,               -- the deviceId
    url TEXT NOT NULL,
    secret BLOB NOT NULL,                   -- signs, so it is kept as it is
    created_at INTEGER NOT NULL,
    events TEXT NOT NULL,                   -- space-separated
    former_secret BLOB NOT NULL,
    former_until INTEGER NOT NULL,          -- ms
    disabled_because TEXT NOT NULL,         -- empty: enabled
    batch TEXT,                             -- JSON of ports.webhooks.Batch: what is on its way
    dead_in_row INTEGER NOT NULL,
    delivered_at INTEGER NOT NULL,          -- ms; 0: never
    error TEXT NOT NULL,                    -- the latest, empty after a success
    error_at INTEGER NOT NULL,
    PRIMARY KEY (bot_id, webhook_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE dead_letter (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    bot_id TEXT NOT NULL,
    webhook_id TEXT NOT NULL,
    letter_id TEXT NOT NULL,
    parts TEXT NOT NULL,                    -- JSON of ports.webhooks.Part
    died_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    error TEXT NOT NULL,
    requested INTEGER NOT NULL              -- 1: its owner wants one more attempt
) STRICT;
CREATE INDEX dead_letter_of_webhook ON dead_letter (bot_id, webhook_id, number);
CREATE UNIQUE INDEX dead_letter_id ON dead_letter (bot_id, webhook_id, letter_id);
