-- Frozen. Who changed what: the actor in one word, the action, what it was done to, and what else is worth a line. What
-- devices do by themselves is marked, since they may do it often: it must not push out what people did.

CREATE TABLE audit (
    id BIGINT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    details TEXT NOT NULL,
    by_device BIGINT NOT NULL
);

CREATE INDEX audit_by_time ON audit (at);

-- Numbers of these entries; none is given twice.
ALTER TABLE network ADD COLUMN next_entry BIGINT NOT NULL DEFAULT 1;
