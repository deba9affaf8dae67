//! The rows of each table, converted from and to the model.
//!
//! Each column is listed here once. The conversions name every field, without defaults, so that a new field of the model
//! does not compile until it is stored and read; a test changes and reads back every column.

use ::store::{
    DatabaseError,
    column::{bytes, from_json, number, optional_unsigned, sql, to_json, unsigned},
    row,
};
use control_protocol::{
    key::{DiscoPublic, MachinePublic, NodePublic},
    map::Hostinfo,
};
use coordinator_api::Access;
use coordinator_core::{
    address::Addresses,
    api_key::{ApiKey, ApiKeyHash},
    key::{KeyHash, PreAuthKey},
    model::{Claims, Keys, Node, NodeTimes, Owner, Pending, Record, Registrant, User},
};
use sqlx::{Row as _, any::AnyRow};

/// Longest hostinfo that is stored, in bytes. Of a longer one only hostname and operating system are.
const HOSTINFO_MAX: usize = 16 * 1024;
/// Access of an API key, as stored.
const READ: &str = "read";
const ADMIN: &str = "admin";

/// A value of the model that is read from one row.
pub(super) trait FromRow: Sized {
    /// Reads the columns.
    fn read(row: &AnyRow) -> Result<Self, DatabaseError>;
}

row! {
    /// A person.
    UserRow in "users" {
        id: i64,
        name: String,
        created: i64,
    }
}

row! {
    /// A pre-auth key, by its hash.
    KeyRow in "preauth_keys" {
        id: i64,
        hash: Vec<u8>,
        user_id: Option<i64>,
        tags: String,
        reusable: i64,
        ephemeral: i64,
        pre_approved: i64,
        created: i64,
        expires: i64,
        uses: i64,
    }
}

row! {
    /// An API key, by its hash.
    ApiKeyRow in "api_keys" {
        id: i64,
        name: String,
        hash: Vec<u8>,
        access: String,
        created: i64,
        expires: i64,
    }
}

row! {
    /// A node. `last_seen` has an update of its own, which leaves the revision.
    NodeRow in "nodes" {
        id: i64,
        revision: i64,
        stable_id: String,
        machine_key: Vec<u8>,
        ipv4: String,
        created: i64,
        last_seen: Option<i64>,
    } changing {
        name: String,
        user_id: Option<i64>,
        tags: String,
        node_key: Vec<u8>,
        disco_key: Vec<u8>,
        expires: Option<i64>,
        ephemeral: i64,
        claims: String,
        capabilities: String,
        routes: String,
        wireguard: Option<String>,
    }
}

row! {
    /// A device that waits. The key has the owner.
    PendingRow in "pending" {
        id: i64,
        ticket: String,
        machine_key: Vec<u8>,
        node_key: Vec<u8>,
        hostinfo: String,
        version: i64,
        source: String,
        key_id: Option<i64>,
        replaces: Option<i64>,
        ephemeral: i64,
        created: i64,
        asked: i64,
    }
}

impl UserRow {
    pub(super) fn of(user: &User) -> Self {
        Self { id: sql(user.id), name: user.name.clone(), created: user.created }
    }
}

impl FromRow for User {
    fn read(row: &AnyRow) -> Result<Self, DatabaseError> {
        let row = UserRow::read(row)?;
        Ok(User { id: unsigned(row.id, "id")?, name: row.name, created: row.created })
    }
}

impl KeyRow {
    pub(super) fn of(key: &PreAuthKey, hash: &KeyHash) -> Result<Self, DatabaseError> {
        Ok(Self {
            id: sql(key.id),
            hash: hash.0.to_vec(),
            user_id: key.owner.user().map(sql),
            tags: to_json(&key.owner.tag_list(), "tags")?,
            reusable: i64::from(key.reusable),
            ephemeral: i64::from(key.ephemeral),
            pre_approved: i64::from(key.pre_approved),
            created: key.created,
            expires: key.expires,
            uses: sql(key.uses),
        })
    }
}

impl FromRow for PreAuthKey {
    fn read(row: &AnyRow) -> Result<Self, DatabaseError> {
        let row = KeyRow::read(row)?;
        Ok(PreAuthKey {
            id: unsigned(row.id, "id")?,
            owner: owner(row.user_id, &row.tags)?,
            reusable: row.reusable != 0,
            ephemeral: row.ephemeral != 0,
            pre_approved: row.pre_approved != 0,
            created: row.created,
            expires: row.expires,
            uses: unsigned(row.uses, "uses")?,
        })
    }
}

impl ApiKeyRow {
    pub(super) fn of(key: &ApiKey, hash: &ApiKeyHash) -> Self {
        let access = match key.access {
            Access::Read => READ,
            Access::Admin => ADMIN,
        };
        Self {
            id: sql(key.id),
            name: key.name.clone(),
            hash: hash.0.to_vec(),
            access: access.to_owned(),
            created: key.created,
            expires: key.expires,
        }
    }
}

impl FromRow for (ApiKeyHash, ApiKey) {
    fn read(row: &AnyRow) -> Result<Self, DatabaseError> {
        let row = ApiKeyRow::read(row)?;
        let access = match row.access.as_str() {
            READ => Access::Read,
            ADMIN => Access::Admin,
            _ => return Err(DatabaseError::Row("access")),
        };
        let key = ApiKey {
            id: unsigned(row.id, "id")?,
            name: row.name,
            access,
            created: row.created,
            expires: row.expires,
        };
        Ok((ApiKeyHash(bytes(row.hash, "hash")?), key))
    }
}

