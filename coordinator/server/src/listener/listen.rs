//! Several addresses, as one listener.

use std::{
    future::poll_fn,
    io,
    net::{IpAddr, SocketAddr},
    sync::atomic::{AtomicUsize, Ordering},
    task::Poll,
};

use chassis::accept::Listener;
use coordinator_api::settings::Listen;
use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, socket_with},
};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};

/// Backlog of each address.
const BACKLOG: u32 = 1024;

/// Listens on all addresses.
pub(crate) struct TcpListeners {
    all: Vec<TcpListener>,
    /// The listener that is polled first, in rotation, so that no address starves the others.
    next: AtomicUsize,
}

impl TcpListeners {
    /// Binds all addresses or none; the error names the address. A machine without IPv6 goes without its wildcard.
    pub(crate) fn bind(listen: &Listen) -> Result<Self, (SocketAddr, io::Error)> {
        let all = bind_all(listen, |address, v6_only| {
            let socket = match address.ip() {
                IpAddr::V4(_) => TcpSocket::new_v4()?,
                IpAddr::V6(_) => TcpSocket::new_v6()?,
            };
            if v6_only {
                rustix::net::sockopt::set_ipv6_v6only(&socket, true)?;
            }
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            socket.listen(BACKLOG)
        })?;
        Ok(Self { all, next: AtomicUsize::new(0) })
    }

    /// The first address, with its actual port.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.all.first().ok_or(io::ErrorKind::NotFound)?.local_addr()
    }
}

/// Binds a UDP socket for each address; otherwise as [`TcpListeners::bind`].
pub(crate) fn bind_udp(listen: &Listen) -> Result<Vec<UdpSocket>, (SocketAddr, io::Error)> {
    bind_all(listen, |address, v6_only| {
        let family = match address.ip() {
            IpAddr::V4(_) => AddressFamily::INET,
            IpAddr::V6(_) => AddressFamily::INET6,
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(family, SocketType::DGRAM, flags, None)?;
        if v6_only {
            rustix::net::sockopt::set_ipv6_v6only(&socket, true)?;
        }
        rustix::net::bind(&socket, &address)?;
        UdpSocket::from_std(socket.into())
    })
}

/// Calls `bind` for each address, and says whether its socket must leave IPv4 to another: `[::]` takes IPv4 too, unless an IPv4
/// address has the same port.
fn bind_all<T>(
    listen: &Listen,
    bind: impl Fn(SocketAddr, bool) -> io::Result<T>,
) -> Result<Vec<T>, (SocketAddr, io::Error)> {
    let mut all = Vec::new();
    for address in listen.addresses() {
        let taken = listen.addresses().any(|it| it.is_ipv4() && it.port() == address.port());
        match bind(address, address.is_ipv6() && taken) {
            Ok(bound) => all.push(bound),
            Err(error) if listen.is_optional(address) && is_without_ipv6(&error) => {
                tracing::debug!(%address, "this machine has no IPv6");
            }
            Err(error) => return Err((address, error)),
        }
    }
    Ok(all)
}

fn is_without_ipv6(error: &io::Error) -> bool {
    let code = Errno::from_io_error(error);
    matches!(code, Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL | Errno::PROTONOSUPPORT))
}

impl Listener for TcpListeners {
    type Stream = TcpStream;
    type Peer = SocketAddr;

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let first = self.next.fetch_add(1, Ordering::Relaxed) % self.all.len().max(1);
        poll_fn(|context| {
            let (before, from) = self.all.split_at(first);
            for listener in from.iter().chain(before) {
                if let Poll::Ready(accepted) = listener.poll_accept(context) {
                    return Poll::Ready(accepted);
                }
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_families_are_listened_on_at_one_port() {
        let free = lab::free_port().unwrap().port();
        let all = [SocketAddr::from(([0; 4], free)), SocketAddr::from(([0_u16; 8], free))];
        let listeners = TcpListeners::bind(&Listen::new(&all).unwrap()).unwrap();

        for address in
            [SocketAddr::from(([127, 0, 0, 1], free)), format!("[::1]:{free}").parse().unwrap()]
        {
            let client = TcpStream::connect(address).await.unwrap();
            let (_, peer) = listeners.accept().await.unwrap();
            assert_eq!(peer, client.local_addr().unwrap());
        }
        let (busy, _) = TcpListeners::bind(&all[1].into()).err().unwrap();
        assert_eq!(busy, all[1]);
    }
}
