-- Media: what is known of the objects in the blob store, and which messages hold them.

CREATE TABLE media (
    key TEXT PRIMARY KEY,
    owner_id TEXT NOT NULL,
    size INTEGER NOT NULL,                  -- bytes
    counted INTEGER NOT NULL,               -- bytes of the owner's quota
    sha256 BLOB NOT NULL,
    content_type TEXT NOT NULL,             -- as declared
    created_at INTEGER NOT NULL,            -- ms
    encrypted INTEGER NOT NULL,
    filename TEXT NOT NULL,
    state INTEGER NOT NULL,                 -- 0 pending, 1 stored, 2 ready, 3 garbage
    details BLOB NOT NULL,                  -- JSON
    collect_at INTEGER                      -- when to look whether it is garbage (ms); NULL: not before a message lets go
) STRICT, WITHOUT ROWID;
CREATE INDEX media_to_collect ON media (collect_at) WHERE collect_at IS NOT NULL;
CREATE INDEX media_to_inspect ON media (created_at) WHERE state = 1 AND encrypted = 0;

-- What the objects of each owner count together.
CREATE TABLE media_usage (
    owner_id TEXT PRIMARY KEY,
    bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Written with the message in one transaction, and removed when its content goes.
CREATE TABLE media_reference (
    key TEXT NOT NULL,
    conversation INTEGER NOT NULL,
    number INTEGER NOT NULL,
    position INTEGER NOT NULL,              -- of the message
    PRIMARY KEY (key, conversation, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX media_reference_of_message ON media_reference (position);
