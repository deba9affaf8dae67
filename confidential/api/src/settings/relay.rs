//! The relay's settings file.

use std::net::SocketAddr;

use super::{ServerTls, Upstream};
use crate::names::REQUEST_MAX;

/// The default path of the file.
pub const FILE: &str = "etc/maru/confidential-relay.toml";

settings! {
    /// The relay's settings.
    Settings {
        /// The address of the TLS listener. Default: `0.0.0.0:3100`.
        listen: SocketAddr = ([0, 0, 0, 0], 3100).into(),
        /// Its certificate. Default: `etc/maru/confidential/relay.crt` and `relay.key`.
        tls: ServerTls = ServerTls::named("relay"),
        /// The gateway.
        gateway: Upstream = Upstream::default(),
        /// Maximum number of connections. Default: 1,024.
        connections: usize = 1024,
        /// Maximum number of connections from one address, or one /64 of IPv6. Default: 64.
        connections_per_address: usize = 64,
        /// Longest request, in bytes. Default: 2 MiB.
        max_request_bytes: usize = REQUEST_MAX,
        /// Longest time until the gateway responds, in seconds. Default: 360, a little more than the gateway waits.
        answer_s: u64 = 360,
        /// Longest time between two parts of a response, received or sent, in seconds. Default: 600, as long as a node may work.
        idle_s: u64 = 600,
        /// Longest time for a response from its head to its end, in seconds. Default: 900, longer than a node may work.
        whole_answer_s: u64 = 900,
    }
}
