//! Where things lie.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

/// The workspace's folder.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_owned()
}

/// The target folder: `…/target`, with `<triple>/release` below it.
pub(crate) fn target() -> Result<PathBuf> {
    let binaries = lab::binaries()?;
    Ok(binaries.ancestors().nth(2).context("xtask was not built for a named target")?.to_owned())
}

/// A cargo command without the variables that an outer cargo has set.
///
/// `cargo run` describes the package that it runs in the environment. Build scripts that look at
/// these variables (ring's does) would run again whenever cargo is called the other way, and with
/// them everything that is built on theirs.
pub(crate) fn with_cargo(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env("CARGO", env!("CARGO"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}
