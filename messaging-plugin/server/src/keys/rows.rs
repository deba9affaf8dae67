//! Stored keys.

use std::collections::BTreeMap;

use ruma::{DeviceId, OwnedDeviceId, UserId};
use sqlx::{AnyConnection, Row as _};
use store::DatabaseError;
use telmeet_core::keys::{
    cross_signing::{CrossSigningKey, Identity, Usage},
    device::DeviceKeys,
    signed::Signature,
};

use crate::error::Error;

/// The keys of a device, if it uploaded any.
pub(super) async fn device(
    connection: &mut AnyConnection,
    user: &UserId,
    device: &DeviceId,
) -> Result<Option<DeviceKeys>, Error> {
    let query = "SELECT keys FROM device_keys WHERE user_id = $1 AND device_id = $2";
    let query = sqlx::query_scalar::<_, String>(query).bind(user.as_str()).bind(device.as_str());
    let text = query.fetch_optional(connection).await?;
    text.map(|text| DeviceKeys::stored(&text, device).map_err(|_| damaged("keys"))).transpose()
}

/// The devices of a person that have keys, with their names.
pub(super) async fn devices(
    connection: &mut AnyConnection,
    user: &UserId,
) -> Result<Vec<(OwnedDeviceId, DeviceKeys, Option<String>)>, Error> {
    let query = "SELECT k.device_id, k.keys, d.display_name FROM device_keys k \
         JOIN devices d ON d.user_id = k.user_id AND d.device_id = k.device_id WHERE k.user_id = $1";
    let rows = sqlx::query(query).bind(user.as_str()).fetch_all(connection).await?;
    let read = |row: &sqlx::any::AnyRow| {
        let device = OwnedDeviceId::from(row.try_get::<String, _>("device_id")?);
        let text: String = row.try_get("keys")?;
        let keys = DeviceKeys::stored(&text, &device).map_err(|_| damaged("keys"))?;
        Ok((device, keys, row.try_get("display_name")?))
    };
    rows.iter().map(read).collect()
}

/// The identity of a person, as far as it was uploaded.
pub(super) async fn identity(
    connection: &mut AnyConnection,
    user: &UserId,
) -> Result<Identity, Error> {
    let query = "SELECT usage, key_json FROM cross_signing_keys WHERE user_id = $1";
    let rows = sqlx::query(query).bind(user.as_str()).fetch_all(connection).await?;
    let mut identity = Identity::default();
    for row in rows {
        let (usage, text): (String, String) = (row.try_get("usage")?, row.try_get("key_json")?);
        let usage = Usage::ALL.into_iter().find(|of| of.as_str() == usage);
        let usage = usage.ok_or_else(|| damaged("usage"))?;
        let key = CrossSigningKey::parse(text.as_bytes(), user, usage);
        let key = Some(key.map_err(|_| damaged("key_json"))?);
        match usage {
            Usage::Master => identity.master = key,
            Usage::SelfSigning => identity.self_signing = key,
            Usage::UserSigning => identity.user_signing = key,
        }
    }
    Ok(identity)
}

/// The signatures of a person's keys, by what was signed: those of the person, and those that `viewer` made.
pub(super) async fn signatures(
    connection: &mut AnyConnection,
    user: &UserId,
    viewer: &UserId,
) -> Result<BTreeMap<String, Vec<Signature>>, Error> {
    let query = "SELECT target, signer, key_id, signature FROM key_signatures \
         WHERE user_id = $1 AND (signer = $1 OR signer = $2)";
    let query = sqlx::query(query).bind(user.as_str()).bind(viewer.as_str());
    let mut signatures: BTreeMap<String, Vec<Signature>> = BTreeMap::new();
    for row in query.fetch_all(connection).await? {
        let signature = Signature {
            signer: row.try_get("signer")?,
            key_id: row.try_get("key_id")?,
            signature: row.try_get("signature")?,
        };
        signatures.entry(row.try_get("target")?).or_default().push(signature);
    }
    Ok(signatures)
}

/// Stores a signature. Returns whether it is new.
pub(super) async fn add_signature(
    connection: &mut AnyConnection,
    user: &UserId,
    target: &str,
    signature: Signature,
) -> Result<bool, Error> {
    let query = "INSERT INTO key_signatures (user_id, target, signer, key_id, signature) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (user_id, target, signer, key_id) \
         DO UPDATE SET signature = excluded.signature WHERE key_signatures.signature <> excluded.signature";
    let query = sqlx::query(query)
        .bind(user.as_str())
        .bind(target.to_owned())
        .bind(signature.signer)
        .bind(signature.key_id)
        .bind(signature.signature);
    Ok(query.execute(connection).await?.rows_affected() > 0)
}

pub(super) fn damaged(column: &'static str) -> Error {
    DatabaseError::Row(column).into()
}
