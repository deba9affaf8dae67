//! Free space.

use std::path::Path;

use anyhow::{Context as _, bail};
use messages::message;

use crate::model::size::size;

/// Free space that is never used, in bytes.
const RESERVE: u64 = 256 << 20;

/// Fails if the disk below `folder` has no room for so many bytes.
pub(super) fn has_room(folder: &Path, bytes: u64) -> anyhow::Result<()> {
    let disk = rustix::fs::statvfs(folder)
        .with_context(|| message!("room-unknown", path = folder.display()))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if bytes.saturating_add(RESERVE) > free {
        bail!(message!(
            "no-room",
            needed = size(bytes),
            path = folder.display(),
            free = size(free),
            reserve = size(RESERVE)
        ));
    }
    Ok(())
}
