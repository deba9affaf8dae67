//! The clock: the machine's, or the database's where several coordinators share one.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::SystemTime,
};

use coordinator_core::time::{self, Millis};

/// Difference that is left as it is, in milliseconds.
const CLOSE: Millis = 1000;
/// How far the database's clock is ahead of the machine's, in milliseconds.
static AHEAD: AtomicI64 = AtomicI64::new(0);

/// The time now.
pub(crate) fn now() -> Millis {
    time::from_system(SystemTime::now()).saturating_add(AHEAD.load(Ordering::Relaxed))
}

/// Goes by another clock from now on, which shows this time. Returns how far that is ahead of the machine's, in milliseconds.
pub(crate) fn follow(shown: Millis) -> Millis {
    if shown.abs_diff(now()) > CLOSE.unsigned_abs() {
        let ahead = shown.saturating_sub(time::from_system(SystemTime::now()));
        AHEAD.store(ahead, Ordering::Relaxed);
    }
    AHEAD.load(Ordering::Relaxed)
}
