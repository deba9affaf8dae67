-- The participant's tables. Columns named `sealed` are encrypted at rest, with table, column and row as associated data.

-- One row, which each write transaction updates first.
CREATE TABLE participant (
    id BIGINT PRIMARY KEY,
    revision BIGINT NOT NULL,
    epoch BIGINT NOT NULL
);

-- `id` and `owner` are keyed hashes. `sequence` grows with each write of a row.
CREATE TABLE records (
    kind TEXT NOT NULL,
    id BLOB NOT NULL,
    owner BLOB NOT NULL,
    sequence BIGINT NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (kind, id)
);
CREATE INDEX records_by_owner ON records (kind, owner, sequence);
