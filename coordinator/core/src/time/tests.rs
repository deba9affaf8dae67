use jiff::Timestamp;
use proptest::prelude::*;

use super::{parse_rfc3339, to_rfc3339};

#[test]
fn go_writes_offsets_and_its_zero_time() {
    assert_eq!(parse_rfc3339("1970-01-01T00:02:03Z"), Some(123_000));
    assert_eq!(parse_rfc3339("1970-01-01T09:02:03+09:00"), Some(123_000));
    assert_eq!(
        parse_rfc3339("2026-11-21T10:00:00.5-03:30"),
        parse_rfc3339("2026-11-21T13:30:00.5Z")
    );
    assert_eq!(parse_rfc3339("0001-01-01T00:00:00Z"), Some(0));
    assert_eq!(parse_rfc3339("tomorrow, at the latest"), None);
}

proptest! {
    #[test]
    fn what_is_written_is_read(time in any::<i64>()) {
        let seconds = (time / 1000).clamp(0, Timestamp::MAX.as_second()) * 1000;

        prop_assert_eq!(parse_rfc3339(&to_rfc3339(time)), Some(seconds));
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        let _ = parse_rfc3339(&text);
    }
}
