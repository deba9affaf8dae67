//! The coordinator's configuration file.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use chassis::settings::{self, SettingsError};
use common::mesh;
use control_protocol::map;
use coordinator_api::{
    invitation::ServerUrl,
    settings::{FILE, Relay, Settings},
};
use coordinator_core::{
    dns::ExtraDns,
    name, presence,
    time::{DAY, Millis},
};

use ipnet::Ipv4Net;

use crate::{listener::TlsMode, store::Database};

/// The smallest token bucket of a relay client, in bytes: more than the relay reads at once.
const BURST_MIN: u32 = 64 * 1024;

/// The coordinator's settings, and parameters that only tests change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The settings file.
    pub settings: Settings,
    /// Where the addresses of new nodes are from. Default: [`mesh::V4`], all of it.
    pub addresses: Ipv4Net,
    /// Silence in a map stream before a keep-alive; a random fifth is added at most. Default: 50 s, from the timeout of
    /// clients.
    pub map_keep_alive: Duration,
    /// How long a node is reported as connected after it has disconnected. Default:
    /// [`coordinator_core::presence::GRACE`].
    pub offline_after: Duration,
    /// The user that may use the admin socket. Default: 0, which is root.
    pub admin_uid: u32,
    /// Interval of the relay's keep-alives to a client; a random tenth is subtracted at most. Default: 60 s, from the
    /// timeout of clients.
    pub relay_keep_alive: Duration,
    /// How long a machine without a node may keep its channel. Default: 11 minutes, a minute longer than a request that
    /// waits for approval.
    pub stranger_time: Duration,
    /// Timeout for a request's body. Default: 10 s.
    pub body_time: Duration,
    /// How long the coordinator waits at its start for the relay's certificate. Default: 20 s.
    pub relay_patience: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self::from(Settings::default())
    }
}

impl From<Settings> for Config {
    fn from(settings: Settings) -> Self {
        Self {
            settings,
            addresses: mesh::V4,
            map_keep_alive: Duration::from_secs(map::SILENCE_S / 2 - 10),
            offline_after: presence::GRACE,
            admin_uid: 0,
            relay_keep_alive: Duration::from_secs(derp::frame::KEEP_ALIVE_S),
            stranger_time: Duration::from_secs(11 * 60),
            body_time: Duration::from_secs(10),
            relay_patience: Duration::from_secs(20),
        }
    }
}

/// A file that the settings name cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file could not be read.
    #[error("cannot read {}", .0.display())]
    Read(PathBuf, #[source] io::Error),
}

impl Config {
    /// Loads the settings that were named, or those below the root, which may be missing.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be read, is not TOML, or has a wrong or unknown key or value.
    pub fn load(root: &Path, named: Option<&Path>) -> Result<Self, SettingsError> {
        settings::load(named, &root.join(FILE), |settings| {
            check(&settings)?;
            Ok(Self::from(settings))
        })
    }

    /// Lifetime of a user's node key; `None`: forever.
    #[must_use]
    pub fn node_key_life(&self) -> Option<Millis> {
        let days = self.settings.node_key_life_days;
        (days > 0).then(|| Millis::from(days) * DAY)
    }

    /// Resolvers, extra DNS records, and the names with public certificates.
    ///
    /// # Errors
    ///
    /// One sentence about what is wrong with `[dns]` or `[tls]`.
    pub fn names(&self) -> Result<ExtraDns, String> {
        let names = ExtraDns::parse(&self.settings.dns, &self.settings.network)?;
        Ok(match TlsMode::of(&self.settings)? {
            TlsMode::Acme { mesh_names, .. } => names.certifying(mesh_names),
            TlsMode::Plain | TlsMode::Proxied(_) | TlsMode::Files { .. } => names,
        })
    }

    /// The database.
    ///
    /// # Errors
    ///
    /// Fails if the file with the URL cannot be read.
    pub fn database(&self, root: &Path) -> Result<Database, ConfigError> {
        let url_file = self.settings.database_url_file.as_ref().map(|file| below(root, file));
        let sqlite = root.join("var/lib/maru/coordinator/db.sqlite");
        Database::configured(url_file.as_deref(), sqlite)
            .map_err(|error| ConfigError::Read(url_file.unwrap_or_default(), error))
    }
}

fn check(settings: &Settings) -> Result<(), String> {
    let Settings { network, .. } = settings;
    if !name::is_domain(network) {
        return Err(format!(
            "network = {network:?} is not a domain of at least two labels, such as {}",
            mesh::DOMAIN
        ));
    }
    let url = settings.server_url();
    if ServerUrl::parse(&url).is_err() {
        return Err(format!(
            "server_url = {url:?} is not http:// or https://, a host and optionally a port"
        ));
    }
    if let Some(address) = settings.metrics_listen.filter(|address| !address.ip().is_loopback()) {
        return Err(format!(
            "metrics_listen = \"{address}\" is not a loopback address: set one, such as 127.0.0.1:9464, and run the collector \
             on this machine"
        ));
    }
    TlsMode::of(settings)?;
    check_relays(settings)?;
    check_shared(settings)?;
    ExtraDns::parse(&settings.dns, network).map(drop)
}

fn check_relays(settings: &Settings) -> Result<(), String> {
    let Relay { bytes_per_second, burst_bytes, embedded, .. } = settings.relay;
    if settings.derp_map_only && settings.derp_map_file.is_none() {
        return Err(
            "derp_map_only leaves no relay: set derp_map_file, or remove derp_map_only".to_owned()
        );
    }
    if settings.derp_map_only && embedded {
        return Err("derp_map_only excludes the coordinator's own relay, which embedded under [relay] enables: take out one"
            .to_owned());
    }
    if bytes_per_second > 0 && burst_bytes < BURST_MIN {
        return Err(format!(
            "burst_bytes = {burst_bytes} under [relay] is less than a packet needs: set at least {BURST_MIN}"
        ));
    }
    Ok(())
}

