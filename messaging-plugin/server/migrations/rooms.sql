-- telmeet's tables. Positions are one order over everything that a sync shows; times are Unix milliseconds.
-- Columns named `sealed` are encrypted at rest, with table, column and row as associated data.

-- One row: `generation` changes when positions that clients hold lose their meaning, `position` is the last one used.
CREATE TABLE homeserver (
    id BIGINT PRIMARY KEY,
    network TEXT NOT NULL,
    revision BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    position BIGINT NOT NULL,
    -- An empty value, sealed: whether the key is the right one.
    key_check_sealed BLOB
);

-- The network's people, also those who have not signed in yet: they have no `visited_at`. `mesh_user` is the coordinator's id
-- of the user; a user id is never given to anybody else.
CREATE TABLE people (
    user_id TEXT PRIMARY KEY,
    mesh_user BIGINT NOT NULL UNIQUE,
    login TEXT NOT NULL,
    display_name TEXT,
    avatar TEXT,
    created_at BIGINT NOT NULL,
    visited_at BIGINT,
    removed_at BIGINT
);

-- Apps that signed in. `node` is the mesh node to which the token is bound.
CREATE TABLE devices (
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    token_hash BLOB NOT NULL UNIQUE,
    node TEXT NOT NULL,
    display_name TEXT,
    created_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, device_id)
);

-- `sequence` is that of the last event.
CREATE TABLE rooms (
    room_id TEXT PRIMARY KEY,
    creator TEXT NOT NULL,
    is_listed BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    sequence BIGINT NOT NULL
);
CREATE INDEX rooms_by_creator ON rooms (creator);
CREATE INDEX listed_rooms ON rooms (created_at, room_id) WHERE is_listed = 1;

CREATE TABLE aliases (
    alias TEXT PRIMARY KEY,
    room_id TEXT NOT NULL,
    creator TEXT NOT NULL
);
CREATE INDEX aliases_by_room ON aliases (room_id);
CREATE INDEX aliases_by_creator ON aliases (creator);

-- `sequence` has no gaps in a room. `auth_events` is a JSON list. `replaces` is the position of the state event that this
-- one replaced. `redacted_by` is the position of the redaction; the content is the redacted one then.
CREATE TABLE events (
    position BIGINT PRIMARY KEY,
    event_id TEXT NOT NULL UNIQUE,
    room_id TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    sender TEXT NOT NULL,
    kind TEXT NOT NULL,
    state_key TEXT,
    content_sealed BLOB NOT NULL,
    time BIGINT NOT NULL,
    previous TEXT,
    auth_events TEXT NOT NULL,
    redacts TEXT,
    redacted_by BIGINT,
    replaces BIGINT,
    relates_to TEXT,
    relation TEXT,
    relation_key TEXT,
    device_id TEXT,
    transaction_id TEXT,
    UNIQUE (room_id, sequence)
);
CREATE INDEX events_by_room ON events (room_id, position);
CREATE INDEX events_by_state ON events (room_id, kind, state_key, position) WHERE state_key IS NOT NULL;
CREATE INDEX events_by_relation ON events (relates_to, position) WHERE relates_to IS NOT NULL;
CREATE INDEX events_by_thread ON events (room_id, position) WHERE relation = 'm.thread';

-- The current state of each room.
CREATE TABLE room_state (
    room_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    state_key TEXT NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (room_id, kind, state_key)
);

-- A person's rooms. `position` is that of the member event, `joined_at` that of the join that began the present or last
-- stay, or 0.
CREATE TABLE memberships (
    user_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    membership TEXT NOT NULL,
    position BIGINT NOT NULL,
    joined_at BIGINT NOT NULL,
    is_forgotten BIGINT NOT NULL,
    PRIMARY KEY (user_id, room_id)
);
CREATE INDEX memberships_by_room ON memberships (room_id, membership);
CREATE INDEX memberships_by_position ON memberships (position);

-- Events that were sent with a transaction id, which a device uses once for each room and type: the same request again
-- has the same result, whatever the body. They are kept for a week.
CREATE TABLE transactions (
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    transaction_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, device_id, room_id, kind, transaction_id)
);
CREATE INDEX transactions_by_time ON transactions (created_at);

-- `room_id` is empty for global data. Push rules are `m.push_rules`, tags `m.tag`, the read marker `m.fully_read`.
CREATE TABLE account_data (
    user_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    content_sealed BLOB NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (user_id, room_id, kind)
);
CREATE INDEX account_data_by_position ON account_data (user_id, position);

