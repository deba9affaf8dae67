//! Clock skew.

use std::time::Duration;

/// How old a document may be. The nonce proves that it is fresh; this limits the clock skew. A TPM has no wall clock.
pub const MAX_AGE: Duration = Duration::from_secs(5 * 60);

/// How far in the future a document may be, because of clock skew.
pub const SKEW: Duration = Duration::from_secs(5 * 60);

/// A duration in milliseconds.
pub(crate) const fn ms(duration: Duration) -> u64 {
    duration.as_secs() * 1000
}
