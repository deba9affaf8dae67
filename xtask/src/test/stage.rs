//! Stages, their seconds and what they counted.

use std::{
    fmt,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::budget::{Budget, Part};
use crate::workspace;

/// The stage that runs the workspace's test functions: its count is the last line.
pub(super) const TESTS: &str = "tests";

/// What a stage counted: test functions, or whatever else it is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) skipped: usize,
    /// Of those that passed: failed at first, then passed five times.
    pub(super) flaky: usize,
    /// One line for each that failed or is flaky, printed again at the very end.
    pub(super) remarks: Vec<String>,
}

impl Count {
    /// So many that passed.
    pub(super) fn passed(passed: usize) -> Self {
        Self { passed, ..Self::default() }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)?;
        if self.flaky > 0 {
            write!(f, "; of those that passed {} are flaky: mend them first", self.flaky)?;
        }
        Ok(())
    }
}

/// How much of the disk below the workspace is free. A full disk also ends the output that would have named it.
fn free() -> String {
    match rustix::fs::statvfs(workspace::root()) {
        Ok(disk) => format!("{} GB of disk free", disk.f_bavail * disk.f_frsize / 1_000_000_000),
        Err(error) => format!("free disk unknown: {error}"),
    }
}

/// What ran so far.
#[derive(Debug, Default)]
pub(super) struct Stages {
    done: Vec<(&'static str, Duration, Count)>,
    budget: Option<Budget>,
    /// Those for which there was no time.
    left_out: Vec<&'static str>,
}

impl Stages {
    /// Runs a stage; whether nothing failed in it.
    pub(super) fn run(&mut self, name: &'static str, work: impl FnOnce() -> Result<Count>) -> bool {
        println!("== {name} ({})", free());
        let start = Instant::now();
        let count = work().unwrap_or_else(|error| {
            eprintln!("error: {name}: {error:#}");
            Count { failed: 1, remarks: vec![format!("failed: {error:#}")], ..Count::default() }
        });
        let ok = count.failed == 0;
        self.done.push((name, start.elapsed(), count));
        ok
    }

    /// Limits the time of what follows; what ran so far was the build.
    pub(super) fn limit(&mut self, budget: Budget) {
        let build = self.done.iter().map(|(_, time, _)| *time).sum();
        self.budget = Some(budget.built_in(build));
    }

    /// The part of the tests that fits; `None`: all of them.
    pub(super) fn part(&self, turn: usize) -> Option<Part> {
        self.budget.as_ref().and_then(|budget| budget.part(turn))
    }

    /// Runs a stage that usually takes this multiple of the time of the build, unless there is no time for it: then a later
    /// commit has it.
    pub(super) fn run_if_time(
        &mut self,
        name: &'static str,
        share: f64,
        work: impl FnOnce() -> Result<Count>,
    ) -> bool {
        if self.has_time(name, share) { self.run(name, work) } else { true }
    }

    /// Whether there is time for a stage; one without is listed at the end.
    pub(super) fn has_time(&mut self, name: &'static str, share: f64) -> bool {
        let has_time = self.budget.is_none_or(|budget| budget.has_room_for(share));
        if !has_time {
            println!("== {name}: left out, there is no time for it");
            self.left_out.push(name);
        }
        has_time
    }

    /// Prints seconds per stage, what failed in each, what each counted, and last the test functions; returns how many of
    /// all these were skipped.
    pub(super) fn report(&self) -> usize {
        println!("\nseconds per stage:");
        for (name, time, _) in &self.done {
            println!("{:>8.1}  {name}", time.as_secs_f64());
        }
        if !self.left_out.is_empty() {
            println!("left out, since this machine is slow: {}", self.left_out.join(", "));
        }
        for (name, _, count) in &self.done {
            for remark in &count.remarks {
                println!("{name}: {remark}");
            }
        }
        for line in self.counts() {
            println!("{line}");
        }
        self.done.iter().map(|(_, _, count)| count.skipped).sum()
    }

