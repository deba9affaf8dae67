//! `maru usage` against a gateway that counts what the test says.
#![allow(clippy::disallowed_methods, reason = "today is the clock's")]

use std::{
    path::Path,
    process::{Command, Output},
    time::{Duration, SystemTime},
};

use coordinator_core::time;
use serde_json::{Value, json};

use super::gateway;

fn usage(root: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maru"));
    command.arg("--root").arg(root).arg("usage").args(args).output().unwrap()
}

fn stdout(root: &Path, args: &[&str]) -> String {
    let output = usage(root, args);
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The day so many days ago, in UTC.
fn day(ago: u32) -> String {
    let at = SystemTime::now() - Duration::from_secs(86_400) * ago;
    time::to_rfc3339(time::from_system(at)).split_once('T').unwrap().0.to_owned()
}

#[test]
fn days_and_people_are_listed_in_every_form() {
    let root = tempfile::tempdir().unwrap();
    let tally =
        |requests: u64| json!({"requests": requests, "prompt_tokens": 70, "reply_tokens": 9});
    let (old, new) = (day(10), day(0));
    gateway::answer(
        root.path(),
        "/maru/v1/usage",
        json!({"days": {&old: {"user:1": tally(3)}, &new: {"user:1": tally(4), "others": tally(5)}}}).to_string(),
    );

    let table = stdout(root.path(), &[]);
    let lines: Vec<Vec<_>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["DAY", "PERSON", "REQUESTS", "PROMPT", "TOKENS", "REPLY", "TOKENS"]);
    assert_eq!(
        lines[1..],
        [
            vec![old.as_str(), "user:1", "3", "70", "9"],
            vec![new.as_str(), "others", "5", "70", "9"],
            vec![new.as_str(), "user:1", "4", "70", "9"],
        ]
    );

    // A day that begins while this runs still leaves the old one out.
    let recent: Value =
        serde_json::from_str(&stdout(root.path(), &["--days", "5", "-o", "json"])).unwrap();
    assert_eq!(recent.as_array().unwrap().len(), 2, "{recent}");
    let row = json!({
        "day": new, "person": "user:1", "name": null,
        "requests": 4, "prompt_tokens": 70, "reply_tokens": 9,
    });
    assert_eq!(recent[1], row);
    assert!(stdout(root.path(), &["-o", "yaml"]).contains("reply_tokens: 9"));
}

#[test]
fn whoever_asks_wrongly_or_where_nothing_runs_is_told_in_one_sentence() {
    let root = tempfile::tempdir().unwrap();
    let failed = usage(root.path(), &[]);
    assert_eq!(failed.status.code(), Some(1));
    let said = String::from_utf8(failed.stderr).unwrap();
    assert!(
        said.contains("the gateway is not running here") && said.lines().count() == 1,
        "{said}"
    );
    for days in ["0", "-1", "x", "4000"] {
        let failed = usage(root.path(), &[&format!("--days={days}")]);
        assert_eq!(failed.status.code(), Some(2), "{days}");
        assert!(String::from_utf8(failed.stderr).unwrap().contains("--days"), "{days}");
    }

    gateway::answer(root.path(), "/maru/v1/usage", json!({"days": "none"}).to_string());
    let failed = usage(root.path(), &[]);
    assert_eq!(failed.status.code(), Some(1));
    let said = String::from_utf8(failed.stderr).unwrap();
    assert!(said.contains("update both") && said.lines().count() == 1, "{said}");
}
