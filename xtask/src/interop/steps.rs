//! What a client's script says of its steps.

use std::collections::BTreeMap;

use super::outcome::Outcome;

/// Each step by its name, and why it failed if it did.
pub(super) type Report = BTreeMap<String, Option<String>>;

/// Reads `ok NAME` and `not ok NAME: why`.
pub(super) fn read(text: &str) -> Report {
    let case = |line: &str| {
        if let Some(name) = line.strip_prefix("ok ") {
            return Some((name.to_owned(), None));
        }
        let (name, why) = line.strip_prefix("not ok ")?.split_once(": ")?;
        Some((name.to_owned(), Some(why.to_owned())))
    };
    text.lines().filter_map(case).collect()
}

/// Compares what a client did with what it has to do, and prints a line for each step.
pub(super) fn judge(client: &str, steps: &[&str], said: &Report) -> Outcome {
    let mut outcome = Outcome::default();
    let unknown = said.keys().map(String::as_str).filter(|name| !steps.contains(name));
    outcome.failed.extend(unknown.map(|name| failed(client, name, "not expected")));
    for step in steps {
        match said.get(*step) {
            Some(None) => {
                println!("{client:32} {step:16} ok");
                outcome.passed += 1;
            }
            Some(Some(why)) => outcome.failed.push(failed(client, step, why)),
            None => outcome.failed.push(failed(client, step, "did not run")),
        }
    }
    outcome
}

/// Prints that a step failed, and returns the line.
pub(super) fn failed(client: &str, step: &str, why: &str) -> String {
    let line = format!("{client:32} {step:16} FAILED: {why}");
    println!("{line}");
    line
}
