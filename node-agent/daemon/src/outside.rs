//! Sockets of the agent whose packets never enter the tunnel: to peers, relays, STUN servers and the coordinator.
//!
//! They have a mark, by which the rules of routing ([`crate::routing`]) send them out as if there were no exit node and no
//! accepted subnets, and the firewall lets them pass. A socket without the mark is like any other program's.

use std::{future::Future, io, net::SocketAddr, os::fd::AsFd, pin::Pin, time::Duration};

use hickory_resolver::net::runtime::{
    RuntimeProvider, TokioRuntimeProvider, iocompat::AsyncIoTokioAsStd,
};
use socket2::SockRef;
use tokio::{
    net::{TcpSocket, TcpStream, UdpSocket},
    time::timeout,
};

/// The mark: `maru` in ASCII.
pub(crate) const MARK: u32 = 0x6d61_7275;

/// How long a resolver may take to accept a connection.
const RESOLVER_WAIT: Duration = Duration::from_secs(5);

/// Connects to an address outside the mesh.
///
/// # Errors
///
/// The kernel's.
pub(crate) async fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    mark(&socket);
    socket.connect(to).await
}

/// Binds a UDP socket for addresses outside the mesh.
///
/// # Errors
///
/// The kernel's.
pub(crate) async fn udp(local: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(local).await?;
    mark(&socket);
    Ok(socket)
}

/// Marks a socket. Without CAP_NET_ADMIN, which the agent has, it stays an ordinary one: with an exit node, its packets then go
/// into the tunnel and not out beside it.
fn mark<S: AsFd>(socket: &S) {
    if let Err(error) = SockRef::from(socket).set_mark(MARK) {
        tracing::debug!(%error, "a socket has no mark");
    }
}

/// Sockets for looking up the names of coordinator and relays.
#[derive(Clone, Default)]
pub(crate) struct OutsideResolver(TokioRuntimeProvider);

impl RuntimeProvider for OutsideResolver {
    type Handle = <TokioRuntimeProvider as RuntimeProvider>::Handle;
    type Timer = <TokioRuntimeProvider as RuntimeProvider>::Timer;
    type Udp = UdpSocket;
    type Tcp = <TokioRuntimeProvider as RuntimeProvider>::Tcp;

    fn create_handle(&self) -> Self::Handle {
        self.0.create_handle()
    }

    fn connect_tcp(
        &self,
        server: SocketAddr,
        _: Option<SocketAddr>,
        wait: Option<Duration>,
    ) -> Pin<Box<dyn Send + Future<Output = io::Result<Self::Tcp>>>> {
        Box::pin(async move {
            let connected = timeout(wait.unwrap_or(RESOLVER_WAIT), connect(server)).await;
            connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map(AsyncIoTokioAsStd)
        })
    }

    fn bind_udp(
        &self,
        local: SocketAddr,
        _: SocketAddr,
    ) -> Pin<Box<dyn Send + Future<Output = io::Result<Self::Udp>>>> {
        Box::pin(udp(local))
    }
}
