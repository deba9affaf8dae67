//! Building the product's binaries.

use std::{
    io::{BufReader, Read as _},
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, Result, bail};

use crate::{model, packages, progress::Step, stop, workspace};

/// Installs what is missing, builds all binaries and fetches the model; returns the model's path.
pub(crate) fn everything() -> Result<PathBuf> {
    packages::for_running()?;
    binaries()?;
    model::get()
}

/// Builds all binaries as they are shipped: release, static.
///
/// The tests are built with them: a build without them would choose other features of the crates
/// that they share, so that the next `cargo xtask test` compiled everything again.
pub(crate) fn binaries() -> Result<()> {
    let step = Step::new("building Maru (the first time takes many minutes)");
    cargo(&workspace::root(), &["--workspace", "--all-targets"], &workspace::target()?, &step)?;
    step.done("binaries built");
    Ok(())
}

/// Runs `cargo build --release` in the workspace of `dir`, showing how far it is.
pub(crate) fn cargo(dir: &Path, what: &[&str], target: &Path, step: &Step) -> Result<()> {
    let mut child = workspace::with_cargo(env!("CARGO"))
        .args(["build", "--release", "--locked"])
        .args(what)
        .arg("--target-dir")
        .arg(target)
        .current_dir(dir)
        // The bar, in which cargo tells how many units there are, into a pipe as well.
        .env("CARGO_TERM_PROGRESS_WHEN", "always")
        .env("CARGO_TERM_PROGRESS_WIDTH", "120")
        .env("CARGO_TERM_COLOR", "never")
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run cargo")?;
    let stderr = child.stderr.take().context("no pipe")?;
    let said = follow(BufReader::new(stderr), step)?;
    if !child.wait()?.success() {
        stop::check()?;
        bail!("cargo build failed in {}:\n{}", dir.display(), said.join("\n"));
    }
    Ok(())
}

/// Hands cargo's bar to `step`; returns what it said besides.
fn follow(stderr: BufReader<impl std::io::Read>, step: &Step) -> Result<Vec<String>> {
    let mut said = Vec::new();
    let mut line = Vec::new();
    for byte in stderr.bytes() {
        let byte = byte?;
        if byte != b'\r' && byte != b'\n' {
            line.push(byte);
            continue;
        }
        let text = String::from_utf8_lossy(&line).trim().to_owned();
        line.clear();
        match bar(&text) {
            Some((position, length, what)) => step.at(position, length, what),
            None if text.is_empty() || text.starts_with("Compiling ") => {}
            None => said.push(text),
        }
    }
    Ok(said)
}

/// Reads cargo's `Building [===>   ] 12/345: serde, tokio`.
fn bar(line: &str) -> Option<(u64, u64, &str)> {
    let (count, what) = line.strip_prefix("Building [")?.split_once("] ")?.1.split_once(": ")?;
    let (position, length) = count.split_once('/')?;
    Some((position.parse().ok()?, length.parse().ok()?, what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_bar_of_cargo() {
        let line = "Building [====>     ] 45/612: llama-cpp-sys-2(build), tokio";
        assert_eq!(bar(line), Some((45, 612, "llama-cpp-sys-2(build), tokio")));
        assert_eq!(bar("Compiling serde v1.0.0"), None);
        assert_eq!(bar("Building [====>     ] many"), None);
    }

    #[test]
    fn keeps_what_is_not_the_bar() {
        let text = b"   Compiling x v1\n    Building [=> ] 1/2: x\r\nerror: no `y`\n --> z.rs\n";
        let said = follow(BufReader::new(text.as_slice()), &Step::new("a build")).unwrap();
        assert_eq!(said, ["error: no `y`", "--> z.rs"]);
    }
}
