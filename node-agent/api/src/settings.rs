//! The agent's settings file.

use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroU16,
    path::PathBuf,
};

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de::Error as _};
use services::Instance;

/// Where the file is, below the root, unless another is named.
pub const FILE: &str = "etc/maru/agent.toml";

/// Folder of the dials, below the root: one folder for each [`Dial`], with its socket.
pub const DIALS: &str = services::DIALS;

/// The agent's settings, read from one TOML file. A key it does not know is an error.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// UDP port for peers on every address; 0 lets the kernel choose. Default: 41641.
    pub listen_port: u16,
    /// Name of the TUN interface. Default: `maru0`, or `maru` and the instance's id.
    pub interface: Option<String>,
    /// Name to ask the coordinator for. Default: the machine's.
    pub hostname: Option<String>,
    /// How this machine's programs are led to the agent's resolver. Default: `auto`.
    pub dns: Dns,
    /// Further addresses at which peers may reach this node, such as a forwarded port. No mesh addresses.
    pub endpoints: Vec<SocketAddr>,
    /// Whether the router is asked to forward ports. Default: `auto`.
    pub port_mapping: PortMapping,
    /// Further domains in which the coordinator may name mesh addresses. Default: none.
    pub dns_domains: Vec<String>,
    /// Which offloads the tunnel uses. Default: `auto`.
    pub offload: Offload,
    /// Whether packets to subnets behind other nodes go there. Default: false.
    pub accept_routes: bool,
    /// The node through which everything leaves that is not for the mesh or an accepted subnet: its name, stable id or mesh
    /// address. While it is set, nothing leaves outside the tunnel. Default: none.
    pub exit_node: Option<String>,
    /// Whether private addresses of this machine's own networks are reached directly while an exit node is set. Default: false.
    pub exit_node_allow_lan_access: bool,
    /// Resolvers that are asked through the exit node. Default: those of the system that have public addresses.
    pub exit_node_dns: Vec<IpAddr>,
    /// Whether peers may open nothing on this node; answers still come in. Default: false.
    pub shields_up: bool,
    /// Subnets that this node offers to route for others. Default: none.
    pub advertise_routes: Vec<IpNet>,
    /// Whether this node offers to be an exit node. Default: false.
    pub advertise_exit_node: bool,
    /// Whether this node offers to route WireGuard devices into the mesh. Default: no.
    pub wireguard: Option<Wireguard>,
    /// Services that this node offers in the mesh.
    pub service: Vec<Service>,
    /// Addresses that users of this machine reach over a socket. Default: none.
    pub dial: Vec<Dial>,
}

/// How devices that have only WireGuard reach this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wireguard {
    /// UDP port. Default: 51820, WireGuard's own.
    pub port: NonZeroU16,
    /// Whether devices with a full tunnel reach the internet here, as through an exit node. Default: no.
    pub internet: bool,
}

/// WireGuard's own port.
const WIREGUARD_PORT: NonZeroU16 = NonZeroU16::new(51820).unwrap();

impl Default for Wireguard {
    fn default() -> Self {
        Self { port: WIREGUARD_PORT, internet: false }
    }
}

/// How this machine's programs are led to the agent's resolver; what was changed is changed back on exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dns {
    /// By what runs on this machine: the first of the following that programs ask.
    Auto,
    /// systemd-resolved asks the agent for the network's names, and for no others.
    SystemdResolved,
    /// openresolv writes the agent into `/etc/resolv.conf`.
    Resolvconf,
    /// The agent's helper writes it into `/etc/resolv.conf`.
    ResolvConf,
    /// Nothing is changed.
    Off,
}

/// Whether the router is asked to forward ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PortMapping {
    /// By PCP, NAT-PMP or UPnP, whichever it speaks.
    Auto,
    /// No.
    Off,
}

/// Names of the offloads, in display order.
pub const OFFLOADS: [&str; 5] = ["tso4", "tso6", "uso", "udp_segment", "udp_gro"];

/// Which offloads the tunnel uses: the kernel then transfers many packets at once.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "OffloadText")]
pub enum Offload {
    /// All that the kernel supports.
    Auto,
    /// None.
    Off,
    /// The listed ones of [`OFFLOADS`], if the kernel supports them. For benchmarks; undocumented elsewhere.
    Only(Vec<String>),
}

