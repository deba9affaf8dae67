//! `cargo xtask check`: static checks, without running Maru.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};

use crate::{background::Background, packages, tools, workspace};

/// The one crate that needs more than Rust and a C compiler.
const ENGINE: &str = "maru-llm";

/// Arguments of `cargo xtask check`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only checks that take seconds: neither lints nor documentation
    #[arg(long)]
    quick: bool,
    /// Only lints and documentation
    #[arg(long, conflicts_with = "quick")]
    compiled: bool,
}

/// Runs it.
///
/// Nothing of it needs root or Podman. Without what compiles llama.cpp it leaves the engine out.
pub(crate) fn run(args: &Args) -> Result<()> {
    let left_out = left_out()?;
    if !args.compiled {
        quick()?;
    }
    if !args.quick {
        compiled(left_out)?;
        if !left_out.is_empty() {
            eprintln!("passed; {ENGINE} was not checked");
        }
    }
    Ok(())
}

/// Formatting, licences, and other checks of the sources.
fn quick() -> Result<()> {
    cargo(&["fmt", "--all", "--check"], &[])?;
    for workspace in ["interop", "xtask/fuzz"] {
        let manifest = format!("{workspace}/Cargo.toml");
        cargo(&["fmt", "--check", "--manifest-path", &manifest], &[])?;
    }
    helper("cargo-deny", &["check", "--hide-inclusion-graph", "bans", "licenses", "sources"])?;
    helper("cargo-shear", &[])?;
    Ok(())
}

/// Lints and documentation.
fn compiled(left_out: &[&str]) -> Result<()> {
    let workspace = [&["--release", "--workspace", "--quiet"], left_out].concat();
    let clippy = [&["clippy", "--all-targets"], workspace.as_slice(), &["--", "-D", "warnings"]];
    cargo(&clippy.concat(), &[])?;
    let doc = [&["doc", "--no-deps", "--document-private-items"], workspace.as_slice()];
    cargo(&doc.concat(), &[("RUSTDOCFLAGS", "-D warnings")])
}

/// Lints and documentation, checked while the tests run. Meanwhile the target folder is locked, so cargo builds nothing
/// there.
pub(crate) fn start() -> Result<Background> {
    let mut command = Background::command(lab::binary("xtask")?);
    command.args(["check", "--compiled"]).stdin(Stdio::null());
    Background::start(&mut command, workspace::target()?.join("check.log"))
}

/// Cargo arguments that exclude the engine, if this machine cannot compile it; in CI that fails.
fn left_out() -> Result<&'static [&'static str]> {
    let ci = std::env::var_os("CI").is_some();
    if ci {
        packages::for_running()?;
    }
    packages::for_checking()?;
    let missing = packages::missing_for_the_engine();
    if missing.is_empty() {
        return Ok(&[]);
    }
    let missing = missing.join(" ");
    ensure!(!ci, "{ENGINE} cannot be compiled: {missing} is missing, and CI must check everything");
    eprintln!("{ENGINE} is not checked: to check it, run `sudo apt-get install {missing}`");
    Ok(&["--exclude", ENGINE])
}

fn cargo(args: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    eprintln!("== cargo {}", args.join(" "));
    let mut command = workspace::with_cargo(env!("CARGO"));
    command.args(args).current_dir(workspace::root()).envs(environment.iter().copied());
    command.env("CARGO_TARGET_DIR", workspace::target()?);
    let status = command.status().context("cargo does not run")?;
    ensure!(status.success(), "cargo {} failed", args.join(" "));
    Ok(())
}

fn helper(name: &str, args: &[&str]) -> Result<()> {
    eprintln!("== {name} {}", args.join(" "));
    let status = workspace::with_cargo(tools::get(name)?)
        .args(args)
        .current_dir(workspace::root())
        .status()
        .with_context(|| format!("{name} does not run"))?;
    ensure!(status.success(), "{name} failed");
    Ok(())
}
