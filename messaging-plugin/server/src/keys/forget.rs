//! Keys are deleted: those of a device that signs out, those of a person who was removed, and one-time keys after a restore.

use ruma::{DeviceId, UserId};

use super::device_lists;
use crate::{error::Error, homeserver::Transaction};

/// Deletes the keys of a device that signs out, and the messages that wait for it.
///
/// # Errors
///
/// [`Error::Database`].
pub async fn forget_device(
    transaction: &mut Transaction,
    user: &UserId,
    device: &DeviceId,
) -> Result<(), Error> {
    let keys = "DELETE FROM device_keys WHERE user_id = $1 AND device_id = $2";
    let keys = sqlx::query(keys).bind(user.as_str()).bind(device.as_str());
    let had_keys = keys.execute(transaction.connection()).await?.rows_affected() > 0;
    for query in [
        "DELETE FROM one_time_keys WHERE user_id = $1 AND device_id = $2",
        "DELETE FROM fallback_keys WHERE user_id = $1 AND device_id = $2",
        "DELETE FROM to_device WHERE user_id = $1 AND device_id = $2",
        "DELETE FROM key_signatures WHERE user_id = $1 AND target = $2",
    ] {
        let query = sqlx::query(query).bind(user.as_str()).bind(device.as_str());
        query.execute(transaction.connection()).await?;
    }
    if had_keys {
        device_lists::changed(transaction, user).await?;
    }
    Ok(())
}

/// Deletes the identity and the key backups of a person who was removed. The devices are removed before.
///
/// # Errors
///
/// [`Error::Database`].
pub async fn forget_person(transaction: &mut Transaction, user: &UserId) -> Result<(), Error> {
    for query in [
        "DELETE FROM cross_signing_keys WHERE user_id = $1",
        "DELETE FROM key_signatures WHERE user_id = $1",
        "DELETE FROM backed_up_keys WHERE user_id = $1",
        "DELETE FROM key_backups WHERE user_id = $1",
    ] {
        sqlx::query(query).bind(user.as_str()).execute(transaction.connection()).await?;
    }
    device_lists::changed(transaction, user).await
}

/// Deletes all one-time keys of a database that was restored from a backup, since somebody may have claimed them in
/// the meantime: apps upload new ones. Fallback keys stay.
///
/// # Errors
///
/// [`Error::Database`].
pub async fn forget_one_time_keys(transaction: &mut Transaction) -> Result<(), Error> {
    let query = "DELETE FROM one_time_keys WHERE is_claimed = 0";
    sqlx::query(query).execute(transaction.connection()).await?;
    Ok(())
}
