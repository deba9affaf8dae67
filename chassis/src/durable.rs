//! Files that are whole after a power cut.
//!
//! What is written goes to a file beside the path, is synced, and then takes the path's name; then the directory is
//! synced. Whoever reads meanwhile finds the old content or the new, and so does whoever reads after a crash. A crash may
//! leave the file beside it, whose name begins with a dot and ends with `.new`.

use std::{
    ffi::OsString,
    fs::{File, Permissions},
    io::{self, ErrorKind, Write as _},
    os::unix::fs::{PermissionsExt as _, fchown},
    path::Path,
};

use tempfile::NamedTempFile;

/// Who may do what with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Its mode, whatever the process takes away from the modes of new files.
    pub mode: u32,
    /// Uid and gid of its owner; `None` is who writes it.
    pub owner: Option<(u32, u32)>,
}

impl Access {
    /// Its owner alone reads it.
    pub const SECRET: Self = Self { mode: 0o600, owner: None };
    /// Everybody reads it.
    pub const READABLE: Self = Self { mode: 0o644, owner: None };
}

/// Puts a file in the place of what is there, if anything is. A link in that place is replaced, not followed.
///
/// # Errors
///
/// Fails if the file cannot be written; what was there is then untouched. If only the last step fails, the directory's
/// sync, the file is there, but may be gone after a power cut.
pub fn replace(path: &Path, access: Access, content: &[u8]) -> io::Result<()> {
    let (folder, new) = write_beside(path, access, content)?;
    new.persist(path).map_err(|failed| failed.error)?;
    folder.sync_all()
}

/// Makes a file unless something is there; returns whether it did. Of many that do it at once, one succeeds, and all find
/// its content, whole.
///
/// # Errors
///
/// Fails if the file cannot be written.
pub fn create(path: &Path, access: Access, content: &[u8]) -> io::Result<bool> {
    let (folder, new) = write_beside(path, access, content)?;
    let created = match new.persist_noclobber(path) {
        Ok(_) => true,
        Err(failed) if failed.error.kind() == ErrorKind::AlreadyExists => false,
        Err(failed) => return Err(failed.error),
    };
    // Also if another made it, who may not have come to this step yet.
    folder.sync_all()?;
    Ok(created)
}

/// Writes a file piece by piece. Unless `replaces`, nothing may be in its place.
///
/// # Errors
///
/// Fails if `write` does, or if the file cannot be written; what was there is then untouched.
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

/// The path's directory, and a synced file in it that is removed when it is dropped.
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
