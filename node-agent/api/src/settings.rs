//! The agent's settings file.

use std::{net::SocketAddr, path::PathBuf};

use serde::Deserialize;

use crate::instance::Instance;

/// Where the file is, below the root, unless another is named.
pub const FILE: &str = "etc/maru/agent.toml";

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
    /// What to do with the system's resolver. Default: `resolv-conf`.
    pub dns: Dns,
    /// Further addresses at which peers may reach this node, such as a forwarded port. None of the mesh's.
    pub endpoints: Vec<SocketAddr>,
    /// Domains beside the network's own below which the coordinator may name mesh addresses. Default: none.
    pub dns_domains: Vec<String>,
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

impl Default for Settings {
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

impl Settings {
    /// The TUN interface's name in `instance`.
    #[must_use]
    pub fn interface(&self, instance: &Instance) -> String {
        self.interface.clone().unwrap_or_else(|| instance.interface())
    }
}
