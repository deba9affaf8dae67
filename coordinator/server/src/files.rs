//! The coordinator's files below the root.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use chassis::durable::{self, Access};
use control_protocol::key::MachinePrivate;

use crate::random;

/// Paths of the coordinator's files.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    root: PathBuf,
}

/// A file of the coordinator cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read or written.
    #[error("cannot use {}", .0.display())]
    Io(PathBuf, #[source] io::Error),
    /// It does not contain what it should.
    #[error("{} does not hold {}; restore it from a backup", .0.display(), .1)]
    Content(PathBuf, &'static str),
    /// Another Noise key than the network's.
    #[error(
        "{} is another key than the Noise key of the network in the database, which several coordinators share: move the file \
         away if no device uses this coordinator's former network; otherwise make the database anew, and start this \
         coordinator first",
        .0.display()
    )]
    OtherNoiseKey(PathBuf),
    /// A Noise key that is missing, although the network has one.
    #[error(
        "{} is missing, and the network's Noise key is sealed in the database: set [shared] in coordinator.toml, as the \
         coordinators had it",
        .0.display()
    )]
    SealedNoiseKey(PathBuf),
    /// The key of several coordinators.
    #[error(
        "{} does not hold 64 hexadecimal digits; make it once with `openssl rand -hex 32`, and copy it to every coordinator",
        .0.display()
    )]
    SharedKey(PathBuf),
}

impl Paths {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.root.join("var/lib/maru/coordinator")
    }

    /// The relay's state, owned by its own user.
    pub(crate) fn relay(&self) -> PathBuf {
        self.root.join("var/lib/maru/relay")
    }

    /// The directory with the list of nodes for the relay.
    pub(crate) fn relay_nodes(&self) -> PathBuf {
        self.root.join("var/lib/maru/relay-nodes")
    }

    /// The directory with the list of people and nodes for telmeet.
    pub(crate) fn telmeet_members(&self) -> PathBuf {
        self.root.join("var/lib/maru/telmeet-members")
    }

    pub(crate) fn metrics_socket(&self) -> PathBuf {
        services::COUNTERS.path(&self.root)
    }

    pub(crate) fn admin_socket(&self) -> PathBuf {
        self.root.join("run/maru/coordinator/admin.sock")
    }
}

/// Creates a directory and its parents. An existing one keeps its mode.
pub(crate) fn make_dir(path: &Path, mode: u32) -> Result<(), FileError> {
    let failed = |error| FileError::Io(path.to_owned(), error);
    if !path.is_dir() {
        fs::create_dir_all(path).map_err(failed)?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed)?;
    }
    Ok(())
}

/// Reads a file; if it is missing, creates it with the content that `make` returns.
///
/// The file is created atomically, so that concurrent callers read the same content.
pub(crate) fn read_or_create<E: From<FileError>>(
    path: &Path,
    access: Access,
    make: impl FnOnce() -> Result<Vec<u8>, E>,
) -> Result<Vec<u8>, E> {
    let failed = |error| FileError::Io(path.to_owned(), error);
    match fs::read(path) {
        Ok(content) => return Ok(content),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error).into()),
    }
    durable::create(path, access, &make()?).map_err(failed)?;
    Ok(fs::read(path).map_err(failed)?)
}

/// The file with the Noise key of a coordinator that is alone on its database.
fn noise_key_file(paths: &Paths) -> PathBuf {
    paths.state().join("noise.key")
}

/// Refuses to go on with a key of this coordinator that is not the network's.
pub(crate) fn check_noise_key(paths: &Paths, network: &MachinePrivate) -> Result<(), FileError> {
    let path = noise_key_file(paths);
    if path.exists() && noise_key(paths)?.public() != network.public() {
        return Err(FileError::OtherNoiseKey(path));
    }
    Ok(())
}

/// Refuses to make another key for a network that has one in its database.
pub(crate) fn has_noise_key(paths: &Paths) -> Result<(), FileError> {
    let path = noise_key_file(paths);
    if path.exists() { Ok(()) } else { Err(FileError::SealedNoiseKey(path)) }
}

/// A Noise key for several coordinators: the one that this coordinator had when it was alone, or a new one.
pub(crate) fn first_noise_key(paths: &Paths) -> Result<MachinePrivate, FileError> {
    if noise_key_file(paths).exists() {
        return noise_key(paths);
    }
    Ok(MachinePrivate::from_bytes(random::bytes()))
}

/// Reads the coordinator's Noise key, or creates it.
pub(crate) fn noise_key(paths: &Paths) -> Result<MachinePrivate, FileError> {
    let path = noise_key_file(paths);
    let make = || MachinePrivate::from_bytes(random::bytes()).to_text().as_bytes().to_vec();
    let content = read_or_create(&path, Access::SECRET, || Ok::<_, FileError>(make()))?;
    let text = std::str::from_utf8(&content).ok().map(str::trim);
    text.and_then(|text| text.parse().ok()).ok_or(FileError::Content(path, "a Noise key"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_that_start_at_once_agree_on_one_key() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(dir.path());
        make_dir(&paths.state(), 0o700).unwrap();

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
        make_dir(&paths.state(), 0o700).unwrap();
        fs::write(paths.state().join("noise.key"), "privkey:zz").unwrap();

        assert!(matches!(noise_key(&paths), Err(FileError::Content(..))));
        assert_eq!(fs::read(paths.state().join("noise.key")).unwrap(), b"privkey:zz");
    }
}