impl NodeRow {
    pub(super) fn of(node: &Node) -> Result<Self, DatabaseError> {
        let claims = Claims { hostinfo: bounded(&node.claims.hostinfo)?, ..node.claims.clone() };
        Ok(Self {
            id: sql(node.id),
            revision: node.revision,
            stable_id: node.stable_id.clone(),
            machine_key: node.keys.machine.as_bytes().to_vec(),
            ipv4: node.addresses.v4.to_string(),
            created: node.times.created,
            last_seen: node.times.last_seen,
            name: node.name.clone(),
            user_id: node.owner.user().map(sql),
            tags: to_json(&node.owner.tag_list(), "tags")?,
            node_key: node.keys.node.as_bytes().to_vec(),
            disco_key: node.keys.disco.as_bytes().to_vec(),
            expires: node.times.expires,
            ephemeral: i64::from(node.times.ephemeral),
            claims: to_json(&claims, "claims")?,
            capabilities: to_json(&node.capabilities, "capabilities")?,
            routes: to_json(&node.routes, "routes")?,
            wireguard: node.wireguard.as_ref().map(|it| to_json(it, "wireguard")).transpose()?,
        })
    }
}

impl FromRow for Node {
    fn read(row: &AnyRow) -> Result<Self, DatabaseError> {
        let row = NodeRow::read(row)?;
        Ok(Node {
            id: unsigned(row.id, "id")?,
            revision: row.revision,
            stable_id: row.stable_id,
            name: row.name,
            owner: owner(row.user_id, &row.tags)?,
            keys: Keys {
                machine: MachinePublic::from_bytes(bytes(row.machine_key, "machine_key")?),
                node: NodePublic::from_bytes(bytes(row.node_key, "node_key")?),
                disco: DiscoPublic::from_bytes(bytes(row.disco_key, "disco_key")?),
            },
            addresses: Addresses::of(row.ipv4.parse().map_err(|_| DatabaseError::Row("ipv4"))?),
            times: NodeTimes {
                created: row.created,
                expires: row.expires,
                last_seen: row.last_seen,
                ephemeral: row.ephemeral != 0,
            },
            claims: from_json(&row.claims, "claims")?,
            capabilities: from_json(&row.capabilities, "capabilities")?,
            routes: from_json(&row.routes, "routes")?,
            wireguard: row.wireguard.map(|it| from_json(&it, "wireguard")).transpose()?,
        })
    }
}

impl PendingRow {
    /// The row of a device that used the key `key_id`, if any.
    pub(super) fn of(pending: &Pending, key_id: Option<u64>) -> Result<Self, DatabaseError> {
        Ok(Self {
            id: sql(pending.id),
            ticket: pending.ticket.clone(),
            machine_key: pending.device.machine.as_bytes().to_vec(),
            node_key: pending.device.node_key.as_bytes().to_vec(),
            hostinfo: to_json(&bounded(&pending.device.hostinfo)?, "hostinfo")?,
            version: i64::from(pending.device.version),
            source: pending.source.clone(),
            key_id: key_id.map(sql),
            replaces: pending.replaces.map(sql),
            ephemeral: i64::from(pending.device.ephemeral),
            created: pending.created,
            asked: pending.asked,
        })
    }
}

/// The row has the columns of the key's owner too.
impl FromRow for Pending {
    fn read(row: &AnyRow) -> Result<Self, DatabaseError> {
        let (user, tags): (Option<i64>, Option<String>) =
            (row.try_get("user_id")?, row.try_get("tags")?);
        let row = PendingRow::read(row)?;
        let key = match optional_unsigned(row.key_id, "key_id")? {
            Some(key) => Some((key, owner(user, &tags.unwrap_or_default())?)),
            None => None,
        };
        Ok(Pending {
            id: unsigned(row.id, "id")?,
            ticket: row.ticket,
            device: Registrant {
                machine: MachinePublic::from_bytes(bytes(row.machine_key, "machine_key")?),
                node_key: NodePublic::from_bytes(bytes(row.node_key, "node_key")?),
                hostinfo: from_json(&row.hostinfo, "hostinfo")?,
                version: u32::try_from(row.version).map_err(|_| DatabaseError::Row("version"))?,
                ephemeral: row.ephemeral != 0,
            },
            source: row.source,
            key,
            replaces: optional_unsigned(row.replaces, "replaces")?,
            created: row.created,
            asked: row.asked,
        })
    }
}

impl FromRow for Record {
    fn read(row: &AnyRow) -> Result<Self, DatabaseError> {
        Ok(Record { name: row.try_get("name")?, node: number(row, "node_id")? })
    }
}

fn owner(user: Option<i64>, tags: &str) -> Result<Owner, DatabaseError> {
    Ok(match optional_unsigned(user, "user_id")? {
        Some(user) => Owner::User(user),
        None => Owner::tags(from_json(tags, "tags")?),
    })
}

/// Hostinfo of at most [`HOSTINFO_MAX`].
fn bounded(info: &Hostinfo) -> Result<Hostinfo, DatabaseError> {
    if to_json(info, "hostinfo")?.len() <= HOSTINFO_MAX {
        return Ok(info.clone());
    }
    let cut = |text: &str| text.chars().take(255).collect::<String>();
    Ok(Hostinfo { hostname: cut(&info.hostname), os: cut(&info.os), ..Hostinfo::default() })
}
