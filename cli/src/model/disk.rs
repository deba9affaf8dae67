//! Free space.

use std::path::Path;

use anyhow::{Context as _, bail};

use crate::model::size::size;

/// What is left free for everything else, in bytes.
const RESERVE: u64 = 256 << 20;

/// Fails if the disk below `folder` does not take so many bytes more.
pub(super) fn has_room(folder: &Path, bytes: u64) -> anyhow::Result<()> {
    let disk = rustix::fs::statvfs(folder)
        .with_context(|| format!("cannot see how much room there is in {}", folder.display()))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if bytes.saturating_add(RESERVE) > free {
        bail!(
            "there is no room for {} in {}: {} are free, of which {} stay so; remove something, \
             or have the folder be a link to a larger disk",
            size(bytes),
            folder.display(),
            size(free),
            size(RESERVE),
        );
    }
    Ok(())
}
