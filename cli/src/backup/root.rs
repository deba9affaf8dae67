//! The check for root.

use anyhow::bail;
use messages::message;

/// Refuses every user but root.
pub(crate) fn as_root(command: &str) -> anyhow::Result<()> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    bail!(message!("backup-needs-root", command));
}
