//! Runs each failed test five times more, alone.
//!
//! A test that passes every time is flaky: it counts as passed, is reported, and must be fixed
//! before other work. A test that fails again has failed, and so has one that was flaky before.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::flaky::{self, FlakyList};
use crate::nextest::{Programs, Test, within};

/// How often a test must pass.
const TIMES: usize = 5;
/// How long that may take for each: a test that never ends must not hold up the rest. The longest one waits for two
/// minutes at least.
pub(super) const LIMIT: Duration = Duration::from_secs(1200);

/// What came of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sorted {
    /// Passed every time.
    pub(super) flaky: Vec<Test>,
    /// The same, of tests that were flaky before; with the date of that.
    pub(super) flaky_again: Vec<(Test, String)>,
    /// Failed again, or there was no time left to see.
    pub(super) failed: Vec<Test>,
}

/// Runs every test of `programs` again; prints what becomes of each. Those of `known` were flaky before.
pub(super) fn again(
    programs: &Programs,
    known: &FlakyList,
    tests: Vec<Test>,
    limit: Duration,
) -> Result<Sorted> {
    let sorted = sort(known, tests, limit, |test, left| {
        println!("again, alone: {test}");
        let mut command = programs.run();
        command.args(["--test-threads=1", "--filterset", &test.filter()]).stdin(Stdio::null());
        // No test selected is a failure for the runner as well.
        Ok(within(&mut command, left)?.is_some_and(|status| status.success()))
    })?;
    for remark in sorted.remarks() {
        println!("{remark}");
    }
    Ok(sorted)
}

impl Sorted {
    /// How many of these tests count as failures.
    pub(super) fn failures(&self) -> usize {
        self.failed.len() + self.flaky_again.len()
    }

    /// One line for each test.
    pub(super) fn remarks(&self) -> Vec<String> {
        let file = flaky::FILE;
        let flaky = self.flaky.iter();
        let flaky = flaky.map(|test| format!("flaky {test}: add its name to {file}, and fix it"));
        let again = self.flaky_again.iter().map(|(test, date)| {
            format!("flaky again {test}: it is in {file} since {date}, so this counts as a failure")
        });
        let failed = self.failed.iter().map(|test| format!("failed {test}"));
        flaky.chain(again).chain(failed).collect()
    }
}

