//! An event with its place.

use std::sync::Arc;

use telmeet_core::{client_event::Transaction, event::Event, token::Position};

/// An event with its place.
#[derive(Clone, Debug)]
pub struct StoredEvent {
    /// The event; the redacted one if it was redacted.
    pub event: Arc<Event>,
    /// Place in the server's one order.
    pub position: Position,
    /// Number in its room, from 1, without gaps.
    pub sequence: u64,
    /// The request that sent it.
    pub sent_by: Option<Transaction>,
    /// Position of the redaction.
    pub redacted_by: Option<Position>,
    /// Position of the state event that it replaced.
    pub replaces: Option<Position>,
}
