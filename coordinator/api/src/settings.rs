//! The coordinator's settings file.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use common::mesh;
use serde::Deserialize;

mod listen;

pub use listen::Listen;

use crate::invitation::ServerUrl;

/// Where the file is, below the root, unless another is named.
pub const FILE: &str = "etc/maru/coordinator.toml";

const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// The coordinator's settings, read from one TOML file.
///
/// A key it does not know is an error. Secrets are named by file and never held here, so `Debug` is safe to log.
/// Relative paths are below the root.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Addresses to serve HTTP on: one, or a list of both families. Default: `0.0.0.0:8443`.
    pub listen: Listen,
    /// Where devices reach it, such as `https://maru.example.org`. Default: `http://` and the listening address, which
    /// is of use on this machine only if that is a wildcard.
    pub server_url: Option<String>,
    /// DNS domain of the network. Default: `maru.internal`. Never changes once the coordinator has run.
    pub network: String,
    /// File whose first line is the URL of a PostgreSQL database. Its host is an address or a socket directory.
    /// Default: none, and data is kept in `var/lib/maru/coordinator/db.sqlite`.
    pub database_url_file: Option<PathBuf>,
    /// File with a DERP map in JSON, whose regions devices are told of beside our own relay. Read again when it changes.
    /// Default: none.
    pub derp_map_file: Option<PathBuf>,
    /// Whether the file is served as it stands, in place of our own relay. Default: false.
    pub derp_map_only: bool,
    /// Life of a person's node key, in days; 0 is forever. Default: 180.
    ///
    /// A shorter life bounds how long a stolen laptop stays a node. Keys of tagged nodes do not expire.
    pub node_key_life_days: u16,
    /// How long an ephemeral node may be away before it is removed, in seconds. Default: 300.
    pub ephemeral_grace_s: u32,
    /// Our own relay.
    pub relay: Relay,
    /// HTTPS of the coordinator's own. Default: none, and it serves plain HTTP, with Noise inside.
    pub tls: Option<Tls>,
    /// The reverse proxy in front of it. Default: none.
    pub proxy: Option<Proxy>,
    /// Names beside those of the nodes.
    pub dns: Dns,
    /// How much of the audit log is kept.
    pub log: Log,
    /// Loopback address on which every user of this machine reads the counters, such as `127.0.0.1:9464`. Default: none,
    /// and root reads them on `run/maru/coordinator/metrics.sock`.
    pub metrics_listen: Option<SocketAddr>,
}

/// How much of the audit log is kept (`maru log`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Entries older than so many days are removed. Default: 365.
    pub keep_days: u16,
    /// So many entries of the administration are kept, and as many of what devices did. Default: 100000.
    pub keep_entries: u32,
}

impl Default for Log {
    fn default() -> Self {
        Self { keep_days: 365, keep_entries: 100_000 }
    }
}

/// Where the coordinator's certificate comes from: two files, or an authority that is asked for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// The certificate and those between it and its authority, in PEM. Read again when it changes.
    pub certificate: Option<PathBuf>,
    /// Its private key, in PEM. Read again when it changes.
    pub key: Option<PathBuf>,
    /// Asks an authority by ACME (RFC 8555), in place of the two files.
    pub acme: Option<Acme>,
}

/// The authority that issues the certificate. To name one is to agree to its terms of service.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Acme {
    /// URL of its directory. Default: Let's Encrypt.
    pub directory: String,
    /// Where it may write to you, as `mailto:you@example.org`. Default: nowhere.
    pub contact: Option<String>,
    /// The authority behind the directory's own certificate, in PEM. Default: the public ones.
    pub ca: Option<PathBuf>,
}

impl Default for Acme {
    fn default() -> Self {
        let directory = "https://acme-v02.api.letsencrypt.org/directory".to_owned();
        Self { directory, contact: None, ca: None }
    }
}

/// A reverse proxy that speaks HTTPS with devices and plain HTTP with the coordinator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Proxy {
    /// Addresses, or networks such as `10.0.0.0/8`, whose `X-Forwarded-For` and `X-Forwarded-Proto` are
    /// believed. Nobody else's are.
    pub trusted: Vec<String>,
}

/// The relay's settings.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Relay {
    /// Address to relay on, TLS. Default: `0.0.0.0:8444`.
    pub listen: SocketAddr,
    /// Address to answer STUN on, UDP. Default: `0.0.0.0:3478`.
    pub stun_listen: SocketAddr,
    /// Where devices reach it: a name or an address. Default: the host of `server_url`.
    pub host: Option<String>,
    /// Whether the coordinator relays itself, on its own HTTPS port. Default: false, and the relay is a process of its
    /// own.
    pub embedded: bool,
    /// How much each node may send, in bytes per second; 0 is as much as it can. Default: 64 MiB.
    pub bytes_per_second: u32,
    /// How much of that it may send at once, in bytes. Default: 16 MiB.
    pub burst_bytes: u32,
}

/// How the devices of the network resolve names that are no node's. Stock clients follow all of it; our agent follows
/// what lies below the domains that its own settings list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dns {
    /// Resolvers for every name: addresses, with a port or without, or `https://` URLs. Default: none, and each device
    /// asks its own.
    pub resolvers: Vec<String>,
    /// Resolvers of the names below a domain. Default: none.
    pub split_domains: BTreeMap<String, Vec<String>>,
    /// Domains that are tried for short names, after the network's own. Default: none.
    pub search_domains: Vec<String>,
    /// Names with addresses. Default: none.
    pub extra_records: Vec<DnsRecord>,
}

/// A name with an address; several entries give a name several.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DnsRecord {
    /// Full name, such as `nas.home.arpa`.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(ANY, 8443).into(),
            server_url: None,
            network: mesh::DOMAIN.to_owned(),
            database_url_file: None,
            derp_map_file: None,
            derp_map_only: false,
            node_key_life_days: 180,
            ephemeral_grace_s: 300,
            relay: Relay::default(),
            tls: None,
            proxy: None,
            dns: Dns::default(),
            log: Log::default(),
            metrics_listen: None,
        }
    }
}

impl Default for Relay {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(ANY, 8444),
            stun_listen: SocketAddr::new(ANY, 3478),
            host: None,
            embedded: false,
            bytes_per_second: 64 << 20,
            burst_bytes: 16 << 20,
        }
    }
}

impl Settings {
    /// Where devices reach the coordinator, without a slash at the end.
    #[must_use]
    pub fn server_url(&self) -> String {
        match &self.server_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://{}", self.listen.reachable()),
        }
    }

    /// Where devices reach the relay: a name, or an address without brackets.
    #[must_use]
    pub fn relay_host(&self) -> String {
        let own = || ServerUrl::parse(&self.server_url()).map(|url| url.host().to_owned());
        self.relay.host.clone().unwrap_or_else(|| own().unwrap_or_default())
    }
}
