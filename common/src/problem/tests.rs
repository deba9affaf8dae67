use super::{Problem, URN};

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
