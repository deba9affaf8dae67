//! Events as they are stored: reading them, and writing them for clients.
//!
//! Every function fails with [`crate::error::Error::Database`] if the database does, and with
//! [`crate::error::Error::Open`] if a stored event was damaged.

mod read;
mod render;
mod row;
mod stored;

pub use self::{
    read::{
        Direction, READ_MAX, access, at, by_id, current_state, near_time, of_others, of_sender,
        related, sent, state_at, timeline,
    },
    render::{Audience, Related, related as related_to, render, write},
    row::{insert, redact},
    stored::StoredEvent,
};