/// What several coordinators must have in common.
fn check_shared(settings: &Settings) -> Result<(), String> {
    if settings.shared.is_none() {
        return Ok(());
    }
    if settings.database_url_file.is_none() {
        return Err("[shared] needs a PostgreSQL database: set database_url_file, or take out [shared]; SQLite serves one \
                    coordinator"
            .to_owned());
    }
    if !settings.derp_map_only {
        return Err("[shared] needs the same relays in every coordinator: set derp_map_only = true and derp_map_file, with \
                    the same file in each"
            .to_owned());
    }
    Ok(())
}

/// A path of the configuration: relative ones are below the root.
#[must_use]
pub fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("named.toml");
        std::fs::write(&path, text).unwrap();
        Config::load(root.path(), Some(&path)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_missing_file_stands_for_the_defaults() {
        let config = Config::load(Path::new("/nonexistent"), None).unwrap();

        assert_eq!(config.settings.server_url(), "http://127.0.0.1:8443");
        assert_eq!(config.settings.relay_host(), "127.0.0.1");
        assert_eq!(config.node_key_life(), Some(180 * DAY));
        assert_eq!(parse("").unwrap(), config);
        let named = Path::new("/nonexistent/coordinator.toml");
        assert!(Config::load(Path::new("/"), Some(named)).is_err(), "it was named");
    }

    #[test]
    fn keep_alives_come_before_clients_give_up() {
        let config = Config::default();
        let patience = Duration::from_secs(map::SILENCE_S);
        assert!(config.map_keep_alive.mul_f64(1.2) * 2 <= patience, "one may be lost");
        assert_eq!(config.relay_keep_alive, Duration::from_secs(derp::frame::KEEP_ALIVE_S));
        assert!(parse("map_keep_alive = 1").is_err() && parse("[relay]\nkeep_alive = 1").is_err());
    }

    #[test]
    fn odd_values_are_refused() {
        assert!(parse("network = \"home\"").unwrap_err().contains("network = \"home\""));
        for url in ["ftp://a", "http://", "http://a/b", "maru://a", "http://u:p@a"] {
            let error = parse(&format!("server_url = {url:?}")).unwrap_err();
            assert!(error.contains("server_url = "), "{error}");
        }
    }

    #[test]
    fn names_beside_those_of_the_nodes_are_read_and_checked() {
        let dns = "[dns]\nresolvers = [\"192.168.1.1\"]\nsearch_domains = [\"corp.example\"]\n\
            split_domains = { \"corp.example\" = [\"10.0.0.53\"] }\n\
            extra_records = [{ name = \"nas.home.arpa\", address = \"192.168.1.9\" }]\n";
        parse(dns).unwrap().names().unwrap();

        for (wrong, word) in [
            ("resolvers = [\"dns.example\"]", "dns.example"),
            ("split_domains = { \"corp.example\" = [] }", "corp.example"),
            ("extra_records = [{ name = \"nas\", address = \"10.0.0.1\" }]", "nas"),
            ("extra_records = [{ name = \"a.b\", address = \"nas\" }]", "address"),
            ("nameservers = []", "nameservers"),
        ] {
            let error = parse(&format!("[dns]\n{wrong}\n")).unwrap_err();
            assert!(error.contains(word) && !error.contains("; "), "{error}");
        }
    }

    #[test]
    fn several_coordinators_need_one_database_and_the_same_relays() {
        let relays = "derp_map_only = true\nderp_map_file = \"derp.json\"\n";
        let database = "database_url_file = \"url\"\n";
        let shared = "[shared]\nkey_file = \"key\"\n";
        parse(&format!("{relays}{database}{shared}")).unwrap();
        for (wrong, word) in [
            (format!("{relays}{shared}"), "database_url_file"),
            (format!("{database}{shared}"), "derp_map_only"),
            (format!("{relays}{database}[shared]\n"), "key_file"),
        ] {
            let error = parse(&wrong).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn counters_are_told_on_loopback_alone() {
        assert!(parse("metrics_listen = \"127.0.0.1:9464\"").is_ok());
        for address in ["0.0.0.0:9464", "192.168.1.2:9464", "[::]:9464"] {
            let error = parse(&format!("metrics_listen = {address:?}")).unwrap_err();
            assert!(error.contains(address) && error.contains("127.0.0.1"), "{error}");
        }
    }

    #[test]
    fn settings_of_relays_that_do_not_fit_are_refused_by_key() {
        assert!(parse("derp_map_only = true\nderp_map_file = \"derp.json\"").is_ok());
        assert!(parse("[relay]\nbytes_per_second = 0\nburst_bytes = 0").is_ok());
        for (wrong, word) in [
            ("derp_map_only = true", "set derp_map_file"),
            ("[relay]\nburst_bytes = 65535", "burst_bytes = 65535"),
            ("[relay]\nembedded = true", "needs [tls]"),
            (
                "derp_map_only = true\nderp_map_file = \"d\"\nserver_url = \"https://a\"\n\
                 [tls]\ncertificate = \"c\"\nkey = \"k\"\n[relay]\nembedded = true",
                "take out one",
            ),
        ] {
            let error = parse(wrong).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn the_relay_is_where_the_coordinator_is() {
        let config = parse("server_url = \"http://[fd00::1]:8443/\"").unwrap();

        assert_eq!(config.settings.server_url(), "http://[fd00::1]:8443");
        assert_eq!(config.settings.relay_host(), "fd00::1");
    }
}