/// [`Offload`] as it is written.
#[derive(Deserialize)]
#[serde(untagged, expecting = "offload must be \"auto\" or \"off\"")]
enum OffloadText {
    Word(String),
    Names(Vec<String>),
}

impl TryFrom<OffloadText> for Offload {
    type Error = String;

    fn try_from(text: OffloadText) -> Result<Self, String> {
        match text {
            OffloadText::Word(word) if word == "auto" => Ok(Self::Auto),
            OffloadText::Word(word) if word == "off" => Ok(Self::Off),
            OffloadText::Word(word) => {
                Err(format!("{word:?} is not a value of offload: write \"auto\" or \"off\""))
            }
            OffloadText::Names(names) => {
                match names.iter().find(|name| !OFFLOADS.contains(&name.as_str())) {
                    Some(name) => Err(format!(
                        "{name:?} is not an offload: list some of {}, or write \"auto\" or \"off\"",
                        OFFLOADS.join(", ")
                    )),
                    None => Ok(Self::Only(names)),
                }
            }
        }
    }
}

/// A port of this node's mesh addresses that is forwarded to a UNIX socket.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Its name, sent to the service with each connection.
    pub name: String,
    /// TCP port.
    pub port: u16,
    /// The service's socket, without symbolic links in its path; a relative path is taken from the root.
    pub socket: PathBuf,
    /// The user id that must listen there. Default: the owner of the socket's folder.
    #[serde(default)]
    pub uid: Option<u32>,
    /// Loopback addresses that are forwarded there, too, without an identity, for programs of this machine. Default: none.
    #[serde(default)]
    pub local: Vec<SocketAddr>,
    /// Whether its responses may be web pages. If not, it speaks HTTP/1.1 with one request on each connection, and responses that
    /// a browser could show as a page or run are refused. Default: true.
    #[serde(default = "yes")]
    pub pages: bool,
    /// First labels of host names at which its responses may be web pages even so. Default: none.
    #[serde(default)]
    pub page_names: Vec<String>,
    /// First labels of names, below the network's domain, at which the agent offers it over HTTPS, too, on port 443. Default: none.
    #[serde(default)]
    pub https: Vec<String>,
}

const fn yes() -> bool {
    true
}

/// A UNIX socket through which one user of this machine reaches one address, such as Ollama for a gateway without a network.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dial {
    /// Its name in the log.
    pub name: String,
    /// The socket, `run/maru/dial/FOLDER/FILE` below the root; no other dial has this folder.
    pub socket: PathBuf,
    /// The user id that may connect; its group, which enters the folder, has the same number.
    pub uid: u32,
    /// The target: a loopback address, or the mesh address of another node, with a port; with `outside`, another address.
    #[serde(deserialize_with = "address")]
    pub to: SocketAddr,
    /// Whether `to` is outside this machine and the mesh. Explicit, so that a mistyped address does not open the internet.
    /// Default: false.
    #[serde(default)]
    pub outside: bool,
}

/// Reads an address; names are not resolved.
fn address<'de, D: Deserializer<'de>>(from: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(from)?;
    text.parse().map_err(|_| {
        D::Error::custom(format!(
            "{text:?} is not an address with a port, such as \"127.0.0.1:11434\" or \"[::1]:11434\""
        ))
    })
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen_port: 41641,
            interface: None,
            hostname: None,
            dns: Dns::Auto,
            endpoints: Vec::new(),
            port_mapping: PortMapping::Auto,
            dns_domains: Vec::new(),
            offload: Offload::Auto,
            accept_routes: false,
            exit_node: None,
            exit_node_allow_lan_access: false,
            exit_node_dns: Vec::new(),
            shields_up: false,
            advertise_routes: Vec::new(),
            advertise_exit_node: false,
            wireguard: None,
            service: Vec::new(),
            dial: Vec::new(),
        }
    }
}

impl Settings {
    /// The TUN interface's name in `instance`.
    #[must_use]
    pub fn interface(&self, instance: &Instance) -> String {
        self.interface.clone().unwrap_or_else(|| instance.interface())
    }
}
