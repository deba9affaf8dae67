-- Frozen. Counts the coordinators that took the database: a change is made only under the number of whoever has it now.

ALTER TABLE network ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0;
