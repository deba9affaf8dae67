//! Who may make backups.

use anyhow::bail;
use messages::message;

/// Refuses whoever is not root.
pub(super) fn as_root(command: &str) -> anyhow::Result<()> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    bail!(message!("backup-needs-root", command));
}
