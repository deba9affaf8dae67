//! Rows and what they mean.

use control_protocol::{
    key::{DiscoPublic, MachinePublic, NodePublic},
    map::{CapMap, Hostinfo, RegionId},
};
use coordinator_core::{
    address::Addresses,
    key::PreAuthKey,
    model::{Claims, Keys, Node, NodeTimes, Owner, Pending, Record, User},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sqlx::{Row, any::AnyRow};

use super::StoreError;

/// Longest hostinfo that is kept, in bytes; a longer one is cut down to what the network needs of it.
const HOSTINFO_MAX: usize = 16 * 1024;

/// [`Claims`] as stored.
#[derive(Serialize, Deserialize)]
struct StoredClaims {
    endpoints: Vec<std::net::SocketAddr>,
    home_derp: RegionId,
    version: u32,
    hostinfo: Hostinfo,
}

pub(super) fn number(row: &AnyRow, column: &'static str) -> Result<u64, StoreError> {
    let value: i64 = row.try_get(column)?;
    u64::try_from(value).map_err(|_| StoreError::Row(column))
}

pub(super) fn optional_number(
    row: &AnyRow,
    column: &'static str,
) -> Result<Option<u64>, StoreError> {
    let value: Option<i64> = row.try_get(column)?;
    value.map(|value| u64::try_from(value).map_err(|_| StoreError::Row(column))).transpose()
}

fn flag(row: &AnyRow, column: &'static str) -> Result<bool, StoreError> {
    Ok(row.try_get::<i64, _>(column)? != 0)
}

fn bytes(row: &AnyRow, column: &'static str) -> Result<[u8; 32], StoreError> {
    let value: Vec<u8> = row.try_get(column)?;
    value.try_into().map_err(|_| StoreError::Row(column))
}

fn json<T: DeserializeOwned>(row: &AnyRow, column: &'static str) -> Result<T, StoreError> {
    let text: String = row.try_get(column)?;
    serde_json::from_str(&text).map_err(|_| StoreError::Row(column))
}

fn owner(row: &AnyRow) -> Result<Owner, StoreError> {
    Ok(match optional_number(row, "user_id")? {
        Some(user) => Owner::User(user),
        None => Owner::tags(json(row, "tags")?),
    })
}

pub(super) fn user(row: &AnyRow) -> Result<User, StoreError> {
    Ok(User {
        id: number(row, "id")?,
        name: row.try_get("name")?,
        created: row.try_get("created")?,
    })
}

pub(super) fn key(row: &AnyRow) -> Result<PreAuthKey, StoreError> {
    Ok(PreAuthKey {
        id: number(row, "id")?,
        owner: owner(row)?,
        reusable: flag(row, "reusable")?,
        ephemeral: flag(row, "ephemeral")?,
        pre_approved: flag(row, "pre_approved")?,
        created: row.try_get("created")?,
        expires: row.try_get("expires")?,
        uses: number(row, "uses")?,
    })
}

pub(super) fn node(row: &AnyRow) -> Result<Node, StoreError> {
    let v4: String = row.try_get("ipv4")?;
    let claims: StoredClaims = json(row, "claims")?;
    let capabilities: CapMap = json(row, "capabilities")?;
    Ok(Node {
        id: number(row, "id")?,
        revision: row.try_get("revision")?,
        stable_id: row.try_get("stable_id")?,
        name: row.try_get("name")?,
        owner: owner(row)?,
        keys: Keys {
            machine: MachinePublic::from_bytes(bytes(row, "machine_key")?),
            node: NodePublic::from_bytes(bytes(row, "node_key")?),
            disco: DiscoPublic::from_bytes(bytes(row, "disco_key")?),
        },
        addresses: Addresses::of(v4.parse().map_err(|_| StoreError::Row("ipv4"))?),
        times: NodeTimes {
            created: row.try_get("created")?,
            expires: row.try_get("expires")?,
            last_seen: row.try_get("last_seen")?,
            ephemeral: flag(row, "ephemeral")?,
        },
        claims: Claims {
            endpoints: claims.endpoints,
            home_derp: claims.home_derp,
            version: claims.version,
            hostinfo: claims.hostinfo,
        },
        capabilities,
    })
}

pub(super) fn pending(row: &AnyRow) -> Result<Pending, StoreError> {
    let key = optional_number(row, "key_id")?
        .map(|id| owner(row).map(|owner| (id, owner)))
        .transpose()?;
    Ok(Pending {
        id: number(row, "id")?,
        ticket: row.try_get("ticket")?,
        machine: MachinePublic::from_bytes(bytes(row, "machine_key")?),
        node_key: NodePublic::from_bytes(bytes(row, "node_key")?),
        hostinfo: json(row, "hostinfo")?,
        key,
        replaces: optional_number(row, "replaces")?,
        ephemeral: flag(row, "ephemeral")?,
        created: row.try_get("created")?,
        asked: row.try_get("asked")?,
    })
}

pub(super) fn record(row: &AnyRow) -> Result<Record, StoreError> {
    Ok(Record { name: row.try_get("name")?, node: number(row, "node_id")? })
}

pub(super) fn sql(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn to_json<T: Serialize>(value: &T, column: &'static str) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|_| StoreError::Row(column))
}

pub(super) fn claims(claims: &Claims) -> Result<String, StoreError> {
    let stored = StoredClaims {
        endpoints: claims.endpoints.clone(),
        home_derp: claims.home_derp,
        version: claims.version,
        hostinfo: bounded(&claims.hostinfo)?,
    };
    to_json(&stored, "claims")
}

pub(super) fn hostinfo(info: &Hostinfo) -> Result<String, StoreError> {
    to_json(&bounded(info)?, "hostinfo")
}

fn bounded(info: &Hostinfo) -> Result<Hostinfo, StoreError> {
    if to_json(info, "hostinfo")?.len() <= HOSTINFO_MAX {
        return Ok(info.clone());
    }
    let cut = |text: &str| text.chars().take(255).collect::<String>();
    Ok(Hostinfo { hostname: cut(&info.hostname), os: cut(&info.os), ..Hostinfo::default() })
}
