//! Why a device cannot be started.

use std::io;

/// A device could not be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration cannot work.
    #[error("{0}")]
    Config(&'static str),
    /// `/dev/net/tun` cannot be opened.
    #[error(
        "cannot open /dev/net/tun (load the tun module, or pass the device into the container)"
    )]
    NoTun(#[source] io::Error),
    /// The interface cannot be created.
    #[error(
        "cannot create the interface {interface} (is another agent running? it needs CAP_NET_ADMIN)"
    )]
    Interface {
        /// Its name.
        interface: String,
        /// Why not.
        source: io::Error,
    },
    /// The UDP port cannot be bound.
    #[error("cannot listen on UDP port {port} (choose another listen_port, or stop what uses it)")]
    Bind {
        /// The port.
        port: u16,
        /// Why not.
        source: io::Error,
    },
    /// A thread or the descriptor that wakes it cannot be made.
    #[error("cannot start the packet threads")]
    Threads(#[source] io::Error),
}
