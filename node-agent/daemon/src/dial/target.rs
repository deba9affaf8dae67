//! The target of a dial.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use common::mesh;
use node_agent_core::netmap::Netmap;
use rustix::net::sockopt;
use tokio::{
    net::{TcpSocket, TcpStream},
    time::timeout,
};

/// How long what was sent may go unconfirmed, in milliseconds (`TCP_USER_TIMEOUT`, tcp(7)).
const UNCONFIRMED_MS: u32 = 120_000;

/// A target cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DialError {
    /// No node has the address.
    #[error(
        "no node of the network has this address: correct it in agent.toml, or approve the node"
    )]
    NoPeer,
    /// This device is not a node, or has no address of that family.
    #[error("this device has no mesh address of that family")]
    NoAddress,
    /// The target or the kernel refused.
    #[error("it cannot be reached ({0})")]
    Refused(io::ErrorKind),
    /// Timeout.
    #[error("it does not answer (for another node: does the policy allow this port?)")]
    Silent,
}

/// One address.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// A loopback or mesh address, or another one with `outside`.
    pub(crate) address: SocketAddr,
    /// Whether it is an outside address.
    pub(crate) outside: bool,
    /// The tunnel's interface.
    pub(crate) interface: String,
}

/// The node that has a mesh address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    stable_id: String,
    /// This node's own address, from which the connection starts.
    from: IpAddr,
}

impl Peer {
    /// The node with this stable id, reached `from` this node's address.
    pub(crate) fn new(stable_id: &str, from: IpAddr) -> Self {
        Self { stable_id: stable_id.to_owned(), from }
    }
}

impl Target {
    /// The peer of the map with this address; `None` for a loopback or outside address.
    pub(crate) fn peer(&self, netmap: &Netmap) -> Result<Option<Peer>, DialError> {
        let to = self.address.ip();
        if to.is_loopback() || self.outside {
            return Ok(None);
        }
        let peer = netmap.peer_at(to).ok_or(DialError::NoPeer)?;
        let fits = |own: &IpAddr| own.is_ipv4() == to.is_ipv4() && mesh::contains(*own);
        let from = netmap.addresses().into_iter().find(fits).ok_or(DialError::NoAddress)?;
        Ok(Some(Peer::new(&peer.stable_id, from)))
    }

    /// Connects; to a peer from this node's mesh address and over the tunnel's interface, independent of routes.
    pub(crate) async fn connect(
        &self,
        peer: &Result<Option<Peer>, DialError>,
        patience: Duration,
    ) -> Result<TcpStream, DialError> {
        let peer = peer.as_ref().map_err(|error| *error)?;
        let connecting = async {
            let socket = self.socket(peer.as_ref())?;
            let stream = socket.connect(self.address).await?;
            let _ = sockopt::set_tcp_user_timeout(&stream, UNCONFIRMED_MS);
            Ok(stream)
        };
        match timeout(patience, connecting).await {
            Ok(connected) => connected.map_err(|error: io::Error| DialError::Refused(error.kind())),
            Err(_) => Err(DialError::Silent),
        }
    }

    fn socket(&self, peer: Option<&Peer>) -> io::Result<TcpSocket> {
        let socket = match self.address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        if let Some(Peer { from, .. }) = peer {
            socket.bind_device(Some(self.interface.as_bytes()))?;
            socket.bind(SocketAddr::new(*from, 0))?;
        }
        Ok(socket)
    }
}
