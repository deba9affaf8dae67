//! Running the tests that a sabotage names: unbroken they pass, broken they fail.

use std::{collections::BTreeSet, process::Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::record::Record;
use crate::nextest::{NO_TESTS, Programs, Runner, Test, Verdict};

/// What the runner ends with when a test failed; other codes say that it did not come that far
/// (`nextest-metadata`, `NextestExitCode`).
const TEST_FAILED: i32 = 100;
const NOT_BUILT: i32 = 101;

/// A filter expression for tests, and the cargo arguments that build only them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Selection {
    pub(super) tests: BTreeSet<Test>,
    pub(super) targets: BTreeSet<String>,
}

/// Asks the runner which tests a sabotage names; fails if there is none.
pub(super) fn select(programs: &Programs, record: &Record) -> Result<Selection> {
    let list = programs.list(&record.tests);
    let list = list.with_context(|| format!("the tests of {} are not listed", record.name))?;
    let selection = listed(&list)?;
    ensure!(
        !selection.tests.is_empty(),
        "sabotage {}: `{}` selects no test; name the one that must notice",
        record.name,
        record.tests
    );
    Ok(selection)
}

/// Reads `nextest list --message-format=json`.
fn listed(list: &Value) -> Result<Selection> {
    let mut selection = Selection { tests: BTreeSet::new(), targets: BTreeSet::new() };
    for (id, suite) in list["rust-suites"].as_object().context("the runner lists no programs")? {
        // A program none of whose tests can be meant was not asked.
        let Some(cases) = suite["testcases"].as_object() else { continue };
        for (name, case) in cases {
            if case["filter-match"]["status"] != "matches" {
                continue;
            }
            selection.tests.insert(Test { binary: id.clone(), name: name.clone() });
            let program = suite["binary-name"].as_str().unwrap_or_default();
            selection.targets.insert(match suite["kind"].as_str() {
                Some("lib" | "proc-macro") => "--lib".to_owned(),
                Some(kind) => format!("--{kind}={program}"),
                None => bail!("{id} has no kind"),
            });
        }
    }
    Ok(selection)
}

/// Fails unless every test passes.
pub(super) fn control(runner: &Runner, selections: &[Selection]) -> Result<()> {
    let tests: BTreeSet<_> = selections.iter().flat_map(|s| s.tests.clone()).collect();
    let targets: BTreeSet<_> = selections.iter().flat_map(|s| s.targets.clone()).collect();
    let (code, verdicts) = run(runner, &tests, &targets)?;
    let wrong = others(&tests, &verdicts, Verdict::Passed);
    ensure!(wrong.is_empty(), "unbroken, these do not pass:\n{}", wrong.join("\n"));
    ensure!(code == 0, "the test runner ended with {code}");
    Ok(())
}

/// Fails unless every test fails: by itself, neither because it was not built nor by taking too long.
pub(super) fn must_fail(runner: &Runner, selection: &Selection) -> Result<()> {
    let (code, verdicts) = run(runner, &selection.tests, &selection.targets)?;
    match code {
        0 | TEST_FAILED => {}
        NOT_BUILT => bail!("the broken code does not build"),
        NO_TESTS => bail!("its tests do not exist once it is applied"),
        code => bail!("the test runner ended with {code}"),
    }
    let wrong = others(&selection.tests, &verdicts, Verdict::Failed);
    ensure!(wrong.is_empty(), "{}", wrong.join(", "));
    Ok(())
}

/// Runs tests; returns the runner's exit code, and what it reported if it came that far.
fn run(
    runner: &Runner,
    tests: &BTreeSet<Test>,
    targets: &BTreeSet<String>,
) -> Result<(i32, Vec<(Test, Verdict)>)> {
    let filters: Vec<_> = tests.iter().map(|test| format!("({})", test.filter())).collect();
    runner.forget()?;
    let mut command = runner.run();
    command.args(targets).args(["--filterset", &filters.join(" | "), "--failure-output=never"]);
    let out = command.stdin(Stdio::null()).output().context("the test runner does not start")?;
    let code = out.status.code().context("the test runner was killed")?;
    if code == 0 || code == TEST_FAILED {
        return Ok((code, runner.report()?));
    }
    eprintln!("{}", String::from_utf8_lossy(&out.stderr));
    Ok((code, Vec::new()))
}

/// Those that did not end as `expected`, each with how it did.
fn others(tests: &BTreeSet<Test>, verdicts: &[(Test, Verdict)], expected: Verdict) -> Vec<String> {
    let how = |test: &Test| {
        let verdict = verdicts.iter().find(|(other, _)| other == test).map(|(_, verdict)| *verdict);
        match verdict {
            Some(verdict) if verdict == expected => None,
            Some(Verdict::Passed) => Some(format!("{test} passed")),
            Some(Verdict::Failed) => Some(format!("{test} failed")),
            Some(Verdict::TimedOut) => Some(format!("{test} took too long")),
            None => Some(format!("{test} did not run")),
        }
    };
    tests.iter().filter_map(how).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(name: &str) -> Test {
        Test { binary: "a::all".to_owned(), name: name.to_owned() }
    }

    #[test]
    fn reads_which_tests_are_meant_and_what_holds_them() {
        let case = |status: &str| serde_json::json!({ "filter-match": { "status": status } });
        let list = serde_json::json!({ "rust-suites": {
            "a::all": { "binary-name": "all", "kind": "test",
                "testcases": { "x": case("matches"), "y": case("mismatch") } },
            "b": { "binary-name": "b", "kind": "lib", "testcases": { "z": case("matches") } },
            "c": { "binary-name": "c", "kind": "lib", "status": "skipped", "testcases": {} },
        }});
        let selection = listed(&list).unwrap();
        let names: Vec<_> = selection.tests.iter().map(Test::to_string).collect();
        assert_eq!(names, ["a::all x", "b z"]);
        assert_eq!(Vec::from_iter(selection.targets), ["--lib", "--test=all"]);
        assert!(listed(&serde_json::json!({})).is_err());
    }

    #[test]
    fn only_a_test_that_failed_by_itself_has_noticed() {
        let tests = BTreeSet::from(["a", "b", "c", "d"].map(test));
        let verdicts = [
            (test("a"), Verdict::Failed),
            (test("b"), Verdict::Passed),
            (test("c"), Verdict::TimedOut),
        ];
        let wrong = others(&tests, &verdicts, Verdict::Failed);
        assert_eq!(wrong, ["a::all b passed", "a::all c took too long", "a::all d did not run"]);
    }
}
