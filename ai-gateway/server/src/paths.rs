//! Paths of configuration files.

use std::path::{Path, PathBuf};

/// A path of a configuration file, below the root.
pub(crate) fn below(root: &Path, path: &Path) -> PathBuf {
    if path.starts_with(root) && path.is_absolute() {
        return path.to_owned();
    }
    root.join(path.strip_prefix("/").unwrap_or(path))
}
