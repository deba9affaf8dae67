//! The home's clock, which its people or a time server may set, and tests.

use std::{fmt, sync::Arc};

use ruma::MilliSecondsSinceUnixEpoch;

/// Tells the time.
#[derive(Clone)]
pub struct WallClock(Arc<dyn Fn() -> MilliSecondsSinceUnixEpoch + Send + Sync>);

impl WallClock {
    /// One that says what `now` returns.
    pub fn new(now: impl Fn() -> MilliSecondsSinceUnixEpoch + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> MilliSecondsSinceUnixEpoch {
        (self.0)()
    }
}

impl Default for WallClock {
    /// The machine's.
    fn default() -> Self {
        Self::new(MilliSecondsSinceUnixEpoch::now)
    }
}

impl fmt::Debug for WallClock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "WallClock({:?})", self.now())
    }
}
