//! State files: versioned, written to a temporary file, synced, renamed.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};

/// The version of every state file of the gateway.
pub const VERSION: u32 = 1;

/// A state file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It could not be read.
    #[error("cannot read {}: check who owns it", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It could not be written; what was there before is untouched.
    #[error("cannot write {}: check the free space and who owns its directory", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is damaged.
    #[error("{} is damaged: restore it from a backup, or move it away to start anew", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        source: serde_json::Error,
    },
    /// A later version of Maru wrote it.
    #[error("{} has version {found}, this program knows {VERSION}: use the newer program", .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version in the file.
        found: u64,
    },
}

/// What every version of a state file has.
#[derive(serde::Deserialize)]
struct Versioned {
    version: u64,
}

/// Reads a state file; `None` if there is none.
///
/// # Errors
///
/// Fails if it cannot be read, is damaged, or is of another version. Nothing is changed.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StateError> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(StateError::Read { path: path.to_owned(), source }),
        Ok(bytes) => zeroize::Zeroizing::new(bytes),
    };
    let damaged = |source| StateError::Damaged { path: path.to_owned(), source };
    let Versioned { version } = serde_json::from_slice(&bytes).map_err(damaged)?;
    if version != u64::from(VERSION) {
        return Err(StateError::Newer { path: path.to_owned(), found: version });
    }
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}

/// Replaces a state file, with this mode.
///
/// # Errors
///
/// [`StateError::Write`]; the file then holds what it held before.
pub fn write<T: Serialize>(path: &Path, value: &T, mode: u32) -> Result<(), StateError> {
    let failed = |source| StateError::Write { path: path.to_owned(), source };
    let bytes = serde_json::to_vec_pretty(value).map_err(|error| failed(error.into()))?;
    replace(path, &zeroize::Zeroizing::new(bytes), mode).map_err(failed)
}

/// Writes beside `path`, syncs, renames over it, syncs the directory.
fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Err(_) | Ok(()) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}
