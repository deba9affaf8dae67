//! The service table itself: a row for each service.

use std::time::Duration;

use crate::{
    entry::{Arg, Kind, Memory, Probe, Readiness, Service, Stage},
    link::{Link, new_link},
    mesh::Mesh,
    mount::Mount,
};

/// User of the agent: the only process that may send mesh services an identity header.
pub const AGENT_UID: u32 = 61005;
/// Group of the agent, which enters the folders of the mesh services' sockets. Uid and gid of all others are equal.
pub const AGENT_GID: u32 = 61000;
/// User of the coordinator.
pub const COORDINATOR: u32 = 61001;
/// User of the relay.
pub const RELAY: u32 = 61006;
/// User of the gateway.
pub const GATEWAY: u32 = 61002;
/// User of telmeet.
pub const TELMEET: u32 = 61003;
/// User of the engines.
pub const ENGINE: u32 = 61004;

/// User of the participant, the AI as a member of rooms.
pub const PARTICIPANT_UID: u32 = 61007;

/// State of the relay, below the root. The coordinator reads the certificate there; the keys are the relay's alone.
pub const RELAY_STATE: &str = "var/lib/maru/relay";
/// Folder with the list of node keys that the coordinator writes for the relay, below the root.
pub const RELAY_NODES: &str = "var/lib/maru/relay-nodes";
/// Folder with the list of people and nodes that the coordinator writes for telmeet, below the root.
pub const TELMEET_MEMBERS: &str = "var/lib/maru/telmeet-members";
/// A file that exists, below the root, during a restore: no service starts then.
pub const RESTORING: &str = "var/lib/maru/restoring";
/// A file that exists, below the root, where the coordinator is the relay: the relay's unit does not start then.
pub const RELAY_EMBEDDED: &str = "run/maru/relay-embedded";
/// Folder of root's, below the root, in which an update keeps the former programs and data until the new ones have proved
/// themselves.
pub const FORMER: &str = "var/lib/maru/former";
/// Folder of the dials, below the root: each dial of the agent has a folder in it, with its socket.
pub const DIALS: &str = "run/maru/dial";
/// State of the gateway, below the root.
pub const GATEWAY_STATE: &str = "var/lib/maru/gateway";
/// Folder of the key under which the gateway seals conversations, below the root: `maru` hands it over on a tmpfs.
pub const GATEWAY_KEY: &str = "run/maru/gateway-key";
/// Where the gateway's agents read and write files, below the root.
pub const WORKSPACE: &str = "var/lib/maru/gateway/workspace";
/// Directory of the models, below the root.
pub const MODELS: &str = "var/lib/maru/models";

/// Label of the homeserver's name, below the network's domain.
pub const ROOMS: &str = "rooms";
/// State of telmeet, below the root.
pub const TELMEET_STATE: &str = "var/lib/maru/telmeet";
/// Folder of the key under which telmeet seals what it stores, below the root. No backup holds it.
pub const TELMEET_KEY: &str = "var/lib/maru/telmeet-key";
/// The participant's records, below the root.
pub const PARTICIPANT_STATE: &str = "var/lib/maru/participant";
/// Folder of the key under which the participant seals them, below the root. No backup holds it.
pub const PARTICIPANT_KEY: &str = "var/lib/maru/participant-key";

/// The coordinator's admin API, for root.
pub const ADMIN: Link = new_link!("coordinator", "admin.sock", COORDINATOR, 0);
/// The coordinator's metrics, for root.
pub const COUNTERS: Link = new_link!("coordinator", "metrics.sock", COORDINATOR, 0);
/// The agent's local API: everyone may read, the agent itself refuses changes by others than root.
pub const LOCAL_API: Link =
    Link { mode: 0o755, ..new_link!("agent", "api.sock", AGENT_UID, AGENT_GID) };
/// The gateway as a mesh service.
pub const GATEWAY_HTTP: Link = new_link!("gateway", "http.sock", GATEWAY, AGENT_GID);
/// The gateway's plugin interface, for telmeet.
pub const PLUGIN: Link = new_link!("plugin", "http.sock", GATEWAY, TELMEET);
/// The gateway's interface for rooms, for the participant.
pub const PARTICIPANT: Link = new_link!("participant", "http.sock", GATEWAY, PARTICIPANT_UID);
/// The gateway's admin interface, for root: metrics and apps.
pub const METRICS: Link = new_link!("metrics", "http.sock", GATEWAY, 0);
/// telmeet as a mesh service.
pub const TELMEET_HTTP: Link = new_link!("telmeet", "http.sock", TELMEET, AGENT_GID);
/// telmeet's admin interface, for root: rooms.
pub const ROOMS_ADMIN: Link = new_link!("rooms-admin", "http.sock", TELMEET, 0);
/// telmeet's homeserver, for the participant.
pub const ROOMS_LINK: Link = new_link!("rooms", "http.sock", TELMEET, PARTICIPANT_UID);
/// The participant's state, for root: its health, and the fingerprint of the AI's device.
pub const PARTICIPANT_ADMIN: Link = new_link!("participant-admin", "http.sock", PARTICIPANT_UID, 0);
/// The first engine.
pub const INFERENCE: Link = new_link!("inference", "llm.sock", ENGINE, GATEWAY);
/// The spare engine.
pub const INFERENCE_2: Link = new_link!("inference-2", "llm.sock", ENGINE, GATEWAY);