/// Sorts by whether `once` says yes every time; what is not done when its `limit` is over has failed.
fn sort(
    known: &FlakyList,
    tests: Vec<Test>,
    limit: Duration,
    mut once: impl FnMut(&Test, Duration) -> Result<bool>,
) -> Result<Sorted> {
    let mut sorted = Sorted::default();
    for test in tests {
        let end = Instant::now() + limit;
        let mut passed = 0;
        while passed < TIMES {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || !once(&test, left)? {
                break;
            }
            passed += 1;
        }
        match known.since(&test).map(str::to_owned) {
            _ if passed < TIMES => sorted.failed.push(test),
            Some(date) => sorted.flaky_again.push((test, date)),
            None => sorted.flaky.push(test),
        }
    }
    Ok(sorted)
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, fs};

    use super::*;
    use crate::nextest::{Runner, Verdict};

    fn named(name: &str) -> Test {
        Test { binary: "fixture".to_owned(), name: name.to_owned() }
    }

    #[test]
    fn only_what_passes_five_times_is_flaky() {
        let runs = Cell::new(0);
        let tests = vec![named("often"), named("always")];
        let sorted = sort(&FlakyList::default(), tests, LIMIT, |test, _| {
            runs.set(runs.get() + 1);
            Ok(test.name == "always" || runs.get() < TIMES)
        });
        let (flaky, failed) = (vec![named("always")], vec![named("often")]);
        assert_eq!(sorted.unwrap(), Sorted { flaky, failed, ..Sorted::default() });
        assert_eq!(runs.get(), 2 * TIMES);
    }

    #[test]
    fn what_was_flaky_before_counts_as_a_failure_and_says_since_when() {
        let known = FlakyList::parse("2026-11-01 known\n2026-11-02 fails").unwrap();
        let tests = vec![named("faults::known"), named("new"), named("fails")];
        let sorted = sort(&known, tests, LIMIT, |test, _| Ok(test.name != "fails")).unwrap();

        assert_eq!(sorted.flaky, [named("new")]);
        assert_eq!(sorted.flaky_again, [(named("faults::known"), "2026-11-01".to_owned())]);
        assert_eq!(sorted.failed, [named("fails")]);
        assert_eq!(sorted.failures(), 2);
        let remarks = sorted.remarks();
        assert!(remarks[0].starts_with("flaky fixture new: add its name to "), "{remarks:?}");
        assert!(remarks[1].starts_with("flaky again fixture faults::known: "), "{remarks:?}");
        assert!(remarks[1].contains("since 2026-11-01"), "{remarks:?}");
        assert_eq!(remarks[2], "failed fixture fails");
    }

    #[test]
    fn what_there_is_no_time_for_has_failed() {
        let tests = vec![named("a"), named("b")];
        let sorted = sort(&FlakyList::default(), tests.clone(), Duration::ZERO, |_, _| Ok(true));
        assert_eq!(sorted.unwrap(), Sorted { failed: tests, ..Sorted::default() });
    }

    /// Four tests; the marks are files, because each test is a process of its own.
    const FIXTURE: &str = r#"
        fn is_first_run(mark: &str) -> bool {
            std::fs::File::create_new(format!("{}/{mark}", env!("CARGO_MANIFEST_DIR"))).is_ok()
        }
        #[test]
        fn always_passes() {}
        #[test]
        fn never_passes() { panic!("as always"); }
        #[test]
        fn fails_at_first() { assert!(!is_first_run("fails_at_first")); }
        #[test]
        fn then_never_ends() {
            assert!(!is_first_run("then_never_ends"));
            loop { std::thread::sleep(std::time::Duration::from_secs(1)); }
        }"#;

    /// With the real runner, on a crate of its own.
    #[test]
    #[ignore = "needs: tools"]
    fn a_test_that_never_passes_or_never_ends_fails_and_one_that_failed_by_chance_is_flaky() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("src")).unwrap();
        fs::create_dir_all(dir.path().join(".config")).unwrap();
        let manifest = "[package]\nname = \"fixture\"\nedition = \"2024\"\n[workspace]\n";
        fs::write(dir.path().join("Cargo.toml"), manifest).unwrap();
        fs::write(dir.path().join("src/lib.rs"), FIXTURE).unwrap();
        fs::write(
            dir.path().join(".config/nextest.toml"),
            include_str!("../../../.config/nextest.toml")
                .split_inclusive('\n')
                .take_while(|line| !line.contains("overrides"))
                .collect::<String>(),
        )
        .unwrap();
        let runner = Runner::new(dir.path().to_owned(), dir.path().join("elsewhere")).unwrap();
        let programs = runner.programs().unwrap();
        let first = programs.run().stdin(Stdio::null()).status().unwrap();
        assert!(!first.success());
        let report = runner.report().unwrap();
        let failed: Vec<_> = report
            .into_iter()
            .filter(|(_, verdict)| *verdict != Verdict::Passed)
            .map(|(test, _)| test)
            .collect();
        assert_eq!(failed.len(), 3);

        // What never ends comes last, so that the others have the time they need.
        let (endless, rest): (Vec<_>, Vec<_>) =
            failed.into_iter().partition(|test| test.name == "then_never_ends");
        let none = FlakyList::default();
        let mut sorted = again(&programs, &none, rest, LIMIT).unwrap();
        let last = again(&programs, &none, endless, Duration::from_secs(5)).unwrap();

        sorted.failed.extend(last.failed);
        sorted.flaky.extend(last.flaky);
        let expected = Sorted {
            flaky: vec![named("fails_at_first")],
            failed: vec![named("never_passes"), named("then_never_ends")],
            ..Sorted::default()
        };
        assert_eq!(sorted, expected);
    }
}
