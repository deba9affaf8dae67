//! The shared UDP sockets: one per address family, for WireGuard, STUN and disco.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket},
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::{
    Error, LocalPorts,
    batch::Batch,
    outgoing::{Outgoing, To},
    sys::check,
};

/// Messages per `sendmmsg` and `recvmmsg`.
pub(crate) const MESSAGES: usize = 64;
/// Kernel buffers: a burst that arrives while this thread waits for a processor is not lost.
const BUFFER: usize = 7 << 20;
/// How long a full socket is waited for before messages are dropped.
const SEND_WAIT_MS: libc::c_int = 20;

/// The sockets of both address families.
pub(crate) struct Sockets {
    v4: UdpSocket,
    /// Absent where the kernel has no IPv6.
    v6: Option<UdpSocket>,
}

impl Sockets {
    /// Binds `port` on both families; 0 lets the kernel choose.
    pub(crate) fn bind(port: u16) -> Result<Self, Error> {
        let failed = |port| move |source| Error::Bind { port, source };
        let v4 = bind((Ipv4Addr::UNSPECIFIED, port).into()).map_err(failed(port))?;
        let chosen = v4.local_addr().map_err(failed(port))?.port();
        let v6 = match bind((Ipv6Addr::UNSPECIFIED, chosen).into()) {
            // The kernel chose a port that only IPv4 had free.
            Err(error) if port == 0 && error.kind() == io::ErrorKind::AddrInUse => {
                bind((Ipv6Addr::UNSPECIFIED, 0).into()).map_err(failed(0)).map(Some)
            }
            Err(error) if is_without_ipv6(&error) => Ok(None),
            other => other.map_err(failed(chosen)).map(Some),
        }?;
        Ok(Self { v4, v6 })
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

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    for option in [libc::SO_RCVBUFFORCE, libc::SO_SNDBUFFORCE] {
        // Past the system's limit for who may (CAP_NET_ADMIN), up to it for others.
        if set_buffer(&socket, option).is_err() {
            let _ = if option == libc::SO_RCVBUFFORCE {
                socket.set_recv_buffer_size(BUFFER)
            } else {
                socket.set_send_buffer_size(BUFFER)
            };
        }
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn set_buffer(socket: &Socket, option: libc::c_int) -> io::Result<()> {
    let size = BUFFER as libc::c_int;
    // SAFETY: `size` is valid for its length.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw const size).cast(),
            size_of_val(&size) as libc::socklen_t,
        )
    })?;
    Ok(())
}

fn is_without_ipv6(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL | libc::EPROTONOSUPPORT)
    )
}

/// Sends many messages per system call. Owns what the kernel reads, so that nothing is allocated.
pub(crate) struct BatchSender {
    addresses: Vec<SockAddr>,
    parts: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
}

impl BatchSender {
    pub(crate) fn new() -> Self {
        Self {
            addresses: Vec::with_capacity(MESSAGES),
            parts: Vec::with_capacity(MESSAGES),
            headers: Vec::with_capacity(MESSAGES),
        }
    }

    /// Sends what `out` has for UDP. What the kernel does not take is lost.
    pub(crate) fn send(&mut self, sockets: &Sockets, out: &Outgoing) {
        self.send_family(Some(&sockets.v4), out, SocketAddr::is_ipv4);
        self.send_family(sockets.v6.as_ref(), out, SocketAddr::is_ipv6);
    }

    fn send_family(
        &mut self,
        socket: Option<&UdpSocket>,
        out: &Outgoing,
        is_ours: impl Fn(&SocketAddr) -> bool,
    ) {
        let Some(socket) = socket else { return };
        let mut due = out.dispatches.iter().filter_map(|dispatch| match dispatch.to {
            To::Udp(address) if is_ours(&address) => Some((address, dispatch.message)),
            To::Udp(_) | To::Relay(_) => None,
        });
        loop {
            self.addresses.clear();
            self.parts.clear();
            for (address, message) in due.by_ref().take(MESSAGES) {
                let message = out.batch.get(message);
                self.addresses.push(address.into());
                self.parts.push(libc::iovec {
                    iov_base: message.as_ptr().cast_mut().cast(),
                    iov_len: message.len(),
                });
            }
            if self.parts.is_empty() {
                return;
            }
            self.send_parts(socket);
        }
    }

