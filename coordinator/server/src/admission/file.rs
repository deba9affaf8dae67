//! The file of node keys.

use std::path::{Path, PathBuf};

use chassis::{
    durable::Access,
    state::{Format, StateError},
};
use coordinator_core::admission::AdmissionList;

use crate::files::{self, Paths};

/// Longest file that is read, in bytes: some ten thousand keys.
const FILE_MAX: u64 = 4 * 1024 * 1024;
/// Its format.
pub(super) const FORMAT: Format<AdmissionList> = Format::new(1)
    .access(Access::READABLE)
    .remedy(|| "remove it; the coordinator writes it again when it starts".into());

/// Where it is.
pub(super) fn path(paths: &Paths) -> PathBuf {
    paths.relay_nodes().join("nodes.json")
}

/// Reads the file; `None` if there is none.
pub(super) fn read(path: &Path) -> Result<Option<AdmissionList>, StateError> {
    match files::read_of_another(path, FILE_MAX) {
        Ok(json) => FORMAT.parse(path, &json).map(Some),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(unreadable(path, source)),
    }
}

pub(super) fn unreadable(path: &Path, source: std::io::Error) -> StateError {
    StateError::Read { path: path.to_owned(), source }
}
