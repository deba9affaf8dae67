//! Where a handshake message came from.

use std::net::SocketAddr;

/// Where a handshake message came from, as far as a cookie is bound to it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sender<'a> {
    /// By UDP.
    Udp(SocketAddr),
    /// Over the relay, from this node key.
    Relay(&'a [u8; 32]),
}
