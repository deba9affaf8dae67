//! A secret of 32 bytes in a file of its own, such as the key under which a daemon seals what it stores.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::durable::{self, Access};

/// The secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Its file cannot be read or made.
    #[error("cannot use the key in {}: check who owns it and its folder", .0.display())]
    File(PathBuf, #[source] io::Error),
    /// It is damaged.
    #[error("the key in {} does not have 32 bytes: copy it from the machine where it was made", .0.display())]
    Length(PathBuf),
    /// The system has no random bytes.
    #[error("the system has no random bytes")]
    Random(#[source] getrandom::Error),
}

/// Reads the secret; makes one, and its folder, if there is none.
///
/// # Errors
///
/// See [`SecretError`]. A damaged file is left as it is.
pub fn load(path: &Path) -> Result<Zeroizing<[u8; 32]>, SecretError> {
    let failed = |error| SecretError::File(path.to_owned(), error);
    if !path.try_exists().map_err(failed)? {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bytes).map_err(SecretError::Random)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        durable::create(path, Access::SECRET, &*bytes).map_err(failed)?;
    }
    read(path)
}

/// Reads the secret.
///
/// # Errors
///
/// [`SecretError::File`], also if there is none; [`SecretError::Length`].
pub fn read(path: &Path) -> Result<Zeroizing<[u8; 32]>, SecretError> {
    let bytes = fs::read(path).map_err(|error| SecretError::File(path.to_owned(), error))?;
    let bytes = Zeroizing::new(bytes);
    let bytes = bytes.as_slice().try_into().map_err(|_| SecretError::Length(path.to_owned()))?;
    Ok(Zeroizing::new(bytes))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_is_made_once_for_its_owner_alone_and_a_damaged_one_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/key");
        let made = load(&path).unwrap();
        assert_ne!(*made, [0; 32]);
        assert_eq!(load(&path).unwrap(), made);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));

        fs::write(&path, "short").unwrap();
        assert!(matches!(load(&path), Err(SecretError::Length(_))));
        assert_eq!(fs::read(&path).unwrap(), b"short");
    }
}
