//! The clock for certificates and evidence.

use std::time::SystemTime;

/// The time, in Unix milliseconds.
#[allow(clippy::disallowed_methods, reason = "certificates and evidence hold for a time")]
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
