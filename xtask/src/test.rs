//! `cargo xtask test`: runs all tests of Maru.

mod again;
mod bench;
mod budget;
mod demonstration;
mod flaky;
mod needs;
mod peers;
mod stage;

use std::{
    path::Path,
    process::{ExitCode, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    build, check, fuzz, interop, model,
    nextest::{self, Verdict},
    package, packages, sabotage, vm, workspace,
};
use budget::{Budget, Part};
use flaky::FlakyList;
use peers::Peers;
pub(crate) use peers::build as build_peers;
use stage::{Count, Stages};

/// In one of so many turns the packages are tried under systemd.
const PACKAGES_TURNS: usize = 4;

/// Arguments of `cargo xtask test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run only tests whose name contains this, and no other stage
    #[arg(value_name = "NAME")]
    only: Option<String>,
    /// Seconds per fuzz target
    #[arg(long, value_name = "S", default_value_t = 3)]
    fuzz_seconds: u32,
    /// Number of sabotages to try, chosen by the commit
    #[arg(long, value_name = "N", default_value_t = 3)]
    sabotages: usize,
    /// Also check lints and documentation while the tests run
    #[arg(long, conflicts_with = "only")]
    lints: bool,
}

/// Runs it; the exit status is 1 if anything failed.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let mut stages = Stages::default();
    packages::for_testing()?;
    let model = model::get()?;

    let mut ok = stages.run("build", || build::all().map(|()| Count::default()));
    stages.limit(Budget::of_run());
    let turn = workspace::turn(&workspace::root())?;
    let part = stages.part(turn);
    if let Some(Part { which, parts }) = part {
        println!(
            "this machine is slow: part {which} of {parts} of the tests, chosen by the commit"
        );
    }
    let peers = Peers::start()?;
    let is_whole = args.only.is_none();
    // On a slow machine there is no time to compile it beside the tests.
    let fuzzing = if is_whole && part.is_none() { Some(fuzz::Build::start()?) } else { None };
    let runner = nextest::workspace_runner(&model)?;
    if ok {
        let programs = runner.programs()?;
        let lints = args.lints && stages.has_time("lints and documentation", 1.0);
        let linting = if lints { Some(check::start()?) } else { None };
        let selection = Selection { only: args.only.as_deref(), part };
        ok = stages.run(stage::TESTS, || tests(&programs, peers, selection));
        if is_whole {
            ok &= stages.run("sabotages", || sabotage::check(&programs).map(Count::passed));
            ok &= stages.run_if_time("sabotages tried", 0.15, || tried(&programs, args.sabotages));
        }
        if let Some(linting) = linting {
            ok &= stages.run("lints and documentation", || {
                linting.wait("warnings are errors").map(|()| Count::default())
            });
        }
    }
    if is_whole {
        ok &= whole(&mut stages, &model, turn);
    }
    if let Some(fuzzing) = fuzzing {
        let seconds = args.fuzz_seconds;
        ok &= stages.run_if_time("fuzz targets", 0.1, || fuzzing.run(seconds).map(Count::passed));
    }
    let skipped = stages.report();
    if skipped > 0 && std::env::var_os("CI").is_some() {
        eprintln!("error: in CI no test may be skipped");
        ok = false;
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What uses the programs as people do, and measures them; whether nothing failed.
fn whole(stages: &mut Stages, model: &Path, turn: usize) -> bool {
    let mut ok = stages.run_if_time("up", 0.06, demonstration::run);
    ok &= stages.run_if_time("doctests", 0.01, doctests);
    let models = || clients(|| interop::models_stage(model));
    ok &= stages.run_if_time("clients of models", 0.06, models);
    let openclaw = || clients(|| interop::openclaw_stage(model));
    ok &= stages.run_if_time("client of OpenClaw", 0.06, openclaw);
    let rooms = || clients(|| interop::matrix_stage(model));
    ok &= stages.run_if_time("clients of rooms", 0.13, rooms);
    ok &= stages.run_if_time("bench sealed", 0.01, bench::sealed);
    ok &= stages.run_if_time("bench tunnel", 0.03, bench::tunnel);
    ok &= stages.run_if_time("life of a network", 0.03, bench::life);
    // Slow, and what it tries rarely breaks.
    if turn.is_multiple_of(PACKAGES_TURNS) {
        ok &= stages.run_if_time("packages under systemd", 1.1, under_systemd);
    }
    ok
}

/// The packages of what was built, in an emulated machine with Debian 13.
fn under_systemd() -> Result<Count> {
    if !needs::met("root", &workspace::root()) {
        println!("skipped: a machine with Debian 13 is made by root");
        return Ok(Count { skipped: 1, ..Count::default() });
    }
    let programs = lab::binary("maru")?;
    let programs = programs.parent().context("a program is in a folder")?;
    vm::essential(package::pack(programs.to_owned())?).map(Count::passed)
}

/// Runs every test that this machine can run, including those with namespaces, containers and the real model. Tests
/// with third-party programs are last, because these are built meanwhile.
fn tests(programs: &nextest::Programs, peers: Peers, selection: Selection<'_>) -> Result<Count> {
    let known = FlakyList::read(&workspace::root())?;
    let declared = needs::declared_below(&workspace::root())?;
    let lacking = needs::lacking(&declared, &workspace::root());
    for test in &lacking {
        println!(
            "skipped: {} ({}) needs {}",
            test.name,
            test.file.display(),
            test.lacks.join(", ")
        );
    }
    let possible = needs::without(lacking.iter().map(|test| test.name.as_str()));
    let with_peers = needs::any_of(needs::with(&declared, Peers::NEEDS));
    let mut report = some(programs, &format!("{possible} - ({with_peers})"), selection)?;
    peers.wait()?;
    report.extend(some(programs, &format!("{possible} & ({with_peers})"), selection)?);
    ensure!(!report.is_empty(), "there is no such test");
    let (passed, failed): (Vec<_>, Vec<_>) =
        report.into_iter().partition(|(_, verdict)| *verdict == Verdict::Passed);
    let failed = failed.into_iter().map(|(test, _)| test).collect();
    let sorted = again::again(programs, &known, failed, again::LIMIT)?;
    Ok(Count {
        passed: passed.len() + sorted.flaky.len(),
        failed: sorted.failures(),
        skipped: lacking.len(),
        flaky: sorted.flaky.len(),
        remarks: sorted.remarks(),
    })
}

/// Which of the possible tests run.
#[derive(Clone, Copy, Debug)]
struct Selection<'a> {
    /// Those whose name contains this.
    only: Option<&'a str>,
    /// Those of this part.
    part: Option<Part>,
}

