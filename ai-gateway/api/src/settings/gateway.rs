//! The gateway's settings file: sockets, identity, limits. Models and agents are in `openclaw.json`.

use std::{
    collections::BTreeMap,
    num::{NonZeroU16, NonZeroU32},
    path::{Path, PathBuf},
};

use common::{mesh, wire::Fixed};
use confidential_api::policy::{Anchor, Image};
use mesh_identity::Person;
use serde::Deserialize;

use crate::{sealed::MAX_BODY, settings::origin::Origin};

/// Default path of the file, below the root.
pub const FILE: &str = services::GATEWAY_MESH.settings;

/// The gateway's settings, read from one TOML file; paths are below the root.
///
/// Unknown keys are an error. It contains no secret, so `Debug` is safe to log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The network's domain; the gateway answers to `chat.<network>`. Default: `maru.home.arpa`.
    pub network: String,
    /// Further names that it answers to, such as the home node's own. Default: none.
    pub names: Vec<String>,
    /// Origins of web pages that may use `/v1`, `/api` and OpenClaw's WebSocket, exactly as browsers send them, such as
    /// `https://webui.example` or `http://localhost:3000`. Default: none.
    pub origins: Vec<Origin>,
    /// People to whom OpenClaw's WebSocket grants `operator.admin`, such as `user:1`. Default: none.
    pub admins: Vec<Person>,
    /// State: identity, epoch, bound devices, apps, usage, conversations. Default: `var/lib/maru/gateway`.
    pub state: PathBuf,
    /// Models and agents. Default: `var/lib/maru/gateway/config/openclaw.json`.
    pub openclaw: PathBuf,
    /// Socket that the agent connects to, mesh port 18789. Default: `run/maru/gateway/http.sock`.
    pub socket: PathBuf,
    /// Socket that telmeet connects to. Default: `run/maru/plugin/http.sock`.
    pub plugin_socket: PathBuf,
    /// Socket that the participant connects to. Default: `run/maru/participant/http.sock`.
    pub participant_socket: PathBuf,
    /// Socket for the superuser only: counters, apps, usage. Default: `run/maru/metrics/http.sock`.
    pub metrics_socket: PathBuf,
    /// The agent's user id. Default: 61005; 0, an older default, means the same.
    pub agent_uid: u32,
    /// telmeet's user id. Default: 61003.
    pub telmeet_uid: u32,
    /// The participant's user id. Default: 61007.
    pub participant_uid: u32,
    /// Threads that serve connections; 0 means one for each processor. Default: 0.
    pub threads: u16,
    /// Lifetime of the keys of sealed chat.
    pub keys: Keys,
    /// Limits for callers.
    pub limits: Limits,
    /// The queues before the models.
    pub line: Queue,
    /// The circuit breakers of backends.
    pub breaker: Breaker,
    /// Storage of usage counts.
    pub usage: Usage,
    /// Storage of conversations.
    pub conversations: Conversations,
    /// Pins of deployments of the confidential chain, by their provider's name in `openclaw.json`. Default: none.
    pub confidential: BTreeMap<String, Deployment>,
}

/// Pin of a deployment of the confidential chain; see `docs/protocols/confidential.md`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// The deployment's identity, base64url, which signs its policies and certificates.
    pub identity: Fixed<32>,
    /// Whether simulated evidence is accepted. It proves nothing to anyone else. Default: false.
    #[serde(default)]
    pub simulated: bool,
    /// Whether keys are accepted that the deployment's auth could have made (option A). Default: false.
    #[serde(default)]
    pub shared_seeds: bool,
    /// Accepted images, of those that the deployment publishes. Default: all.
    #[serde(default)]
    pub images: Option<Vec<Image>>,
    /// Accepted roots besides AWS's, of those that the deployment publishes. Default: none.
    #[serde(default)]
    pub anchors: Vec<PinnedAnchor>,
    /// Policies below this epoch are refused. Default: 0.
    #[serde(default)]
    pub min_epoch: u64,
    /// How long a verification is valid, in seconds, at most 300. Default: 60.
    #[serde(default = "minute")]
    pub verified_for_s: NonZeroU32,
}

