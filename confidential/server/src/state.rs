//! Folders and files.

use std::{fs::DirBuilder, os::unix::fs::DirBuilderExt as _, path::Path};

use chassis::{
    durable::{self, Access},
    pem::FileError,
};

/// Makes a folder that only its owner may enter, if it does not exist.
pub(crate) fn state_folder(folder: &Path) -> Result<(), FileError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| FileError::caused(folder, "the folder cannot be made", error))
}

/// Makes a new file.
pub(crate) fn create(path: &Path, access: Access, text: &str) -> Result<(), FileError> {
    match durable::create(path, access, text.as_bytes()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(FileError::new(path, "it exists already, and is never replaced")),
        Err(error) => Err(FileError::caused(path, "it cannot be written", error)),
    }
}