/// Timeout of a service's start.
const STARTING: Duration = Duration::from_secs(30);
/// Timeout of an engine's start: a large model may be read from a slow disk.
const LOADING: Duration = Duration::from_secs(20 * 60);

const fn ready(probe: Probe, by: Stage, patience: Duration) -> Readiness {
    Readiness { probe, by, patience }
}

/// telmeet in the mesh.
pub const TELMEET_MESH: Mesh = Mesh {
    port: 80,
    name: "chat",
    // An attacker who takes telmeet over cannot serve pages under this name either: it is the gateway's, too.
    pages: false,
    page_name: Some(ROOMS),
    // The other name belongs to the gateway there: telmeet could serve a script that reads prompts.
    https: Some(ROOMS),
    local: false,
    settings: "etc/maru/telmeet.toml",
    about: "telmeet",
    peers: &[("gateway_uid", PLUGIN)],
};

/// The gateway in the mesh.
pub const GATEWAY_MESH: Mesh = Mesh {
    port: 18789,
    name: TELMEET_MESH.name,
    pages: true,
    page_name: None,
    https: Some(TELMEET_MESH.name),
    local: true,
    settings: "etc/maru/gateway.toml",
    about: "The gateway: sockets, identity, limits",
    peers: &[],
};

/// Defaults of services that run as processes.
const CHILD: Service = Service { kind: Kind::Child, start: Stage::ControlPlane, ..CONTAINER };

/// The coordinator.
pub const COORDINATOR_SERVICE: Service = Service {
    name: "coordinator",
    description: "Maru coordinator: the control plane",
    binary: "maru-coordinator",
    args: &[Arg::Text("serve")],
    ready: ready(Probe::Get("/api/v1/health"), Stage::ControlPlane, STARTING),
    uid: COORDINATOR,
    gid: COORDINATOR,
    listens: &[ADMIN],
    mounts: &[
        Mount::write("var/lib/maru/coordinator")
            .made(COORDINATOR, COORDINATOR, 0o700)
            .saved(20_000),
        Mount::write(RELAY_NODES),
        Mount::write(TELMEET_MEMBERS),
        Mount::read(RELAY_STATE),
    ],
    memory: Memory::Mib(512),
    disk_mib: 4096,
    ..CHILD
};

/// The relay.
pub const RELAY_SERVICE: Service = Service {
    name: "relay",
    description: "Maru relay: DERP and STUN",
    binary: "maru-coordinator",
    args: &[Arg::Text("relay")],
    ready: ready(Probe::RelayPort, Stage::ControlPlane, STARTING),
    uid: RELAY,
    gid: RELAY,
    mounts: &[
        Mount::write(RELAY_STATE).made(RELAY, COORDINATOR, 0o750).saved(2_000),
        Mount::read(RELAY_NODES).made(COORDINATOR, RELAY, 0o750),
    ],
    disk_mib: 64,
    pids: 64,
    ..CHILD
};

/// The agent.
pub const AGENT_SERVICE: Service = Service {
    name: "agent",
    description: "Maru agent: this device's part in the mesh",
    binary: "maru-agent",
    start: Stage::Agent,
    ready: ready(Probe::Get("/v1/status"), Stage::Agent, STARTING),
    uid: AGENT_UID,
    gid: AGENT_GID,
    capabilities: &["NET_ADMIN", "NET_BIND_SERVICE"],
    // To give its folders, also private ones, to its user.
    start_capabilities: &["CHOWN", "DAC_READ_SEARCH", "SETGID", "SETPCAP", "SETUID"],
    listens: &[LOCAL_API],
    calls: &[GATEWAY_HTTP, TELMEET_HTTP],
    // Root owns the second, where its helper keeps the original `resolv.conf`, and the third, which has a folder for each dial.
    mounts: &[
        Mount::write("var/lib/maru/agent").made(AGENT_UID, AGENT_GID, 0o700).saved(5_000),
        Mount::write("var/lib/maru/resolver").made(0, 0, 0o755),
        Mount::write(DIALS).made(0, 0, 0o755),
    ],
    memory: Memory::Mib(512),
    disk_mib: 64,
    ..CHILD
};

/// Defaults of services in containers.
const CONTAINER: Service = Service {
    name: "",
    description: "",
    binary: "",
    args: &[],
    kind: Kind::Container,
    start: Stage::Containers,
    ready: ready(Probe::MeshHealth, Stage::Agent, STARTING),
    uid: 0,
    gid: 0,
    capabilities: &[],
    start_capabilities: &[],
    listens: &[],
    calls: &[],
    mesh: None,
    mounts: &[],
    memory: Memory::Mib(256),
    disk_mib: 256,
    pids: 128,
};

