//! Measures how long slots are held, and estimates when one becomes free. It has no clock.

use std::time::Duration;

/// Weight of a new measurement: an eighth, as for round-trip times of TCP (RFC 6298, section 2).
const WEIGHT: u32 = 8;

/// Average duration of replies.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ServiceTime {
    /// `None` until a reply has ended.
    mean: Option<Duration>,
}

impl ServiceTime {
    /// Adds the time for which a slot was held.
    pub(super) fn take(&mut self, held: Duration) {
        let mean = self.mean.unwrap_or(held);
        self.mean = Some((mean.saturating_mul(WEIGHT - 1).saturating_add(held)) / WEIGHT);
    }

    /// Estimates how long this many replies take with this many slots; `None` until a reply has ended.
    pub(super) fn of(&self, replies: usize, slots: usize) -> Option<Duration> {
        let (replies, slots) = (u32::try_from(replies).ok()?, u32::try_from(slots.max(1)).ok()?);
        Some(self.mean?.saturating_mul(replies.max(1)) / slots)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_estimate_follows_the_replies_and_is_divided_by_the_slots() {
        let mut service_time = ServiceTime::default();
        assert_eq!(service_time.of(3, 1), None, "no estimate yet");
        service_time.take(8 * SECOND);
        assert_eq!(
            (service_time.of(3, 1), service_time.of(3, 2)),
            (Some(24 * SECOND), Some(12 * SECOND))
        );
        assert_eq!(service_time.of(0, 4), Some(2 * SECOND), "one slot at least must become free");
        service_time.take(16 * SECOND);
        assert_eq!(service_time.of(1, 1), Some(9 * SECOND), "one long reply changes little");
        for _ in 0..100 {
            service_time.take(SECOND);
        }
        assert!(service_time.of(1, 1).unwrap() < 2 * SECOND, "old measurements are forgotten");
    }

    proptest! {
        /// The estimate always lies between the shortest and the longest measurement.
        #[test]
        fn the_mean_is_never_outside_of_the_measurements(held in prop::collection::vec(any::<u32>(), 1..50)) {
            let mut service_time = ServiceTime::default();
            let all: Vec<_> = held.iter().map(|&ms| Duration::from_millis(ms.into())).collect();
            all.iter().for_each(|&held| service_time.take(held));
            let mean = service_time.of(1, 1).unwrap();
            // Dividing rounds down by less than a nanosecond each time.
            prop_assert!(mean + Duration::from_nanos(50) >= *all.iter().min().unwrap());
            prop_assert!(mean <= *all.iter().max().unwrap());
        }

        #[test]
        fn no_number_overflows(held in any::<Duration>(), replies in any::<usize>(), slots in any::<usize>()) {
            let mut service_time = ServiceTime::default();
            service_time.take(held);
            service_time.take(held);
            let _ = service_time.of(replies, slots);
        }
    }
}
