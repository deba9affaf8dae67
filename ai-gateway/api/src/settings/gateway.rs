//! The gateway's settings file: sockets, identity, limits. Models and agents are in `openclaw.json`.

use std::{
    collections::BTreeMap,
    num::{NonZeroU16, NonZeroU32},
    path::PathBuf,
};

use common::{mesh, wire::Fixed};
use confidential_api::policy::{Anchor, Image};
use serde::Deserialize;

use crate::{sealed::MAX_BODY, settings::origin::Origin};

/// Where the file is, below the root, unless another is named.
pub const FILE: &str = services::GATEWAY_MESH.settings;

/// The gateway's settings, read from one TOML file; paths are below the root.
///
/// A key it does not know is an error. It holds no secret, so `Debug` is safe to log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The network's domain; the gateway answers to `chat.<network>`. Default: `maru.internal`.
    pub network: String,
    /// Further names that it answers to, such as the home node's own. Default: none.
    pub names: Vec<String>,
    /// Pages that may use `/v1` and `/api` from a browser, by their exact origin, such as `https://webui.example` or
    /// `http://localhost:3000`. Default: none.
    pub origins: Vec<Origin>,
    /// State: identity, epoch, bound devices, apps. Default: `var/lib/maru/gateway`.
    pub state: PathBuf,
    /// Models and agents. Default: `var/lib/maru/gateway/config/openclaw.json`.
    pub openclaw: PathBuf,
    /// Socket that the agent connects to, mesh port 18789. Default: `run/maru/gateway/http.sock`.
    pub socket: PathBuf,
    /// Socket that telmeet connects to. Default: `run/maru/plugin/http.sock`.
    pub plugin_socket: PathBuf,
    /// Socket on which the superuser reads counters and administers apps, and nobody else. Default: `run/maru/metrics/http.sock`.
    pub metrics_socket: PathBuf,
    /// The agent's user id. Default: 61005; 0, as it was once, means the same.
    pub agent_uid: u32,
    /// telmeet's user id. Default: 61003.
    pub telmeet_uid: u32,
    /// Threads that serve connections; 0 is as many as there are processors. Default: 0.
    pub threads: u16,
    /// The keys that requests are sealed to.
    pub keys: Keys,
    /// What callers may use.
    pub limits: Limits,
    /// How replies wait for their models.
    pub line: Queue,
    /// When a backend that fails is left alone.
    pub breaker: Breaker,
    /// What is kept of how much people use.
    pub usage: Usage,
    /// What this home pinned of deployments of the confidential chain, by the names that `openclaw.json` has for their
    /// providers. Default: none.
    pub confidential: BTreeMap<String, Deployment>,
}

/// What this home pinned of a deployment of the confidential chain; `docs/protocols/confidential.md`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// The deployment's identity, base64url: who signs its policies and certificates.
    pub identity: Fixed<32>,
    /// Whether simulated evidence is taken, which proves nothing to anybody but who made it. Default: false.
    #[serde(default)]
    pub simulated: bool,
    /// Whether keys are taken that the deployment's auth could have made (option A). Default: false.
    #[serde(default)]
    pub shared_seeds: bool,
    /// Images that are taken, of those that the deployment publishes. Default: all of those.
    #[serde(default)]
    pub images: Option<Vec<Image>>,
    /// Roots that are taken beside AWS's, of those that the deployment publishes. Default: none.
    #[serde(default)]
    pub anchors: Vec<PinnedAnchor>,
    /// Policies below this epoch are refused. Default: 0.
    #[serde(default)]
    pub min_epoch: u64,
    /// How long a node's proof holds, in seconds, at most 300. Default: 60.
    #[serde(default = "minute")]
    pub verified_for_s: NonZeroU32,
}

/// A root that this home takes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct PinnedAnchor {
    /// Which.
    #[serde(flatten)]
    pub anchor: Anchor,
    /// Whether it is a TPM that its vendor stands behind. Evidence that ends in any other is SIMULATED. Default: false.
    #[serde(default)]
    pub vendor: bool,
}

const fn minute() -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(59)
}

/// Life of the keys that requests are sealed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Keys {
    /// How long a key is the current one, in hours. Default: 24.
    pub lifetime_hours: u32,
    /// How long it still opens requests after that, in hours. Default: 1.
    pub overlap_hours: u32,
    /// Sealed requests remembered, so that none is opened twice; each takes about 150 bytes for 11 minutes, and where
    /// there is no room for another, it is refused as `busy`. Default: 8,192, which is 12 a second.
    pub remembered: usize,
    /// Sealed requests remembered of one device. Default: 1,024.
    pub remembered_per_device: usize,
}

