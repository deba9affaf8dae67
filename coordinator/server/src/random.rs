//! Random bytes from the system.

use std::time::Duration;

/// Random bytes.
///
/// # Panics
///
/// If the system has no randomness.
#[must_use]
#[allow(clippy::expect_used, reason = "without randomness every key would be guessable")]
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    bytes
}

/// `N` random bytes as hex digits.
#[must_use]
pub(crate) fn hex<const N: usize>() -> String {
    hex::encode(bytes::<N>())
}

/// A random time up to `most`, to spread timers.
#[must_use]
pub(crate) fn up_to(most: Duration) -> Duration {
    most.mul_f64(f64::from(u32::from_le_bytes(bytes())) / f64::from(u32::MAX))
}