    /// A line for each stage that counted something else than test functions, and one for these.
    fn counts(&self) -> Vec<String> {
        let (tests, others): (Vec<_>, Vec<_>) =
            self.done.iter().partition(|(name, ..)| *name == TESTS);
        let counted = others.iter().filter(|(_, _, count)| *count != Count::default());
        let mut lines: Vec<_> =
            counted.map(|(name, _, count)| format!("{name}: {count}")).collect();
        let tests = tests.first().map(|(_, _, count)| count.clone()).unwrap_or_default();
        let failed: Vec<_> =
            others.iter().filter(|it| it.2.failed > 0).map(|(name, ..)| *name).collect();
        let besides = match failed.is_empty() {
            true => String::new(),
            false => format!("; failed besides: {}", failed.join(", ")),
        };
        lines.push(format!("{TESTS}: {tests}{besides}"));
        lines
    }
}

/// Runs a command, hands its lines on, and adds up what `summary` reads in them.
///
/// A command that fails without having counted a failure is an error.
pub(super) fn watched(
    command: &mut Command,
    summary: impl Fn(&str) -> Option<Count>,
) -> Result<Count> {
    let (reader, writer) = std::io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().context("the stage does not start")?;
    // The command holds the pipe's writing end as well; it must be dropped for the reader to end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut sum = Count::default();
    for line in BufReader::new(reader).lines() {
        let line = line?;
        if let Some(count) = summary(&line) {
            sum.passed += count.passed;
            sum.failed += count.failed;
        }
        println!("{line}");
    }
    let status = child.wait()?;
    anyhow::ensure!(status.success() || sum.failed > 0, "ended with {status}");
    Ok(sum)
}

/// Reads libtest's `test result: ok. 7 passed; 2 failed; 0 ignored; …`.
pub(super) fn libtest_summary(line: &str) -> Option<Count> {
    let rest = line.trim().strip_prefix("test result: ")?;
    Some(Count {
        passed: number_before(rest, " passed"),
        failed: number_before(rest, " failed"),
        ..Count::default()
    })
}

fn number_before(text: &str, word: &str) -> usize {
    text.split_once(word)
        .and_then(|(before, _)| before.rsplit([' ', '.', '(']).next()?.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_summary() {
        let libtest = "test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured";
        let count = Count { passed: 3, failed: 1, ..Count::default() };
        assert_eq!(libtest_summary(libtest), Some(count));
        assert_eq!(libtest_summary("running 3 tests"), None);
    }

    #[test]
    fn the_last_line_counts_test_functions_and_names_what_failed_besides() {
        let mut stages = Stages::default();
        stages.run("build", || Ok(Count::default()));
        stages.run(TESTS, || Ok(Count { passed: 7, skipped: 1, ..Count::default() }));
        stages.run("fuzz targets", || Ok(Count::passed(33)));
        assert_eq!(
            stages.counts(),
            [
                "fuzz targets: 33 passed, 0 failed, 0 skipped",
                "tests: 7 passed, 0 failed, 1 skipped"
            ]
        );

        stages.run("clients of models", || Ok(Count { failed: 2, ..Count::default() }));
        assert_eq!(
            stages.counts().last().unwrap(),
            "tests: 7 passed, 0 failed, 1 skipped; failed besides: clients of models"
        );
        assert_eq!(stages.report(), 1);
    }

    #[test]
    fn the_last_line_tells_how_many_were_flaky() {
        let mut count = Count { passed: 3, failed: 1, skipped: 2, ..Count::default() };
        assert_eq!(count.to_string(), "3 passed, 1 failed, 2 skipped");
        count.flaky = 2;
        assert!(
            count
                .to_string()
                .ends_with("2 skipped; of those that passed 2 are flaky: mend them first")
        );
    }

    #[test]
    fn a_failing_command_is_an_error_even_when_it_counted_nothing() {
        assert!(watched(&mut Command::new("false"), libtest_summary).is_err());
        assert!(watched(&mut Command::new("true"), libtest_summary).is_ok());
    }
}
