//! The router's settings file.

use std::{net::SocketAddr, path::PathBuf};

use super::{CA, ServerTls};
use crate::names::REQUEST_MAX;

/// The default path of the file.
pub const FILE: &str = "etc/maru/confidential-router.toml";

settings! {
    /// The router's settings.
    Settings {
        /// The address of the TLS listener. Default: `0.0.0.0:3600`.
        listen: SocketAddr = ([0, 0, 0, 0], 3600).into(),
        /// Its certificate. Default: `etc/maru/confidential/router.crt` and `router.key`. It is the client
        /// certificate, too, so it must have the name [`crate::names::role::ROUTER`].
        tls: ServerTls = ServerTls::named("router"),
        /// The nodes.
        nodes: Nodes = Nodes::default(),
        /// Maximum number of connections. Default: 1,024.
        connections: usize = 1024,
        /// Maximum number of connections from one address, or one /64 of IPv6, except the gateway's. Default: 64.
        connections_per_address: usize = 64,
        /// Longest request, in bytes. Default: 2 MiB.
        max_request_bytes: usize = REQUEST_MAX,
        /// Longest time until a node responds, in seconds. Default: 300.
        answer_s: u64 = 300,
        /// Longest time between two parts of a response, received or sent, in seconds. Default: 600, as long as a node may work.
        idle_s: u64 = 600,
        /// Longest time for a response from its head to its end, in seconds. Default: 900, longer than a node may work.
        whole_answer_s: u64 = 900,
    }
}

settings! {
    /// The nodes.
    Nodes {
        /// The certificate authority of the nodes and the gateway, PEM. Default: [`CA`].
        ca: PathBuf = CA.into(),
        /// Maximum number of nodes. Default: 500.
        max: usize = 500,
        /// Maximum number of open requests of a node. Default: 64.
        requests: usize = 64,
        /// Time after which a node without heartbeat is removed, in seconds. Default: 8.
        silent_s: u64 = 8,
        /// Interval of health checks, in seconds. Default: 2.
        check_every_s: u64 = 2,
    }
}
