//! The test runner: how it is called, and what it reports.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::{build, go, resolvers, stop, tools, workspace};

/// What the runner ends with when it has nothing to run (`nextest-metadata`, `NextestExitCode`).
pub(crate) const NO_TESTS: i32 = 4;
/// How often a run with a limit is looked at.
const POLL: Duration = Duration::from_millis(100);
/// How long the runner may take to end what it started, once asked: it gives a test ten seconds.
const GRACE: Duration = Duration::from_secs(30);

/// Arguments of `nextest run`: continue after a failure, with little output.
const RUN: [&str; 3] = ["--no-fail-fast", "--show-progress=none", "--status-level=slow"];

/// One test as the runner names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Test {
    /// The test program: `coordinator::all`.
    pub(crate) binary: String,
    /// The test in it: `relay::a_relay_starts`.
    pub(crate) name: String,
}

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    Failed,
    TimedOut,
}

impl Test {
    /// A filter expression that selects this test and no other.
    pub(crate) fn filter(&self) -> String {
        format!("binary_id(={}) & test(={})", self.binary, self.name)
    }
}

impl std::fmt::Display for Test {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.binary, self.name)
    }
}

/// A workspace whose tests are run.
#[derive(Clone, Debug)]
pub(crate) struct Runner {
    program: PathBuf,
    dir: PathBuf,
    target: PathBuf,
    profile: &'static str,
    environment: Vec<(&'static str, PathBuf)>,
}

impl Runner {
    /// For the workspace in `dir`, which is built in `target`.
    pub(crate) fn new(dir: PathBuf, target: PathBuf) -> Result<Self> {
        let program = tools::get("cargo-nextest")?;
        let profile = if std::env::var_os("CI").is_some() { "ci" } else { "default" };
        Ok(Self { program, dir, target, profile, environment: Vec::new() })
    }

    /// The same for another workspace.
    pub(crate) fn of(&self, dir: PathBuf, target: PathBuf) -> Self {
        Self { dir, target, ..self.clone() }
    }

    /// Hands a path to the tests.
    pub(crate) fn environment(mut self, name: &'static str, path: PathBuf) -> Self {
        self.environment.push((name, path));
        self
    }

    /// `nextest SUBCOMMAND` for every test of the workspace, those included that need something.
    pub(crate) fn command(&self, subcommand: &str) -> Command {
        let mut command = workspace::with_cargo(&self.program);
        command
            .args(["nextest", subcommand, "--release", "--workspace", "--run-ignored=all"])
            .args(["--color=never", "--profile", self.profile])
            .arg("--target-dir")
            .arg(&self.target)
            .envs(self.environment.iter().map(|(name, path)| (name, path)))
            .current_dir(&self.dir);
        command
    }

    /// Builds the test programs, so that they can be asked for their tests again and again.
    pub(crate) fn programs(&self) -> Result<Programs> {
        let list = ["--list-type=binaries-only", "--message-format=json"];
        let programs = output(self.command("list").args(list))?;
        let mut metadata = workspace::with_cargo(env!("CARGO"));
        metadata.args(["metadata", "--format-version=1"]).current_dir(&self.dir);
        let metadata = output(&mut metadata)?;
        let dir = tempfile::tempdir()?;
        fs::write(dir.path().join(PROGRAMS), programs)?;
        fs::write(dir.path().join(METADATA), metadata)?;
        Ok(Programs { runner: self.clone(), dir })
    }

    /// `nextest run`, which builds first.
    pub(crate) fn run(&self) -> Command {
        let mut command = self.command("run");
        command.args(RUN);
        command
    }

    /// Forgets the report of an earlier run.
    pub(crate) fn forget(&self) -> Result<()> {
        let path = self.report_path();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", path.display()))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// What the run since [`Self::forget`] reported.
    pub(crate) fn report(&self) -> Result<Vec<(Test, Verdict)>> {
        let path = self.report_path();
        let text = fs::read_to_string(&path)
            .with_context(|| format!("the run wrote no report ({})", path.display()))?;
        read(&text).with_context(|| format!("in {}", path.display()))
    }

    fn report_path(&self) -> PathBuf {
        // As `.config/nextest.toml` names it, in the runner's store: below the workspace, wherever
        // that is built.
        self.dir.join("target/nextest").join(self.profile).join("junit.xml")
    }
}

/// File names of what [`Runner::programs`] keeps.
const PROGRAMS: &str = "programs.json";
const METADATA: &str = "metadata.json";

/// Test programs that are built.
#[derive(Debug)]
pub(crate) struct Programs {
    runner: Runner,
    dir: tempfile::TempDir,
}

impl Programs {
    /// What they were built with.
    pub(crate) fn runner(&self) -> &Runner {
        &self.runner
    }

    /// What `nextest list` says of the tests that a filter expression selects.
    pub(crate) fn list(&self, filter: &str) -> Result<serde_json::Value> {
        let mut command = self.command("list");
        command.args(["--message-format=json", "--filterset", filter]);
        Ok(serde_json::from_slice(&output(&mut command)?)?)
    }

    /// `nextest run`: nothing is built, so that cargo may work in the target folder meanwhile.
    pub(crate) fn run(&self) -> Command {
        let mut command = self.command("run");
        command.args(RUN);
        command
    }

