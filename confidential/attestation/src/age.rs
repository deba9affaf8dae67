//! How far clocks may differ.

use std::time::Duration;

/// How old a document may be. That it is fresh, the nonce proves; this bounds how far the two clocks differ. A TPM has no
/// clock of the wall, so the nonce alone proves it there.
pub const MAX_AGE: Duration = Duration::from_secs(5 * 60);

/// How far in the future a document may be, because clocks differ.
pub const SKEW: Duration = Duration::from_secs(5 * 60);

/// A duration in the unit of all times here.
pub(crate) const fn ms(duration: Duration) -> u64 {
    duration.as_secs() * 1000
}
