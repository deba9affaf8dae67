//! The agent's checked settings and the paths of its files.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use chassis::settings::{self, SettingsError};
use common::mesh;
use node_agent_api::{
    leftovers,
    settings::{FILE, Service, Settings},
};
use node_agent_core::{
    domain::{Domain, is_label},
    endpoint::is_usable,
    netmap::RouteChoice,
};
use services::HTTPS_PORT;

mod dial;
mod routes;

/// The agent's settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Config {
    /// The file.
    pub(crate) settings: Settings,
    /// Its `dns_domains`, checked.
    pub(crate) dns_domains: Vec<Domain>,
    /// Its choice of routes, checked.
    pub(crate) routes: RouteChoice,
}

impl Config {
    /// Loads the settings that were named, or those below the root, which may be missing.
    pub(crate) fn load(root: &Path, named: Option<&Path>) -> Result<Self, SettingsError> {
        settings::load(named, &root.join(FILE), |settings: Settings| {
            check(&settings)?;
            let domain = |text: &String| {
                text.parse::<Domain>().map_err(|error| format!("dns_domains: {text:?}: {error}"))
            };
            let dns_domains = settings.dns_domains.iter().map(domain).collect::<Result<_, _>>()?;
            let routes = routes::choice(&settings)?;
            Ok(Self { settings, dns_domains, routes })
        })
    }
}

/// Checks the values.
fn check(settings: &Settings) -> Result<(), String> {
    if let Some(name) = &settings.interface {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > 15 || !name.chars().all(fits) {
            return Err(format!("interface {name:?} is not a name of 1 to 15 letters and digits"));
        }
    }
    if let Some(endpoint) = settings.endpoints.iter().find(|endpoint| !is_usable(**endpoint)) {
        return Err(format!(
            "endpoint {endpoint} is not an address at which a peer can reach this node: name an address outside the mesh's \
             {} and {} that is not loopback, multicast or 0.0.0.0, with its port",
            mesh::V4,
            mesh::V6
        ));
    }
    if let Some(wireguard) = settings.wireguard
        && wireguard.port.get() == settings.listen_port
    {
        return Err(format!(
            "[wireguard] port {} is listen_port, which the mesh uses: choose another, such as 51820",
            wireguard.port
        ));
    }
    for (index, service) in settings.service.iter().enumerate() {
        if service.name.is_empty() || service.name.len() > 64 {
            return Err(format!("the service of port {} needs a name", service.port));
        }
        if service.port == 0 {
            return Err(format!("service {:?} needs a port from 1 to 65535", service.name));
        }
        if settings.service[..index].iter().any(|other| other.port == service.port) {
            return Err(format!("port {} is given to two services", service.port));
        }
    }
    https(&settings.service)?;
    local(&settings.service)?;
    dial::check(&settings.dial)
}

/// Checks the services' names over HTTPS.
fn https(services: &[Service]) -> Result<(), String> {
    let mut taken = HashSet::new();
    for service in services {
        for label in &service.https {
            if !is_label(label) {
                return Err(format!(
                    "service {:?}: https {label:?} is not the first label of a name, such as \"rooms\"",
                    service.name
                ));
            }
            if !taken.insert(label) {
                return Err(format!("https name {label:?} is given to two services"));
            }
        }
    }
    let mut plain = services.iter().filter(|service| service.port == HTTPS_PORT);
    match plain.next() {
        Some(service) if !taken.is_empty() => Err(format!(
            "service {:?} has port {HTTPS_PORT}, which the names of `https` need",
            service.name
        )),
        Some(_) | None => Ok(()),
    }
}

/// Checks the services' local addresses.
fn local(services: &[Service]) -> Result<(), String> {
    let mut taken = HashSet::new();
    for service in services {
        for at in &service.local {
            if at.port() == 0 || !at.ip().is_loopback() {
                return Err(format!(
                    "service {:?}: local {at} is not a loopback address with a port, such as 127.0.0.1:{}",
                    service.name, service.port
                ));
            }
            if !taken.insert(at) {
                return Err(format!("local address {at} is given twice"));
            }
        }
    }
    Ok(())
}

