//! How long the database takes.

use prometheus_client::metrics::{counter::Counter, histogram::Histogram};

/// Bounds of histograms of time, in seconds.
const SECONDS: [f64; 10] = [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0];

/// What is counted of the database.
#[derive(Clone, Debug)]
pub struct Times {
    /// Changes that were stored.
    pub changes: Counter,
    /// From asking for a turn to getting it.
    pub turn: Histogram,
    /// From the turn to the change being stored.
    pub change: Histogram,
    /// Reading everything that the daemon keeps in memory.
    pub load: Histogram,
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

/// A histogram of times.
fn by_seconds() -> Histogram {
    Histogram::new(SECONDS)
}
