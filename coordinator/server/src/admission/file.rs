//! The file of node keys.

use std::path::{Path, PathBuf};

use chassis::{
    durable::Access,
    state::{Format, StateError},
};
use coordinator_core::admission::AdmissionList;

use crate::files::Paths;

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
    FORMAT.read_of_another(path, FILE_MAX)
}
