use proptest::prelude::*;

use super::*;

const PAGE: &str = include_str!("../../../docs/protocols/local-api.md");

fn example(heading: &str) -> &'static str {
    let section = PAGE.split(&format!("## {heading}\n")).nth(1).unwrap();
    section.split("```json\n").nth(1).unwrap().split("```").next().unwrap()
}

#[test]
fn the_published_status_is_what_the_types_write() {
    let value: serde_json::Value = serde_json::from_str(example("Status")).unwrap();
    let status: Status = serde_json::from_value(value.clone()).unwrap();
    assert_eq!(status.state, State::Running);
    assert_eq!(serde_json::to_value(&status).unwrap(), value);
}

#[test]
fn the_published_netcheck_is_what_the_types_write() {
    let value: serde_json::Value = serde_json::from_str(example("NetCheck")).unwrap();
    let check: NetCheck = serde_json::from_value(value.clone()).unwrap();
    assert_eq!(serde_json::to_value(&check).unwrap(), value);
}

#[test]
fn a_state_is_written_as_it_is_named_and_documented() {
    for state in [
        State::NeedsJoin,
        State::Joining,
        State::WaitingForApproval,
        State::Running,
        State::Expired,
        State::Paused,
    ] {
        assert_eq!(serde_json::to_value(state).unwrap(), state.name());
        assert!(PAGE.contains(&format!("| `{}` |", state.name())), "{state:?}");
    }
}

#[test]
fn the_published_answers_are_what_the_types_write() {
    for (heading, written) in [
        (
            "Whois",
            serde_json::from_str::<Whois>(example("Whois"))
                .map(|it| serde_json::to_value(it).unwrap()),
        ),
        (
            "Ping",
            serde_json::from_str::<Pong>(example("Ping"))
                .map(|it| serde_json::to_value(it).unwrap()),
        ),
    ] {
        let value: serde_json::Value = serde_json::from_str(example(heading)).unwrap();
        assert_eq!(written.unwrap(), value, "{heading}");
    }
}

#[test]
fn a_reason_for_the_relay_is_documented() {
    for reason in [
        RelayReason::NoUdpHere,
        RelayReason::NoUdpThere,
        RelayReason::NoCommonFamily,
        RelayReason::SymmetricNatHere,
        RelayReason::NoAnswer,
    ] {
        let name = serde_json::to_value(reason).unwrap();
        assert!(PAGE.contains(&format!("| `{}` |", name.as_str().unwrap())), "{reason:?}");
    }
}

#[test]
fn a_join_with_an_unknown_field_is_refused() {
    let join: Join = serde_json::from_str(example("Join")).unwrap();
    assert_eq!(join.key, None);
    assert!(serde_json::from_str::<Join>(r#"{"url":"http://a","kye":"b"}"#).is_err());
}

#[test]
fn a_join_shows_no_key() {
    let join = Join {
        url: "http://a/join#1.00.sesame".to_owned(),
        key: Some("sesame".to_owned()),
        hostname: Some("laptop".to_owned()),
        ca: None,
    };
    let shown = format!("{join:?}");
    assert!(!shown.contains("sesame") && shown.contains("laptop"), "{shown}");
}

proptest! {
    #[test]
    fn a_join_is_read_as_it_was_written_and_any_bytes_are_survived(
        url in any::<String>(),
        key in any::<Option<String>>(),
        hostname in any::<Option<String>>(),
        bytes in prop::collection::vec(any::<u8>(), 0..256),
    ) {
        let join = Join { url, key, ca: hostname.clone(), hostname };
        let body = serde_json::to_vec(&join).unwrap();
        prop_assert_eq!(serde_json::from_slice::<Join>(&body).unwrap(), join);
        let _ = serde_json::from_slice::<Join>(&bytes);
        let _ = serde_json::from_slice::<Status>(&bytes);
    }
}
