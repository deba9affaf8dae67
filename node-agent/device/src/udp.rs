//! The shared UDP sockets: one per address family, for WireGuard, STUN and disco.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

use socket2::{Domain, Protocol, Socket, Type};

use crate::{
    Error, LocalPorts,
    offload::{Feature, OffloadState},
    sys::check,
};

pub(crate) mod receive;
mod refused;
pub(crate) mod send;

use refused::RefusedDestinations;

/// Messages per `sendmmsg` and `recvmmsg`.
pub(crate) const MESSAGES: usize = 64;
/// Size of the kernel's buffers, for bursts while the thread is not scheduled.
const BUFFER: usize = 7 << 20;
/// Most segments of one send: the limit of kernels before 6.9.
pub(crate) const MAX_SEGMENTS: usize = 64;
/// Most bytes of one send, with all segments: the longest datagram of IPv4.
pub(crate) const MAX_SEND: usize = 65_507;

/// The sockets of both address families.
pub(crate) struct Sockets {
    v4: UdpSocket,
    /// Absent where the kernel has no IPv6.
    v6: Option<UdpSocket>,
    /// Destinations that need single sends.
    pub(crate) refused: RefusedDestinations,
}

impl Sockets {
    /// Binds `port` on both families; 0 lets the kernel choose. Offloads that the kernel refuses are
    /// switched off.
    pub(crate) fn bind(
        port: u16,
        mark: Option<u32>,
        switches: &OffloadState,
    ) -> Result<Self, Error> {
        let failed = |port| move |source| Error::Bind { port, source };
        let v4 = bind((Ipv4Addr::UNSPECIFIED, port).into(), mark).map_err(failed(port))?;
        let chosen = v4.local_addr().map_err(failed(port))?.port();
        let v6 = match bind((Ipv6Addr::UNSPECIFIED, chosen).into(), mark) {
            // The port that the kernel chose for IPv4 is taken in IPv6.
            Err(error) if port == 0 && error.kind() == io::ErrorKind::AddrInUse => {
                bind((Ipv6Addr::UNSPECIFIED, 0).into(), mark).map_err(failed(0)).map(Some)
            }
            Err(error) if is_without_ipv6(&error) => Ok(None),
            other => other.map_err(failed(chosen)).map(Some),
        }?;
        let sockets = Self { v4, v6, refused: RefusedDestinations::default() };
        sockets.offload(switches);
        Ok(sockets)
    }

    /// Enables the offloads. Support does not depend on the family: the IPv4 socket decides.
    fn offload(&self, switches: &OffloadState) {
        if switches.has(Feature::UdpGro) {
            match set_option(&self.v4, libc::SOL_UDP, libc::UDP_GRO, 1) {
                Err(error) => switches.switch_off(Feature::UdpGro, &error),
                Ok(()) => {
                    if let Some(v6) = &self.v6 {
                        let _ = set_option(v6, libc::SOL_UDP, libc::UDP_GRO, 1);
                    }
                }
            }
        }
        // Zero only tests the option; each send sets its own segment length.
        if switches.has(Feature::UdpSegment)
            && let Err(error) = set_option(&self.v4, libc::SOL_UDP, libc::UDP_SEGMENT, 0)
        {
            switches.switch_off(Feature::UdpSegment, &error);
        }
    }

    pub(crate) fn local_ports(&self) -> LocalPorts {
        let port = |socket: &UdpSocket| socket.local_addr().map_or(0, |address| address.port());
        LocalPorts { v4: port(&self.v4), v6: self.v6.as_ref().map(port) }
    }

    pub(crate) fn send_to(&self, to: SocketAddr, message: &[u8]) -> io::Result<()> {
        let socket = self.of(to).ok_or(io::ErrorKind::Unsupported)?;
        socket.send_to(message, to).map(|_| ())
    }

    /// The sockets' descriptors, to wait on.
    pub(crate) fn descriptors(&self) -> [Option<BorrowedFd<'_>>; 2] {
        [Some(self.v4.as_fd()), self.v6.as_ref().map(AsFd::as_fd)]
    }

    fn of(&self, to: SocketAddr) -> Option<&UdpSocket> {
        match to {
            SocketAddr::V4(_) => Some(&self.v4),
            SocketAddr::V6(_) => self.v6.as_ref(),
        }
    }
}

fn bind(address: SocketAddr, mark: Option<u32>) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if let Some(mark) = mark {
        socket.set_mark(mark)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    for option in [libc::SO_RCVBUFFORCE, libc::SO_SNDBUFFORCE] {
        // With CAP_NET_ADMIN beyond the system's limit, else up to it.
        if set_option(&socket, libc::SOL_SOCKET, option, BUFFER as libc::c_int).is_err() {
            let _ = if option == libc::SO_RCVBUFFORCE {
                socket.set_recv_buffer_size(BUFFER)
            } else {
                socket.set_send_buffer_size(BUFFER)
            };
        }
    }
    // Allow fragmentation, for paths with a small MTU whose routers send no ICMP.
    if address.is_ipv4() {
        set_option(&socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DONT)?;
    } else {
        let (name, value) = (libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DONT);
        set_option(&socket, libc::IPPROTO_IPV6, name, value)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn set_option(
    socket: &impl AsRawFd,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let (fd, len) = (socket.as_raw_fd(), size_of_val(&value) as libc::socklen_t);
    // SAFETY: `value` is valid for its length.
    check(unsafe { libc::setsockopt(fd, level, name, (&raw const value).cast(), len) }).map(drop)
}

fn is_without_ipv6(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL | libc::EPROTONOSUPPORT)
    )
}
