//! Times: milliseconds since 1970 inside, RFC 3339 on the wire.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970-01-01 UTC.
pub type Millis = i64;

/// Milliseconds of a day.
pub const DAY: Millis = 24 * 60 * 60 * 1000;

/// The last time that four digits of a year can write.
const LAST: u64 = 253_402_300_799_999;

/// Turns the clock's time into ours.
#[must_use]
pub fn from_system(time: SystemTime) -> Millis {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
}

/// Writes a time as RFC 3339 in UTC, to the second; times before 1970 and after 9999 become the nearest in between.
#[must_use]
pub fn to_rfc3339(time: Millis) -> String {
    let since = u64::try_from(time).unwrap_or(0).min(LAST);
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(since)).to_string()
}

/// Reads an RFC 3339 time with any offset; `None` if it is not one. Times before 1970 become 1970.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<Millis> {
    if !text.is_ascii() || text.len() < 20 {
        return None;
    }
    let (local, offset) = match text.strip_suffix(['Z', 'z']) {
        Some(local) => (local, 0),
        None => {
            let (local, offset) = text.split_at(text.len() - 6);
            (local, parse_offset(offset)?)
        }
    };
    if local.starts_with("0001-") {
        return Some(0);
    }
    let utc = humantime::parse_rfc3339(&format!("{local}Z")).ok()?;
    Some(from_system(utc).saturating_sub(offset).max(0))
}

/// Reads `+HH:MM` or `-HH:MM`.
fn parse_offset(text: &str) -> Option<Millis> {
    let (sign, digits) = match text.split_at(1) {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = digits.split_once(':')?;
    let (hours, minutes): (u8, u8) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60)
        .then_some(sign * (Millis::from(hours) * 60 + Millis::from(minutes)) * 60_000)
}

#[cfg(test)]
mod tests;