/// An accepted root.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct PinnedAnchor {
    /// The root.
    #[serde(flatten)]
    pub anchor: Anchor,
    /// Whether it is a TPM vendor's root. Evidence that ends in any other root is SIMULATED. Default: false.
    #[serde(default)]
    pub vendor: bool,
}

const fn minute() -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(59)
}

/// Lifetime of the keys of sealed chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Keys {
    /// How long a key is the current one, in hours. Default: 24.
    pub lifetime_hours: u32,
    /// How long it still opens requests afterwards, in hours. Default: 1.
    pub overlap_hours: u32,
    /// Size of the replay cache, in requests. An entry takes about 150 bytes for 11 minutes; while the cache is full,
    /// requests are refused as `busy`. Default: 8,192, which is 12 a second.
    pub remembered: usize,
    /// The same for one device. Default: 1,024.
    pub remembered_per_device: usize,
}

/// Limits for callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Chats that a person, and an address, may start in a minute; lists and keys may be read ten times as often.
    /// Default: 300, because an editor's completions start three a second.
    pub chats_per_minute: NonZeroU32,
    /// Chats that may be started at once before this rate applies. Default: 60.
    pub burst: NonZeroU32,
    /// Largest request body of Maru's own formats, including sealed chat, in bytes. Default: 1,500,000.
    pub max_body_bytes: usize,
    /// Largest request body of other APIs (`/v1`, `/api`), in bytes. It may contain images and is not in locked memory.
    /// Default: 20,000,000.
    pub max_plain_body_bytes: usize,
    /// Bytes of bodies over 64 KiB that are processed at a time; further requests wait. They take several times as much
    /// memory: read, decoded and sent to the model. Default: 64,000,000.
    pub plain_bodies_bytes: usize,
    /// The same for one person, who may also have at most half of what others leave. Default: 24,000,000.
    pub plain_bodies_bytes_per_person: usize,
    /// How long a streamed answer on `/v1` and `/api` waits for its model's first token before it begins without it, so
    /// that the client does not give up, in seconds. Later errors are an event or a line, not a status. Default: 10.
    pub headers_seconds: u32,
    /// Most tokens of one reply. Default: 32,768.
    pub max_tokens: u32,
    /// Tokens of a reply if neither request nor model sets a limit. Default: 4,096.
    pub default_tokens: u32,
    /// Messages of a session that are read for its next reply, in bytes; older ones stay stored. Default: 65,536.
    pub session_bytes: usize,
    /// Locked memory for keys and people's text, in bytes; less if the system allows less. Default: 7,340,032.
    pub locked_bytes: usize,
    /// Connections at a time on each socket. Default: 512.
    pub connections: usize,
    /// Connections at a time from one node. Default: 64.
    pub connections_per_node: usize,
}

/// The queues before the models: one for each provider, in which people take turns.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Queue {
    /// Concurrent replies of a node if neither `openclaw.json` nor the server itself (llama-server and `maru-llm` do)
    /// tells how many it can make. Default: 1; with more than it has, the server would decide who is next.
    pub slots: NonZeroU16,
    /// Concurrent replies of single providers, all nodes together, by their name in `openclaw.json`. Default: none.
    pub providers: BTreeMap<String, NonZeroU16>,
    /// Requests that may wait for a provider. Default: 128.
    pub waiting: usize,
    /// Requests of one person that may wait for a provider. Default: 32.
    pub waiting_per_person: usize,
    /// Bytes of all waiting requests, images included; a single larger one may wait alone. Default: 64,000,000.
    pub waiting_bytes: usize,
    /// The same for one person. Default: 32,000,000.
    pub waiting_bytes_per_person: usize,
    /// How long a person waits without a slot before a reply of the person who holds most is ended, in seconds. A reply
    /// of a person who holds a single slot also has to have run that long. Default: 60.
    pub yield_seconds: NonZeroU32,
    /// How long a request may wait after its person last got a slot, in seconds. A person without a slot waits at least
    /// until one is due, which follows from `yield_seconds` and the number of people. Default: 60.
    pub seconds: u32,
}