/// Paths of the agent's files, all below the root.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    root: PathBuf,
}

impl Paths {
    /// The paths below `root`.
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: std::path::absolute(root).unwrap_or_else(|_| root.to_owned()) }
    }

    /// What opens a kill switch without an agent, and undoes what an agent left.
    pub(crate) fn restore_command(&self) -> String {
        format!("sudo maru-agent restore --root {}", self.root.display())
    }

    /// A path of the configuration: a relative one is taken from the root.
    pub(crate) fn resolve(&self, path: &Path) -> PathBuf {
        self.root.join(path)
    }

    /// Directory of the state, 0700.
    pub(crate) fn state_dir(&self) -> PathBuf {
        self.root.join("var/lib/maru/agent")
    }

    /// Keys and membership, 0600.
    pub(crate) fn state(&self) -> PathBuf {
        self.state_dir().join("state.json")
    }

    /// The last map, 0600.
    pub(crate) fn netmap(&self) -> PathBuf {
        self.state_dir().join("netmap.json")
    }

    /// Directory of the helper's backup; owned by root.
    pub(crate) fn resolver_dir(&self) -> PathBuf {
        self.root.join(leftovers::FOLDER)
    }

    /// How programs are led to the agent, while they are: a method and an interface.
    pub(crate) fn resolver_record(&self) -> PathBuf {
        self.root.join(leftovers::RECORD)
    }

    /// The resolvers of openresolv's other entries.
    pub(crate) fn other_resolvers(&self) -> PathBuf {
        self.resolver_dir().join("resolv.conf.others")
    }

    /// The original `resolv.conf`, while it is replaced.
    pub(crate) fn resolv_conf_backup(&self) -> PathBuf {
        self.root.join(leftovers::RESOLV_CONF)
    }

    /// Directory of the local API's socket.
    pub(crate) fn api_dir(&self) -> PathBuf {
        let socket = self.socket();
        socket.parent().unwrap_or(&socket).to_owned()
    }

    /// The local API's socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.root.join(node_agent_api::SOCKET)
    }
}

#[cfg(test)]
mod tests {
    use node_agent_api::settings::{Dns, Offload};

    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("named.toml");
        std::fs::write(&path, text).unwrap();
        Config::load(root.path(), Some(&path)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_missing_file_means_the_defaults() {
        let config = Config::load(Path::new("/nonexistent"), None).unwrap();
        assert!(Config::load(Path::new("/"), Some(Path::new("/nonexistent/a.toml"))).is_err());
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
            offload = "off"
            accept_routes = true
            exit_node = "cabin"
            exit_node_allow_lan_access = true
            exit_node_dns = ["9.9.9.9"]
            shields_up = true
            [[service]]
            name = "gateway"
            port = 18789
            socket = "run/maru/gateway/http.sock"
            uid = 61002
            local = ["127.0.0.1:18789", "[::1]:18789"]
            https = ["chat"]
            [[dial]]
            name = "ollama"
            socket = "run/maru/dial/ollama/http.sock"
            uid = 61002
            to = "[::1]:11434"
            "#,
        )
        .unwrap();
        assert_eq!(config.dns_domains[0].as_str(), "kim.example");
        assert_eq!(config.routes.exit_node.as_deref(), Some("cabin"));
        assert!(config.routes.accepts_subnets);
        let settings = config.settings;
        assert_eq!(settings.service[0].uid, Some(61002));
        assert_eq!(settings.service[0].local.len(), 2);
        assert_eq!(settings.service[0].https, ["chat"]);
        assert_eq!(settings.dial[0].to, "[::1]:11434".parse().unwrap());
        assert_eq!(settings.dns, Dns::Off);
        assert_eq!(settings.offload, Offload::Off);
        let socket = Paths::new(Path::new("/srv")).resolve(&settings.service[0].socket);
        assert_eq!(socket, Path::new("/srv/run/maru/gateway/http.sock"));
    }

    #[test]
    fn the_heading_alone_offers_to_route_wireguard_devices() {
        let port = |text| parse(text).unwrap().settings.wireguard.map(|it| it.port.get());
        assert_eq!(port(""), None);
        assert_eq!(port("[wireguard]"), Some(51820));
        assert_eq!(port("[wireguard]\nport = 443"), Some(443));
    }