    /// `nextest SUBCOMMAND` for every one of their tests.
    fn command(&self, subcommand: &str) -> Command {
        let mut command = workspace::with_cargo(&self.runner.program);
        command
            .args(["nextest", subcommand, "--run-ignored=all", "--color=never"])
            .args(["--profile", self.runner.profile, "--binaries-metadata"])
            .arg(self.dir.path().join(PROGRAMS))
            .arg("--cargo-metadata")
            .arg(self.dir.path().join(METADATA))
            .envs(self.runner.environment.iter().map(|(name, path)| (name, path)))
            .current_dir(&self.runner.dir);
        command
    }
}

/// What a command prints; fails with what it complained of.
fn output(command: &mut Command) -> Result<Vec<u8>> {
    let out = command.stdin(Stdio::null()).output().context("the command does not start")?;
    let said = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "it ended with {}:\n{}", out.status, said.trim());
    Ok(out.stdout)
}

/// Runs a command for at most `limit`; `None` if it was ended because that was not enough.
pub(crate) fn within(command: &mut Command, limit: Duration) -> Result<Option<ExitStatus>> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().with_context(|| format!("{name} does not start"))?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("no process")?;
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline && !stop::asked() {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        thread::sleep(POLL);
    }
    // It ends its tests, which are in groups of their own, before it ends itself.
    let _ = kill_process(pid, Signal::TERM);
    let deadline = Instant::now() + GRACE;
    while child.try_wait()?.is_none() {
        if Instant::now() >= deadline {
            child.kill()?;
        }
        thread::sleep(POLL);
    }
    stop::check()?;
    Ok(None)
}

/// Reads a report in JUnit's format.
fn read(text: &str) -> Result<Vec<(Test, Verdict)>> {
    let document = roxmltree::Document::parse(text).context("no XML")?;
    let mut tests = Vec::new();
    for case in document.descendants().filter(|node| node.has_tag_name("testcase")) {
        let attribute = |name| {
            let value = case.attribute(name).map(str::to_owned);
            value.with_context(|| format!("a test case has no {name}"))
        };
        let test = Test { binary: attribute("classname")?, name: attribute("name")? };
        let wrong =
            case.children().find(|node| node.has_tag_name("failure") || node.has_tag_name("error"));
        let verdict = match wrong.map(|node| node.attribute("type")) {
            None => Verdict::Passed,
            Some(Some("test timeout")) => Verdict::TimedOut,
            Some(_) => Verdict::Failed,
        };
        tests.push((test, verdict));
    }
    let root = document.root_element();
    let said = |name| root.attribute(name).and_then(|count| count.parse::<usize>().ok());
    let wrong = tests.iter().filter(|(_, verdict)| *verdict != Verdict::Passed).count();
    ensure!(
        said("tests") == Some(tests.len())
            && said("failures").zip(said("errors")).map(|(a, b)| a + b) == Some(wrong),
        "the report's counts are not those of its test cases"
    );
    Ok(tests)
}

/// Where `cargo xtask test` builds the workspace, and what its tests are handed: the model, and peers that we did not
/// write.
pub(crate) fn workspace_runner(model: &Path) -> Result<Runner> {
    Ok(Runner::new(workspace::root(), workspace::target()?)?
        .environment("MARU_TEST_MODEL", model.to_owned())
        .environment("MARU_STOCK_CLIENT", build::stock_client_path()?)
        .environment(lab::stock::FOLDER, go::tailscale_path()?)
        .environment("MARU_STOCK_OPENPCC", go::openpcc_path()?)
        .environment(lab::wireguard::PROGRAM, go::wireguard_path()?)
        .environment(lab::resolvers::FOLDER, resolvers::path()?)
        .environment("MARU_PEBBLE", go::pebble_path()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="nextest-run" tests="4" skipped="0" failures="2" errors="1" time="2.003">
    <testsuite name="a::all" tests="4" skipped="0" errors="1" failures="2">
        <testcase name="fails" classname="a::all" time="0.1">
            <failure message="at &lt;x&gt;" type="test failure with exit code 101">at &lt;x&gt;</failure>
        </testcase>
        <testcase name="part::passes" classname="a::all" time="0.008"/>
        <testcase name="hangs" classname="a::all" time="2.003"><failure type="test timeout"/></testcase>
        <testcase name="is_gone" classname="a::all" time="0"><error type="execution failure"/></testcase>
    </testsuite>
</testsuites>"#;

    #[test]
    fn reads_who_passed_failed_and_took_too_long() {
        let said: Vec<_> = read(REPORT)
            .unwrap()
            .into_iter()
            .map(|(test, verdict)| (test.to_string(), verdict))
            .collect();
        let expected = [
            ("a::all fails", Verdict::Failed),
            ("a::all part::passes", Verdict::Passed),
            ("a::all hangs", Verdict::TimedOut),
            ("a::all is_gone", Verdict::Failed),
        ];
        assert_eq!(said, expected.map(|(name, verdict)| (name.to_owned(), verdict)));
    }

    #[test]
    fn a_report_that_was_cut_or_counts_otherwise_is_an_error() {
        assert!(read(&REPORT[..REPORT.len() / 2]).is_err());
        assert!(read(&REPORT.replace("tests=\"4\" skipped=\"0\" f", "tests=\"5\" f")).is_err());
        assert!(
            read(&REPORT.replace("failures=\"2\" errors=\"1\" t", "failures=\"1\" errors=\"1\" t"))
                .is_err()
        );
        assert!(read(&REPORT.replace("classname=\"a::all\" time=\"0\"", "")).is_err());
    }

    #[test]
    fn a_command_that_does_not_end_is_ended() {
        let mut forever = Command::new("sleep");
        assert_eq!(within(forever.arg("1000"), Duration::from_millis(1)).unwrap(), None);
        let status = within(&mut Command::new("true"), Duration::from_secs(60)).unwrap();
        assert!(status.is_some_and(|status| status.success()));
    }
}
