-- Bots: accounts that somebody owns, tokens with scopes and an end, and incoming webhooks.

ALTER TABLE account ADD COLUMN kind TEXT NOT NULL DEFAULT 'person';     -- person or bot
ALTER TABLE account ADD COLUMN owner_id TEXT NOT NULL DEFAULT '';       -- of a bot; empty: the server's own
ALTER TABLE account ADD COLUMN disabled_with_owner INTEGER NOT NULL DEFAULT 0;
CREATE INDEX account_bot ON account (user_id) WHERE kind = 'bot';
CREATE INDEX account_bot_of_owner ON account (owner_id, user_id) WHERE kind = 'bot';

-- A bot's token is a device: it has a token_hash, and with it these.
ALTER TABLE device ADD COLUMN scopes TEXT;                              -- space-separated; NULL: a person's, everything
ALTER TABLE device ADD COLUMN expires_at INTEGER NOT NULL DEFAULT 0;    -- ms; 0: never

CREATE TABLE incoming_hook (
    hook_id TEXT PRIMARY KEY,
    bot_id TEXT NOT NULL,
    name TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    secret_hash BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    last_used INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX incoming_hook_of_bot ON incoming_hook (bot_id, created_at, hook_id);
