//! Whether the wall clock can be believed when something is deleted by its age.
//!
//! By a clock that is years ahead everything is old. So nothing is deleted until the clock has run for hours without being
//! set: a time server corrects one that was wrong at the start before.

use std::time::{Duration, Instant};

/// How long the clock was not set when it is believed. A machine that was suspended counts as one whose clock was set.
const STEADY: Duration = Duration::from_secs(6 * 60 * 60);
/// How much the clock may gain or lose in a round: a time server slews it.
const DRIFT: Duration = Duration::from_secs(60);

/// Notices that the wall clock is set, by one that nobody can set.
#[derive(Debug)]
pub struct Steadiness {
    /// When it was set last, or the daemon started.
    since: Instant,
    /// When it was looked at last, in Unix milliseconds by the wall clock and by the other.
    last: (u64, Instant),
}

impl Steadiness {
    /// From now on; `wall` is in Unix milliseconds.
    #[must_use]
    pub fn new(wall: u64, now: Instant) -> Self {
        Self { since: now, last: (wall, now) }
    }

    /// Looks at the wall clock, about once an hour. Returns whether it was not set for six hours.
    pub fn handle_round(&mut self, wall: u64, now: Instant) -> bool {
        let (before, then) = std::mem::replace(&mut self.last, (wall, now));
        let elapsed = now.saturating_duration_since(then);
        let passed = Duration::from_millis(wall.saturating_sub(before));
        if wall < before || passed.abs_diff(elapsed) > DRIFT {
            tracing::warn!("the clock was set: nothing that is old is deleted for some hours");
            self.since = now;
        }
        now.saturating_duration_since(self.since) >= STEADY
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "some moment to begin with")]
mod tests {
    use super::*;

    const YEAR: u64 = 365 * 24 * 3600;

    /// The hours after which something is deleted, if the clock is wrong by so many seconds in these hours.
    fn rounds(wrong: impl Fn(u64) -> u64) -> Vec<u64> {
        let (begin, correct) = (Instant::now(), 50 * YEAR);
        let wall = |hour: u64| (correct + hour * 3600 + wrong(hour)) * 1000;
        let mut clock = Steadiness::new(wall(0), begin);
        let later = |hour: u64| begin + Duration::from_secs(hour * 3600);
        (0..=24).filter(|hour| clock.handle_round(wall(*hour), later(*hour))).collect()
    }

    #[test]
    fn nothing_is_deleted_until_the_clock_was_not_set_for_hours() {
        assert_eq!(rounds(|_| 0), (6..=24).collect::<Vec<_>>());
        // A year ahead for three hours: until it was right for six hours again.
        let ahead = |hour| if (10..13).contains(&hour) { YEAR } else { 0 };
        assert_eq!(rounds(ahead), [6, 7, 8, 9, 19, 20, 21, 22, 23, 24]);
        // Wrong by an hour from the start on.
        let at_start = |hour| if hour < 4 { 3600 } else { 0 };
        assert_eq!(rounds(at_start), (10..=24).collect::<Vec<_>>());
        // Slewed by a time server.
        assert_eq!(rounds(|hour| hour * 59), (6..=24).collect::<Vec<_>>());
    }
}
