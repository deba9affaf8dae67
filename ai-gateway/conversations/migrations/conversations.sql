-- One row: which process writes, and a value that opens under the machine's key alone.
CREATE TABLE conversation_store (
    id BIGINT NOT NULL PRIMARY KEY,
    revision BIGINT NOT NULL,
    epoch BIGINT NOT NULL
);

-- A person's key, sealed under the machine's key, and a second time under their recovery code.
CREATE TABLE people (
    person TEXT NOT NULL PRIMARY KEY,
    key_sealed BLOB NOT NULL,
    recovery_sealed BLOB,
    -- What all their conversations take, in bytes.
    bytes BIGINT NOT NULL
);

-- A conversation's key and name, sealed under its person's key. `name_digest` finds it by its name.
CREATE TABLE conversations (
    id BIGINT NOT NULL PRIMARY KEY,
    person TEXT NOT NULL REFERENCES people (person) ON DELETE CASCADE,
    name_digest BLOB NOT NULL,
    name_sealed BLOB NOT NULL,
    key_sealed BLOB NOT NULL,
    -- Messages so far, also those that were removed: the next one's number.
    next_number BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    -- Unix time in milliseconds.
    created_at BIGINT NOT NULL,
    used_at BIGINT NOT NULL,
    UNIQUE (person, name_digest)
);

CREATE INDEX conversations_by_use ON conversations (person, used_at);

-- A message, sealed under its conversation's key.
CREATE TABLE messages (
    conversation BIGINT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    content_sealed BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (conversation, number)
);
