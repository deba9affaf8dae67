//! The relay's settings file.

use std::net::SocketAddr;

use serde::Deserialize;

use super::{ServerTls, Upstream};
use crate::names::REQUEST_MAX;

/// Where the file is, below the root, unless another is named.
pub const FILE: &str = "etc/maru/confidential-relay.toml";

/// The relay's settings.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where it listens, with TLS. Default: `0.0.0.0:3100`.
    pub listen: SocketAddr,
    /// Its certificate. Default: `etc/maru/confidential/relay.crt` and `relay.key`.
    pub tls: ServerTls,
    /// The gateway that it passes everything on to.
    pub gateway: Upstream,
    /// Connections at a time. Default: 1,024.
    pub connections: usize,
    /// Connections at a time from one address, or one /64 of IPv6. Default: 64.
    pub connections_per_address: usize,
    /// Longest request, in bytes. Default: 2 MiB.
    pub max_request_bytes: usize,
    /// Longest time until the gateway begins to answer, in seconds. Default: 360, a little more than the gateway waits.
    pub answer_s: u64,
    /// Longest time between two pieces of an answer, and until whoever asked takes a further one, in seconds. Default: 600, as
    /// long as a node may work.
    pub idle_s: u64,
    /// Longest time of an answer from its head to its end, in seconds. Default: 900, longer than a node may work.
    pub whole_answer_s: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: ([0, 0, 0, 0], 3100).into(),
            tls: ServerTls::named("relay"),
            gateway: Upstream::default(),
            connections: 1024,
            connections_per_address: 64,
            max_request_bytes: REQUEST_MAX,
            answer_s: 360,
            idle_s: 600,
            whole_answer_s: 900,
        }
    }
}
