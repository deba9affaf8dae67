//! The programs of the workspace.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

/// The folder with the workspace's binaries, found from the running test or tool.
///
/// # Errors
///
/// The running program lies in no target folder.
pub fn binaries() -> Result<PathBuf> {
    let exe = std::env::current_exe().context("no path of the running program")?;
    let mut dir = exe.parent().context("the program has no folder")?;
    if dir.ends_with("deps") {
        dir = dir.parent().context("the program's folder has no parent")?;
    }
    Ok(dir.to_owned())
}

/// The path of one of the workspace's binaries.
///
/// # Errors
///
/// It was not built; the error says how to.
pub fn binary(name: &str) -> Result<PathBuf> {
    let path = binaries()?.join(name);
    anyhow::ensure!(
        path.exists(),
        "{} is missing: cargo build --release --workspace",
        path.display()
    );
    Ok(path)
}
