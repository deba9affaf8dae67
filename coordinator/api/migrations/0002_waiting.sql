-- Frozen. What is known of a device that waits: its capability version (0: not known), and where it asked from (empty: not
-- known).
ALTER TABLE pending ADD COLUMN version BIGINT NOT NULL DEFAULT 0;
ALTER TABLE pending ADD COLUMN source TEXT NOT NULL DEFAULT '';
