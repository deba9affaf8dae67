//! telmeet's settings file.

use std::path::{Path, PathBuf};

use common::mesh;
use mesh_identity::members::Members;
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
    /// The network's domain; telmeet relays sealed chat at `chat.<network>`, and is the homeserver at `rooms.<network>`, whose
    /// name in every id is this domain. Default: `maru.home.arpa`.
    pub network: String,
    /// Further names of the relay. Default: none.
    pub names: Vec<String>,
    /// Socket that the agent connects to. Default: `run/maru/telmeet/http.sock`.
    pub socket: PathBuf,
    /// Socket for root. Default: `run/maru/rooms-admin/http.sock`.
    pub admin_socket: PathBuf,
    /// Socket that the participant connects to, the AI as a member of rooms. Default: `run/maru/rooms/http.sock`.
    pub rooms_socket: PathBuf,
    /// The gateway's socket. Default: `run/maru/plugin/http.sock`.
    pub plugin_socket: PathBuf,
    /// The user id that must listen there. Default: the owner of the socket's folder.
    pub gateway_uid: Option<u32>,
    /// The agent's user id; other processes are refused. Default: 61005; 0, an older default, means the same.
    pub agent_uid: u32,
    /// The participant's user id. Default: 61007.
    pub participant_uid: u32,
    /// Connections at a time. Default: 512.
    pub connections: usize,
    /// Connections at a time from one node. Default: 64.
    pub connections_per_node: usize,
    /// Largest request body, in bytes. Default: 1,500,000, the most that a gateway reads.
    pub max_body_bytes: usize,
    /// Folder of the homeserver's database and media. Default: `var/lib/maru/telmeet`.
    pub state: PathBuf,
    /// File with the URL of a PostgreSQL database. Default: none, a SQLite file in the folder above.
    pub database_url_file: Option<PathBuf>,
    /// Key under which events, account data and media are sealed. It is made at the first start; no backup holds it. Default:
    /// `var/lib/maru/telmeet-key/key`.
    pub key_file: PathBuf,
    /// List of the network's people and nodes, which the coordinator writes: who is not in it loses access. Default:
    /// `var/lib/maru/telmeet-members/members.json`. Without the file nobody does.
    pub members_file: PathBuf,
    /// Largest upload, in bytes. Default: 50 MiB.
    pub upload_bytes: u64,
    /// Bytes of all uploads of one person. Default: 2 GiB.
    pub media_bytes_per_person: u64,
    /// Bytes of all uploads. Default: 8 GiB.
    pub media_bytes: u64,
    /// Whether apps may sign in by OAuth, which they do over HTTPS only. Default: false.
    pub oauth: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            network: mesh::DOMAIN.to_owned(),
            names: Vec::new(),
            socket: services::TELMEET_HTTP.socket.into(),
            admin_socket: services::ROOMS_ADMIN.socket.into(),
            rooms_socket: services::ROOMS_LINK.socket.into(),
            plugin_socket: services::PLUGIN.socket.into(),
            gateway_uid: None,
            agent_uid: mesh_identity::AGENT_UID,
            participant_uid: services::PARTICIPANT_UID,
            connections: 512,
            connections_per_node: 64,
            max_body_bytes: plugin::MAX_BODY,
            state: services::TELMEET_STATE.into(),
            database_url_file: None,
            key_file: Path::new(services::TELMEET_KEY).join("key"),
            members_file: Path::new(services::TELMEET_MEMBERS).join(Members::FILE),
            upload_bytes: 50 << 20,
            media_bytes_per_person: 2 << 30,
            media_bytes: 8 << 30,
            oauth: false,
        }
    }
}

impl Settings {
    /// The homeserver's name.
    #[must_use]
    pub fn rooms_host(&self) -> String {
        format!("{}.{}", services::ROOMS, self.network)
    }

    /// The SQLite database, below the root.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.state.join("db.sqlite")
    }

    /// The names of the relay.
    pub fn hosts(&self) -> impl Iterator<Item = String> {
        std::iter::once(format!("{}.{}", services::TELMEET_MESH.name, self.network))
            .chain(self.names.iter().cloned())
    }
}
