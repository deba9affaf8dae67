//! Who may make backups.

use anyhow::bail;

/// Refuses whoever is not root.
pub(super) fn as_root(command: &str) -> anyhow::Result<()> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    bail!(
        "`maru {command}` needs root: it reads and writes the keys of every service; run it as `sudo maru {command}`"
    );
}
