//! telmeet's configuration file.

use std::{
    io,
    path::{Path, PathBuf},
};

use ai_gateway_api::sealed::MAX_BODY;
use serde::Deserialize;

use crate::relay::Relay;

/// Where the file is, below the root.
const DEFAULT_FILE: &str = "etc/maru/telmeet.toml";

/// telmeet's settings, read from one TOML file; paths are below the root.
///
/// A key it does not know is an error. It holds no secret, so `Debug` is safe to log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The network's domain; telmeet answers to `chat.<network>`. Default: `maru.internal`.
    pub network: String,
    /// Further names that it answers to. Default: none.
    pub names: Vec<String>,
    /// Socket that the agent connects to. Default: `run/maru/telmeet/http.sock`.
    pub socket: PathBuf,
    /// The gateway's socket. Default: `run/maru/plugin/http.sock`.
    pub plugin_socket: PathBuf,
    /// The agent's user id; other processes are refused. Default: 61005; 0, as it was once, means the same.
    pub agent_uid: u32,
    /// Connections at a time. Default: 512.
    pub connections: usize,
    /// Connections at a time from one node. Default: 64.
    pub connections_per_node: usize,
    /// Largest request body, in bytes. Default: 1,500,000, the most that a gateway reads.
    pub max_body_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            network: "maru.internal".to_owned(),
            names: Vec::new(),
            socket: "run/maru/telmeet/http.sock".into(),
            plugin_socket: "run/maru/plugin/http.sock".into(),
            agent_uid: mesh_identity::AGENT_UID,
            connections: 512,
            connections_per_node: 64,
            max_body_bytes: MAX_BODY,
        }
    }
}

/// The configuration could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read {}: check that it exists and who may read it", .path.display())]
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
}

impl Config {
    /// Loads the settings at `file`, or at `etc/maru/telmeet.toml`, which may be missing: then all is default.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be read, is not TOML, or has a wrong or unknown key.
    pub fn load(root: &Path, file: Option<PathBuf>) -> Result<Self, ConfigError> {
        let named = file.is_some();
        let path = file.unwrap_or_else(|| root.join(DEFAULT_FILE));
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !named => String::new(),
            Err(source) => return Err(ConfigError::Read { path, source }),
            Ok(text) => text,
        };
        toml::from_str(&text).map_err(|error: toml::de::Error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            ConfigError::Parse { path, line, error: Box::new(error) }
        })
    }

    /// The names that it answers to.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = String> {
        std::iter::once(format!("chat.{}", self.network)).chain(self.names.iter().cloned())
    }

    pub(crate) fn relay(&self, root: &Path) -> Relay {
        Relay { gateway: root.join(&self.plugin_socket), max_body_bytes: self.max_body_bytes }
    }
}