/// The circuit breakers of backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Breaker {
    /// Consecutive faults that open it. Default: 5.
    pub faults: NonZeroU32,
    /// How long it stays open before one request is let through, in seconds. Default: 30.
    pub reset_seconds: NonZeroU32,
}

/// Usage counts by person and day, without text and model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Usage {
    /// Days that are kept, today included; 0 disables counting. Default: 90.
    pub days: u16,
}

/// Storage of conversations.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Conversations {
    /// Key under which they are sealed, which `maru up` hands over on a tmpfs; no backup holds it. Default:
    /// `run/maru/gateway-key/key`.
    pub key_file: PathBuf,
    /// File with the URL of a PostgreSQL database. Default: none, a SQLite file in `state`.
    pub database_url_file: Option<PathBuf>,
    /// Conversations of one person. Default: 10,000.
    pub per_person: u32,
    /// What all conversations of one person may take, in bytes as they are stored. Default: 1 GiB.
    pub bytes_per_person: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            network: mesh::DOMAIN.to_owned(),
            names: Vec::new(),
            origins: Vec::new(),
            admins: Vec::new(),
            state: services::GATEWAY_STATE.into(),
            openclaw: "var/lib/maru/gateway/config/openclaw.json".into(),
            socket: services::GATEWAY_HTTP.socket.into(),
            plugin_socket: services::PLUGIN.socket.into(),
            participant_socket: services::PARTICIPANT.socket.into(),
            metrics_socket: services::METRICS.socket.into(),
            agent_uid: mesh_identity::AGENT_UID,
            telmeet_uid: services::TELMEET,
            participant_uid: services::PARTICIPANT_UID,
            threads: 0,
            keys: Keys::default(),
            limits: Limits::default(),
            line: Queue::default(),
            breaker: Breaker::default(),
            usage: Usage::default(),
            conversations: Conversations::default(),
            confidential: BTreeMap::new(),
        }
    }
}

impl Default for Keys {
    fn default() -> Self {
        Self { lifetime_hours: 24, overlap_hours: 1, remembered: 8192, remembered_per_device: 1024 }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            chats_per_minute: NonZeroU32::MIN.saturating_add(299),
            burst: NonZeroU32::MIN.saturating_add(59),
            max_body_bytes: MAX_BODY,
            max_plain_body_bytes: 20_000_000,
            plain_bodies_bytes: 64_000_000,
            plain_bodies_bytes_per_person: 24_000_000,
            headers_seconds: 10,
            max_tokens: 32_768,
            default_tokens: 4096,
            session_bytes: 65_536,
            locked_bytes: 7 << 20,
            connections: 512,
            connections_per_node: 64,
        }
    }
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            slots: NonZeroU16::MIN,
            providers: BTreeMap::new(),
            waiting: 128,
            waiting_per_person: 32,
            waiting_bytes: 64_000_000,
            waiting_bytes_per_person: 32_000_000,
            yield_seconds: minute(),
            seconds: 60,
        }
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            faults: NonZeroU32::MIN.saturating_add(4),
            reset_seconds: NonZeroU32::MIN.saturating_add(29),
        }
    }
}

impl Default for Usage {
    fn default() -> Self {
        Self { days: 90 }
    }
}

impl Default for Conversations {
    fn default() -> Self {
        Self {
            key_file: Path::new(services::GATEWAY_KEY).join("key"),
            database_url_file: None,
            per_person: 10_000,
            bytes_per_person: 1 << 30,
        }
    }
}

impl Settings {
    /// The SQLite database of conversations, below the root.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.state.join("conversations.sqlite")
    }

    /// The DNS name of telmeet and of this gateway.
    #[must_use]
    pub fn chat_host(&self) -> String {
        format!("{}.{}", services::GATEWAY_MESH.name, self.network)
    }
}
