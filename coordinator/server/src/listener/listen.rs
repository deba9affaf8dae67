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
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Backlog of each address.
const BACKLOG: u32 = 1024;

/// Listens on all addresses.
pub(super) struct TcpListeners {
    all: Vec<TcpListener>,
    /// The listener that is polled first, in rotation, so that no address starves the others.
    next: AtomicUsize,
}

impl TcpListeners {
    /// Binds all addresses or none; the error names the address.
    pub(super) fn bind(listen: &Listen) -> Result<Self, (SocketAddr, io::Error)> {
        let one = |address| bind(address, listen).map_err(|error| (address, error));
        let all = listen.addresses().map(one).collect::<Result<_, _>>()?;
        Ok(Self { all, next: AtomicUsize::new(0) })
    }

    /// The first address, with its actual port.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.all.first().ok_or(io::ErrorKind::NotFound)?.local_addr()
    }
}

fn bind(address: SocketAddr, listen: &Listen) -> io::Result<TcpListener> {
    let socket = match address.ip() {
        IpAddr::V4(_) => TcpSocket::new_v4()?,
        IpAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // `[::]` accepts IPv4 too, unless an IPv4 address has the same port.
    let taken = listen.addresses().any(|it| it.is_ipv4() && it.port() == address.port());
    if address.is_ipv6() && taken {
        rustix::net::sockopt::set_ipv6_v6only(&socket, true)?;
    }
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
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
