//! Times: milliseconds since 1970 internally, RFC 3339 on the wire.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// Milliseconds since 1970-01-01 UTC.
pub type Millis = i64;

/// Milliseconds of a day.
pub const DAY: Millis = 24 * 60 * 60 * 1000;

/// Converts the clock's time.
#[must_use]
pub fn from_system(time: SystemTime) -> Millis {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
}

/// Formats a time as RFC 3339 in UTC, in seconds, clamped to 1970 to 9999.
#[must_use]
pub fn to_rfc3339(time: Millis) -> String {
    let seconds = (time / 1000).max(0);
    Timestamp::from_second(seconds)
        .unwrap_or(Timestamp::MAX)
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

/// Parses an RFC 3339 time with any offset; `None` if it is invalid. Times before 1970 become 1970.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<Millis> {
    let time: Timestamp = text.parse().ok()?;
    Some(time.as_millisecond().max(0))
}

#[cfg(test)]
mod tests;
