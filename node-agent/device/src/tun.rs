//! The TUN interface.

use std::{
    fs::{File, OpenOptions},
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    os::unix::fs::OpenOptionsExt,
};

use crate::{
    Error,
    offload::{Feature, OffloadState},
    sys::check,
    udp::{MAX_SEGMENTS, MAX_SEND},
    wire::DATA_OVERHEAD,
};

mod handed_over;
mod limit;
pub(crate) mod read;
mod verdict;
pub(crate) mod write;

pub use handed_over::handed_over;
use handed_over::{Attachment, FLAGS, attachment};
use verdict::Verdicts;

const DEVICE: &str = "/dev/net/tun";
/// A TUN interface, removed with the last descriptor of it.
///
/// Each packet has a header (`IFF_VNET_HDR`), so that one read or write transfers a super-packet of many segments.
pub(crate) struct Tun {
    file: File,
    mtu: usize,
    verdicts: Verdicts,
    /// Whether the interface was there before.
    pub(crate) is_adopted: bool,
}

impl Tun {
    /// Creates the interface `name`: down, without addresses. A `device` that has this interface already keeps it, as it is.
    ///
    /// Of the offloads that `switches` allow, those that the kernel refuses are switched off.
    pub(crate) fn create(
        device: Option<OwnedFd>,
        name: &str,
        mtu: u16,
        switches: &OffloadState,
    ) -> Result<Self, Error> {
        let file = match device {
            Some(device) => {
                let file = File::from(device);
                set_nonblocking(&file).map_err(Error::NoTun)?;
                file
            }
            None => OpenOptions::new()
                .read(true)
                .write(true)
                .custom_flags(libc::O_NONBLOCK)
                .open(DEVICE)
                .map_err(Error::NoTun)?,
        };
        let failed = |source| Error::Interface { interface: name.to_owned(), source };
        let mut request = request_for(name)?;
        request.ifr_ifru.ifru_flags = FLAGS as libc::c_short;
        let is_adopted =
            matches!(attachment(file.as_fd()), Ok(Attachment::Interface(found)) if found == name);
        if !is_adopted {
            let fd = file.as_raw_fd();
            // SAFETY: TUNSETIFF reads one `ifreq`.
            check(unsafe { libc::ioctl(fd, libc::TUNSETIFF as _, &raw const request) })
                .map_err(failed)?;
        }
        set_mtu(name, mtu).map_err(failed)?;
        let mtu = usize::from(mtu);
        let tun = Self { file, mtu, verdicts: Verdicts::default(), is_adopted };
        tun.offload(switches);
        if let Err(error) = limit::set_max_segments(name, max_segments(tun.mtu)) {
            tracing::info!(%error, "the size of {name}'s super-packets cannot be limited: a full one needs two sends");
        }
        Ok(tun)
    }

    pub(crate) fn mtu(&self) -> usize {
        self.mtu
    }

    /// Enables the allowed offloads; if the kernel refuses them, without USO, then none.
    fn offload(&self, switches: &OffloadState) {
        for refused in [&[Feature::Uso][..], &[Feature::Tso4, Feature::Tso6]] {
            let Err(error) = self.set_offload(switches) else { return };
            refused.iter().for_each(|feature| switches.switch_off(*feature, &error));
        }
        // All are off now, which is the default of a new interface.
        let _ = self.set_offload(switches);
    }

    fn set_offload(&self, switches: &OffloadState) -> io::Result<()> {
        let wanted = [
            (Feature::Tso4, libc::TUN_F_TSO4),
            (Feature::Tso6, libc::TUN_F_TSO6),
            (Feature::Uso, libc::TUN_F_USO4 | libc::TUN_F_USO6),
        ];
        let flags = wanted.into_iter().filter(|(feature, _)| switches.has(*feature));
        let flags = flags.fold(0, |flags, (_, flag)| flags | flag);
        // Segmentation needs checksum offload.
        let flags = if flags == 0 { 0 } else { flags | libc::TUN_F_CSUM };
        // SAFETY: TUNSETOFFLOAD takes a number, no pointer.
        let fd = self.file.as_raw_fd();
        check(unsafe { libc::ioctl(fd, libc::TUNSETOFFLOAD as _, libc::c_ulong::from(flags)) })
            .map(drop)
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Segments that fit into one send.
fn max_segments(mtu: usize) -> usize {
    (MAX_SEND / (mtu + DATA_OVERHEAD)).min(MAX_SEGMENTS)
}

fn set_nonblocking(file: &File) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: FIONBIO reads one `int`.
    check(unsafe { libc::ioctl(file.as_raw_fd(), libc::FIONBIO, &raw const on) }).map(drop)
}

fn set_mtu(name: &str, mtu: u16) -> io::Result<()> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None)?;
    let mut request = request_for(name).map_err(io::Error::other)?;
    request.ifr_ifru.ifru_mtu = libc::c_int::from(mtu);
    // SAFETY: SIOCSIFMTU reads one `ifreq`.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFMTU as _, &raw const request) })?;
    Ok(())
}

fn request_for(name: &str) -> Result<libc::ifreq, Error> {
    // SAFETY: all zeros is a valid `ifreq`.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || name.len() >= request.ifr_name.len() || !name.bytes().all(is_plain) {
        return Err(Error::Config("interface names have 1 to 15 letters, digits, '-', '_' or '.'"));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    Ok(request)
}
