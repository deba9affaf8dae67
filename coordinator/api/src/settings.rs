//! The coordinator's settings file.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
};

use common::mesh;
use serde::Deserialize;

mod listen;

pub use listen::Listen;

use crate::invitation::ServerUrl;

/// Default path of the file below the root.
pub const FILE: &str = "etc/maru/coordinator.toml";

/// The coordinator's settings, read from one TOML file.
///
/// Unknown keys are errors. Secrets are in other files, so `Debug` is safe to log.
/// Relative paths are below the root.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Listening addresses for HTTP: one or a list. Default: port 8443 of IPv4 and, where there is IPv6, of that.
    pub listen: Listen,
    /// URL for devices, such as `https://maru.example.org`. Default: `http://` and the listening address, which only works on
    /// this machine if that is a wildcard.
    pub server_url: Option<String>,
    /// DNS domain of the network. Default: `maru.home.arpa`. Never changes once the coordinator has run.
    pub network: String,
    /// File whose first line is the URL of a PostgreSQL database. Its host is an address or a socket directory.
    /// Default: none, and data is kept in `var/lib/maru/coordinator/db.sqlite`.
    pub database_url_file: Option<PathBuf>,
    /// File with a DERP map in JSON, whose regions are added to our own relay. Reloaded when it changes. Default: none.
    pub derp_map_file: Option<PathBuf>,
    /// Whether the file replaces our own relay. Default: false.
    pub derp_map_only: bool,
    /// Lifetime of a user's node key, in days; 0 is forever. Default: 180.
    ///
    /// A shorter lifetime limits how long a stolen laptop stays a node. Keys of tagged nodes do not expire.
    pub node_key_life_days: u16,
    /// Time after which a disconnected ephemeral node is removed, in seconds. Default: 300.
    pub ephemeral_grace_s: u32,
    /// Our own relay.
    pub relay: Relay,
    /// TLS of the coordinator. Default: none, and it serves plain HTTP, with Noise inside.
    pub tls: Option<Tls>,
    /// A reverse proxy in front of it. Default: none.
    pub proxy: Option<Proxy>,
    /// Resolvers and extra records.
    pub dns: Dns,
    /// Several coordinators that share the PostgreSQL database. Default: none, and a second one is refused.
    pub shared: Option<Shared>,
    /// How much of the audit log is kept.
    pub log: Log,
    /// Loopback address of the metrics for all users of this machine, such as `127.0.0.1:9464`. Default: none, and only root
    /// reads them on `run/maru/coordinator/metrics.sock`.
    pub metrics_listen: Option<SocketAddr>,
}

/// Several coordinators on one PostgreSQL database.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shared {
    /// File with the key that seals the network's Noise key in the database: 64 hexadecimal digits, the same in every
    /// coordinator.
    pub key_file: PathBuf,
}

/// How much of the audit log is kept (`maru log`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Days after which entries are deleted. Default: 365.
    pub keep_days: u16,
    /// Number of admins' entries that are kept, and of devices' entries. Default: 100000.
    pub keep_entries: u32,
}

impl Default for Log {
    fn default() -> Self {
        Self { keep_days: 365, keep_entries: 100_000 }
    }
}

/// The coordinator's certificate: from two files or by ACME.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// The certificate chain in PEM. Reloaded when it changes.
    pub certificate: Option<PathBuf>,
    /// The private key in PEM. Reloaded when it changes.
    pub key: Option<PathBuf>,
    /// ACME (RFC 8555), instead of the two files.
    pub acme: Option<Acme>,
}

/// The certificate authority. Configuring one accepts its terms of service.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Acme {
    /// URL of its directory. Default: Let's Encrypt.
    pub directory: String,
    /// Contact address, as `mailto:you@example.org`. Default: none.
    pub contact: Option<String>,
    /// CA of the directory's own certificate, in PEM. Default: the public ones.
    pub ca: Option<PathBuf>,
    /// Whether the names of the mesh's services over HTTPS, such as `rooms.<network>`, get certificates, too. They must lead to
    /// this coordinator in public DNS. Default: false, and the network's own authority issues them.
    pub mesh_names: bool,
}

impl Default for Acme {
    fn default() -> Self {
        let directory = "https://acme-v02.api.letsencrypt.org/directory".to_owned();
        Self { directory, contact: None, ca: None, mesh_names: false }
    }
}

/// A reverse proxy that terminates HTTPS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Proxy {
    /// Addresses, or networks such as `10.0.0.0/8`, whose `X-Forwarded-For` and `X-Forwarded-Proto` are trusted.
    pub trusted: Vec<String>,
}

/// The relay's settings.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Relay {
    /// Listening addresses of the relay, TLS: one or a list. Default: port 8444 of both families.
    pub listen: Listen,
    /// Listening addresses of STUN, UDP: one or a list. Default: port 3478 of both families.
    pub stun_listen: Listen,
    /// Name or address for devices. Default: the host of `server_url`.
    pub host: Option<String>,
    /// IPv4 address for devices, where `host` is an IPv6 address. Default: none.
    pub ipv4: Option<Ipv4Addr>,
    /// IPv6 address for devices, where `host` is an IPv4 address. Default: none.
    pub ipv6: Option<Ipv6Addr>,
    /// Whether the relay is embedded in the coordinator, on its HTTPS port. Default: false: it is a separate process.
    pub embedded: bool,
    /// Rate limit per node, in bytes per second; 0 is unlimited. Default: 64 MiB.
    pub bytes_per_second: u32,
    /// Burst per node, in bytes. Default: 16 MiB.
    pub burst_bytes: u32,
}

/// Resolvers and extra records of the network. Stock clients use all of it; our agent uses it for the domains in its own
/// settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dns {
    /// Resolvers for all names: addresses, with or without a port, or `https://` URLs. Default: none, and devices use their
    /// own.
    pub resolvers: Vec<String>,
    /// Resolvers of the names below a domain. Default: none.
    pub split_domains: BTreeMap<String, Vec<String>>,
    /// Search domains, after the network's own. Default: none.
    pub search_domains: Vec<String>,
    /// Names with addresses. Default: none.
    pub extra_records: Vec<DnsRecord>,
}

/// A name with an address; a name may have several entries.
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
            listen: Listen::any(8443),
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
            shared: None,
            log: Log::default(),
            metrics_listen: None,
        }
    }
}

impl Default for Relay {
    fn default() -> Self {
        Self {
            listen: Listen::any(8444),
            stun_listen: Listen::any(3478),
            host: None,
            ipv4: None,
            ipv6: None,
            embedded: false,
            bytes_per_second: 64 << 20,
            burst_bytes: 16 << 20,
        }
    }
}

impl Settings {
    /// URL of the coordinator for devices, without a final slash.
    #[must_use]
    pub fn server_url(&self) -> String {
        match &self.server_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://{}", self.listen.reachable()),
        }
    }

    /// Host of the relay for devices: a name, or an address without brackets.
    #[must_use]
    pub fn relay_host(&self) -> String {
        let own = || ServerUrl::parse(&self.server_url()).map(|url| url.host().to_owned());
        self.relay.host.clone().unwrap_or_else(|| own().unwrap_or_default())
    }
}
