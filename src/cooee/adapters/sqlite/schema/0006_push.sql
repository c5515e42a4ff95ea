-- Where devices are pushed to, and which notifications they show. Both go with the device.

CREATE TABLE push_target (
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    platform TEXT NOT NULL,                 -- web, fcm, apns
    address TEXT NOT NULL,                  -- JSON of strings, as the platform needs them
    created_at INTEGER NOT NULL,            -- ms
    identity TEXT NOT NULL,                 -- what the platform knows it by: one screen is one device's
    PRIMARY KEY (user_id, device_id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX push_target_identity ON push_target (identity);

CREATE TABLE push_shown (
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    sequence_number INTEGER NOT NULL,
    collapse_key TEXT NOT NULL,
    PRIMARY KEY (user_id, device_id, conversation_id)
) STRICT, WITHOUT ROWID;