    #[test]
    fn an_unknown_offload_is_told_from_what_there_is() {
        for (text, says) in [
            ("\"on\"", "\"on\" is not a value of offload: write \"auto\" or \"off\""),
            ("true", "offload must be \"auto\" or \"off\""),
            (
                "[\"tso\"]",
                "\"tso\" is not an offload: list some of tso4, tso6, uso, udp_segment, udp_gro, or",
            ),
        ] {
            let error = parse(&format!("offload = {text}")).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        let one = parse("offload = [\"udp_gro\"]").unwrap().settings.offload;
        assert_eq!(one, Offload::Only(vec!["udp_gro".to_owned()]));
    }

    #[test]
    fn impossible_values_are_refused() {
        let service = |port| format!("[[service]]\nname = \"a\"\nport = {port}\nsocket = \"s\"\n");
        let dial = |rest| {
            format!("[[dial]]\nname = \"a\"\nsocket = \"run/maru/dial/a/b\"\nuid = 1\n{rest}\n")
        };
        assert!(parse(&dial("to = \"127.0.0.1:1\"")).is_ok());
        assert!(parse(&dial("to = \"203.0.113.5:443\"\noutside = true")).is_ok());
        for text in [
            "interface = \"a/b\"".to_owned(),
            "interface = \"sixteen-letters-\"".to_owned(),
            service(0),
            service(80) + &service(80),
            "[[service]]\nname = \"\"\nport = 1\nsocket = \"s\"".to_owned(),
            "dns = \"maybe\"".to_owned(),
            "offload = 1".to_owned(),
            "endpoints = [\"100.64.0.1:41641\"]".to_owned(),
            "endpoints = [\"[::ffff:127.0.0.1]:41641\"]".to_owned(),
            "endpoints = [\"203.0.113.1:0\"]".to_owned(),
            "dns_domains = [\"com\"]".to_owned(),
            "exit_node = \"\"".to_owned(),
            "exit_node = \"cabin\"\nadvertise_exit_node = true".to_owned(),
            "exit_node = \"cabin\"\nadvertise_routes = [\"192.168.1.0/24\"]".to_owned(),
            "shields_up = true\nadvertise_exit_node = true".to_owned(),
            "exit_node_allow_lan_access = true".to_owned(),
            "exit_node_dns = [\"9.9.9.9\"]".to_owned(),
            "exit_node = \"cabin\"\nexit_node_dns = [\"127.0.0.1\"]".to_owned(),
            "advertise_routes = [\"0.0.0.0/0\"]".to_owned(),
            "exit_node = \"cabin\"\n[wireguard]".to_owned(),
            "shields_up = true\n[wireguard]".to_owned(),
            "[wireguard]\nport = 0".to_owned(),
            "[wireguard]\nport = 41641".to_owned(),
            "[wireguard]\nkey = \"a\"".to_owned(),
            "advertise_routes = [\"192.168.1.7/24\"]".to_owned(),
            "advertise_routes = [\"100.64.0.0/10\"]".to_owned(),
            "advertise_routes = [\"127.0.0.0/8\"]".to_owned(),
            service(80) + "https = [\"rooms.maru.home.arpa\"]",
            service(80) + "https = [\"rooms\", \"rooms\"]",
            service(443) + "https = [\"rooms\"]",
            service(80) + "local = [\"0.0.0.0:80\"]",
            service(80) + "local = [\"192.168.1.10:80\"]",
            service(80) + "local = [\"127.0.0.1:0\"]",
            service(80) + "local = [\"127.0.0.1:80\", \"127.0.0.1:80\"]",
            dial("to = \"192.168.1.10:11434\""),
            dial("to = \"localhost:11434\""),
            dial("to = \"relay.example:443\"\noutside = true"),
            dial("to = \"127.0.0.1\""),
            dial(""),
            dial("to = \"127.0.0.1:1\"\nport = 1"),
        ] {
            assert!(parse(&text).is_err(), "{text}");
        }
    }
}
