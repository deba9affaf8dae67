//! The agent's settings, and where its files lie.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use node_agent_api::instance::Instance;
use node_agent_core::{domain::Domain, endpoint::is_usable};
use serde::Deserialize;

/// The agent's settings, read from one TOML file. A key it does not know is an error.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// UDP port for peers on every address; 0 lets the kernel choose. Default: 41641.
    pub listen_port: u16,
    /// Name of the TUN interface. Default: `maru0`, or `maru` and the instance's id.
    pub interface: Option<String>,
    /// Name to ask the coordinator for. Default: the machine's.
    pub hostname: Option<String>,
    /// What to do with the system's resolver. Default: `resolv-conf`.
    pub dns: Dns,
    /// Further addresses at which peers may reach this node, such as a forwarded port. None of the mesh's.
    pub endpoints: Vec<SocketAddr>,
    /// Domains beside the network's own below which the coordinator may name mesh addresses. Default: none.
    pub dns_domains: Vec<Domain>,
    /// Services that this node offers in the mesh.
    pub service: Vec<Service>,
}

/// What the agent does with the system's resolver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dns {
    /// Points `/etc/resolv.conf` at the agent, and back on exit.
    ResolvConf,
    /// Leaves it alone.
    Off,
}

/// A port of this node's mesh addresses that leads to a UNIX socket.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Told to the service with each connection.
    pub name: String,
    /// TCP port.
    pub port: u16,
    /// The service's socket; a relative path is taken from the root, and has no symbolic link in it.
    pub socket: PathBuf,
    /// The user id that listens there; others are not connected to. Default: the owner of the socket's folder.
    #[serde(default)]
    pub uid: Option<u32>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen_port: 41641,
            interface: None,
            hostname: None,
            dns: Dns::ResolvConf,
            endpoints: Vec::new(),
            dns_domains: Vec::new(),
            service: Vec::new(),
        }
    }
}

/// The settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {} (it must belong to root)", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is not TOML, or has a wrong or unknown key.
    #[error("cannot use {}, line {line}: {message}", .path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where, counted from 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// A value is impossible.
    #[error("cannot use {}: {message}", .path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
}

impl Config {
    /// Loads the settings at `path`; a missing file means the defaults.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be read, is not TOML, or has a wrong or unknown key or value.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(path, &text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(ConfigError::Read { path: path.to_owned(), source }),
        }
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start).min(text.len());
            ConfigError::Parse {
                path: path.to_owned(),
                line: text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1,
                message: error.message().replace('\n', " "),
            }
        })?;
        config.check().map_err(|message| ConfigError::Value { path: path.to_owned(), message })?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        if let Some(name) = &self.interface {
            let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if name.is_empty() || name.len() > 15 || !name.chars().all(fits) {
                return Err(format!("interface {name:?} is no name of 1 to 15 letters and digits"));
            }
        }
        if let Some(endpoint) = self.endpoints.iter().find(|endpoint| !is_usable(**endpoint)) {
            return Err(format!(
                "endpoint {endpoint} is no place where a peer can reach this node: name an address outside the mesh's \
                 100.64.0.0/10 and fd7a:115c:a1e0::/48 that is not loopback, multicast or 0.0.0.0, with its port"
            ));
        }
        for (index, service) in self.service.iter().enumerate() {
            if service.name.is_empty() || service.name.len() > 64 {
                return Err(format!("the service of port {} needs a name", service.port));
            }
            if service.port == 0 {
                return Err(format!("service {:?} needs a port from 1 to 65535", service.name));
            }
            if self.service[..index].iter().any(|other| other.port == service.port) {
                return Err(format!("port {} is given to two services", service.port));
            }
        }
        Ok(())
    }

    /// The TUN interface's name in `instance`.
    #[must_use]
    pub fn interface(&self, instance: &Instance) -> String {
        self.interface.clone().unwrap_or_else(|| instance.interface())
    }
}

/// Where the agent's files lie, all below the root.
#[derive(Clone, Debug)]
pub struct Paths {
    root: PathBuf,
}

impl Paths {
    /// The paths below `root`.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: std::path::absolute(root).unwrap_or_else(|_| root.to_owned()) }
    }

    /// A path of the configuration: a relative one is taken from the root.
    #[must_use]
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.root.join(path)
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.root.join("etc/maru/agent.toml")
    }

    /// Directory of the state, 0700.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.root.join("var/lib/maru/agent")
    }

    /// Keys and membership, 0600.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.state_dir().join("state.json")
    }

    /// The last map, 0600.
    #[must_use]
    pub fn netmap(&self) -> PathBuf {
        self.state_dir().join("netmap.json")
    }

    /// Directory of what the helper keeps; root's.
    #[must_use]
    pub fn resolver_dir(&self) -> PathBuf {
        self.root.join("var/lib/maru/resolver")
    }

    /// The system's `resolv.conf` from before, while it is replaced.
    #[must_use]
    pub fn resolv_conf_backup(&self) -> PathBuf {
        self.resolver_dir().join("resolv.conf.before")
    }

    /// Where that was while the agent was root.
    #[must_use]
    pub fn old_resolv_conf_backup(&self) -> PathBuf {
        self.state_dir().join("resolv.conf.before")
    }

    /// Directory of the local API's socket.
    #[must_use]
    pub fn api_dir(&self) -> PathBuf {
        let socket = self.socket();
        socket.parent().unwrap_or(&socket).to_owned()
    }

    /// The local API's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.root.join(node_agent_api::SOCKET)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(Path::new("agent.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_missing_file_means_the_defaults() {
        let config = Config::load(Path::new("/nonexistent/agent.toml")).unwrap();
        assert_eq!(config, Config::default());
        assert_eq!(parse("").unwrap(), Config::default());
    }

    #[test]
    fn every_key_is_read() {
        let config = parse(
            r#"
            listen_port = 5000
            interface = "mesh1"
            hostname = "home"
            dns = "off"
            endpoints = ["203.0.113.1:41641"]
            dns_domains = ["Kim.example"]
            [[service]]
            name = "gateway"
            port = 18789
            socket = "run/maru/gateway/http.sock"
            uid = 61002
            "#,
        )
        .unwrap();
        assert_eq!(config.dns_domains[0].as_str(), "kim.example");
        assert_eq!(config.service[0].uid, Some(61002));
        assert_eq!(config.dns, Dns::Off);
        let socket = Paths::new(Path::new("/srv")).resolve(&config.service[0].socket);
        assert_eq!(socket, Path::new("/srv/run/maru/gateway/http.sock"));
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let error = parse("listen_port = 1\nlisten_prot = 2\n").unwrap_err();
        assert!(error.contains("line 2") && error.contains("listen_prot"), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }

    #[test]
    fn impossible_values_are_refused() {
        let service = |port| format!("[[service]]\nname = \"a\"\nport = {port}\nsocket = \"s\"\n");
        for text in [
            "interface = \"a/b\"".to_owned(),
            "interface = \"sixteen-letters-\"".to_owned(),
            service(0),
            service(80) + &service(80),
            "[[service]]\nname = \"\"\nport = 1\nsocket = \"s\"".to_owned(),
            "dns = \"maybe\"".to_owned(),
            "endpoints = [\"100.64.0.1:41641\"]".to_owned(),
            "endpoints = [\"[::ffff:127.0.0.1]:41641\"]".to_owned(),
            "endpoints = [\"203.0.113.1:0\"]".to_owned(),
            "dns_domains = [\"com\"]".to_owned(),
        ] {
            assert!(parse(&text).is_err(), "{text}");
        }
    }
}
