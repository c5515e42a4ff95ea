-- Public keys of devices, and the signed lists of devices. Keys go with the device, a list with the account.

CREATE TABLE device_key (
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    identity TEXT NOT NULL,                 -- base64url, as all keys
    signed BLOB NOT NULL,                   -- JSON: the signed pre-key
    last_resort BLOB NOT NULL,              -- JSON: the signed ML-KEM key for when there is no other
    last_pre_key INTEGER NOT NULL,          -- highest id of a one-time key so far; given out or not
    last_kem_key INTEGER NOT NULL,
    PRIMARY KEY (user_id, device_id)
) STRICT, WITHOUT ROWID;

-- What was given out is removed.
CREATE TABLE one_time_key (
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    kind INTEGER NOT NULL,                  -- 0 pre-key, 1 ML-KEM key
    id INTEGER NOT NULL,
    body BLOB NOT NULL,                     -- JSON
    PRIMARY KEY (user_id, device_id, kind, id)
) STRICT;

CREATE TABLE device_list (
    user_id TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    account_key TEXT NOT NULL,
    payload TEXT NOT NULL,
    signature TEXT NOT NULL,
    devices TEXT NOT NULL                   -- JSON: identity key by device
) STRICT, WITHOUT ROWID;
