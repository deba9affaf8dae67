//! What the device asks of the process that runs it.

use std::net::SocketAddr;

/// What the device asks of the process that runs it.
///
/// Both methods are called on the packet threads and must not block; neither is called with a
/// lock held, so calling back into the device is allowed.
pub trait Host: Send + Sync {
    /// Sends a WireGuard message to the peer with the node key `to` over the relay, if it can.
    fn relay(&self, to: &[u8; 32], packet: &[u8]);

    /// Takes a datagram from the shared UDP socket that is not WireGuard's (STUN, disco).
    fn foreign(&self, from: SocketAddr, packet: &[u8]);
}
