//! The way of the mesh to the services, which an update closes while the new version may still be taken back.
//!
//! The agent, which runs meanwhile, reaches a service by the folder of its socket. Without the group's rights it does not, and
//! ends connections as if nobody listened. A start of the machine opens the folders again: they are on a tmpfs. So does
//! `maru-upgrade.service` once the update is taken back, whose `maru` may not.

use std::{
    fs::{self, Permissions},
    io::ErrorKind,
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use anyhow::Context as _;
use messages::message;
use services::AGENT_SERVICE;

/// What the group of a folder may do.
const GROUP: u32 = 0o070;

/// Closes the services of the instance at `root`.
pub(super) fn close(root: &Path) -> anyhow::Result<()> {
    set(root, |mode| mode & !GROUP)
}

/// Opens them.
pub(super) fn open(root: &Path) -> anyhow::Result<()> {
    set(root, |mode| mode)
}

fn set(root: &Path, of: impl Fn(u32) -> u32) -> anyhow::Result<()> {
    for link in AGENT_SERVICE.calls {
        let folder = root.join(link.directory());
        match fs::set_permissions(&folder, Permissions::from_mode(of(link.mode))) {
            // A device has no services.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            result => {
                result.with_context(|| message!("file-not-saved", path = folder.display()))?
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use services::mesh_services;

    use super::*;

    #[test]
    fn the_agent_reaches_no_service_until_the_door_opens() {
        let root = tempfile::tempdir().unwrap();
        close(root.path()).unwrap();
        let links: Vec<_> =
            mesh_services().into_iter().map(|(service, _)| service.listens[0]).collect();
        assert!(!links.is_empty());
        for link in &links {
            fs::create_dir_all(root.path().join(link.directory())).unwrap();
        }
        let modes = || -> Vec<_> {
            let folders = links.iter().map(|link| root.path().join(link.directory()));
            folders.map(|it| it.metadata().unwrap().permissions().mode() & 0o7777).collect()
        };
        close(root.path()).unwrap();
        assert!(modes().iter().all(|mode| mode & 0o077 == 0), "{:?}", modes());
        open(root.path()).unwrap();
        assert_eq!(modes(), links.iter().map(|link| link.mode).collect::<Vec<_>>());
    }
}
