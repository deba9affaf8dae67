//! When to reconnect to a restarting relay: at the time that it asks for, within bounds.

use std::time::Duration;

/// Shortest wait, so that a relay that restarts repeatedly causes little work.
const SOONEST: Duration = Duration::from_millis(500);
/// Longest wait, so that a relay cannot keep a node away.
const LATEST: Duration = Duration::from_secs(10);
/// Longest time for which failures are ignored before another relay is chosen.
const GRACE_MAX: Duration = Duration::from_secs(10);
/// Shortest connection after which a restart is believed; a shorter one counts as lost.
const LASTED_MIN: Duration = Duration::from_secs(10);

/// A relay's announced restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Restart {
    /// The wait before the next attempt.
    pub(super) wait: Duration,
    /// How long failures are ignored after that.
    pub(super) grace: Duration,
}

impl Restart {
    /// Takes the two numbers of the relay's frame, in milliseconds, within bounds.
    pub(super) fn new(reconnect_in_ms: u32, try_for_ms: u32) -> Self {
        let ms = |number: u32| Duration::from_millis(number.into());
        Self {
            wait: ms(reconnect_in_ms).clamp(SOONEST, LATEST),
            grace: ms(try_for_ms).min(GRACE_MAX),
        }
    }

    /// The restart, if the connection lasted long enough to believe it.
    pub(super) fn after(self, lasted: Duration) -> Option<Self> {
        (lasted >= LASTED_MIN).then_some(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_relay_that_restarts_again_and_again_is_treated_as_lost() {
        let restart = Restart::new(800, 5000);
        assert_eq!(restart.wait, Duration::from_millis(800));
        assert_eq!(restart.grace, Duration::from_secs(5));
        assert_eq!(restart.after(LASTED_MIN), Some(restart));
        assert_eq!(restart.after(Duration::from_secs(1)), None);
    }

    proptest! {
        /// Whatever a relay says, a node comes back neither at once nor late.
        #[test]
        fn a_lying_relay_neither_silences_a_node_nor_keeps_it_busy(wait: u32, grace: u32) {
            let restart = Restart::new(wait, grace);
            prop_assert!((SOONEST..=LATEST).contains(&restart.wait));
            prop_assert!(restart.grace <= GRACE_MAX);
        }
    }
}
