//! Results of a registration.

use coordinator_core::{
    model::{Node, Owner},
    registration::Refusal,
};

use crate::{
    hub::HubError,
    store::{DatabaseError, StoreError},
};

/// Attempts for a change that conflicts with others.
pub(super) const ATTEMPTS: usize = 8;

/// The status of a device after a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RegistrationStatus {
    /// It is a node of this owner.
    Node(Owner),
    /// Its node key has expired: it must generate another.
    Expired,
    /// It waits for approval, under this ticket.
    Waiting(String),
}

/// Why a registration failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegisterError {
    /// The device was refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Too many concurrent registrations.
    #[error("too many concurrent registrations: try again later")]
    Busy,
    /// The node's rate limit is exceeded.
    #[error("this device changed too often in a short time: try again in ten seconds")]
    Often,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The network could not be reloaded.
    #[error(transparent)]
    Hub(#[from] HubError),
}

impl RegisterError {
    /// Whether the change may succeed if it is retried at once.
    pub(super) fn is_collision(&self) -> bool {
        match self {
            Self::Store(StoreError::Database(DatabaseError::Conflict)) => true,
            Self::Store(StoreError::Database(DatabaseError::Query(sqlx::Error::Database(
                error,
            )))) => error.is_unique_violation(),
            Self::Store(_) | Self::Refused(_) | Self::Busy | Self::Often | Self::Hub(_) => false,
        }
    }
}

/// What to do after a registration.
pub(super) enum FollowUp {
    /// Nothing: no change was stored.
    None,
    /// Update the maps.
    Refresh,
    /// Apply what the node reports about itself.
    Update(Box<Node>),
}
