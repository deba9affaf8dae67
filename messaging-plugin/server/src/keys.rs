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
mod forget;
mod one_time;
mod query;
mod rows;
mod signatures;
pub mod sync;
mod to_device;
mod upload;

use ruma::api::client::{keys, to_device::send_event_to_device};

use crate::matrix;

pub use self::{
    device_lists::{changed as device_list_changed, sharing},
    forget::{forget_device, forget_one_time_keys, forget_person},
};

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

#[cfg(test)]
mod tests;
