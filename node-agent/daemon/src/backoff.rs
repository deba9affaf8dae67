//! Exponential backoff with jitter.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// Wait after the first failure; doubles with each further one.
const MIN: Duration = Duration::from_secs(1);
/// Longest wait.
const MAX: Duration = Duration::from_secs(15);

/// Counts failures.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: AtomicU32,
}

impl Backoff {
    /// Forgets the failures.
    pub(crate) fn reset(&self) {
        self.failures.store(0, Ordering::Relaxed);
    }

    /// How many there were since the last reset.
    pub(crate) fn failures(&self) -> u32 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Waits according to the number of failures, and counts one more.
    pub(crate) async fn wait(&self) {
        let failures = self.failures();
        self.failures.store(failures.saturating_add(1), Ordering::Relaxed);
        let wait = MIN.saturating_mul(2_u32.saturating_pow(failures)).min(MAX);
        tokio::time::sleep(jitter(wait)).await;
    }
}

/// Between half of `wait` and all of it.
pub(crate) fn jitter(wait: Duration) -> Duration {
    let mut random = [0; 4];
    // Without randomness there is no jitter, which is acceptable.
    let _ = getrandom::fill(&mut random);
    wait / 2 + (wait / 2).mul_f64(f64::from(u32::from_le_bytes(random)) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_at_least_half_and_at_most_whole() {
        for _ in 0..100 {
            let wait = jitter(MAX);
            assert!(wait >= MAX / 2 && wait <= MAX, "{wait:?}");
        }
    }
}
