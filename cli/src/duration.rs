//! Durations as text.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo, SpanRound, Unit};
use messages::message;

/// Seconds of a year of 365.25 days, and of a month of 30.44 days.
const YEAR_S: u64 = 31_557_600;
const MONTH_S: u64 = 2_630_016;

/// Reads a duration such as `90d`, `1h 30m` or `2weeks`: numbers, each with a unit.
///
/// # Errors
///
/// A sentence that says what is wrong.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let mut rest = text.trim();
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    let wrong = || message!("not-a-duration").to_string();
    let mut sum = (!rest.is_empty()).then_some(Duration::ZERO);
    while !rest.is_empty() {
        let unit = rest.find(char::is_alphabetic).ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(unit);
        let end = tail.find(|c: char| !c.is_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let more = times(of_unit(unit).ok_or_else(wrong)?, number.trim_end()).ok_or_else(wrong)?;
        sum = sum.and_then(|sum| sum.checked_add(more));
        rest = tail.trim_start();
    }
    sum.ok_or_else(wrong)
}

/// Seconds as text, such as `1d 2h` or `23h 59m`.
pub(crate) fn shown(seconds: i64) -> String {
    let span = Span::new().try_seconds(seconds).unwrap_or_default();
    let in_days = span.round(SpanRound::new().largest(Unit::Day).days_are_24_hours());
    format!("{:#}", in_days.unwrap_or(span))
}

/// One of a unit.
fn of_unit(unit: &str) -> Option<Duration> {
    let unit = if unit == "M" { "months" } else { unit };
    let one: Span = format!("1{unit}").parse().ok()?;
    let fixed = match (one.get_years(), one.get_months()) {
        (1, _) => return Some(Duration::from_secs(YEAR_S)),
        (_, 1) => return Some(Duration::from_secs(MONTH_S)),
        _ => one.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?,
    };
    fixed.try_into().ok()
}

/// So many of a duration.
fn times(one: Duration, number: &str) -> Option<Duration> {
    if number.contains('.') {
        return Duration::try_from_secs_f64(one.as_secs_f64() * number.parse::<f64>().ok()?).ok();
    }
    let nanos = one.as_nanos().checked_mul(number.parse::<u64>().ok()?.into())?;
    let seconds = u64::try_from(nanos / 1_000_000_000).ok()?;
    Some(Duration::new(seconds, u32::try_from(nanos % 1_000_000_000).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_shown_in_days_and_less() {
        for (seconds, text) in
            [(86_400, "1d"), (86_399, "23h 59m 59s"), (93_600, "1d 2h"), (0, "0s")]
        {
            assert_eq!(shown(seconds), text);
        }
    }

    #[test]
    fn what_people_type_is_read() {
        let day = 24 * 60 * 60;
        for (text, seconds) in [
            ("90d", 90 * day),
            ("7days", 7 * day),
            ("1h", 3600),
            ("1h 30m", 5400),
            ("1h30min", 5400),
            ("30m 1hr", 5400),
            ("2 weeks", 14 * day),
            ("1.5d", 36 * 3600),
            ("1y", YEAR_S),
            ("2M", 2 * MONTH_S),
            ("1month 2seconds", MONTH_S + 2),
            ("0", 0),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse("250ms"), Ok(Duration::from_millis(250)));
        for text in
            ["", "90", "d", "1 fortnight", "-1d", "1d ago", "P1D", "1e3s", "99999999999999y"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
