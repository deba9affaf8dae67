//! How long the database takes.

use prometheus_client::metrics::{counter::Counter, histogram::Histogram};

use crate::metrics::by_seconds;

/// What is counted of the database.
#[derive(Clone, Debug)]
pub(crate) struct Times {
    /// Changes that were stored.
    pub(crate) changes: Counter,
    /// From asking for a turn to getting it.
    pub(crate) turn: Histogram,
    /// From the turn to the change being stored.
    pub(crate) change: Histogram,
    /// Reading everything.
    pub(crate) load: Histogram,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            changes: Counter::default(),
            turn: by_seconds(),
            change: by_seconds(),
            load: by_seconds(),
        }
    }
}
