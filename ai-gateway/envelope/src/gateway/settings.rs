//! Settings: the lifetime of keys, and the size of the replay cache.

use crate::suite::Suite;

/// The suites that a gateway publishes.
pub(super) const SUITES: [Suite; 2] = Suite::ALL;

/// The lifetime of keys, and the size of the replay cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a key is the current one, in milliseconds.
    pub lifetime_ms: u64,
    /// How long it opens requests after that, in milliseconds.
    pub overlap_ms: u64,
    /// Limits of the replay cache.
    pub replay: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self { lifetime_ms: 24 * 3_600_000, overlap_ms: 3_600_000, replay: Limits::default() }
    }
}

/// Limits of the replay cache. An entry takes about 180 bytes and expires after 11 minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most entries.
    pub total: usize,
    /// Most entries of one device.
    pub per_device: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { total: 8192, per_device: 1024 }
    }
}
