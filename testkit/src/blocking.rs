//! The same without a runtime.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use crate::wait::{Condition, INTERVAL, PATIENCE};

pub mod http;

/// Repeats a check until its condition holds, for at most [`PATIENCE`].
pub fn eventually<C: Condition>(what: &str, check: impl FnMut() -> C) -> C::Value {
    eventually_within(PATIENCE, what, check)
}

/// [`eventually`] with another limit.
#[track_caller]
pub fn eventually_within<C: Condition>(
    limit: Duration,
    what: &str,
    mut check: impl FnMut() -> C,
) -> C::Value {
    let start = Instant::now();
    loop {
        match check().holds() {
            Ok(value) => return value,
            Err(last) => assert!(start.elapsed() < limit, "not within {limit:?}: {what}{last}"),
        }
        sleep(INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_checked_until_it_holds_and_the_failure_says_what_it_lacked() {
        let mut numbers = 0..;
        assert_eq!(eventually("three", || numbers.next().filter(|number| *number == 3)), 3);
        let fails = || eventually_within(Duration::ZERO, "a number", || "x".parse::<u8>());
        let message = std::panic::catch_unwind(fails).unwrap_err();
        let message = message.downcast_ref::<String>().unwrap();
        assert!(message.contains("a number") && message.contains("InvalidDigit"), "{message}");
    }
}
