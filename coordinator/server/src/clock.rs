//! The clock.

use std::time::SystemTime;

use coordinator_core::time::{self, Millis};

/// The time now.
pub(crate) fn now() -> Millis {
    time::from_system(SystemTime::now())
}
