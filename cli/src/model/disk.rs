//! Free space.

use std::path::Path;

use anyhow::{Context as _, bail};
use messages::message;

use crate::model::size::size;

/// Free space that is never used, in bytes.
const RESERVE: u64 = 256 << 20;

/// Bytes that may be used of the disk below `folder`.
pub(crate) fn free(folder: &Path) -> anyhow::Result<u64> {
    Ok(available(folder)?.saturating_sub(RESERVE))
}

fn available(folder: &Path) -> anyhow::Result<u64> {
    let disk = rustix::fs::statvfs(folder)
        .with_context(|| message!("room-unknown", path = folder.display()))?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Fails if the disk below `folder` has no room for so many bytes.
pub(super) fn has_room(folder: &Path, bytes: u64) -> anyhow::Result<()> {
    let free = available(folder)?;
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
