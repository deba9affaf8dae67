//! One-time and fallback keys. A key that was claimed stays for a while, marked, so that an upload that is repeated does
//! not offer it again.

use std::collections::BTreeMap;

use ruma::{DeviceId, OneTimeKeyAlgorithm, UInt, UserId};
use sqlx::{AnyConnection, Row as _};
use store::column;
use telmeet_core::keys::one_time::{OneTimeKey, STORED_MAX};

use crate::{error::Error, homeserver::Transaction};

/// Claimed keys of a device that are remembered.
const CLAIMED_MAX: i64 = 1_000;

/// Stores one-time keys. Those that are there, or were claimed, are not stored again.
pub(super) async fn add(
    transaction: &mut Transaction,
    user: &UserId,
    device: &DeviceId,
    keys: Vec<OneTimeKey>,
) -> Result<(), Error> {
    let position = column::sql(transaction.position());
    for key in keys {
        if let Some(stored) = find(transaction.connection(), user, device, &key).await? {
            if stored == key.json {
                continue;
            }
            return Err(Error::invalid("a one-time key with this id and another value exists"));
        }
        let query = "INSERT INTO one_time_keys (user_id, device_id, algorithm, key_id, key_json, position, is_claimed) \
             VALUES ($1, $2, $3, $4, $5, $6, 0)";
        sqlx::query(query)
            .bind(user.as_str())
            .bind(device.as_str())
            .bind(key.algorithm)
            .bind(key.id)
            .bind(key.json)
            .bind(position)
            .execute(transaction.connection())
            .await?;
    }
    let stored: u64 = counts(transaction.connection(), user, device)
        .await?
        .into_values()
        .map(u64::from)
        .fold(0, u64::saturating_add);
    if stored > STORED_MAX as u64 {
        return Err(Error::invalid(format!("a device stores at most {STORED_MAX} keys")));
    }
    let forget = "DELETE FROM one_time_keys WHERE user_id = $1 AND device_id = $2 AND is_claimed = 1 AND position < \
         (SELECT MIN(position) FROM (SELECT position FROM one_time_keys WHERE user_id = $1 AND device_id = $2 \
         AND is_claimed = 1 ORDER BY position DESC LIMIT $3) AS kept)";
    let forget = sqlx::query(forget).bind(user.as_str()).bind(device.as_str()).bind(CLAIMED_MAX);
    forget.execute(transaction.connection()).await?;
    Ok(())
}

async fn find(
    connection: &mut AnyConnection,
    user: &UserId,
    device: &DeviceId,
    key: &OneTimeKey,
) -> Result<Option<String>, Error> {
    let query = "SELECT key_json FROM one_time_keys WHERE user_id = $1 AND device_id = $2 AND algorithm = $3 \
         AND key_id = $4";
    let query = sqlx::query_scalar(query)
        .bind(user.as_str())
        .bind(device.as_str())
        .bind(key.algorithm.clone())
        .bind(key.id.clone());
    Ok(query.fetch_optional(connection).await?)
}

/// Replaces the fallback key of its algorithm. The same key again stays marked as used.
pub(super) async fn set_fallback(
    connection: &mut AnyConnection,
    user: &UserId,
    device: &DeviceId,
    key: OneTimeKey,
) -> Result<(), Error> {
    let query = "INSERT INTO fallback_keys (user_id, device_id, algorithm, key_id, key_json, is_used) \
         VALUES ($1, $2, $3, $4, $5, 0) ON CONFLICT (user_id, device_id, algorithm) DO UPDATE SET \
         is_used = CASE WHEN fallback_keys.key_id = excluded.key_id AND fallback_keys.key_json = excluded.key_json \
         THEN fallback_keys.is_used ELSE 0 END, key_id = excluded.key_id, key_json = excluded.key_json";
    sqlx::query(query)
        .bind(user.as_str())
        .bind(device.as_str())
        .bind(key.algorithm)
        .bind(key.id)
        .bind(key.json)
        .execute(connection)
        .await?;
    Ok(())
}

/// Gives out a key of a device: the oldest one-time key, which nobody gets again, else the fallback key, which is
/// marked as used. Returns its id without the algorithm, and its JSON.
pub(super) async fn claim(
    connection: &mut AnyConnection,
    user: &UserId,
    device: &DeviceId,
    algorithm: &str,
) -> Result<Option<(String, String)>, Error> {
    let one_time = "UPDATE one_time_keys SET is_claimed = 1 WHERE user_id = $1 AND device_id = $2 AND algorithm = $3 \
         AND key_id = (SELECT key_id FROM one_time_keys WHERE user_id = $1 AND device_id = $2 AND algorithm = $3 \
         AND is_claimed = 0 ORDER BY position, key_id LIMIT 1) RETURNING key_id, key_json";
    let fallback = "UPDATE fallback_keys SET is_used = 1 WHERE user_id = $1 AND device_id = $2 AND algorithm = $3 \
         RETURNING key_id, key_json";
    for query in [one_time, fallback] {
        let query =
            sqlx::query(query).bind(user.as_str()).bind(device.as_str()).bind(algorithm.to_owned());
        if let Some(row) = query.fetch_optional(&mut *connection).await? {
            return Ok(Some((row.try_get("key_id")?, row.try_get("key_json")?)));
        }
    }
    Ok(None)
}

/// How many one-time keys a device has, by algorithm. `signed_curve25519` is always listed: apps upload more when they
/// read that there are few.
pub(super) async fn counts(
    connection: &mut AnyConnection,
    user: &UserId,
    device: &DeviceId,
) -> Result<BTreeMap<OneTimeKeyAlgorithm, UInt>, Error> {
    let query = "SELECT algorithm, COUNT(*) AS count FROM one_time_keys WHERE user_id = $1 AND device_id = $2 \
         AND is_claimed = 0 GROUP BY algorithm";
    let query = sqlx::query(query).bind(user.as_str()).bind(device.as_str());
    let mut counts = BTreeMap::from([(OneTimeKeyAlgorithm::SignedCurve25519, UInt::MIN)]);
    for row in query.fetch_all(connection).await? {
        let count = UInt::new_saturating(column::number(&row, "count")?);
        counts.insert(row.try_get::<String, _>("algorithm")?.into(), count);
    }
    Ok(counts)
}

/// The algorithms for which a device has a fallback key that nobody got yet.
pub(super) async fn unused_fallback_types(
    connection: &mut AnyConnection,
    user: &UserId,
    device: &DeviceId,
) -> Result<Vec<OneTimeKeyAlgorithm>, Error> {
    let query = "SELECT algorithm FROM fallback_keys WHERE user_id = $1 AND device_id = $2 AND is_used = 0 \
         ORDER BY algorithm";
    let query = sqlx::query_scalar::<_, String>(query).bind(user.as_str()).bind(device.as_str());
    Ok(query.fetch_all(connection).await?.into_iter().map(Into::into).collect())
}