/// What callers may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Chats that a person, and an address, may start in a minute; lists and keys may be read ten times as often.
    /// Default: 300, for an editor that completes while one types asks three times a second.
    pub chats_per_minute: NonZeroU32,
    /// Chats that may be started at once before that counts. Default: 60.
    pub burst: NonZeroU32,
    /// Largest request body of our own formats, sealed chat among them, in bytes. Default: 1,500,000.
    pub max_body_bytes: usize,
    /// Largest request body of other APIs (`/v1`, `/api`), which may hold images and lies outside the locked memory, in bytes.
    /// Default: 20,000,000.
    pub max_plain_body_bytes: usize,
    /// Bytes of those bodies that are read and answered at a time, of everybody's larger than 64 KiB; whoever finds no room
    /// waits. What they take is several times that: read, decoded, and as the model is asked. Default: 64,000,000.
    pub plain_bodies_bytes: usize,
    /// The same of one person, who may besides have at most half of what others leave. Default: 24,000,000.
    pub plain_bodies_bytes_per_person: usize,
    /// How long a streamed answer on `/v1` and `/api` waits for its model's first token before it begins without, so that the
    /// client does not give up, in seconds; what goes wrong later is no status any more, but an event or a line. Default: 10.
    pub headers_seconds: u32,
    /// Most tokens of one reply. Default: 32,768.
    pub max_tokens: u32,
    /// Tokens of a reply whose request and model name no number. Default: 4,096.
    pub default_tokens: u32,
    /// Sessions kept of one person. Default: 32.
    pub sessions_per_person: usize,
    /// Text kept of one session, in bytes; older messages are forgotten first. Default: 65,536.
    pub session_bytes: usize,
    /// Text kept in all, in bytes; of whoever holds most, the session not used for longest is forgotten first.
    /// Default: 2,097,152.
    pub sessions_bytes: usize,
    /// Locked memory for keys and what people write, in bytes; less if the system allows less. Default: 7,340,032.
    pub locked_bytes: usize,
    /// Connections at a time on each socket. Default: 512.
    pub connections: usize,
    /// Connections at a time from one node. Default: 64.
    pub connections_per_node: usize,
}

/// How replies wait for their models: each provider has a line of its own, in which people take turns.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Queue {
    /// Replies under way at a time at a node of a provider of which neither `openclaw.json` nor the server itself says how
    /// many it makes (llama-server and `maru-llm` do). Default: 1; with more than it has, it would be the server that decides
    /// who is next.
    pub slots: NonZeroU16,
    /// The same for some providers, all their nodes together, by the names that `openclaw.json` has for them. Default: none.
    pub providers: BTreeMap<String, NonZeroU16>,
    /// Requests that may wait for a provider. Default: 128.
    pub waiting: usize,
    /// Requests of one person that may wait for a provider. Default: 32.
    pub waiting_per_person: usize,
    /// Bytes that all of them may have together, images included; a larger one may wait alone. Default: 64,000,000.
    pub waiting_bytes: usize,
    /// Bytes that those of one person may have; a larger one may be the only one. Default: 32,000,000.
    pub waiting_bytes_per_person: usize,
    /// How long somebody waits without a slot, in seconds, before a reply of whoever holds most ends; one of somebody who
    /// holds a single slot ends once it has run as long, too. Default: 60.
    pub yield_seconds: NonZeroU32,
    /// How long a request may wait after its person's last turn, in seconds; whoever has no slot waits at least as long as
    /// it takes to get one, which follows from `yield_seconds` and from how many wait. Default: 60.
    pub seconds: u32,
}

/// When a backend that fails is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Breaker {
    /// Faults in a row after which it is. Default: 5.
    pub faults: NonZeroU32,
    /// How long it is, before one request tries it again, in seconds. Default: 30.
    pub reset_seconds: NonZeroU32,
}

/// What is kept of how much people use: counts by person and day, no text and no model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Usage {
    /// How many days are kept, today included; 0 keeps and counts nothing. Default: 90.
    pub days: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            network: mesh::DOMAIN.to_owned(),
            names: Vec::new(),
            origins: Vec::new(),
            state: services::GATEWAY_STATE.into(),
            openclaw: "var/lib/maru/gateway/config/openclaw.json".into(),
            socket: services::GATEWAY_HTTP.socket.into(),
            plugin_socket: services::PLUGIN.socket.into(),
            metrics_socket: services::METRICS.socket.into(),
            agent_uid: mesh_identity::AGENT_UID,
            telmeet_uid: services::TELMEET,
            threads: 0,
            keys: Keys::default(),
            limits: Limits::default(),
            line: Queue::default(),
            breaker: Breaker::default(),
            usage: Usage::default(),
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
            sessions_per_person: 32,
            session_bytes: 65_536,
            sessions_bytes: 2 << 20,
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

impl Settings {
    /// The name of telmeet's page, and of this gateway.
    #[must_use]
    pub fn chat_host(&self) -> String {
        format!("{}.{}", services::GATEWAY_MESH.name, self.network)
    }
}
