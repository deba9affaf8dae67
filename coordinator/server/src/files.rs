//! Files below the root, and how they are written.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use control_protocol::key::MachinePrivate;

use crate::random;

/// Where the coordinator keeps what.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    root: PathBuf,
}

/// A file of the coordinator cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read or written.
    #[error("cannot use {}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It holds something else than it should.
    #[error("{} does not hold {what}; restore it from a backup", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
}

impl Paths {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.root.join("etc/maru").join(crate::config::FILE)
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.root.join("var/lib/maru/coordinator")
    }

    pub(crate) fn relay(&self) -> PathBuf {
        self.state().join("relay")
    }

    pub(crate) fn admin_socket(&self) -> PathBuf {
        self.root.join("run/maru/coordinator/admin.sock")
    }
}

/// Makes a directory that nobody else reads, and those above it.
pub(crate) fn private_dir(path: &Path) -> Result<(), FileError> {
    let failed = |source| FileError::Io { path: path.to_owned(), source };
    if !path.is_dir() {
        fs::create_dir_all(path).map_err(failed)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(failed)?;
    }
    Ok(())
}

/// Reads a file, or makes it first with what `make` gives.
///
/// Whoever else makes it at the same time, all read the same content: it appears whole, and once.
pub(crate) fn read_or_create(
    path: &Path,
    make: impl FnOnce() -> Vec<u8>,
) -> Result<Vec<u8>, FileError> {
    let failed = |source| FileError::Io { path: path.to_owned(), source };
    match fs::read(path) {
        Ok(content) => return Ok(content),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let temporary = path.with_extension(format!("{}.tmp", random::hex::<8>()));
    let written =
        write_new(&temporary, &make()).and_then(|()| match fs::hard_link(&temporary, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        });
    let _ = fs::remove_file(&temporary);
    written.map_err(failed)?;
    if let Some(parent) = path.parent() {
        fs::File::open(parent).and_then(|dir| dir.sync_all()).map_err(failed)?;
    }
    fs::read(path).map_err(failed)
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Reads the coordinator's Noise key, or makes it.
pub(crate) fn noise_key(paths: &Paths) -> Result<MachinePrivate, FileError> {
    let path = paths.state().join("noise.key");
    let make = || MachinePrivate::from_bytes(random::bytes()).to_text().as_bytes().to_vec();
    let content = read_or_create(&path, make)?;
    let text = std::str::from_utf8(&content).ok().map(str::trim);
    text.and_then(|text| text.parse().ok()).ok_or(FileError::Content { path, what: "a Noise key" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_that_start_at_once_agree_on_one_key() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(dir.path());
        private_dir(&paths.state()).unwrap();

        let keys: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| noise_key(&paths).unwrap().public())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });

        assert!(keys.iter().all(|key| *key == keys[0]));
        let files: Vec<_> = fs::read_dir(paths.state()).unwrap().collect();
        assert_eq!(files.len(), 1, "nothing but the key is left: {files:?}");
        let mode = fs::metadata(paths.state().join("noise.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_broken_key_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(dir.path());
        private_dir(&paths.state()).unwrap();
        fs::write(paths.state().join("noise.key"), "privkey:zz").unwrap();

        assert!(matches!(noise_key(&paths), Err(FileError::Content { .. })));
        assert_eq!(fs::read(paths.state().join("noise.key")).unwrap(), b"privkey:zz");
    }
}
