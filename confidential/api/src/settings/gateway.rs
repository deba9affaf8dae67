//! The gateway's settings file.

use std::{net::SocketAddr, path::PathBuf};

use serde::Deserialize;

use super::{ServerTls, Upstream};
use crate::{config::KeySource, names::REQUEST_MAX};

/// Where the file is, below the root, unless another is named.
pub const FILE: &str = "etc/maru/confidential-gateway.toml";

/// The gateway's settings.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where it listens, with TLS. Default: `0.0.0.0:3200`.
    pub listen: SocketAddr,
    /// Where it also listens without TLS, for a relay on this machine: a loopback address. Default: none.
    pub listen_plain: Option<SocketAddr>,
    /// The names that relays call it by (`Host`), without port. Default: none; at least one must be named.
    pub names: Vec<String>,
    /// Its certificate. Default: `etc/maru/confidential/gateway.crt` and `gateway.key`; it shows the same one to the router,
    /// so it is for [`crate::names::role::GATEWAY`] beside its own name.
    pub tls: ServerTls,
    /// The router, the only one that it passes anything on to.
    pub router: Upstream,
    /// The keys that requests are sealed to.
    pub keys: Keys,
    /// What signs the bundle of keys; not used with seeds.
    pub bundle: BundleKey,
    /// Where the epoch is kept. Default: `var/lib/maru/confidential-gateway`.
    pub state: PathBuf,
    /// Connections at a time. Default: 1,024.
    pub connections: usize,
    /// Connections at a time from one address, or one /64 of IPv6: a relay's. Default: 512.
    pub connections_per_address: usize,
    /// Longest request, in bytes. Default: 2 MiB.
    pub max_request_bytes: usize,
    /// Longest time until the router begins to answer, in seconds. Default: 330, a little more than the router waits.
    pub answer_s: u64,
    /// Longest time between two pieces of an answer, and until whoever asked takes a further one, in seconds. Default: 600, as
    /// long as a node may work.
    pub idle_s: u64,
    /// Longest time of an answer from its head to its end, in seconds. Default: 900, longer than a node may work.
    pub whole_answer_s: u64,
}

/// The keys that requests are sealed to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Keys {
    /// Where they are from: `gateway` makes them in its memory, `seeds` derives them. Default: `gateway`.
    pub source: KeySource,
    /// How long a key is accepted, in seconds; not used with seeds. Default: 86,400, a day.
    pub active_s: u64,
    /// How long two keys are accepted at once, in seconds; not used with seeds. Default: 3,600.
    pub overlap_s: u64,
    /// How long a key is published before it is active, in seconds; not used with seeds. Default: 3,600.
    pub ahead_s: u64,
    /// File with `OHTTP_SEEDS_JSON`, where the source is `seeds`; the environment's variable of that name is used if this
    /// is not set. Default: none.
    pub seeds_file: Option<PathBuf>,
}

/// What signs the bundle of keys.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BundleKey {
    /// The private key. Default: `etc/maru/confidential/bundle.key`.
    pub key: PathBuf,
    /// The identity's certificate of it. Default: `etc/maru/confidential/bundle.json`.
    pub certificate: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: ([0, 0, 0, 0], 3200).into(),
            listen_plain: None,
            names: Vec::new(),
            tls: ServerTls::named("gateway"),
            router: Upstream::default(),
            keys: Keys::default(),
            bundle: BundleKey::default(),
            state: "var/lib/maru/confidential-gateway".into(),
            connections: 1024,
            connections_per_address: 512,
            max_request_bytes: REQUEST_MAX,
            answer_s: 330,
            idle_s: 600,
            whole_answer_s: 900,
        }
    }
}

impl Default for Keys {
    fn default() -> Self {
        let source = KeySource::Gateway;
        Self { source, active_s: 86_400, overlap_s: 3600, ahead_s: 3600, seeds_file: None }
    }
}

impl Default for BundleKey {
    fn default() -> Self {
        Self {
            key: "etc/maru/confidential/bundle.key".into(),
            certificate: "etc/maru/confidential/bundle.json".into(),
        }
    }
}
