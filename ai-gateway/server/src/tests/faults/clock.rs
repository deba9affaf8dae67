//! A clock for tests with real sockets: it advances by the tested timeouts, however slow the machine is.
//!
//! Tokio's paused clock jumps to the next timer whenever no task is ready, even if a socket has bytes for which no task
//! was woken yet. Here a separate task stays ready until all others are idle; then it sleeps for one step, so that the
//! clock advances by at most one step.

use std::time::Duration;

use tokio::{task::yield_now, time::sleep};
use tokio_util::task::AbortOnDropHandle;

/// The step of the clock.
const STEP: Duration = Duration::from_millis(10);
/// How often every task that is ready is run, and every socket looked at, before it does.
const ROUNDS: usize = 300;
/// How much may pass besides what is waited for: a step for each timer on the way.
pub(super) const GRAIN: Duration = Duration::from_millis(100);

/// Runs the clock of this test until it is dropped.
pub(super) struct Clock {
    _task: AbortOnDropHandle<()>,
}

impl Clock {
    /// For a test with `start_paused`.
    pub(super) fn start() -> Self {
        let task = tokio::spawn(async {
            loop {
                for _ in 0..ROUNDS {
                    yield_now().await;
                }
                sleep(STEP).await;
            }
        });
        Self { _task: AbortOnDropHandle::new(task) }
    }
}
