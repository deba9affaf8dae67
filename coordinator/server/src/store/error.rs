//! Why a change of the network cannot be stored.

use ::store::DatabaseError;
use coordinator_core::api_key::AccessDenied;

/// The database failed, or what is in it does not allow the change.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database failed, or does not fit.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The API key that asked for the change may not make it, or not any more.
    #[error("the API key may not make the change")]
    AccessDenied(AccessDenied),
    /// The network in the database has another name.
    #[error("this database belongs to the network {0}, and a network's name never changes")]
    OtherNetwork(String),
    /// The Noise key in the database does not open.
    #[error(
        "the network's Noise key in the database does not open: `key_file` under [shared] is not the file that sealed it; copy \
         that of a coordinator that serves this network"
    )]
    Sealed,
    /// No address is free.
    #[error("no address is free in 100.64.0.0/10")]
    Full,
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}
