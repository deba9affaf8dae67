-- Frozen. Keys by which the network is administered over HTTPS, by the SHA-256 of each; `access` is read or admin.

CREATE TABLE api_keys (
    id BIGINT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    hash BLOB NOT NULL UNIQUE,
    access TEXT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL
);
