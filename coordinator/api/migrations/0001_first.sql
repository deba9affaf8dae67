-- Frozen: databases of the first version look like this. Changes come as further files.
-- Columns are BIGINT, TEXT or BLOB only, so that one set of queries serves both engines. Times are milliseconds since
-- 1970, flags are 0 or 1, lists and objects are JSON.

CREATE TABLE network (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    -- Every change of what follows counts one up here first, and so waits for the change before it.
    revision BIGINT NOT NULL,
    domain TEXT NOT NULL,
    -- Numbers of users, keys, nodes and waiting devices; none is given twice.
    next_id BIGINT NOT NULL,
    last_ipv4 TEXT,
    policy TEXT NOT NULL,
    policy_revision BIGINT NOT NULL
);

CREATE TABLE users (
    id BIGINT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created BIGINT NOT NULL
);

CREATE TABLE preauth_keys (
    id BIGINT NOT NULL PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    user_id BIGINT REFERENCES users (id),
    tags TEXT NOT NULL,
    reusable BIGINT NOT NULL,
    ephemeral BIGINT NOT NULL,
    pre_approved BIGINT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    uses BIGINT NOT NULL
);

CREATE TABLE nodes (
    id BIGINT NOT NULL PRIMARY KEY,
    revision BIGINT NOT NULL,
    stable_id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL UNIQUE,
    user_id BIGINT REFERENCES users (id),
    tags TEXT NOT NULL,
    machine_key BLOB NOT NULL,
    node_key BLOB NOT NULL UNIQUE,
    disco_key BLOB NOT NULL,
    ipv4 TEXT NOT NULL UNIQUE,
    created BIGINT NOT NULL,
    expires BIGINT,
    last_seen BIGINT,
    ephemeral BIGINT NOT NULL,
    claims TEXT NOT NULL,
    capabilities TEXT NOT NULL
);

CREATE INDEX nodes_by_machine_key ON nodes (machine_key);

CREATE TABLE pending (
    id BIGINT NOT NULL PRIMARY KEY,
    ticket TEXT NOT NULL UNIQUE,
    machine_key BLOB NOT NULL,
    node_key BLOB NOT NULL UNIQUE,
    hostinfo TEXT NOT NULL,
    key_id BIGINT REFERENCES preauth_keys (id),
    replaces BIGINT,
    ephemeral BIGINT NOT NULL,
    created BIGINT NOT NULL,
    asked BIGINT NOT NULL
);

CREATE TABLE records (
    name TEXT NOT NULL PRIMARY KEY,
    node_id BIGINT NOT NULL REFERENCES nodes (id)
);
