//! The TUN interface.

use std::{
    fs::{File, OpenOptions},
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    os::unix::fs::OpenOptionsExt,
};

use crate::{
    Error,
    batch::{Batch, NO_TAG, PADDING},
    sys::{check, check_len},
};

const DEVICE: &str = "/dev/net/tun";

/// An interface that exists as long as this does.
///
/// Reading gives a batch of IP packets, writing takes one; with segmentation offload
/// (`IFF_VNET_HDR`) one read will give many and one write take many, behind the same methods.
pub(crate) struct Tun {
    file: File,
    mtu: usize,
}

impl Tun {
    /// Creates the interface `name`: down, without addresses.
    pub(crate) fn create(device: Option<OwnedFd>, name: &str, mtu: u16) -> Result<Self, Error> {
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
        request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
        // SAFETY: TUNSETIFF reads one `ifreq`.
        check(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF as _, &raw const request) })
            .map_err(failed)?;
        set_mtu(name, mtu).map_err(failed)?;
        Ok(Self { file, mtu: usize::from(mtu) })
    }

    pub(crate) fn mtu(&self) -> usize {
        self.mtu
    }

    /// Reads the packets that are there, as many as fit.
    ///
    /// # Errors
    ///
    /// Only if the interface is gone; "nothing there" is an empty batch.
    pub(crate) fn read_batch(&self, packets: &mut Batch) -> io::Result<()> {
        while let Some(room) = packets.room(self.mtu + PADDING) {
            // SAFETY: `room` is valid for `mtu` bytes and more.
            let len =
                unsafe { libc::read(self.file.as_raw_fd(), room.as_mut_ptr().cast(), self.mtu) };
            match check_len(len) {
                Ok(len) => packets.commit_padded(len, NO_TAG),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // EIO: the interface is down. It may come up again.
                Err(error) if error.raw_os_error() == Some(libc::EIO) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Gives a packet to the kernel. What it does not take (interface down, queue full) is lost.
    pub(crate) fn write(&self, packet: &[u8]) {
        // SAFETY: `packet` is valid for its length.
        let len =
            unsafe { libc::write(self.file.as_raw_fd(), packet.as_ptr().cast(), packet.len()) };
        if let Err(error) = check_len(len) {
            tracing::trace!(%error, "packet not taken by the interface");
        }
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
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
