//! The key under which the homeserver seals what it stores, and whether this database is the one that it last ran on.
//!
//! Both files are in a folder that no backup holds, so that a copy of the database alone cannot be read, and a restored one
//! is noticed.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use chassis::durable::{self, Access};
use store::seal::Key;
use zeroize::Zeroizing;

/// The file beside the key with the generation of the database that ran last.
const GENERATION: &str = "generation";

/// The key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
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

/// Reads the key; makes one if there is none.
pub(crate) fn load(path: &Path) -> Result<Key, KeyError> {
    let failed = |error| KeyError::File(path.to_owned(), error);
    if !path.try_exists().map_err(failed)? {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bytes).map_err(KeyError::Random)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        durable::create(path, Access::SECRET, &*bytes).map_err(failed)?;
    }
    let bytes = Zeroizing::new(fs::read(path).map_err(failed)?);
    let bytes = bytes.as_slice().try_into().map_err(|_| KeyError::Length(path.to_owned()))?;
    Ok(Key::new(bytes))
}

/// The generation of the database that ran last with this key; `None` if it is not known.
pub(crate) fn generation(key: &Path) -> Option<u32> {
    fs::read_to_string(key.with_file_name(GENERATION)).ok()?.trim().parse().ok()
}

/// Remembers the generation.
pub(crate) fn remember(key: &Path, generation: u32) -> Result<(), KeyError> {
    let path = key.with_file_name(GENERATION);
    let written = durable::replace(&path, Access::SECRET, format!("{generation}\n").as_bytes());
    written.map_err(|error| KeyError::File(path, error))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use store::seal::Cell;

    use super::*;

    const CELL: Cell<'_> = Cell { table: "t", column: "c", row: b"r" };

    #[test]
    fn a_key_is_made_once_for_its_owner_alone_and_a_damaged_one_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/key");
        let sealed = load(&path).unwrap().seal(CELL, b"text").unwrap();
        assert_eq!(load(&path).unwrap().open(CELL, &sealed).unwrap()[..], b"text"[..]);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(
            fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o7777,
            0o700
        );

        fs::write(&path, "short").unwrap();
        assert!(matches!(load(&path), Err(KeyError::Length(_))));
        assert_eq!(fs::read(&path).unwrap(), b"short");
    }

    #[test]
    fn a_generation_is_remembered_beside_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        assert_eq!(generation(&key), None);
        remember(&key, 7).unwrap();
        assert_eq!(generation(&key), Some(7));
        fs::write(folder.path().join(GENERATION), "seven").unwrap();
        assert_eq!(generation(&key), None);
    }
}
