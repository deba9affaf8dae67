//! When to come back to a relay that restarts: what it asks for, as far as that is believed.

use std::time::Duration;

/// The soonest, so that a relay which restarts again and again keeps nobody busy.
const SOONEST: Duration = Duration::from_millis(500);
/// The latest, so that a relay which wants to be rid of a node does not silence it.
const LATEST: Duration = Duration::from_secs(10);
/// How long failures are borne at most before another relay is looked for.
const BORNE_MAX: Duration = Duration::from_secs(10);
/// How long a connection lasted whose end by a restart is believed. One that ends sooner counts as lost.
const LASTED_MIN: Duration = Duration::from_secs(10);

/// A relay restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Restart {
    /// When to connect again.
    pub(super) wait: Duration,
    /// From then on, how long it may take.
    pub(super) bear: Duration,
}

impl Restart {
    /// Takes the two numbers of the relay's frame, in milliseconds, within bounds.
    pub(super) fn new(reconnect_in_ms: u32, try_for_ms: u32) -> Self {
        let ms = |number: u32| Duration::from_millis(number.into());
        Self {
            wait: ms(reconnect_in_ms).clamp(SOONEST, LATEST),
            bear: ms(try_for_ms).min(BORNE_MAX),
        }
    }

    /// What to do after a connection that lasted so long; `None`: what is done when one is lost.
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
        assert_eq!(restart.bear, Duration::from_secs(5));
        assert_eq!(restart.after(LASTED_MIN), Some(restart));
        assert_eq!(restart.after(Duration::from_secs(1)), None);
    }

    proptest! {
        /// Whatever a relay says, a node comes back neither at once nor late.
        #[test]
        fn a_lying_relay_neither_silences_a_node_nor_keeps_it_busy(wait: u32, bear: u32) {
            let restart = Restart::new(wait, bear);
            prop_assert!((SOONEST..=LATEST).contains(&restart.wait));
            prop_assert!(restart.bear <= BORNE_MAX);
        }
    }
}
