use proptest::prelude::*;
use serde_json::{Value, json};

use super::{CONTENT_TYPE, MAX, Problem, TEXT_MAX, URN};
use crate::foreign;

/// What is read of a body with the right type.
fn received(body: &[u8]) -> Option<Problem> {
    Problem::received(CONTENT_TYPE.as_bytes(), body)
}

#[test]
fn a_problem_is_written_as_rfc_9457_has_it_and_read_again() {
    let problem = Problem::new("name-taken", 409, "taken").with_detail("choose another");

    let text = serde_json::to_string(&problem).unwrap();

    assert_eq!(
        text,
        r#"{"type":"urn:maru:problem:name-taken","title":"taken","status":409,"detail":"choose another"}"#
    );
    assert_eq!(serde_json::from_str::<Problem>(&text).unwrap(), problem);
    assert_eq!(problem.word(), "name-taken");
    assert!(problem.is("name-taken") && !problem.is("name"));
}

#[test]
fn somebody_elses_problem_is_read_too() {
    let empty: Problem = serde_json::from_str("{}").unwrap();
    assert_eq!((empty.word(), empty.status, &empty.detail), ("about:blank", 0, &None));

    let other: Problem =
        serde_json::from_str(r#"{"type":"https://example.org/x","title":"no","balance":3}"#)
            .unwrap();
    assert_eq!(other.word(), "https://example.org/x");
    assert!(!other.is("https://example.org/x"), "it is not of ours, whatever its type says");
    assert!(!Problem { kind: format!("{URN}{URN}x"), ..other }.is("x"));
}

#[test]
fn a_detail_that_repeats_the_title_is_shown_once() {
    let problem = Problem::new("state", 409, "gone");
    assert_eq!(problem.to_string(), "gone");
    assert_eq!(problem.clone().with_detail("gone").to_string(), "gone");
    assert_eq!(problem.with_detail("ask again").to_string(), "gone: ask again");
}

#[test]
fn what_another_machine_sent_is_read_if_it_says_that_it_is_a_problem() {
    let body =
        br#"{"type":"urn:maru:problem:gone","title":"gone","status":404,"detail":"ask","x":[]}"#;
    let problem = Problem::new("gone", 404, "gone").with_detail("ask");
    assert_eq!(received(body), Some(problem.clone()));
    for kind in ["application/problem+json;charset=utf-8", "Application/Problem+JSON ; a=b"] {
        assert_eq!(Problem::received(kind.as_bytes(), body), Some(problem.clone()), "{kind}");
    }
    for kind in [
        "",
        "application/json",
        "application/problem+jsonx",
        "text/html",
        "a;application/problem+json",
    ] {
        assert_eq!(Problem::received(kind.as_bytes(), body), None, "{kind}");
    }
    for body in [b"".as_slice(), b"null", b"\"x\"", br#"["urn:maru:problem:gone"]"#, b"{", b"{}{}"]
    {
        assert_eq!(received(body), None, "{}", String::from_utf8_lossy(body));
    }
}

#[test]
fn members_of_another_type_are_ignored_and_the_last_of_two_counts() {
    let body = br#"{"type":"a","type":"b","title":7,"status":"404","detail":{"a":1}}"#;
    let read = received(body).unwrap();
    assert_eq!((read.word(), &*read.title, read.status, &read.detail), ("b", "", 0, &None));
    for status in ["-1", "4e2", "65536", "18446744073709551616"] {
        let body = format!("{{\"status\":{status}}}");
        assert_eq!(received(body.as_bytes()).unwrap().status, 0, "{status}");
    }
    assert_eq!(received(b"{}").unwrap().word(), "about:blank");
}

#[test]
fn what_another_machine_sent_is_bounded_and_shows_as_one_line() {
    let long = "가".repeat(TEXT_MAX + 1);
    let body = json!({ "type": long, "title": "a\u{202e}b\r\nc\u{1b}[2J", "detail": long });
    let read = received(body.to_string().as_bytes()).unwrap();
    assert_eq!(read.title, "a\u{fffd}b  c\u{fffd}[2J");
    assert_eq!(
        (read.kind.chars().count(), read.detail.unwrap().chars().count()),
        (TEXT_MAX, TEXT_MAX)
    );

    let padded = |length: usize| format!("{{}}{}", " ".repeat(length - 2));
    assert!(received(padded(MAX).as_bytes()).is_some());
    assert_eq!(received(padded(MAX + 1).as_bytes()), None);
}

/// The members of a problem, of any type and text.
fn member() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<String>().prop_map(Value::from),
        "\\PC{0,8}[\u{0}-\u{1f}\u{7f}-\u{9f}\u{202a}-\u{202e}\u{2066}-\u{2069}]{1,4}"
            .prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<u16>().prop_map(Value::from),
        Just(Value::Null),
        prop::collection::vec(any::<String>(), 0..3).prop_map(Value::from),
    ]
}

proptest! {
    #[test]
    fn whatever_was_sent_nothing_that_steers_is_passed_on(
        members in prop::collection::btree_map("type|title|status|detail|\\PC{0,3}", member(), 0..6),
    ) {
        let body = json!(members).to_string();
        let Some(read) = received(body.as_bytes()) else {
            return Err(TestCaseError::fail("it is an object"));
        };
        let texts = [Some(&read.kind), Some(&read.title), read.detail.as_ref()];
        for text in texts.into_iter().flatten() {
            prop_assert!(!text.chars().any(foreign::steers), "{text:?}");
            prop_assert!(text.chars().count() <= TEXT_MAX);
        }
        let sent = members.get("type").and_then(Value::as_str).unwrap_or("about:blank");
        let plain = !sent.chars().any(foreign::steers) && sent.chars().count() <= TEXT_MAX;
        prop_assert_eq!(read.kind == sent, plain, "{} of {}", read.kind, sent);
        prop_assert_eq!(received(&serde_json::to_vec(&read).unwrap()), Some(read), "again");
    }

    #[test]
    fn any_bytes_are_a_problem_or_none(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        if let Some(read) = received(&bytes) {
            prop_assert!(serde_json::from_slice::<Value>(&bytes).unwrap().is_object(), "{read:?}");
        }
    }
}