/// The gateway.
pub const GATEWAY_SERVICE: Service = Service {
    name: "gateway",
    description: "Maru gateway: opens sealed chats and asks the engines",
    binary: "maru-gateway",
    uid: GATEWAY,
    gid: GATEWAY,
    listens: &[GATEWAY_HTTP, PLUGIN, PARTICIPANT, METRICS],
    calls: &[INFERENCE, INFERENCE_2],
    mesh: Some(GATEWAY_MESH),
    mounts: &[
        // The whole folder: a new dial needs no change of the container.
        Mount::read(DIALS),
        Mount::read(GATEWAY_MESH.settings),
        Mount::read(GATEWAY_KEY).made(0, GATEWAY, 0o750),
        Mount::write(GATEWAY_STATE).made(GATEWAY, GATEWAY, 0o700).saved(15_000),
        Mount::read("var/lib/maru/gateway/config").made(0, GATEWAY, 0o750),
        Mount::inside(WORKSPACE).made(GATEWAY, GATEWAY, 0o700).saved(40_000),
    ],
    disk_mib: 2048,
    ..CONTAINER
};

/// telmeet.
pub const TELMEET_SERVICE: Service = Service {
    name: "telmeet",
    description: "Maru telmeet: messaging",
    binary: "maru-telmeet",
    uid: TELMEET,
    gid: TELMEET,
    listens: &[TELMEET_HTTP, ROOMS_LINK, ROOMS_ADMIN],
    calls: &[PLUGIN],
    mesh: Some(TELMEET_MESH),
    mounts: &[
        Mount::read(TELMEET_MESH.settings),
        // The folder: the file is replaced.
        Mount::read(TELMEET_MEMBERS).made(COORDINATOR, TELMEET, 0o750),
        Mount::write(TELMEET_STATE).made(TELMEET, TELMEET, 0o700).saved(30_000),
        Mount::write(TELMEET_KEY).made(TELMEET, TELMEET, 0o700),
    ],
    // Media, most of it.
    disk_mib: 12_288,
    ..CONTAINER
};

/// The participant.
pub const PARTICIPANT_SERVICE: Service = Service {
    name: "participant",
    description: "Maru participant: the AI as a member of rooms",
    binary: "maru-participant",
    ready: ready(Probe::Get("/healthz"), Stage::Agent, STARTING),
    uid: PARTICIPANT_UID,
    gid: PARTICIPANT_UID,
    listens: &[PARTICIPANT_ADMIN],
    calls: &[ROOMS_LINK, PARTICIPANT],
    // No backup has its keys: messages must not be encrypted again with the keys of an older copy. After a restore the AI
    // signs in with a new device.
    mounts: &[
        Mount::write(PARTICIPANT_STATE).made(PARTICIPANT_UID, PARTICIPANT_UID, 0o700),
        Mount::write(PARTICIPANT_KEY).made(PARTICIPANT_UID, PARTICIPANT_UID, 0o700),
    ],
    memory: Memory::Mib(128),
    ..CONTAINER
};

/// The first engine.
pub const INFERENCE_SERVICE: Service = Service {
    name: "inference",
    description: "Maru engine: embedded inference",
    binary: "maru-llm",
    args: &[
        Arg::Text("--socket"),
        Arg::Socket,
        Arg::Text("--alias"),
        Arg::Text("default"),
        Arg::Text("--model"),
        Arg::Model,
        Arg::Text("--threads"),
        Arg::Threads,
        Arg::Options,
    ],
    ready: ready(Probe::Get("/health"), Stage::Models, LOADING),
    uid: ENGINE,
    gid: ENGINE,
    listens: &[INFERENCE],
    mounts: &[Mount::read(MODELS)],
    memory: Memory::Model(2048),
    disk_mib: 16,
    pids: 1024,
    ..CONTAINER
};

/// The spare engine.
pub const INFERENCE_2_SERVICE: Service = Service {
    name: "inference-2",
    description: "Maru engine: answers when the first does not",
    listens: &[INFERENCE_2],
    ..INFERENCE_SERVICE
};

impl Service {
    /// Whether it is the spare engine.
    #[must_use]
    pub fn is_spare(&self) -> bool {
        self.name == INFERENCE_2_SERVICE.name
    }
}

/// Every service, in the order in which they start.
pub const SERVICES: &[Service] = &[
    COORDINATOR_SERVICE,
    RELAY_SERVICE,
    INFERENCE_SERVICE,
    INFERENCE_2_SERVICE,
    GATEWAY_SERVICE,
    TELMEET_SERVICE,
    PARTICIPANT_SERVICE,
    AGENT_SERVICE,
];

/// Services with a database: `maru backup` asks their programs on this machine for a copy.
pub const DATABASE_SERVICES: &[Service] = &[COORDINATOR_SERVICE, TELMEET_SERVICE, GATEWAY_SERVICE];
