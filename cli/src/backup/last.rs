//! When the last backup was made, for `maru metrics`: a backup without one of the databases does not count.

use std::path::Path;

use chassis::state::{Format, StateError};
use coordinator_core::time::{self, Millis};
use serde::{Deserialize, Serialize};

/// The file, below the root.
const FILE: &str = "var/lib/maru/last-backup.json";
const FORMAT: Format<LastBackup> = Format::new(1);

#[derive(Serialize, Deserialize)]
struct LastBackup {
    /// RFC 3339.
    made: String,
}

/// Remembers it.
pub(super) fn made(root: &Path, at: &str) -> Result<(), StateError> {
    FORMAT.write(&root.join(FILE), &LastBackup { made: at.to_owned() })
}

/// When it was made; `None` if none is known.
pub(crate) fn last(root: &Path) -> Option<Millis> {
    let last = FORMAT.read(&root.join(FILE)).ok()??;
    time::parse_rfc3339(&last.made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_is_remembered() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("var/lib/maru")).unwrap();
        assert_eq!(last(root.path()), None);
        made(root.path(), "2026-11-26T10:00:00Z").unwrap();
        made(root.path(), "2026-11-27T10:00:00Z").unwrap();
        assert_eq!(last(root.path()), time::parse_rfc3339("2026-11-27T10:00:00Z"));
    }
}
