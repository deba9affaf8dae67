-- Frozen. For several coordinators on one PostgreSQL database.

-- The coordinators that serve, each until its lease ends. Times are those of the database's clock.
CREATE TABLE coordinators (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    -- Digest of the relays that it tells devices.
    relays TEXT NOT NULL,
    started BIGINT NOT NULL,
    lease_ends BIGINT NOT NULL
);

-- The nodes that a coordinator reports as connected.
CREATE TABLE presence (
    coordinator TEXT NOT NULL,
    node BIGINT NOT NULL,
    PRIMARY KEY (coordinator, node)
);

-- The last changes, in order, with the node where a change was of that node alone.
CREATE TABLE changes (
    revision BIGINT NOT NULL PRIMARY KEY,
    node BIGINT
);

-- Secrets of the network, sealed with a key that is outside of the database.
CREATE TABLE secrets (
    name TEXT NOT NULL PRIMARY KEY,
    sealed BLOB NOT NULL
);
