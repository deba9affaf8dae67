//! Where things lie.

use std::path::{Path, PathBuf};

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
