PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);
INSERT INTO _sqlx_migrations VALUES(1,'rooms','2026-11-27 02:30:39',1,X'658aecf82b505fea6f2cd7bc815ae4d8bd8ecc72a88170680b70416e37ff59fc230e4fbf37286f709259439dfbc7f240',2209187);
INSERT INTO _sqlx_migrations VALUES(2,'rooms without sequences','2026-11-27 02:30:39',1,X'a4060ac4d38180a80ab455a6d1de8af9a3d97adb2b9d6f4b0697283d7d8202c936bd790d3d8e007ddbb8b341855d5b24',1668850);
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
INSERT INTO homeserver VALUES(1,'maru.test',12,0,1,15,NULL);
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
INSERT INTO people VALUES('@alice:maru.test',903040,'alice',NULL,NULL,1795746639150,1795746639150,NULL);
INSERT INTO people VALUES('@bob:maru.test',97717,'bob',NULL,NULL,1795746639152,1795746639152,NULL);
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
INSERT INTO devices VALUES('@alice:maru.test','PHONE',X'4a3d2f105e64420c26d6b7392ebf86603628c5d3299517b1df66d75666db3abf','node-alice-PHONE',NULL,1795746639150,1795746639150);
INSERT INTO devices VALUES('@bob:maru.test','LAPTOP',X'2a8b5b7e66aef88fce5c84078d25666d28c7e933c217806453607323c922fe9d','node-bob-LAPTOP',NULL,1795746639152,1795746639152);
CREATE TABLE rooms (
    room_id TEXT PRIMARY KEY,
    creator TEXT NOT NULL,
    is_listed BIGINT NOT NULL,
    created_at BIGINT NOT NULL);
