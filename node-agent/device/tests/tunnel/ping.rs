//! ICMP echo, without a program that a machine may lack.

use std::{
    collections::HashSet,
    io,
    mem::MaybeUninit,
    net::{IpAddr, SocketAddr},
    os::fd::AsRawFd,
    time::{Duration, Instant},
};

use socket2::{Domain, Protocol, Socket, Type};

/// How long after the last ping answers are waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// What to send.
#[derive(Clone, Copy)]
pub(crate) struct Ping {
    pub(crate) from: IpAddr,
    pub(crate) to: IpAddr,
    pub(crate) count: u16,
    pub(crate) interval: Duration,
    /// Bytes after the ICMP header.
    pub(crate) size: usize,
    /// Whether the packet may be cut.
    pub(crate) fragment: bool,
}

impl Ping {
    /// How many are answered. Runs in the caller's network.
    pub(crate) fn run(self) -> u32 {
        let socket = self.socket().unwrap();
        let identifier = (std::process::id() as u16).wrapping_add(socket.as_raw_fd() as u16);
        let mut answered = HashSet::new();
        let start = Instant::now();
        for sequence in 0..self.count {
            let message = self.message(identifier, sequence);
            // A full queue or a link that is down is a ping that is lost.
            let _ = socket.send_to(&message, &SocketAddr::new(self.to, 0).into());
            let until = start + self.interval * (u32::from(sequence) + 1);
            self.collect(&socket, identifier, until, &mut answered);
        }
        let until = Instant::now() + PATIENCE;
        self.collect(&socket, identifier, until, &mut answered);
        answered.len() as u32
    }

    fn socket(&self) -> io::Result<Socket> {
        let (domain, protocol) = match self.to {
            IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
            IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
        };
        let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
        socket.bind(&SocketAddr::new(self.from, 0).into())?;
        if !self.fragment {
            let (level, option, value) = match self.to {
                IpAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DO),
                IpAddr::V6(_) => {
                    (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DO)
                }
            };
            // SAFETY: `value` is valid for its length.
            let result = unsafe {
                let len = size_of_val(&value) as libc::socklen_t;
                libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), len)
            };
            assert_eq!(result, 0);
        }
        Ok(socket)
    }

    fn message(&self, identifier: u16, sequence: u16) -> Vec<u8> {
        let kind = if self.to.is_ipv4() { 8 } else { 128 };
        let mut message = vec![kind, 0, 0, 0];
        message.extend(identifier.to_be_bytes());
        message.extend(sequence.to_be_bytes());
        message.extend((0..self.size).map(|at| at as u8));
        if self.to.is_ipv4() {
            let mut sum: u32 = message
                .chunks(2)
                .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)))
                .sum();
            while sum >> 16 != 0 {
                sum = (sum & 0xffff) + (sum >> 16);
            }
            message[2..4].copy_from_slice(&(!(sum as u16)).to_be_bytes());
        }
        message
    }

    fn collect(
        &self,
        socket: &Socket,
        identifier: u16,
        until: Instant,
        answered: &mut HashSet<u16>,
    ) {
        let mut buffer = [const { MaybeUninit::uninit() }; 65536];
        while answered.len() < usize::from(self.count) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            socket.set_read_timeout(Some(left.max(Duration::from_millis(1)))).unwrap();
            let Ok((len, from)) = socket.recv_from(&mut buffer) else { continue };
            // SAFETY: the kernel wrote `len` bytes.
            let bytes: Vec<u8> =
                buffer[..len].iter().map(|byte| unsafe { byte.assume_init() }).collect();
            let message = if self.to.is_ipv4() {
                &bytes[usize::from(bytes[0] & 15) * 4..]
            } else {
                &bytes[..]
            };
            let mine = message.get(4..6) == Some(&identifier.to_be_bytes()[..]);
            let is_reply = message.first() == Some(&if self.to.is_ipv4() { 0 } else { 129 });
            if mine && is_reply && from.as_socket().is_some_and(|from| from.ip() == self.to) {
                let sequence = u16::from_be_bytes([message[6], message[7]]);
                assert_eq!(
                    message[8..],
                    self.message(identifier, sequence)[8..],
                    "content changed"
                );
                answered.insert(sequence);
            }
        }
        std::thread::sleep(until.saturating_duration_since(Instant::now()).min(self.interval));
    }
}
