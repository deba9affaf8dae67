//! Fuzz targets, on the stable toolchain.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::{tools, workspace};

/// Of `cargo xtask fuzz`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Seconds per target
    #[arg(long, value_name = "S", default_value_t = 20)]
    seconds: u32,
}

/// Runs it.
pub(crate) fn run(args: &Args) -> Result<()> {
    let count = all(args.seconds)?;
    println!("{count} targets, nothing found");
    Ok(())
}

/// Runs every target for so many seconds; returns how many there are.
pub(crate) fn all(seconds: u32) -> Result<usize> {
    let fuzz = tools::get("cargo-fuzz")?;
    let cargo_fuzz = || -> Result<Command> {
        let mut command = workspace::with_cargo(&fuzz);
        command
            .current_dir(workspace::root())
            // The sanitizer coverage flags are unstable; this lets a stable compiler take them.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_TARGET_DIR", workspace::target()?.join("fuzz"))
            .stdin(Stdio::null());
        Ok(command)
    };
    let list = cargo_fuzz()?.args(["list", "--fuzz-dir", "xtask/fuzz"]).output()?;
    let list = String::from_utf8(list.stdout)?;
    let targets: Vec<&str> = list.lines().collect();
    ensure!(!targets.is_empty(), "there are no fuzz targets");
    let build = cargo_fuzz()?
        .args(["build", "--fuzz-dir", "xtask/fuzz", "--sanitizer", "none"])
        .status()
        .context("cargo-fuzz does not run")?;
    ensure!(build.success(), "the fuzz targets do not build");
    for target in &targets {
        let out = cargo_fuzz()?
            .args(["run", "--fuzz-dir", "xtask/fuzz", "--sanitizer", "none", target, "--"])
            .args([&format!("-max_total_time={seconds}"), "-max_len=8192", "-rss_limit_mb=1024"])
            .output()?;
        ensure!(
            out.status.success(),
            "the fuzz target {target} found something:\n{}",
            String::from_utf8_lossy(&out.stderr)
        );
        println!("fuzzed {target} for {seconds} s");
    }
    Ok(targets.len())
}
