//! A circuit breaker: stops using a backend that keeps failing.
//!
//! ```text
//!            `faults` in a row             `reset` later, one trial
//!   closed ───────────────────▶ open ─────────────────────────────▶ trial
//!     ▲                          ▲                                    │
//!     │                          └──────────────── fault ─────────────┤
//!     └──────────────────────────────────────────── success ──────────┘
//! ```
//!
//! A reply that has begun closes it, too, but the next fault opens it again: only a complete reply resets the count. So
//! a backend that cuts every reply is treated like one that begins none.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ai_gateway_api::settings::gateway;

/// A circuit breaker.
#[derive(Debug)]
pub(crate) struct Breaker {
    /// Faults in a row that open it.
    faults: u32,
    /// How long it stays open before one request is let through.
    reset: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Faults since the last complete reply.
    faults: u32,
    /// While open, when the next request may try.
    retry_at: Option<Instant>,
}

impl Default for Breaker {
    fn default() -> Self {
        Self::new(gateway::Breaker::default())
    }
}

impl Breaker {
    /// A closed breaker.
    #[must_use]
    pub(crate) fn new(settings: gateway::Breaker) -> Self {
        let reset = Duration::from_secs(settings.reset_seconds.get().into());
        Self { faults: settings.faults.get(), reset, state: Mutex::default() }
    }

    /// Whether a request may be sent at `now`. After the reset time one may, and the next one a reset time later,
    /// unless the first succeeds.
    pub(crate) fn allow(&self, now: Instant) -> bool {
        let mut state = self.lock();
        match state.retry_at {
            None => true,
            Some(at) if at <= now => {
                state.retry_at = Some(now + self.reset);
                true
            }
            Some(_) => false,
        }
    }

    /// Whether [`Self::allow`] would refuse a request at `now`.
    #[must_use]
    pub(crate) fn spares(&self, now: Instant) -> bool {
        self.lock().retry_at.is_some_and(|at| at > now)
    }

    /// Records that the backend began to answer, or reported itself healthy.
    pub(crate) fn answered(&self) {
        let mut state = self.lock();
        state.retry_at = None;
        state.faults = state.faults.min(self.faults.saturating_sub(1));
    }

    /// Whether the next fault opens it, or keeps it open.
    #[must_use]
    pub(crate) fn is_on_edge(&self) -> bool {
        self.lock().faults.saturating_add(1) >= self.faults
    }

    /// Faults since the last complete reply.
    #[must_use]
    pub(crate) fn faults(&self) -> u32 {
        self.lock().faults
    }

    /// Records a complete reply.
    pub(crate) fn succeed(&self) {
        *self.lock() = State::default();
    }

    /// Records a fault of the backend.
    pub(crate) fn fail(&self, now: Instant) {
        let mut state = self.lock();
        state.faults = state.faults.saturating_add(1);
        if state.faults >= self.faults {
            state.retry_at = Some(now + self.reset);
        }
    }

    /// Whether it is open.
    #[must_use]
    pub(crate) fn is_open(&self) -> bool {
        self.lock().retry_at.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use proptest::prelude::*;

    use super::*;

    const RESET: Duration = Duration::from_secs(30);

    #[test]
    fn its_settings_say_after_how_many_faults_it_opens_and_for_how_long() {
        let number = |number| NonZeroU32::new(number).unwrap();
        let settings = gateway::Breaker { faults: number(2), reset_seconds: number(7) };
        let (breaker, start) = (Breaker::new(settings), Instant::now());
        breaker.fail(start);
        assert!(breaker.allow(start));
        breaker.fail(start);
        assert!(!breaker.allow(start + Duration::from_millis(6999)));
        assert!(breaker.allow(start + Duration::from_secs(7)));
    }

    #[test]
    fn opens_after_five_faults_and_tries_again_after_thirty_seconds() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        for _ in 0..4 {
            breaker.fail(start);
            assert!(breaker.allow(start));
        }
        breaker.fail(start);
        assert!(breaker.is_open());
        assert!(!breaker.allow(start + RESET - Duration::from_millis(1)));
        assert!(breaker.allow(start + RESET), "one trial");
        assert!(!breaker.allow(start + RESET), "and one only");
        breaker.fail(start + RESET);
        assert!(!breaker.allow(start + RESET + Duration::from_secs(29)));
        assert!(breaker.allow(start + RESET * 2));
        breaker.succeed();
        assert!(breaker.allow(start + RESET * 2));
        assert!(!breaker.is_open());
    }

    #[test]
    fn a_success_in_between_starts_the_count_again() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..10 {
            for _ in 0..4 {
                breaker.fail(now);
            }
            breaker.succeed();
        }
        assert!(breaker.allow(now));
    }

    #[test]
    fn replies_that_begin_and_are_cut_open_it() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for cut in 1..=5 {
            assert!(breaker.allow(now), "{cut}");
            breaker.answered();
            breaker.fail(now);
            assert_eq!(breaker.faults(), cut);
        }
        assert!(breaker.spares(now) && !breaker.allow(now));
        breaker.answered();
        assert!(!breaker.is_open() && !breaker.spares(now), "it answers again");
        breaker.fail(now);
        assert!(breaker.is_open(), "and fails again");
        breaker.succeed();
        assert_eq!(breaker.faults(), 0);
    }

    proptest! {
        /// Whatever happened, a backend is tried again within the reset time.
        #[test]
        fn no_backend_is_given_up(steps in prop::collection::vec((any::<bool>(), 0..100_u64), 0..50)) {
            let (breaker, mut now) = (Breaker::default(), Instant::now());
            for (fails, elapsed_s) in steps {
                now += Duration::from_secs(elapsed_s);
                if breaker.allow(now) && fails { breaker.fail(now) } else { breaker.succeed() }
            }
            prop_assert!(breaker.allow(now + RESET));
        }
    }
}
