//! How long keys hold, and how much is remembered.

use crate::suite::Suite;

/// The suites that a gateway publishes.
pub(super) const SUITES: [Suite; 2] = Suite::ALL;

/// How long keys hold, and how much is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a key is the current one, in milliseconds.
    pub lifetime_ms: u64,
    /// How long it still opens requests after that, in milliseconds.
    pub overlap_ms: u64,
    /// Bounds of the replay cache.
    pub replay: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self { lifetime_ms: 24 * 3_600_000, overlap_ms: 3_600_000, replay: Limits::default() }
    }
}

/// Bounds of the replay cache. An entry takes about 180 bytes and stays for 11 minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most requests remembered.
    pub total: usize,
    /// Most requests remembered of one device.
    pub per_device: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { total: 8192, per_device: 1024 }
    }
}