-- `thread` is empty for an unthreaded receipt; `event_position` is that of the event that was read.
CREATE TABLE receipts (
    room_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    thread TEXT NOT NULL,
    event_id TEXT NOT NULL,
    event_position BIGINT NOT NULL,
    time BIGINT NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (room_id, user_id, kind, thread)
);
CREATE INDEX receipts_by_position ON receipts (room_id, position);

CREATE TABLE filters (
    user_id TEXT NOT NULL,
    filter_id BIGINT NOT NULL,
    definition TEXT NOT NULL,
    PRIMARY KEY (user_id, filter_id)
);

CREATE TABLE pushers (
    user_id TEXT NOT NULL,
    app_id TEXT NOT NULL,
    pushkey TEXT NOT NULL,
    device_id TEXT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (user_id, app_id, pushkey)
);

-- An upload. `file` names the file with the sealed bytes, which uploads with the same bytes of one person share; there is
-- none as long as an id is only reserved. `is_named` is 1 once the owner sent an event that names it.
CREATE TABLE media (
    media_id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    file TEXT,
    digest_sealed BLOB,
    content_type TEXT NOT NULL,
    name_sealed BLOB,
    size BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    is_named BIGINT NOT NULL
);
CREATE INDEX media_by_file ON media (file);
CREATE INDEX media_by_user ON media (user_id, size);

-- The events that name an upload, as far as the server can read them.
CREATE TABLE media_events (
    media_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    PRIMARY KEY (media_id, event_id)
);
CREATE INDEX media_events_by_event ON media_events (event_id);

-- End-to-end encryption: public keys, and messages between devices.
CREATE TABLE device_keys (
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    keys TEXT NOT NULL,
    PRIMARY KEY (user_id, device_id)
);
-- Keys that were claimed stay for a while, so that an upload that is repeated does not offer them again.
CREATE TABLE one_time_keys (
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    key_id TEXT NOT NULL,
    key_json TEXT NOT NULL,
    position BIGINT NOT NULL,
    is_claimed BIGINT NOT NULL,
    PRIMARY KEY (user_id, device_id, algorithm, key_id)
);
CREATE TABLE fallback_keys (
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    key_id TEXT NOT NULL,
    key_json TEXT NOT NULL,
    is_used BIGINT NOT NULL,
    PRIMARY KEY (user_id, device_id, algorithm)
);
-- `usage` is `master`, `self_signing` or `user_signing`.
CREATE TABLE cross_signing_keys (
    user_id TEXT NOT NULL,
    usage TEXT NOT NULL,
    key_json TEXT NOT NULL,
    PRIMARY KEY (user_id, usage)
);
-- `target` is a device id or the public part of a key.
CREATE TABLE key_signatures (
    user_id TEXT NOT NULL,
    target TEXT NOT NULL,
    signer TEXT NOT NULL,
    key_id TEXT NOT NULL,
    signature TEXT NOT NULL,
    PRIMARY KEY (user_id, target, signer, key_id)
);
-- The last change of a person's devices or identity. `viewer` is the only person who sees it, or empty.
CREATE TABLE device_list_changes (
    user_id TEXT NOT NULL,
    viewer TEXT NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (user_id, viewer)
);
CREATE INDEX device_list_changes_by_position ON device_list_changes (position);
-- `ordinal` and `total` count the messages and bytes of a device since none waited.
CREATE TABLE to_device (
    position BIGINT PRIMARY KEY,
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    sender TEXT NOT NULL,
    kind TEXT NOT NULL,
    content_sealed BLOB NOT NULL,
    ordinal BIGINT NOT NULL,
    total BIGINT NOT NULL
);
CREATE INDEX to_device_by_device ON to_device (user_id, device_id, position);
CREATE TABLE key_backups (
    user_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    algorithm TEXT NOT NULL,
    auth_data TEXT NOT NULL,
    etag BIGINT NOT NULL,
    is_deleted BIGINT NOT NULL,
    PRIMARY KEY (user_id, version)
);
CREATE TABLE backed_up_keys (
    user_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    room_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    first_message_index BIGINT NOT NULL,
    forwarded_count BIGINT NOT NULL,
    is_verified BIGINT NOT NULL,
    session_data TEXT NOT NULL,
    PRIMARY KEY (user_id, version, room_id, session_id)
);