/// Runs the tests that a filterset and a selection have in common. It is not an error if there are none.
fn some(
    programs: &nextest::Programs,
    filter: &str,
    selection: Selection<'_>,
) -> Result<Vec<(nextest::Test, Verdict)>> {
    let runner = programs.runner();
    let mut command = programs.run();
    command.args(["--filterset", filter]);
    if let Some(Part { which, parts }) = selection.part {
        command.arg("--partition").arg(format!("hash:{which}/{parts}"));
    }
    if let Some(name) = selection.only {
        command.arg("--").arg(name);
    }
    runner.forget()?;
    let status = command.stdin(Stdio::null()).status().context("the tests do not start")?;
    if status.code() == Some(nextest::NO_TESTS) {
        return Ok(Vec::new());
    }
    let report = runner.report()?;
    let has_failures = report.iter().any(|(_, verdict)| *verdict != Verdict::Passed);
    ensure!(status.success() || has_failures, "the tests ended with {status}");
    Ok(report)
}

/// Tries the next sabotages: each must be noticed.
fn tried(programs: &nextest::Programs, count: usize) -> Result<Count> {
    let (noticed, missed) = sabotage::try_next(programs, count)?;
    let remarks = missed.iter().map(|name| format!("not noticed: {name}")).collect();
    Ok(Count { passed: noticed, failed: missed.len(), remarks, ..Count::default() })
}

fn doctests() -> Result<Count> {
    let mut command = workspace::with_cargo(env!("CARGO"));
    command
        .args(["test", "--release", "--workspace", "--doc", "--quiet"])
        .arg("--target-dir")
        .arg(workspace::target()?)
        .current_dir(workspace::root());
    stage::watched(&mut command, stage::libtest_summary)
}

/// Runs clients that we did not write on laptops of a deployment.
fn clients(run: impl FnOnce() -> Result<interop::Outcome>) -> Result<Count> {
    if !interop::is_possible() {
        println!("skipped: clients on laptops need root, Podman and /dev/net/tun");
        return Ok(Count { skipped: 1, ..Count::default() });
    }
    let outcome = run()?;
    Ok(Count {
        passed: outcome.passed,
        failed: outcome.failed.len(),
        remarks: outcome.failed,
        ..Count::default()
    })
}
