//! The settings file of the daemon that serves the configuration.

use std::{net::SocketAddr, path::PathBuf};

use super::{ServerTls, Upstream};
use crate::{config::KeySource, signed::PublicKey};

/// The default path of the file.
pub const FILE: &str = "etc/maru/confidential-auth.toml";

settings! {
    /// The settings of auth.
    Settings {
        /// The address of the TLS listener. Default: `0.0.0.0:8080`.
        listen: SocketAddr = ([0, 0, 0, 0], 8080).into(),
        /// Its certificate. Default: `etc/maru/confidential/auth.crt` and `auth.key`.
        tls: ServerTls = ServerTls::named("auth"),
        /// The deployment's identity, base64url, against which the configuration is verified. Default: none; required.
        identity: Option<PublicKey> = None,
        /// The relays, in the order in which clients use them. Default: none; at least one is required.
        relay_urls: Vec<String> = Vec::new(),
        /// The published URL of the router. Default: none; required.
        router_url: String = String::new(),
        /// The gateway, whose URL is published, and from which the bundle is fetched.
        gateway: Upstream = Upstream::default(),
        /// The source of the gateway's keys. Default: `gateway`, whose bundle is published.
        key_source: KeySource = KeySource::Gateway,
        /// File with `OHTTP_SEEDS_JSON`, if the source is `seeds`. Default: none; the environment variable of that name is used.
        seeds_file: Option<PathBuf> = None,
        /// Interval for fetching the gateway's bundle, in seconds. Default: 2.
        refresh_s: u64 = 2,
        /// The policy, signed by the identity. Default: `etc/maru/confidential/policy.json`.
        policy: PathBuf = "etc/maru/confidential/policy.json".into(),
        /// The kinds of evidence, for people. Default: none.
        verifier_hints: Vec<String> = Vec::new(),
        /// The private key that signs the configuration. Default: `etc/maru/confidential/config.key`.
        config_key: PathBuf = "etc/maru/confidential/config.key".into(),
        /// The identity's certificate of it. Default: `etc/maru/confidential/config.json`.
        config_certificate: PathBuf = "etc/maru/confidential/config.json".into(),
        /// The folder of the state. Default: `var/lib/maru/confidential-auth`.
        state: PathBuf = "var/lib/maru/confidential-auth".into(),
        /// Maximum number of connections. Default: 1,024.
        connections: usize = 1024,
        /// Maximum number of connections from one address, or one /64 of IPv6. Default: 64.
        connections_per_address: usize = 64,
    }
}
