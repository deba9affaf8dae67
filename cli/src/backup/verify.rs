//! Whether a backup can be restored: it is restored into an empty folder of this machine, and each daemon's program reads
//! its database there.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use messages::message;
use supervisor::directories;

use super::{kept, restore};

/// The folder, below the root: the daemons' users pass it, and see nothing in it but what is theirs.
const SCRATCH: &str = "var/lib/maru/.verify";

/// Restores the backup at `file` beside, has `read` look at the root where it is, and removes that again. One `maru` at a time
/// does so; what a killed one left is removed first.
pub(super) fn verify(
    file: &Path,
    root: &Path,
    read: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let scratch = Scratch::make(root.join(SCRATCH))?;
    let shown = file.display();
    let opened = File::open(file).with_context(|| message!("not-opened", path = shown))?;
    // What it holds, and of one database two more copies.
    kept::room_for(&scratch.path, opened.metadata()?.len().saturating_mul(3))?;
    restore::beside(opened, &scratch.path)?;
    read(&scratch.path)
}

/// A locked folder; its content is removed when dropped.
struct Scratch {
    path: PathBuf,
    _lock: File,
}

impl Scratch {
    fn make(path: PathBuf) -> anyhow::Result<Self> {
        let shown = path.display().to_string();
        let failed = || message!("directory-not-made", path = &shown);
        directories::folders(&path, 0o711).with_context(failed)?;
        let lock = File::open(&path).with_context(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!(message!("backup-verified-already")),
            Err(TryLockError::Error(error)) => return Err(error).with_context(failed),
        }
        let scratch = Self { path, _lock: lock };
        scratch.clear().with_context(|| message!("file-not-deleted", path = shown))?;
        Ok(scratch)
    }

    fn clear(&self) -> std::io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = self.clear();
    }
}