    fn send_parts(&mut self, socket: &UdpSocket) {
        self.headers.clear();
        for (address, part) in self.addresses.iter().zip(&mut self.parts) {
            // SAFETY: all zeros is a valid `mmsghdr`.
            let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
            header.msg_hdr.msg_name = address.as_ptr().cast_mut().cast();
            header.msg_hdr.msg_namelen = address.len();
            header.msg_hdr.msg_iov = part;
            header.msg_hdr.msg_iovlen = 1;
            self.headers.push(header);
        }
        let mut rest = &mut self.headers[..];
        let mut waited = false;
        while !rest.is_empty() {
            // SAFETY: each header points to an address, a part and a message that outlive the
            // call; the kernel reads the messages and does not write to them.
            let sent = check(unsafe {
                libc::sendmmsg(socket.as_raw_fd(), rest.as_mut_ptr(), rest.len() as libc::c_uint, 0)
            });
            let done = match sent {
                Ok(sent) => usize::try_from(sent).unwrap_or(0).max(1),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && !waited => {
                    waited = true;
                    wait_writable(socket);
                    0
                }
                // This one cannot be sent (no route, too long); the next may.
                Err(error) => {
                    tracing::trace!(%error, "datagram not sent");
                    1
                }
            };
            rest = &mut rest[done..];
        }
    }
}

fn wait_writable(socket: &UdpSocket) {
    let mut entry = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    // SAFETY: one valid entry.
    unsafe { libc::poll(&raw mut entry, 1, SEND_WAIT_MS) };
}

/// Receives many datagrams per system call into the slots of a [`Batch`].
pub(crate) struct BatchReceiver {
    slot: usize,
    names: Vec<libc::sockaddr_storage>,
    parts: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
    /// The datagrams; each tag is its number in [`Self::sources`].
    pub(crate) datagrams: Batch,
    pub(crate) sources: Vec<SocketAddr>,
}

impl BatchReceiver {
    /// Room for [`MESSAGES`] datagrams of at most `slot` bytes; longer ones are dropped.
    pub(crate) fn new(slot: usize) -> Self {
        Self {
            slot,
            names: Vec::with_capacity(MESSAGES),
            parts: Vec::with_capacity(MESSAGES),
            headers: Vec::with_capacity(MESSAGES),
            datagrams: Batch::new(MESSAGES, MESSAGES * slot),
            sources: Vec::with_capacity(MESSAGES),
        }
    }

    /// Receives what is there. Returns whether the kernel may have more.
    pub(crate) fn receive(&mut self, socket: BorrowedFd<'_>) -> bool {
        self.prepare();
        // SAFETY: each header points to a name and a part of this receiver, and each part to a
        // slot of the batch's buffer of its own; all outlive the call.
        let received = check(unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                self.headers.len() as libc::c_uint,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        });
        // An error is "nothing there", an interruption, or one that the network reported.
        let received = received.ok().and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
        self.datagrams.clear();
        self.sources.clear();
        for (at, header) in self.headers.iter().take(received).enumerate() {
            let len = header.msg_len as usize;
            let is_whole = header.msg_hdr.msg_flags & libc::MSG_TRUNC == 0;
            if let (true, Some(source)) = (is_whole, socket_address(&self.names[at])) {
                let start = at * self.slot;
                self.datagrams.add(start..start + len, self.sources.len());
                self.sources.push(source);
            }
        }
        received == MESSAGES
    }

    fn prepare(&mut self) {
        self.names.clear();
        self.parts.clear();
        self.headers.clear();
        // SAFETY: all zeros is a valid `sockaddr_storage`.
        self.names.resize(MESSAGES, unsafe { std::mem::zeroed() });
        for slot in self.datagrams.buffer().chunks_exact_mut(self.slot) {
            self.parts
                .push(libc::iovec { iov_base: slot.as_mut_ptr().cast(), iov_len: slot.len() });
        }
        for (name, part) in self.names.iter_mut().zip(&mut self.parts) {
            // SAFETY: all zeros is a valid `mmsghdr`.
            let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
            header.msg_hdr.msg_name = (&raw mut *name).cast();
            header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_hdr.msg_iov = part;
            header.msg_hdr.msg_iovlen = 1;
            self.headers.push(header);
        }
    }
}

/// The address that the kernel wrote.
fn socket_address(name: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match libc::c_int::from(name.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that it is a `sockaddr_in`, which is shorter than the storage
            // and no stricter aligned.
            let name = unsafe { &*(&raw const *name).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from_bits(u32::from_be(name.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, u16::from_be(name.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above, for a `sockaddr_in6`.
            let name = unsafe { &*(&raw const *name).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(name.sin6_addr.s6_addr);
            let port = u16::from_be(name.sin6_port);
            Some(SocketAddrV6::new(ip, port, 0, name.sin6_scope_id).into())
        }
        _ => None,
    }
}
