//! The router's settings file.

use std::{net::SocketAddr, path::PathBuf};

use serde::Deserialize;

use super::{CA, ServerTls};
use crate::names::REQUEST_MAX;

/// Where the file is, below the root, unless another is named.
pub const FILE: &str = "etc/maru/confidential-router.toml";

/// The router's settings.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where it listens, with TLS. Default: `0.0.0.0:3600`.
    pub listen: SocketAddr,
    /// Its certificate. Default: `etc/maru/confidential/router.crt` and `router.key`; it shows the same one to nodes, so it
    /// is for [`crate::names::role::ROUTER`] beside its own name.
    pub tls: ServerTls,
    /// The nodes.
    pub nodes: Nodes,
    /// Connections at a time. Default: 1,024.
    pub connections: usize,
    /// Connections at a time from one address, or one /64 of IPv6, that is not the gateway's. Default: 64.
    pub connections_per_address: usize,
    /// Longest request, in bytes. Default: 2 MiB.
    pub max_request_bytes: usize,
    /// Longest time until a node begins to answer, in seconds. Default: 300.
    pub answer_s: u64,
    /// Longest time between two pieces of an answer, and until whoever asked takes a further one, in seconds. Default: 600, as
    /// long as a node may work.
    pub idle_s: u64,
    /// Longest time of an answer from its head to its end, in seconds. Default: 900, longer than a node may work.
    pub whole_answer_s: u64,
}

/// The nodes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Nodes {
    /// The authority that their certificates and the gateway's are of, PEM. Default: [`CA`].
    pub ca: PathBuf,
    /// Most of them. Default: 500.
    pub max: usize,
    /// Requests at a time that one of them is asked. Default: 64.
    pub requests: usize,
    /// How long one that says nothing stays, in seconds. Default: 8.
    pub silent_s: u64,
    /// Time between two looks at whether one lives, in seconds. Default: 2.
    pub check_every_s: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: ([0, 0, 0, 0], 3600).into(),
            tls: ServerTls::named("router"),
            nodes: Nodes::default(),
            connections: 1024,
            connections_per_address: 64,
            max_request_bytes: REQUEST_MAX,
            answer_s: 300,
            idle_s: 600,
            whole_answer_s: 900,
        }
    }
}

impl Default for Nodes {
    fn default() -> Self {
        Self { ca: CA.into(), max: 500, requests: 64, silent_s: 8, check_every_s: 2 }
    }
}
