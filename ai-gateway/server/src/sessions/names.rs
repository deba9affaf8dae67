//! Names of sessions that come of another's name and the time.

use ai_gateway_api::sealed::SessionName;
use jiff::Timestamp;

/// Most names that come of one session in a second.
const IN_A_SECOND: u32 = 9;

/// `main 2026-11-26 14:05:07`, then the same with numbers.
pub(crate) fn dated_names(session: &SessionName) -> impl Iterator<Item = SessionName> {
    (1..=IN_A_SECOND).filter_map(|number| dated_name(session, Timestamp::now(), number))
}

fn dated_name(session: &SessionName, time: Timestamp, number: u32) -> Option<SessionName> {
    let mut suffix = time.strftime(" %Y-%m-%d %H:%M:%S").to_string();
    if number > 1 {
        suffix += &format!(" ({number})");
    }
    let session = session.as_str();
    let begin = &session[..session.floor_char_boundary(SessionName::MAX - suffix.len())];
    format!("{begin}{suffix}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_time() {
        let name = |session: &str, number| {
            let time = Timestamp::from_millisecond(1_795_269_612_345).unwrap();
            dated_name(&session.parse().unwrap(), time, number).unwrap().to_string()
        };
        assert_eq!(name("main", 1), "main 2026-11-21 14:00:12");
        assert_eq!(name("main", 2), "main 2026-11-21 14:00:12 (2)");
        assert_eq!(name(&"가".repeat(33), 1), format!("{} 2026-11-21 14:00:12", "가".repeat(26)));
    }
}
