//! The same requests to a real Ollama and to Maru, compared field by field.
//!
//! What the real one answers is written down in `interop/models/ollama.json`, so that a run without an Ollama compares
//! with that. Every difference is expected, by request and field, in `interop/models/differences.json`, and explained in
//! `docs/protocols/ollama.md`: one that is not expected fails, and so does one that is expected and gone.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{
    house::{MODEL, TestDeployment, json},
    outcome::Outcome,
};
use crate::workspace;

/// What a real Ollama answers.
const RECORDED: &str = "interop/models/ollama.json";
/// What differs here: fields by request, each with the reason.
const EXPECTED: &str = "interop/models/differences.json";
/// A scripted model that chats and does nothing else, and one that makes vectors, as Maru names them.
const SCRIPTED: [&str; 2] = ["home/plain", "home/all"];

/// A request, a field of its answer, what is there at Ollama and what here; `-` for nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Difference {
    request: String,
    field: String,
    theirs: String,
    ours: String,
}

/// Compares; where the house has an Ollama with it, else with what was written down.
pub(super) fn run(house: &TestDeployment, record: bool) -> Result<Outcome> {
    let root = workspace::root();
    let real = format!("ollama/{MODEL}");
    let (theirs, ours) = if house.program.is_some() {
        let theirs = ask(house.at_home("python3".as_ref()), house, [MODEL, MODEL])?;
        if record {
            fs::write(root.join(RECORDED), format!("{theirs:#}\n"))?;
        }
        (theirs, [real.as_str(), real.as_str()])
    } else {
        (json(&root.join(RECORDED))?, SCRIPTED)
    };
    let ours = ask(house.on_laptop("python3".as_ref())?, house, ours)?;
    let found = differences(&theirs, &ours)?;
    let expected = json(&root.join(EXPECTED))?;
    let wrong = judge(&found, &expected)?;
    println!(
        "{:32} {} requests, {} fields differ as expected, {} otherwise",
        "Ollama's API",
        theirs.as_object().map_or(0, serde_json::Map::len),
        found.len().saturating_sub(wrong.len()),
        wrong.len()
    );
    wrong.iter().for_each(|line| println!("{line}"));
    Ok(Outcome { passed: usize::from(wrong.is_empty()), failed: wrong })
}

fn ask(mut command: Command, house: &TestDeployment, models: [&str; 2]) -> Result<Value> {
    command.arg(house.installed.script("compare.py")).args(models);
    let out = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output()?;
    let said = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "the comparison ended with {}:\n{said}", out.status);
    Ok(serde_json::from_slice(&out.stdout)?)
}

fn differences(theirs: &Value, ours: &Value) -> Result<BTreeSet<Difference>> {
    let mut found = BTreeSet::new();
    let requests = theirs.as_object().context("no requests")?;
    for (request, fields) in requests {
        let ours = &ours[request];
        let names = |value: &Value| {
            value.as_object().into_iter().flat_map(|it| it.keys().cloned()).collect::<Vec<_>>()
        };
        let all: BTreeSet<_> = names(fields).into_iter().chain(names(ours)).collect();
        for field in all {
            let text = |value: &Value| value[&field].as_str().unwrap_or("-").to_owned();
            let (theirs, ours) = (text(fields), text(ours));
            if theirs != ours {
                found.insert(Difference { request: request.clone(), field, theirs, ours });
            }
        }
    }
    Ok(found)
}

/// A line for each difference that is not expected, and for each expectation that nothing meets.
///
/// An expectation is `REQUEST: FIELD`, where each may end in `*`.
fn judge(found: &BTreeSet<Difference>, expected: &Value) -> Result<Vec<String>> {
    let expected: BTreeMap<String, String> = serde_json::from_value(expected.clone())?;
    let mut unmet: BTreeSet<&str> = expected.keys().map(String::as_str).collect();
    let mut wrong = Vec::new();
    for Difference { request, field, theirs, ours } in found {
        let meeting: Vec<_> = expected.keys().filter(|it| meets(it, request, field)).collect();
        if meeting.is_empty() {
            wrong.push(format!("{request}: {field}: Ollama has {theirs}, Maru {ours}"));
        }
        for name in meeting {
            unmet.remove(name.as_str());
        }
    }
    wrong.extend(unmet.iter().map(|name| format!("{name}: expected to differ, and does not")));
    Ok(wrong)
}

fn meets(expectation: &str, request: &str, field: &str) -> bool {
    let fits = |pattern: &str, text: &str| match pattern.strip_suffix('*') {
        Some(start) => text.starts_with(start),
        None => pattern == text,
    };
    expectation.rsplit_once(": ").is_some_and(|(its, of)| fits(its, request) && fits(of, field))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_difference_that_is_not_expected_and_an_expectation_that_is_not_met_are_told() {
        let theirs = json!({"chat": {"status": "200", "body.a": "text"}, "ps": {"status": "200"}});
        let ours = json!({"chat": {"status": "200", "body.b": "number"}, "ps": {"status": "404"}});
        let found = differences(&theirs, &ours).unwrap();
        let wrong = |expected: Value| judge(&found, &expected).unwrap();
        assert_eq!(
            wrong(json!({"chat: body.*": "why", "ps: status": "why"})),
            Vec::<String>::new()
        );
        assert_eq!(
            wrong(json!({"*: body.a": "why", "ps: status": "why", "tags: status": "why"})),
            [
                "chat: body.b: Ollama has -, Maru number",
                "tags: status: expected to differ, and does not"
            ]
        );
    }

    /// The requests that were recorded.
    fn requests(root: &Path) -> BTreeSet<String> {
        let recorded = super::json(&root.join(RECORDED)).unwrap();
        recorded.as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn every_expectation_is_of_a_request_that_was_recorded_and_says_why() {
        let root = workspace::root();
        let (known, expected) = (requests(&root), super::json(&root.join(EXPECTED)).unwrap());
        for (name, why) in expected.as_object().unwrap() {
            assert!(
                known.iter().any(|request| {
                    let field = name.rsplit_once(": ").unwrap().1;
                    meets(name, request, field)
                }),
                "{name}"
            );
            assert!(why.as_str().is_some_and(|why| why.len() > 10), "{name}");
        }
    }
}
