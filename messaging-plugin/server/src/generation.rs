//! Whether this database is the one on which the homeserver last ran with its key.
//!
//! The key and the file beside it are in a folder that no backup holds, so that a copy of the database alone cannot be read,
//! and a restored one is noticed.

use std::{fs, path::Path};

use chassis::{
    durable::{self, Access},
    secret::SecretError,
};

/// The file beside the key with the generation of the database that ran last.
const GENERATION: &str = "generation";

/// The generation of the database that ran last with this key; `None` if it is not known.
pub(crate) fn last(key: &Path) -> Option<u32> {
    fs::read_to_string(key.with_file_name(GENERATION)).ok()?.trim().parse().ok()
}

/// Remembers the generation.
pub(crate) fn remember(key: &Path, generation: u32) -> Result<(), SecretError> {
    let path = key.with_file_name(GENERATION);
    let written = durable::replace(&path, Access::SECRET, format!("{generation}\n").as_bytes());
    written.map_err(|error| SecretError::File(path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_is_remembered_beside_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        assert_eq!(last(&key), None);
        remember(&key, 7).unwrap();
        assert_eq!(last(&key), Some(7));
        fs::write(folder.path().join(GENERATION), "seven").unwrap();
        assert_eq!(last(&key), None);
    }
}
