//! The device: what is shared by the threads, and the handle that stops them.

use std::{io, net::SocketAddr, sync::Arc};

use node_agent_core::filter::PacketFilter;

use crate::{Config, Error, Host, LocalPorts, Peer, PeerStats};

/// A running WireGuard device. Dropping it stops its threads and removes the interface.
pub struct Device {}

impl Device {
    /// Creates the interface (down, without address), binds the sockets, starts the threads.
    ///
    /// Without a filter ([`Self::set_filter`]) nothing is let in but replies.
    ///
    /// # Errors
    ///
    /// See [`Error`]; nothing is left behind.
    pub fn start(_config: Config, _host: Arc<dyn Host>) -> Result<Self, Error> {
        unimplemented!()
    }

    /// Replaces the peers. Sessions of keys that stay are kept; a removed peer is cut at once.
    pub fn set_peers(&self, _peers: Vec<Peer>) {}

    /// Replaces the packet filter.
    pub fn set_filter(&self, _filter: Arc<PacketFilter>) {}

    /// Takes a WireGuard message that the relay delivered from the node key `from`.
    pub fn handle_relayed(&self, _from: &[u8; 32], _packet: &[u8]) {}

    /// Sends a datagram that is not WireGuard's from the shared sockets (STUN, disco).
    ///
    /// # Errors
    ///
    /// The kernel's, for example when the address family has no route.
    pub fn send(&self, _to: SocketAddr, _packet: &[u8]) -> io::Result<()> {
        Ok(())
    }

    /// What is known of each peer.
    #[must_use]
    pub fn peer_stats(&self) -> Vec<PeerStats> {
        vec![]
    }

    /// The UDP ports in use.
    #[must_use]
    pub fn local_ports(&self) -> LocalPorts {
        LocalPorts { v4: 0, v6: None }
    }
}
