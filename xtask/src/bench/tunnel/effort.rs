//! How long, and how often.

use super::part::AgentMeasurement;

/// How long, and how often.
#[derive(Clone, Copy, Debug)]
pub(in crate::bench) struct Effort {
    /// Every peer is measured so many times.
    pub(in crate::bench) rounds: u32,
    /// Length of each run, in seconds.
    pub(in crate::bench) seconds: u32,
    /// How long what idles is watched, in seconds; none: nothing is measured of our agent alone.
    pub(in crate::bench) idle_seconds: Option<u32>,
    /// Of our agent alone this, and nothing else.
    pub(in crate::bench) only: Option<AgentMeasurement>,
}

impl Effort {
    /// As much as figures need that are to be compared.
    pub(in crate::bench) const FULL: Self =
        Self { rounds: 3, seconds: 5, idle_seconds: Some(60), only: None };
    /// As little as shows that the bench works.
    pub(in crate::bench) const SHORT: Self =
        Self { rounds: 1, seconds: 1, idle_seconds: None, only: None };
}
