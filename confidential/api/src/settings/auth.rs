//! The settings file of the daemon that serves the configuration.

use std::{net::SocketAddr, path::PathBuf};

use serde::Deserialize;

use super::{ServerTls, Upstream};
use crate::{config::KeySource, signed::PublicKey};

/// Where the file is, below the root, unless another is named.
pub const FILE: &str = "etc/maru/confidential-auth.toml";

/// The settings of auth.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where it listens, with TLS. Default: `0.0.0.0:8080`.
    pub listen: SocketAddr,
    /// Its certificate. Default: `etc/maru/confidential/auth.crt` and `auth.key`.
    pub tls: ServerTls,
    /// The deployment's identity, base64url; what is served is checked against it first. Default: none; it must be named.
    pub identity: Option<PublicKey>,
    /// The relays, in the order in which clients try them. Default: none; at least one must be named.
    pub relay_urls: Vec<String>,
    /// The router, as it is published. Default: none; it must be named.
    pub router_url: String,
    /// The gateway: its URL is published, and its bundle is asked for there.
    pub gateway: Upstream,
    /// Where the gateway's keys are from. Default: `gateway`, whose bundle is published.
    pub key_source: KeySource,
    /// File with `OHTTP_SEEDS_JSON`, where the source is `seeds`; the environment's variable of that name is used if this
    /// is not set. Default: none.
    pub seeds_file: Option<PathBuf>,
    /// Time between two questions for the gateway's bundle, in seconds. Default: 2.
    pub refresh_s: u64,
    /// The policy, signed by the identity. Default: `etc/maru/confidential/policy.json`.
    pub policy: PathBuf,
    /// Which evidence there is, for people. Default: none.
    pub verifier_hints: Vec<String>,
    /// The private key that signs the configuration. Default: `etc/maru/confidential/config.key`.
    pub config_key: PathBuf,
    /// The identity's certificate of it. Default: `etc/maru/confidential/config.json`.
    pub config_certificate: PathBuf,
    /// Where the epoch is kept. Default: `var/lib/maru/confidential-auth`.
    pub state: PathBuf,
    /// Connections at a time. Default: 1,024.
    pub connections: usize,
    /// Connections at a time from one address, or one /64 of IPv6. Default: 64.
    pub connections_per_address: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: ([0, 0, 0, 0], 8080).into(),
            tls: ServerTls::named("auth"),
            identity: None,
            relay_urls: Vec::new(),
            router_url: String::new(),
            gateway: Upstream::default(),
            key_source: KeySource::Gateway,
            seeds_file: None,
            refresh_s: 2,
            policy: "etc/maru/confidential/policy.json".into(),
            verifier_hints: Vec::new(),
            config_key: "etc/maru/confidential/config.key".into(),
            config_certificate: "etc/maru/confidential/config.json".into(),
            state: "var/lib/maru/confidential-auth".into(),
            connections: 1024,
            connections_per_address: 64,
        }
    }
}
