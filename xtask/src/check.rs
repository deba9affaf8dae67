//! `cargo xtask check`: what a program can see without running Maru.

use anyhow::{Context as _, Result, ensure};

use crate::{packages, sabotage, tools, workspace};

/// Runs it.
pub(crate) fn run() -> Result<()> {
    packages::for_running()?;
    cargo(&["fmt", "--all", "--check"], &[])?;
    for workspace in ["interop", "xtask/fuzz"] {
        let manifest = format!("{workspace}/Cargo.toml");
        cargo(&["fmt", "--check", "--manifest-path", &manifest], &[])?;
    }
    cargo(
        &["clippy", "--release", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"],
        &[],
    )?;
    cargo(
        &["doc", "--release", "--workspace", "--no-deps", "--document-private-items", "--quiet"],
        &[("RUSTDOCFLAGS", "-D warnings")],
    )?;
    helper("cargo-deny", &["check", "--hide-inclusion-graph", "bans", "licenses", "sources"])?;
    helper("cargo-shear", &[])?;
    let count = sabotage::apply()?;
    eprintln!("== {count} sabotages apply");
    Ok(())
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
