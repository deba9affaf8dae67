//! A TUN that an earlier process left with the service manager (`LISTEN_FDS` in `sd_listen_fds(3)`).

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
    sync::atomic::{AtomicBool, Ordering},
};

use crate::sys::check;

/// How our interfaces are made.
pub(super) const FLAGS: libc::c_int = libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR;

/// What a descriptor of `/dev/net/tun` has.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Attachment {
    /// No interface yet, or none any more.
    Nothing,
    /// This interface, made as ours are.
    Interface(String),
    /// An interface of another kind.
    Other,
}

/// Takes what the service manager hands to this process as `name`, if that is a TUN with `interface` or without any interface.
/// Everything else that it hands over is closed. A second call returns `None`.
#[must_use]
pub fn handed_over(name: &str, interface: &str) -> Option<OwnedFd> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::Relaxed) {
        return None;
    }
    let all = sd_notify::listen_fds_with_names()
        .inspect_err(
            |error| tracing::warn!(%error, "what the service manager handed over is not used"),
        )
        .ok()?;
    // SAFETY: the service manager opened them for this process, and nobody takes them twice.
    let all = all.map(|(fd, is)| (unsafe { OwnedFd::from_raw_fd(fd) }, is));
    all.filter(|(fd, is)| {
        let is_ours = is == name && is_for(fd.as_fd(), interface);
        if !is_ours {
            tracing::warn!(
                name = is,
                "the service manager handed over what is no TUN of ours: closed"
            );
        }
        is_ours
    })
    .last()
    .map(|(fd, _)| fd)
}

fn is_for(fd: BorrowedFd<'_>, interface: &str) -> bool {
    match attachment(fd) {
        Ok(Attachment::Nothing) => true,
        Ok(Attachment::Interface(found)) => found == interface,
        Ok(Attachment::Other) | Err(_) => false,
    }
}

/// Fails for a descriptor of something else.
pub(super) fn attachment(device: BorrowedFd<'_>) -> io::Result<Attachment> {
    // SAFETY: all zeros is a valid `ifreq`.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    let fd = device.as_raw_fd();
    // SAFETY: TUNGETIFF writes one `ifreq`.
    match check(unsafe { libc::ioctl(fd, libc::TUNGETIFF as _, &raw mut request) }) {
        Ok(_) => {}
        Err(error) if error.raw_os_error() == Some(libc::EBADFD) => return Ok(Attachment::Nothing),
        Err(error) => return Err(error),
    }
    // SAFETY: TUNGETIFF has set the flags.
    let flags = libc::c_int::from(unsafe { request.ifr_ifru.ifru_flags });
    if flags != FLAGS {
        return Ok(Attachment::Other);
    }
    let name = request.ifr_name.iter().take_while(|byte| **byte != 0).map(|byte| *byte as u8);
    Ok(String::from_utf8(name.collect()).map_or(Attachment::Other, Attachment::Interface))
}
