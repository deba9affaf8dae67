//! End-to-end encryption: public keys, messages between devices, and the backup of sessions (specification,
//! client-server API, "End-to-End Encryption" and "Send-to-Device messaging"; `telmeet_core::keys`).
//!
//! What is private stays on the devices. A change of keys and the note for others that there is one are written in the
//! same transaction.
//!
//! Every function fails with [`crate::error::Error::Database`] if the database does.

mod backup;
mod claim;
mod cross_signing;
mod device_lists;
mod one_time;
mod query;
mod rows;
mod signatures;
pub mod sync;
mod to_device;
mod upload;

use ruma::{
    DeviceId, UserId,
    api::client::{keys, to_device::send_event_to_device},
};

use crate::{error::Error, homeserver::Transaction, matrix};

pub use self::device_lists::changed as device_list_changed;

/// The endpoints.
#[must_use]
pub fn routes() -> Vec<matrix::Route> {
    let mut routes = backup::routes();
    routes.extend(matrix::route::<keys::upload_keys::v3::Request, _, _>(upload::upload));
    routes.extend(matrix::route::<keys::get_keys::v3::Request, _, _>(query::query));
    routes.extend(matrix::route::<keys::get_key_changes::v3::Request, _, _>(query::changes));
    routes.extend(matrix::route::<keys::claim_keys::v3::Request, _, _>(claim::claim));
    routes.extend(matrix::route::<keys::upload_signing_keys::v3::Request, _, _>(
        cross_signing::upload,
    ));
    routes.extend(matrix::route::<keys::upload_signatures::v3::Request, _, _>(signatures::upload));
    routes.extend(matrix::route::<send_event_to_device::v3::Request, _, _>(to_device::send));
    routes
}

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

#[cfg(test)]
mod tests;
