//! The coordinator's settings file.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use common::mesh;
use serde::Deserialize;

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
    /// Address to serve HTTP on. Default: `0.0.0.0:8443`.
    pub listen: SocketAddr,
    /// Where devices reach it, such as `https://maru.example.org`. Default: `http://` and the listening address, which
    /// is of use on this machine only if that is a wildcard.
    pub server_url: Option<String>,
    /// DNS domain of the network. Default: `maru.internal`. Never changes once the coordinator has run.
    pub network: String,
    /// File whose first line is the URL of a PostgreSQL database. Its host is an address or a socket directory.
    /// Default: none, and data is kept in `var/lib/maru/coordinator/db.sqlite`.
    pub database_url_file: Option<PathBuf>,
    /// File with a DERP map in JSON, served as it stands. Default: none, and the map names our own relay.
    pub derp_map_file: Option<PathBuf>,
    /// Life of a person's node key, in days; 0 is forever. Default: 180.
    ///
    /// A shorter life bounds how long a stolen laptop stays a node. Keys of tagged nodes do not expire.
    pub node_key_life_days: u16,
    /// How long an ephemeral node may be away before it is removed, in seconds. Default: 300.
    pub ephemeral_grace_s: u32,
    /// Our own relay.
    pub relay: Relay,
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
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(ANY, 8443),
            server_url: None,
            network: mesh::DOMAIN.to_owned(),
            database_url_file: None,
            derp_map_file: None,
            node_key_life_days: 180,
            ephemeral_grace_s: 300,
            relay: Relay::default(),
        }
    }
}

impl Default for Relay {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(ANY, 8444),
            stun_listen: SocketAddr::new(ANY, 3478),
            host: None,
        }
    }
}

impl Settings {
    /// Where devices reach the coordinator, without a slash at the end.
    #[must_use]
    pub fn server_url(&self) -> String {
        match &self.server_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None if self.listen.ip().is_unspecified() => {
                format!("http://127.0.0.1:{}", self.listen.port())
            }
            None => format!("http://{}", self.listen),
        }
    }

    /// Where devices reach the relay: a name, or an address without brackets.
    #[must_use]
    pub fn relay_host(&self) -> String {
        let own = || ServerUrl::parse(&self.server_url()).map(|url| url.host().to_owned());
        self.relay.host.clone().unwrap_or_else(|| own().unwrap_or_default())
    }
}
