-- What a person has the AI remember: files that stand in their prompts, sealed under their key.
CREATE TABLE memory_files (
    person TEXT NOT NULL REFERENCES people (person) ON DELETE CASCADE,
    -- `USER.md`, `MEMORY.md` or `memory/<date>.md`.
    name TEXT NOT NULL,
    content_sealed BLOB NOT NULL,
    PRIMARY KEY (person, name)
);

-- 1 if the AI may add to this person's memory by itself.
ALTER TABLE people ADD COLUMN ai_remembers BIGINT NOT NULL DEFAULT 0;

-- What stands for a conversation's oldest messages in prompts; the messages stay.
CREATE TABLE compactions (
    conversation BIGINT NOT NULL PRIMARY KEY REFERENCES conversations (id) ON DELETE CASCADE,
    -- The first message that is in prompts.
    first_number BIGINT NOT NULL,
    -- A summary of those before, sealed under the conversation's key; NULL if there is none.
    summary_sealed BLOB
);
