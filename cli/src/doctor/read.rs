//! Files of the system.

use std::path::PathBuf;

/// The text of a file; empty if it cannot be read.
pub(super) fn read(path: impl Into<PathBuf>) -> String {
    std::fs::read_to_string(path.into()).unwrap_or_default()
}
