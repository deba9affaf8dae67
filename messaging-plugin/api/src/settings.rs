//! telmeet's settings file.

use std::path::PathBuf;

use common::mesh;
use serde::Deserialize;

use crate::plugin;

/// Default path of the file, below the root.
pub const FILE: &str = services::TELMEET_MESH.settings;

/// telmeet's settings, read from one TOML file; paths are below the root.
///
/// Unknown keys are an error. It contains no secret, so `Debug` is safe to log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The network's domain; telmeet answers to `chat.<network>`. Default: `maru.internal`.
    pub network: String,
    /// Further names that it answers to. Default: none.
    pub names: Vec<String>,
    /// Socket that the agent connects to. Default: `run/maru/telmeet/http.sock`.
    pub socket: PathBuf,
    /// The gateway's socket. Default: `run/maru/plugin/http.sock`.
    pub plugin_socket: PathBuf,
    /// The user id that must listen there. Default: the owner of the socket's folder.
    pub gateway_uid: Option<u32>,
    /// The agent's user id; other processes are refused. Default: 61005; 0, an older default, means the same.
    pub agent_uid: u32,
    /// Connections at a time. Default: 512.
    pub connections: usize,
    /// Connections at a time from one node. Default: 64.
    pub connections_per_node: usize,
    /// Largest request body, in bytes. Default: 1,500,000, the most that a gateway reads.
    pub max_body_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            network: mesh::DOMAIN.to_owned(),
            names: Vec::new(),
            socket: services::TELMEET_HTTP.socket.into(),
            plugin_socket: services::PLUGIN.socket.into(),
            gateway_uid: None,
            agent_uid: mesh_identity::AGENT_UID,
            connections: 512,
            connections_per_node: 64,
            max_body_bytes: plugin::MAX_BODY,
        }
    }
}

impl Settings {
    /// The names that it answers to.
    pub fn hosts(&self) -> impl Iterator<Item = String> {
        std::iter::once(format!("{}.{}", services::TELMEET_MESH.name, self.network))
            .chain(self.names.iter().cloned())
    }
}
