//! Waiting for a condition.

use std::{fmt::Debug, time::Duration};

use tokio::time::{sleep, timeout};

/// How long to wait for a condition, an answer or a connection: only a test that hangs waits so long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The pause between two checks.
pub(crate) const INTERVAL: Duration = Duration::from_millis(10);

/// The result of a check: `true`, `Some` or `Ok` if the condition holds.
pub trait Condition {
    /// What the wait returns.
    type Value;

    /// The value if the condition holds, otherwise what the failure of the test says about this check.
    ///
    /// # Errors
    ///
    /// The condition does not hold.
    fn holds(self) -> Result<Self::Value, String>;
}

impl Condition for bool {
    type Value = ();

    fn holds(self) -> Result<(), String> {
        self.then_some(()).holds()
    }
}

impl<T> Condition for Option<T> {
    type Value = T;

    fn holds(self) -> Result<T, String> {
        self.ok_or_else(String::new)
    }
}

impl<T, E: Debug> Condition for Result<T, E> {
    type Value = T;

    fn holds(self) -> Result<T, String> {
        self.map_err(|error| format!(": {error:?}"))
    }
}

/// A condition whose failure shows what was found instead.
///
/// # Errors
///
/// The two differ.
pub fn equal<T: PartialEq>(found: T, expected: T) -> Result<(), T> {
    if found == expected { Ok(()) } else { Err(found) }
}

/// Repeats a check until its condition holds, for at most [`PATIENCE`].
///
/// # Panics
///
/// The condition does not hold in time; the message has `what` and the error of the last check.
pub async fn eventually<C: Condition>(what: &str, check: impl AsyncFnMut() -> C) -> C::Value {
    eventually_within(PATIENCE, what, check).await
}

/// [`eventually`] with another limit.
pub async fn eventually_within<C: Condition>(
    limit: Duration,
    what: &str,
    mut check: impl AsyncFnMut() -> C,
) -> C::Value {
    let mut last = String::new();
    let wait = async {
        loop {
            match check().await.holds() {
                Ok(value) => return value,
                Err(error) => last = error,
            }
            sleep(INTERVAL).await;
        }
    };
    let value = timeout(limit, wait).await;
    value.unwrap_or_else(|_| panic!("not within {limit:?}: {what}{last}"))
}
