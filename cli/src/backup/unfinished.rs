//! Interrupted restores.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::bail;
use messages::message;
use services::RESTORING;

/// Prefix of the names of folders with unpacked files.
pub(super) const UNPACKED: &str = ".maru-restore-";

/// Folders beside the places, on the same file systems.
pub(super) const STAGING_FOLDERS: [&str; 2] = ["etc", "var/lib/maru"];

/// Refuses a root with an interrupted restore.
pub(crate) fn is_whole(root: &Path) -> anyhow::Result<()> {
    if root.join(RESTORING).exists() {
        bail!(message!("restore-unfinished"));
    }
    Ok(())
}

/// Folders with unpacked files, keys among them, of a restore that was killed. While [`crate::up::hold`] is held nobody works
/// in them.
pub(crate) fn left_behind(root: &Path) -> Vec<PathBuf> {
    let entries = STAGING_FOLDERS.iter().filter_map(|folder| fs::read_dir(root.join(folder)).ok());
    let entries = entries.flatten().flatten().filter(|entry| {
        entry.file_name().to_string_lossy().starts_with(UNPACKED)
            && entry.file_type().is_ok_and(|kind| kind.is_dir())
    });
    entries.map(|entry| entry.path()).collect()
}
