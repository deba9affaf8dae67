//! Tests with peers that we did not write.

use std::{path::Path, process::Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::{build, model, nextest};

/// Builds the workspace and runs the tests that `filter` chooses, and of these only those whose name holds `only`.
pub(super) fn tests(filter: &str, only: Option<&str>) -> Result<()> {
    build::all()?;
    let programs = nextest::workspace_runner(&model::get()?)?.programs()?;
    let mut command = programs.run();
    command.args(["--filterset", filter]);
    if let Some(name) = only {
        command.arg("--").arg(name);
    }
    let status = command.stdin(Stdio::null()).status().context("the tests do not start")?;
    ensure!(status.code() != Some(nextest::NO_TESTS), "there is no such test");
    ensure!(status.success(), "tests with these peers failed");
    Ok(())
}

/// Fails where machines cannot be made.
pub(super) fn ensure_possible() -> Result<()> {
    ensure!(is_possible(), "the lab's machines need root, Podman and /dev/net/tun: run it as root");
    Ok(())
}

/// Whether this machine can run it.
pub(crate) fn is_possible() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    let there = |path: &str| Path::new(path).exists();
    is_root && there("/dev/net/tun") && there("/usr/bin/podman")
}
