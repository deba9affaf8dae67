//! A clock for tests that go over real sockets: it shows how much of a setting has passed, whatever the machine does meanwhile.
//!
//! Tokio's paused clock jumps to the next timer whenever no task is ready, even if bytes lie in a socket that nobody was woken
//! for yet. Here a task of its own is ready until all that is under way has come to rest; then it sleeps for one step, and
//! the clock goes on by so much at most.

use std::time::Duration;

use tokio::{task::yield_now, time::sleep};
use tokio_util::task::AbortOnDropHandle;

/// How much the clock goes on at a time.
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
