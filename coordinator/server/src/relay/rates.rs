//! The rate limit of each node.

use std::{num::NonZeroU32, time::Duration};

use control_protocol::key::NodePublic;
use coordinator_api::settings;
use governor::{DefaultKeyedRateLimiter, Quota, clock::Clock as _};

/// A token bucket of bytes for each node key, shared by all its connections.
#[derive(Debug)]
pub(super) struct Rates(Option<DefaultKeyedRateLimiter<NodePublic>>);

impl Rates {
    /// Uses the rate and burst of the settings; a rate of 0 is no limit.
    pub(super) fn new(settings: &settings::Relay) -> Self {
        let rate = NonZeroU32::new(settings.bytes_per_second);
        let burst = NonZeroU32::new(settings.burst_bytes).unwrap_or(NonZeroU32::MAX);
        Self(rate.map(|rate| {
            DefaultKeyedRateLimiter::dashmap(Quota::per_second(rate).allow_burst(burst))
        }))
    }

    /// Takes bytes, at most what a bucket holds. The error is the time until they are available.
    pub(super) fn take(&self, key: &NodePublic, bytes: usize) -> Result<(), Duration> {
        let Some(limiter) = &self.0 else { return Ok(()) };
        let Some(bytes) = u32::try_from(bytes).ok().and_then(NonZeroU32::new) else {
            return Ok(());
        };
        match limiter.check_key_n(key, bytes) {
            Ok(Err(until)) => Err(until.wait_time_from(limiter.clock().now())),
            // The settings ensure that a bucket holds more than one read.
            Ok(Ok(())) | Err(_) => Ok(()),
        }
    }

    /// Removes full buckets.
    pub(super) fn forget(&self) {
        if let Some(limiter) = &self.0 {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(bytes_per_second: u32) -> Rates {
        let burst_bytes = 1000;
        Rates::new(&settings::Relay { bytes_per_second, burst_bytes, ..settings::Relay::default() })
    }

    #[test]
    fn each_key_has_a_bucket_of_its_own() {
        let rates = rates(1);
        let [one, other] = [1, 2].map(|byte| NodePublic::from_bytes([byte; 32]));

        assert_eq!(rates.take(&one, 1000), Ok(()));
        let wait = rates.take(&one, 100).unwrap_err();
        assert!(wait > Duration::from_secs(50) && wait <= Duration::from_secs(100), "{wait:?}");
        assert_eq!(rates.take(&other, 1000), Ok(()));
        rates.forget();
        assert!(rates.take(&one, 100).is_err(), "an empty bucket is not forgotten");
    }

    #[test]
    fn without_a_rate_nobody_waits() {
        let rates = rates(0);
        let key = NodePublic::default();
        assert!((0..100).all(|_| rates.take(&key, usize::MAX).is_ok()));
    }
}
