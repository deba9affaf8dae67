//! Hands the machine's key over to the gateway: a file on a tmpfs that its container mounts and cannot change.

use std::{ffi::CString, fs, io, os::unix::fs::MetadataExt as _, path::Path};

use anyhow::Context as _;
use chassis::durable::{self, Access};
use messages::message;
use rustix::{
    io::Errno,
    mount::{MountFlags, UnmountFlags, mount, unmount},
};
use services::{GATEWAY, GATEWAY_KEY};

use super::key::MachineKey;

/// The key's file in the handed-over folder: what `key_file` of `gateway.toml` names.
const FILE: &str = "key";

/// Writes the key where the gateway reads it, in memory alone. The folder is there, for the gateway's group.
pub(crate) fn hand_over(root: &Path, key: &MachineKey) -> anyhow::Result<()> {
    let folder = root.join(GATEWAY_KEY);
    let failed = || message!("machine-key-not-handed-over", path = folder.display());
    if !is_mounted(&folder).with_context(failed)? {
        mount_memory(&folder).with_context(failed)?;
    }
    let access = Access { mode: 0o440, owner: Some((0, GATEWAY)) };
    durable::replace(&folder.join(FILE), access, &*key.0).with_context(failed)
}

/// Whether the gateway has been given the key since this machine started.
pub(crate) fn is_handed_over(root: &Path) -> bool {
    let folder = root.join(GATEWAY_KEY);
    is_mounted(&folder).unwrap_or(false) && folder.join(FILE).exists()
}

/// Takes the key back: it is in no memory of Maru's any more. Errors are ignored, as there may have been none.
pub(crate) fn take_back(root: &Path) {
    let folder = root.join(GATEWAY_KEY);
    if is_mounted(&folder).unwrap_or(false) {
        let _ = fs::remove_file(folder.join(FILE));
        let _ = unmount(&folder, UnmountFlags::DETACH);
    }
}

/// Whether the folder is on a file system other than the one around it.
fn is_mounted(folder: &Path) -> io::Result<bool> {
    let around = folder.parent().unwrap_or(Path::new("/"));
    Ok(fs::metadata(folder)?.dev() != fs::metadata(around)?.dev())
}

/// Mounts a small tmpfs, which is never swapped out if Linux can promise it (from 6.4 on).
fn mount_memory(folder: &Path) -> io::Result<()> {
    let flags = MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::NOSUID;
    let options = format!("size=64k,nr_inodes=16,mode=0750,uid=0,gid={GATEWAY}");
    let mounted = |options: String| {
        let options = CString::new(options).map_err(|_| Errno::INVAL)?;
        mount("tmpfs", folder, "tmpfs", flags, Some(options.as_c_str()))
    };
    let done = match mounted(format!("{options},noswap")) {
        Err(Errno::INVAL) => mounted(options),
        done => done,
    };
    Ok(done?)
}
