//! Atomic, durable file replacement.
//!
//! The content is written to a temporary file (`.NAME.….new`) in the same directory, synced and renamed; then the directory
//! is synced. A reader finds the old content or the new, also after a crash, which may leave the temporary file.

use std::{
    ffi::OsString,
    fs::{File, Permissions},
    io::{self, ErrorKind, Read as _, Write as _},
    os::unix::fs::{PermissionsExt as _, fchown},
    path::Path,
};

use rustix::fs::{Mode, OFlags};
use tempfile::NamedTempFile;

/// Mode and owner of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Mode, regardless of the umask.
    pub mode: u32,
    /// Uid and gid; `None` for those of this process.
    pub owner: Option<(u32, u32)>,
}

impl Access {
    /// Readable by its owner.
    pub const SECRET: Self = Self { mode: 0o600, owner: None };
    /// Readable by everybody.
    pub const READABLE: Self = Self { mode: 0o644, owner: None };
}

/// Reads a file of at most `max` bytes in a directory of another user, who is not trusted.
///
/// # Errors
///
/// It cannot be read, is a link or no regular file, or is longer.
pub fn read_of_another(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut content = Vec::new();
    if file.take(max + 1).read_to_end(&mut content)? as u64 > max {
        return Err(io::Error::other(format!("it is longer than {max} bytes")));
    }
    Ok(content)
}

/// Creates or replaces a file. A symbolic link is replaced, not followed.
///
/// # Errors
///
/// The file cannot be written; the old content is then untouched. If only the directory's sync fails, the new file may be
/// lost in a power cut.
pub fn replace(path: &Path, access: Access, content: &[u8]) -> io::Result<()> {
    let (folder, new) = write_beside(path, access, content)?;
    new.persist(path).map_err(|failed| failed.error)?;
    folder.sync_all()
}

/// Creates a file unless the path exists; returns whether it did. Of concurrent callers one succeeds, and all find its
/// whole content.
///
/// # Errors
///
/// The file cannot be written.
pub fn create(path: &Path, access: Access, content: &[u8]) -> io::Result<bool> {
    let (folder, new) = write_beside(path, access, content)?;
    let created = match new.persist_noclobber(path) {
        Ok(_) => true,
        Err(failed) if failed.error.kind() == ErrorKind::AlreadyExists => false,
        Err(failed) => return Err(failed.error),
    };
    // Also if another caller created it, which may not have synced yet.
    folder.sync_all()?;
    Ok(created)
}

/// Writes a file with a closure. Unless `replaces`, the path must not exist.
///
/// # Errors
///
/// `write` fails, or the file cannot be written; the old content is then untouched.
pub fn write<E: From<io::Error>>(
    path: &Path,
    access: Access,
    replaces: bool,
    write: impl FnOnce(&mut File) -> Result<(), E>,
) -> Result<(), E> {
    let (folder, new) = fill_beside(path, access, write)?;
    let kept = if replaces { new.persist(path) } else { new.persist_noclobber(path) };
    kept.map_err(|failed| failed.error)?;
    Ok(folder.sync_all()?)
}

/// Returns the path's directory and a synced temporary file in it.
fn write_beside(path: &Path, access: Access, content: &[u8]) -> io::Result<(File, NamedTempFile)> {
    fill_beside(path, access, |file| file.write_all(content))
}

fn fill_beside<E: From<io::Error>>(
    path: &Path,
    access: Access,
    write: impl FnOnce(&mut File) -> Result<(), E>,
) -> Result<(File, NamedTempFile), E> {
    let name = path.file_name().ok_or(io::Error::from(ErrorKind::InvalidInput))?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    };
    let mut prefix = OsString::from(".");
    prefix.push(name);
    prefix.push(".");
    let mut new = tempfile::Builder::new().prefix(&prefix).suffix(".new").tempfile_in(folder)?;
    write(new.as_file_mut())?;
    if let Some((uid, gid)) = access.owner {
        fchown(new.as_file(), Some(uid), Some(gid))?;
    }
    new.as_file().set_permissions(Permissions::from_mode(access.mode))?;
    new.as_file().sync_all()?;
    Ok((File::open(folder)?, new))
}

#[cfg(test)]
mod tests;