INSERT INTO rooms VALUES('!xJ4FNOHSIJJvBKYtLzxSvq:maru.test','@alice:maru.test',0,1795746639157);
CREATE TABLE aliases (
    alias TEXT PRIMARY KEY,
    room_id TEXT NOT NULL,
    creator TEXT NOT NULL
);
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
INSERT INTO events VALUES(1,'$w4MqHP4qqYO4L5sKHEc0Zy70KlaS4xa0E4Cr2chZHJ4','!xJ4FNOHSIJJvBKYtLzxSvq:maru.test',1,'@alice:maru.test','m.room.create','',X'01b483a44956a2ecb2cbe135fb8cc1bcb649903ba5b625a7914857c1c0aa0a93079cb0e69d03124046945e13e512103658519f0afcfcdd745a688c338a65',1795746639157,NULL,'[]',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO events VALUES(2,'$iq8HkyXlEOemnS4KmjAUbZtBNVRIHfnUPzuRE0fbi04','!xJ4FNOHSIJJvBKYtLzxSvq:maru.test',2,'@alice:maru.test','m.room.member','@alice:maru.test',X'014a2786409def5163cdf24f00f31b9ee7c53c919c23d3d58864b79df01759f3256183df6ea9d985736d89c311214fcfbb60880f8be73425fd3ac58e939e',1795746639157,'$w4MqHP4qqYO4L5sKHEc0Zy70KlaS4xa0E4Cr2chZHJ4','["$w4MqHP4qqYO4L5sKHEc0Zy70KlaS4xa0E4Cr2chZHJ4"]',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO events VALUES(3,'$4cclZN2q1l1FbUO9sUiJaQPUv49QgSBtqvKf7SqBZyw','!xJ4FNOHSIJJvBKYtLzxSvq:maru.test',3,'@alice:maru.test','m.room.power_levels','',X'01f6f4dd949e1555f3ffb6cc9e3937f2e7de3047c3335e3388729f8d5548c1f212ff37e6c954ae82573293f0e2d4705d12fd7d8bd0f48ae30891cff718d66d3dd78326e3e798e6c2deb98631c53fc99a69e6608c73bc498cfe3456384e0cf5fef3b3d6c40780b068ae732f65b77a1254c64ba0bbe94a34ebd546e3648c3247b02c6b4e6cbcb5fe26fa69413fb69deb79872382c3ec619d591f0b488d8640ba2b8eec7156c6c827db8d21e207ae66e9c817cc29d29327390499bfeb7285403eea712022f12ef3d87764f4b75072be27beabf8b2feaf647aedaf6ceb82edc977c98a376d74e7c4167652b1011238ce8862c7d8583a47cb4ba3ae5799c5c4918a4e1d97cfff914ba7ba36a6ca2a42e39826a9280d3d952f4dce8dd7e8a13997a3463f8d8cc09fef5145f81e8e8a464ba8f5cb970da04cd21f91ee7df7f53922ca534532a85b1dadc0a9b4c35e66d9b9a5913eb60d96442f785f27fbe0f2119fb048e60bf72f33a12f7f02c9f5262d648887691c0647f37f4fb733',1795746639157,'$iq8HkyXlEOemnS4KmjAUbZtBNVRIHfnUPzuRE0fbi04','["$iq8HkyXlEOemnS4KmjAUbZtBNVRIHfnUPzuRE0fbi04","$w4MqHP4qqYO4L5sKHEc0Zy70KlaS4xa0E4Cr2chZHJ4"]',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO events VALUES(4,'$7QRz83RWkfXDBZ66WGvWhBi5X0J-KNQBzJZ44MBHOZE','!xJ4FNOHSIJJvBKYtLzxSvq:maru.test',4,'@alice:maru.test','m.room.join_rules','',X'0137f813b1515575320fa833014d707ea4354327720af6239d529a950d30c958c719c732af937717313e8a0ffe6f306dfc55b3142c31e7b4c65a6c5f7d920a',1795746639157,'$4cclZN2q1l1FbUO9sUiJaQPUv49QgSBtqvKf7SqBZyw','["$4cclZN2q1l1FbUO9sUiJaQPUv49QgSBtqvKf7SqBZyw","$iq8HkyXlEOemnS4KmjAUbZtBNVRIHfnUPzuRE0fbi04","$w4MqHP4qqYO4L5sKHEc0Zy70KlaS4xa0E4Cr2chZHJ4"]',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO events VALUES(5,'$mGRBTR4x4pJXHFHKETF9VxI4zeJ4wHc0xJK-rs_KQlI','!xJ4FNOHSIJJvBKYtLzxSvq:maru.test',5,'@alice:maru.test','m.room.history_visibility','',X'0140825cc619c0eae7f9c3d585af63bfcb3657b4508cced22f8a1579e314a03b9618a5dbc1c1ed0139d8a8ed45c953b1b3b740368fa8aee60703561577a62c34c5fe8f5f22b8bba4f7',1795746639157,'$7QRz83RWkfXDBZ66WGvWhBi5X0J-KNQBzJZ44MBHOZE','["$4cclZN2q1l1FbUO9sUiJaQPUv49QgSBtqvKf7SqBZyw","$iq8HkyXlEOemnS4KmjAUbZtBNVRIHfnUPzuRE0fbi04","$w4MqHP4qqYO4L5sKHEc0Zy70KlaS4xa0E4Cr2chZHJ4"]',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO events VALUES(6,'$BmMikC-y_jvWVTkNfMYzIfDEQw68ntrFag4K6YD8C9g','!xJ4FNOHSIJJvBKYtLzxSvq:maru.test',6,'@alice:maru.test','m.room.guest_access','',X'016fe5ccdbd16bde35e9c6eb85c04ec5da7d76d4c82c43163b69225af2744b3909d609a37a369ef87129f999cd300400e6b3e21ee4adf59f10b4d0402c96a6b934162ecb9a',1795746639157,'$mGRBTR4x4pJXHFHKETF9VxI4zeJ4wHc0xJK-rs_KQlI','["$4cclZN2q1l1FbUO9sUiJaQPUv49QgSBtqvKf7SqBZyw","$iq8HkyXlEOemnS4KmjAUbZtBNVRIHfnUPzuRE0fbi04","$w4MqHP4qqYO4L5sKHEc0Zy70KlaS4xa0E4Cr2chZHJ4"]',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO events VALUES(7,'$J8P38_VkXpBZ381t02XK93ccJ_GpNyBfq2JKU6HQsT4','!xJ4FNOHSIJJvBKYtLzxSvq:maru.test',7,'@alice:maru.test','m.room.member','@bob:maru.test',X'011cbd133ed43c64c79334ab8653cdb91d7b33a20ee76620edb4130ff8a2daeb6a67ba2eebe2132f0e2882c537e66f9dc70009c86f6614ab4c9779a916a604b8',1795746639168,'$BmMikC-y_jvWVTkNfMYzIfDEQw68ntrFag4K6YD8C9g','["$4cclZN2q1l1FbUO9sUiJaQPUv49QgSBtqvKf7SqBZyw","$iq8HkyXlEOemnS4KmjAUbZtBNVRIHfnUPzuRE0fbi04","$w4MqHP4qqYO4L5sKHEc0Zy70KlaS4xa0E4Cr2chZHJ4","$7QRz83RWkfXDBZ66WGvWhBi5X0J-KNQBzJZ44MBHOZE"]',NULL,NULL,NULL,NULL,NULL,NULL,'PHONE','t-L6fMQR5skeJN3DJCTQVz-f');
INSERT INTO events VALUES(8,'$Luf-RMXeHWuSJS-3Iktcd4bqHHZJ_MPWmqSRi6SNHmM','!xJ4FNOHSIJJvBKYtLzxSvq:maru.test',8,'@bob:maru.test','m.room.member','@bob:maru.test',X'0181542a9109883d57e67e41e398285f717aba548d23f265944713cf2548bd0b6060181fe67e9d315f3a503e9cdf23139c42bf1efd0890652a99690b323e',1795746639173,'$J8P38_VkXpBZ381t02XK93ccJ_GpNyBfq2JKU6HQsT4','["$4cclZN2q1l1FbUO9sUiJaQPUv49QgSBtqvKf7SqBZyw","$J8P38_VkXpBZ381t02XK93ccJ_GpNyBfq2JKU6HQsT4","$w4MqHP4qqYO4L5sKHEc0Zy70KlaS4xa0E4Cr2chZHJ4","$7QRz83RWkfXDBZ66WGvWhBi5X0J-KNQBzJZ44MBHOZE"]',NULL,NULL,7,NULL,NULL,NULL,'LAPTOP','t-crkc4mzDzGgs_PCpjabNlF');
INSERT INTO events VALUES(9,'$9Vths6YwzLcqgxiZOl2_ogpbmE3-pGxM1AmQKHDn1TU','!xJ4FNOHSIJJvBKYtLzxSvq:maru.test',9,'@alice:maru.test','m.room.name','',X'01c6b96a5cb77e9421699dfb06b64ff6068c8eb1ad7d3e7418f208e1a3b7a47ec63872de58b91a02a9c552fd94a685efcdba7bc4d1c08e7e',1795746639182,'$Luf-RMXeHWuSJS-3Iktcd4bqHHZJ_MPWmqSRi6SNHmM','["$4cclZN2q1l1FbUO9sUiJaQPUv49QgSBtqvKf7SqBZyw","$iq8HkyXlEOemnS4KmjAUbZtBNVRIHfnUPzuRE0fbi04","$w4MqHP4qqYO4L5sKHEc0Zy70KlaS4xa0E4Cr2chZHJ4"]',NULL,NULL,NULL,NULL,NULL,NULL,'PHONE','t-wTXHg5K7Cu4V-wlALL9LPg');
INSERT INTO events VALUES(10,'$XzrN8NqbnPdrl80lGoKbC9KJj8AcuCH8ru-OmzyOzw8','!xJ4FNOHSIJJvBKYtLzxSvq:maru.test',10,'@bob:maru.test','m.room.message',NULL,X'01304e43e09dd49136f574e14692b86e9c8d09be83d8347b5c9f60a8d902a06bb43e69075fa959a7233ca735fcf8963b7512fbc4b57efd55160d9b240eabdd8ab5337a520250d623cc53749785d31040',1795746639185,'$9Vths6YwzLcqgxiZOl2_ogpbmE3-pGxM1AmQKHDn1TU','["$4cclZN2q1l1FbUO9sUiJaQPUv49QgSBtqvKf7SqBZyw","$Luf-RMXeHWuSJS-3Iktcd4bqHHZJ_MPWmqSRi6SNHmM","$w4MqHP4qqYO4L5sKHEc0Zy70KlaS4xa0E4Cr2chZHJ4"]',NULL,NULL,NULL,NULL,NULL,NULL,'LAPTOP','t-ETjuvWX3o6VjuH5f8-j3VQ');
INSERT INTO events VALUES(11,'$y_40ChWCCnusZ0ov9RYr9E1NgRwQtmfTesmqj15-n2Q','!xJ4FNOHSIJJvBKYtLzxSvq:maru.test',11,'@bob:maru.test','m.room.message',NULL,X'01283ad67126b26e4664c868948208dca4eb69447a9f4a52472be15400cc845153da92fa9fba3b11d7dc26f6bba6eb4925ab68429cfc8a9eb2eac41e1853df59e8f7b665fd95be1fdbc99fe40f646ad5c8',1795746639192,'$XzrN8NqbnPdrl80lGoKbC9KJj8AcuCH8ru-OmzyOzw8','["$4cclZN2q1l1FbUO9sUiJaQPUv49QgSBtqvKf7SqBZyw","$Luf-RMXeHWuSJS-3Iktcd4bqHHZJ_MPWmqSRi6SNHmM","$w4MqHP4qqYO4L5sKHEc0Zy70KlaS4xa0E4Cr2chZHJ4"]',NULL,NULL,NULL,NULL,NULL,NULL,'LAPTOP','t-2h3o2XgaGYo1XMcRXD5Wo_');
INSERT INTO events VALUES(12,'$QDj6FcpWG_fIeX6ZMm5nRlOD7_RzII1OBzSZwzWCv14','!xJ4FNOHSIJJvBKYtLzxSvq:maru.test',12,'@bob:maru.test','m.room.message',NULL,X'015ba5f017dda77f0906151a4b329b52cffaa19641beecc6d887e256d37913d990566513a1759731e5b0fd4b701b9e9ef1343b3e682a10b26af03ca5c42394604bae250f1a044370891d3a928d3286253f6b',1795746639194,'$y_40ChWCCnusZ0ov9RYr9E1NgRwQtmfTesmqj15-n2Q','["$4cclZN2q1l1FbUO9sUiJaQPUv49QgSBtqvKf7SqBZyw","$Luf-RMXeHWuSJS-3Iktcd4bqHHZJ_MPWmqSRi6SNHmM","$w4MqHP4qqYO4L5sKHEc0Zy70KlaS4xa0E4Cr2chZHJ4"]',NULL,NULL,NULL,NULL,NULL,NULL,'LAPTOP','t-cB6vdiLgzaKDQuUJjs3GXW');
CREATE TABLE room_state (
    room_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    state_key TEXT NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (room_id, kind, state_key)
);
INSERT INTO room_state VALUES('!xJ4FNOHSIJJvBKYtLzxSvq:maru.test','m.room.create','',1);
INSERT INTO room_state VALUES('!xJ4FNOHSIJJvBKYtLzxSvq:maru.test','m.room.member','@alice:maru.test',2);
INSERT INTO room_state VALUES('!xJ4FNOHSIJJvBKYtLzxSvq:maru.test','m.room.power_levels','',3);
INSERT INTO room_state VALUES('!xJ4FNOHSIJJvBKYtLzxSvq:maru.test','m.room.join_rules','',4);
INSERT INTO room_state VALUES('!xJ4FNOHSIJJvBKYtLzxSvq:maru.test','m.room.history_visibility','',5);
INSERT INTO room_state VALUES('!xJ4FNOHSIJJvBKYtLzxSvq:maru.test','m.room.guest_access','',6);
INSERT INTO room_state VALUES('!xJ4FNOHSIJJvBKYtLzxSvq:maru.test','m.room.member','@bob:maru.test',8);
INSERT INTO room_state VALUES('!xJ4FNOHSIJJvBKYtLzxSvq:maru.test','m.room.name','',9);
CREATE TABLE memberships (
    user_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    membership TEXT NOT NULL,
    position BIGINT NOT NULL,
    joined_at BIGINT NOT NULL,
    is_forgotten BIGINT NOT NULL,
    PRIMARY KEY (user_id, room_id)
);
INSERT INTO memberships VALUES('@alice:maru.test','!xJ4FNOHSIJJvBKYtLzxSvq:maru.test','join',2,2,0);
INSERT INTO memberships VALUES('@bob:maru.test','!xJ4FNOHSIJJvBKYtLzxSvq:maru.test','join',8,8,0);
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
INSERT INTO transactions VALUES('@alice:maru.test','PHONE','','to_device test.direct','1','',1795746639217);
CREATE TABLE account_data (
    user_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    content_sealed BLOB NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (user_id, room_id, kind)
);
INSERT INTO account_data VALUES('@alice:maru.test','','test.heron',X'0129e599dfe68aa9661d02f6cf318d91b66ccde8d906dc411784291381bb2a0ccc88d4ee517585b9a0b84f2c1e310ad1551f95d8d64dbb8fe1a970',13);
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
CREATE TABLE media_events (
    media_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    PRIMARY KEY (media_id, event_id)
);
CREATE TABLE device_keys (
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    keys TEXT NOT NULL,
    PRIMARY KEY (user_id, device_id)
);
INSERT INTO device_keys VALUES('@bob:maru.test','LAPTOP','{"algorithms":["m.olm.v1.curve25519-aes-sha2","m.megolm.v1.aes-sha2"],"device_id":"LAPTOP","keys":{"curve25519:LAPTOP":"7UkoxijRwsbq6QM4kFmVYSlZJzpcY/k2NsFGFKyHN9E","ed25519:LAPTOP":"7UkoxijRwsbq6QM4kFmVYSlZJzpcY/k2NsFGFKyHN9E"},"signatures":{"@bob:maru.test":{"ed25519:LAPTOP":"zDJ4P+8E3HzaBU7ubgVtBc8fFwdJbXZr0YGv1CAWdp4xdCOpGtDmAeDaQaQJPNCR2uUgLz92rI9YLdHN93B0BA"}},"user_id":"@bob:maru.test"}');
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
CREATE TABLE cross_signing_keys (
    user_id TEXT NOT NULL,
    usage TEXT NOT NULL,
    key_json TEXT NOT NULL,
    PRIMARY KEY (user_id, usage)
);
CREATE TABLE key_signatures (
    user_id TEXT NOT NULL,
    target TEXT NOT NULL,
    signer TEXT NOT NULL,
    key_id TEXT NOT NULL,
    signature TEXT NOT NULL,
    PRIMARY KEY (user_id, target, signer, key_id)
);
CREATE TABLE device_list_changes (
    user_id TEXT NOT NULL,
    viewer TEXT NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (user_id, viewer)
);
INSERT INTO device_list_changes VALUES('@bob:maru.test','',14);
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
INSERT INTO to_device VALUES(15,'@bob:maru.test','LAPTOP','@alice:maru.test','test.direct',X'019bc374e83e90bb382b8ea5e0e5115d7ef801626bb272c5c9e0c878e53777a98a31220aecbc751f7800b11ef673540aa5dc6f10d8',1,12);
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
CREATE INDEX rooms_by_creator ON rooms (creator);
CREATE INDEX listed_rooms ON rooms (created_at, room_id) WHERE is_listed = 1;
CREATE INDEX aliases_by_room ON aliases (room_id);
CREATE INDEX aliases_by_creator ON aliases (creator);
CREATE INDEX events_by_room ON events (room_id, position);
CREATE INDEX events_by_state ON events (room_id, kind, state_key, position) WHERE state_key IS NOT NULL;
CREATE INDEX events_by_relation ON events (relates_to, position) WHERE relates_to IS NOT NULL;
CREATE INDEX events_by_thread ON events (room_id, position) WHERE relation = 'm.thread';
CREATE INDEX memberships_by_room ON memberships (room_id, membership);
CREATE INDEX memberships_by_position ON memberships (position);
CREATE INDEX transactions_by_time ON transactions (created_at);
CREATE INDEX account_data_by_position ON account_data (user_id, position);
CREATE INDEX receipts_by_position ON receipts (room_id, position);
CREATE INDEX media_by_file ON media (file);
CREATE INDEX media_by_user ON media (user_id, size);
CREATE INDEX media_events_by_event ON media_events (event_id);
CREATE INDEX device_list_changes_by_position ON device_list_changes (position);
CREATE INDEX to_device_by_device ON to_device (user_id, device_id, position);
COMMIT;
