//! What comes of a registration.

use coordinator_core::{
    model::{Node, Owner},
    registration::Refusal,
};

use crate::{
    hub::HubError,
    store::{DatabaseError, StoreError},
};

/// How often a change is tried that conflicts with others.
pub(super) const ATTEMPTS: usize = 8;

/// What a device is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RegistrationStatus {
    /// It is a node of this owner.
    Node(Owner),
    /// Its node key has expired: it must make another.
    Expired,
    /// It waits for approval, under this ticket.
    Waiting(String),
}

/// Why a registration failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegisterError {
    /// The device was turned away.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Too many ask at once.
    #[error("too many devices register at once: try again later")]
    Busy,
    /// The node has caused too much for everyone in a short time.
    #[error("this device changed too often in a short time: try again in ten seconds")]
    Often,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The network could not be read again.
    #[error(transparent)]
    Hub(#[from] HubError),
}

impl RegisterError {
    /// Whether the same change may succeed at once.
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

/// What remains to be done after a registration.
pub(super) enum FollowUp {
    /// Nothing is stored.
    None,
    /// Everyone's maps are made anew.
    Refresh,
    /// What the node says of itself may be new.
    Update(Box<Node>),
}
