//! How long the database takes.

use prometheus_client::metrics::{counter::Counter, histogram::Histogram};

/// Bounds of histograms of time, in seconds.
const SECONDS: [f64; 10] = [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0];

/// Metrics of a database.
#[derive(Clone, Debug)]
pub struct DatabaseMetrics {
    /// Changes that were committed.
    pub changes: Counter,
    /// Time that a write transaction waited for its turn.
    pub wait: Histogram,
    /// Time from the beginning of a write transaction to its commit.
    pub write: Histogram,
    /// Time to read everything that the daemon keeps in memory.
    pub load: Histogram,
}

impl Default for DatabaseMetrics {
    fn default() -> Self {
        let seconds = || Histogram::new(SECONDS);
        let (wait, write, load) = (seconds(), seconds(), seconds());
        Self { changes: Counter::default(), wait, write, load }
    }
}
