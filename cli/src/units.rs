//! The installed appliance, whose services systemd starts: whether they run, when they are ready, and which model they use.
//!
//! Units serve the root `/` alone; `maru up` runs at any root.

use std::path::Path;

use anyhow::bail;
use messages::message;
use services::SERVICES;

pub(crate) mod engines;
pub(crate) mod journalctl;
pub(crate) mod ready;
pub(crate) mod systemctl;

/// Whether systemd runs services of the instance at `root`.
pub(crate) async fn are_active(root: &Path) -> bool {
    if root != Path::new("/") {
        return false;
    }
    let mut units: Vec<_> =
        SERVICES.iter().map(|service| format!("{}.service", service.unit())).collect();
    units.push(systemctl::TARGET.to_owned());
    systemctl::is_any_active(&units).await
}

/// Whether the units of the instance at `root` are installed on a machine that systemd runs, whether they run or not.
pub(crate) async fn are_installed(root: &Path) -> bool {
    root == Path::new("/")
        && systemctl::is_booted()
        && systemctl::is_installed(systemctl::TARGET).await
}

/// Fails if systemd runs services of the instance at `root`.
pub(crate) async fn refuse_beside(root: &Path) -> anyhow::Result<()> {
    if are_active(root).await {
        bail!(message!("units-run", target = systemctl::TARGET));
    }
    Ok(())
}
