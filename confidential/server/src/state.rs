//! Folders of state.

use std::{fs::DirBuilder, os::unix::fs::DirBuilderExt as _, path::Path};

use chassis::pem::FileError;

/// Makes a folder that its owner alone may enter, if it is not there.
pub(crate) fn state_folder(folder: &Path) -> Result<(), FileError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| FileError::caused(folder, "the folder cannot be made", error))
}
