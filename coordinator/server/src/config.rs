//! The coordinator's configuration file.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use control_protocol::map;
use coordinator_api::invitation::ServerUrl;
use coordinator_core::{
    name,
    time::{DAY, Millis},
};
use serde::Deserialize;

use crate::store::Database;

/// What the file is called below `etc/maru/`.
pub const FILE: &str = "coordinator.toml";

const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// The coordinator's settings, read from one TOML file.
///
/// A key it does not know is an error. Secrets are named by file and never held here, so `Debug` is safe to log.
/// Relative paths are below the root.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
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
    pub relay: RelayConfig,
    /// How long a map stream is silent before a keep-alive, and at random up to a fifth longer. Default: 50 s. Not a key
    /// of the file: it follows from what clients bear.
    #[serde(skip)]
    pub map_keep_alive: Duration,
    /// Whom the admin socket answers, by user number. Default: 0, which is root. Not a key of the file: whoever else may
    /// administer would be as good as root.
    #[serde(skip)]
    pub admin_uid: u32,
}

/// The relay's settings.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RelayConfig {
    /// Address to relay on, TLS. Default: `0.0.0.0:8444`.
    pub listen: SocketAddr,
    /// Address to answer STUN on, UDP. Default: `0.0.0.0:3478`.
    pub stun_listen: SocketAddr,
    /// Where devices reach it: a name or an address. Default: the host of `server_url`.
    pub host: Option<String>,
    /// Time between two keep-alives to a client, and at random up to a tenth less. Default: 60 s. Not a key of the file:
    /// it follows from what clients bear.
    #[serde(skip)]
    pub keep_alive: Duration,
    /// How long the coordinator waits at its start for the relay's certificate. Default: 20 s. Not a key of the file: the
    /// relay makes it as soon as it runs.
    #[serde(skip)]
    pub patience: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(ANY, 8443),
            server_url: None,
            network: "maru.internal".to_owned(),
            database_url_file: None,
            derp_map_file: None,
            node_key_life_days: 180,
            ephemeral_grace_s: 300,
            relay: RelayConfig::default(),
            admin_uid: 0,
            map_keep_alive: Duration::from_secs(map::SILENCE_S / 2 - 10),
        }
    }
}

impl Default for RelayConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(ANY, 8444),
            stun_listen: SocketAddr::new(ANY, 3478),
            host: None,
            keep_alive: Duration::from_secs(derp::frame::KEEP_ALIVE_S),
            patience: Duration::from_secs(20),
        }
    }
}

/// The configuration could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file could not be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is not TOML, or has a wrong or unknown key.
    #[error("cannot use {}, line {line}: {}", .path.display(), .error.message().trim().replace('\n', "; "))]
    Parse {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there. Not the error's cause: its text spans several lines, and its message is above.
        error: Box<toml::de::Error>,
    },
    /// `network` is no domain.
    #[error("network = {0:?} is not a domain of at least two labels, such as maru.internal")]
    Network(String),
    /// `server_url` is no URL.
    #[error(
        "server_url = {0:?} is not http:// or https://, a host, perhaps a port, and nothing else"
    )]
    ServerUrl(String),
    /// The DERP map is not one.
    #[error("{} is not a DERP map with at least one region", .path.display())]
    DerpMap {
        /// The file.
        path: PathBuf,
        /// Why not, if it is not JSON of the right shape.
        source: Option<serde_json::Error>,
    },
}

impl Config {
    /// Loads the settings at `path`; a file that is missing stands for the defaults.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be read, is not TOML, or has a wrong or unknown key or value.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let config: Self = match std::fs::read_to_string(path) {
            Ok(text) => toml::from_str(&text).map_err(|error: toml::de::Error| {
                let before =
                    error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
                let line = before.matches('\n').count() + 1;
                ConfigError::Parse { path: path.to_owned(), line, error: Box::new(error) }
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::default(),
            Err(source) => return Err(ConfigError::Read { path: path.to_owned(), source }),
        };
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        if !name::is_domain(&self.network) {
            return Err(ConfigError::Network(self.network.clone()));
        }
        let url = self.server_url();
        if ServerUrl::parse(&url).is_err() {
            return Err(ConfigError::ServerUrl(url));
        }
        Ok(())
    }

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

    /// Life of a person's node key; `None` is forever.
    #[must_use]
    pub fn node_key_life(&self) -> Option<Millis> {
        (self.node_key_life_days > 0).then(|| Millis::from(self.node_key_life_days) * DAY)
    }

    /// Returns which database holds the data.
    ///
    /// # Errors
    ///
    /// Fails if the file with the URL cannot be read.
    pub fn database(&self, root: &Path) -> Result<Database, ConfigError> {
        let Some(file) = &self.database_url_file else {
            return Ok(Database::Sqlite(root.join("var/lib/maru/coordinator/db.sqlite")));
        };
        let path = below(root, file);
        let text =
            std::fs::read_to_string(&path).map_err(|source| ConfigError::Read { path, source })?;
        Ok(Database::Postgres(text.lines().next().unwrap_or_default().trim().to_owned()))
    }
}

/// A path of the configuration: relative ones are below the root.
#[must_use]
pub fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        std::fs::write(&path, text).unwrap();
        Config::load(&path)
    }

    #[test]
    fn a_missing_file_stands_for_the_defaults() {
        let config = Config::load(Path::new("/nonexistent/coordinator.toml")).unwrap();

        assert_eq!(config.server_url(), "http://127.0.0.1:8443");
        assert_eq!(config.relay_host(), "127.0.0.1");
        assert_eq!(config.node_key_life(), Some(180 * DAY));
        assert_eq!(parse("").unwrap(), config);
    }

    #[test]
    fn keep_alives_come_before_clients_give_up() {
        let config = parse("[relay]\n").unwrap();
        let patience = Duration::from_secs(map::SILENCE_S);
        assert!(config.map_keep_alive.mul_f64(1.2) * 2 <= patience, "one may be lost");
        assert_eq!(config.relay.keep_alive, Duration::from_secs(derp::frame::KEEP_ALIVE_S));
        assert!(parse("map_keep_alive = 1").is_err() && parse("[relay]\nkeep_alive = 1").is_err());
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let error = parse("# ours\nlisen = \"0.0.0.0:1\"").unwrap_err();

        let text = error.to_string();
        assert!(text.contains("line 2: unknown field `lisen`"), "{text}");
    }

    #[test]
    fn odd_values_are_refused() {
        assert!(matches!(parse("network = \"home\""), Err(ConfigError::Network(_))));
        for url in ["ftp://a", "http://", "http://a/b", "maru://a", "http://u:p@a"] {
            assert!(
                matches!(parse(&format!("server_url = {url:?}")), Err(ConfigError::ServerUrl(_))),
                "{url}"
            );
        }
    }

    #[test]
    fn the_relay_is_where_the_coordinator_is() {
        let config = parse("server_url = \"http://[fd00::1]:8443/\"").unwrap();

        assert_eq!(config.server_url(), "http://[fd00::1]:8443");
        assert_eq!(config.relay_host(), "fd00::1");
    }
}
