//! `cargo xtask test`: everything that proves Maru.

mod demonstration;
mod needs;
mod stage;
mod traces;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;

use crate::{build, fuzz, model, packages, tools, workspace};
use stage::{Count, Stages};

/// Of `cargo xtask test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run only tests whose name holds this; leaves the other stages out
    #[arg(value_name = "NAME")]
    only: Option<String>,
    /// Seconds per fuzz target
    #[arg(long, value_name = "S", default_value_t = 3)]
    fuzz_seconds: u32,
}

/// Runs it; the exit status is 1 if anything failed.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let mut stages = Stages::default();
    packages::for_testing()?;
    let nextest = tools::get("cargo-nextest")?;
    let model = model::get()?;

    let mut ok = stages.run("build", || build::binaries().map(|()| Count::default()))
        && stages.run("stock client", || stock_client().map(|()| Count::default()))
        && stages.run("tests", || tests(&nextest, &model, args.only.as_deref()));
    if args.only.is_none() {
        ok &= stages.run("doctests", doctests);
        ok &= stages.run("fuzz targets", || fuzz::all(args.fuzz_seconds).map(Count::passed));
        ok &= stages.run("up", demonstration::run);
        ok &= stages.run("bench sealed", bench);
    }
    let skipped = stages.report();
    if skipped > 0 && std::env::var_os("CI").is_some() {
        eprintln!("error: nothing may be skipped where CI is set");
        ok = false;
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Every test that this machine can run, namespaces, containers and the real model included.
fn tests(nextest: &std::path::Path, model: &std::path::Path, only: Option<&str>) -> Result<Count> {
    let lacking = needs::lacking(&workspace::root())?;
    for test in &lacking {
        println!(
            "left out: {} ({}) needs {}",
            test.name,
            test.file.display(),
            test.lacks.join(", ")
        );
    }
    let mut command = workspace::with_cargo(nextest);
    command
        .args(["nextest", "run", "--release", "--workspace", "--run-ignored=all", "--no-fail-fast"])
        .args(["--color=never", "--show-progress=none", "--status-level=slow"])
        .arg("--target-dir")
        .arg(workspace::target()?)
        .env("MARU_TEST_MODEL", model)
        .env("MARU_STOCK_CLIENT", stock_client_path()?)
        .current_dir(workspace::root());
    if std::env::var_os("CI").is_some() {
        command.arg("--profile=ci");
    }
    if let Some(filter) = needs::filter(&lacking) {
        command.arg("--filterset").arg(filter);
    }
    if let Some(name) = only {
        command.arg("--").arg(name);
    }
    let mut count = stage::watched(&mut command, stage::nextest_summary)?;
    count.skipped = lacking.len();
    Ok(count)
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

/// Builds the client that we did not write.
fn stock_client() -> Result<()> {
    let step = crate::progress::Step::new("building the stock client");
    let target = workspace::target()?.join("interop");
    build::cargo(&workspace::root().join("interop"), &[], &target, &step)?;
    step.done("stock client built");
    Ok(())
}

fn stock_client_path() -> Result<PathBuf> {
    let triple = lab::binaries()?;
    let triple = triple.parent().and_then(|dir| dir.file_name()).unwrap_or_default();
    Ok(workspace::target()?.join("interop").join(triple).join("release/stock-client"))
}

/// The one bench that takes seconds, so that it does not rot.
fn bench() -> Result<Count> {
    let xtask = lab::binary("xtask")?;
    let bench = ["bench", "sealed", "--json", "--no-build"];
    let out = std::process::Command::new(xtask).args(bench).output()?;
    anyhow::ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let report: serde_json::Value = serde_json::from_slice(&out.stdout)?;
    anyhow::ensure!(report["results"]["suites"]["x-wing"].is_object(), "no figures: {report}");
    Ok(Count::passed(1))
}
