//! The service table itself.

use std::{collections::BTreeSet, time::Duration};

use mesh_identity::{AGENT_GID, AGENT_UID};
use node_agent_api::settings::DIALS;

use crate::service::entry::{
    Arg, Directory, Kind, Link, Memory, Mount, Probe, Readiness, Service, Stage,
};

/// User of the coordinator.
pub const COORDINATOR: u32 = 61001;
/// User of the relay.
pub const RELAY: u32 = 61006;
/// User of the gateway.
pub const GATEWAY: u32 = 61002;
/// User of telmeet.
pub const TELMEET: u32 = telmeet_api::UID;
/// User of the engines.
pub const ENGINE: u32 = 61004;

/// State of the relay, below the root. The coordinator reads the certificate there; the keys are the relay's alone.
pub const RELAY_STATE: &str = "var/lib/maru/relay";
/// Where the coordinator tells the relay who is a node, below the root. Nobody else looks into it.
pub const RELAY_NODES: &str = "var/lib/maru/relay-nodes";
/// A file that is there, below the root, while a restore is under way: nothing starts on half of a network.
pub const RESTORING: &str = "var/lib/maru/restoring";
/// Directory of the models, below the root.
pub const MODELS: &str = "var/lib/maru/models";

/// The mode of nearly every link: the listener writes, the caller's group enters, and the
/// socket inherits that group.
const LINK_MODE: u32 = 0o2750;

macro_rules! link {
    ($name:literal, $socket:literal, $owner:expr, $group:expr) => {
        Link { name: $name, socket: $socket, owner: $owner, group: $group, mode: LINK_MODE }
    };
}

/// The coordinator's admin API, for root.
pub const ADMIN: Link = link!("coordinator", "admin.sock", COORDINATOR, 0);
/// The agent's local API: everyone may read, the agent itself refuses changes by others than root.
pub const LOCAL_API: Link =
    Link { name: "agent", socket: "api.sock", owner: AGENT_UID, group: AGENT_GID, mode: 0o755 };
/// The gateway as a mesh service.
pub const GATEWAY_HTTP: Link = link!("gateway", "http.sock", GATEWAY, AGENT_GID);
/// The gateway as telmeet sees it.
pub const PLUGIN: Link = link!("plugin", "http.sock", GATEWAY, TELMEET);
/// What the gateway tells root, and is told by root: counters and apps.
pub const METRICS: Link = link!("metrics", "http.sock", GATEWAY, 0);
/// telmeet as a mesh service.
pub const TELMEET_HTTP: Link = link!("telmeet", "http.sock", TELMEET, AGENT_GID);
/// The first engine.
pub const INFERENCE: Link = link!("inference", "llm.sock", ENGINE, GATEWAY);
/// The engine that answers when the first does not.
pub const INFERENCE_2: Link = link!("inference-2", "llm.sock", ENGINE, GATEWAY);

/// How long a service may take until it answers.
const STARTING: Duration = Duration::from_secs(30);
/// How long an engine may take to load its model; large ones are read from slow disks.
const LOADING: Duration = Duration::from_secs(20 * 60);

const fn read(path: &'static str) -> Mount {
    Mount { path, writable: false }
}

const fn write(path: &'static str) -> Mount {
    Mount { path, writable: true }
}

const fn ready(probe: Probe, by: Stage, patience: Duration) -> Readiness {
    Readiness { probe, by, patience }
}

/// The coordinator.
pub const COORDINATOR_SERVICE: Service = Service {
    name: "coordinator",
    description: "Maru coordinator: the control plane",
    binary: "maru-coordinator",
    args: &[Arg::Text("serve")],
    kind: Kind::Child,
    start: Stage::ControlPlane,
    ready: ready(Probe::Get("/api/v1/health"), Stage::ControlPlane, STARTING),
    uid: COORDINATOR,
    gid: COORDINATOR,
    capabilities: &[],
    start_capabilities: &[],
    listens: &[ADMIN],
    calls: &[],
    mounts: &[write("var/lib/maru/coordinator"), write(RELAY_NODES), read(RELAY_STATE)],
    memory: Memory::Mib(512),
    disk_mib: 4096,
    pids: 128,
};

/// The relay.
pub const RELAY_SERVICE: Service = Service {
    name: "relay",
    description: "Maru relay: DERP and STUN",
    binary: "maru-coordinator",
    args: &[Arg::Text("relay")],
    kind: Kind::Child,
    start: Stage::ControlPlane,
    ready: ready(Probe::RelayPort, Stage::ControlPlane, STARTING),
    uid: RELAY,
    gid: RELAY,
    capabilities: &[],
    start_capabilities: &[],
    listens: &[],
    calls: &[],
    mounts: &[write(RELAY_STATE), read(RELAY_NODES)],
    memory: Memory::Mib(256),
    disk_mib: 64,
    pids: 64,
};

/// The agent.
pub const AGENT_SERVICE: Service = Service {
    name: "agent",
    description: "Maru agent: this device's part in the mesh",
    binary: "maru-agent",
    args: &[],
    kind: Kind::Child,
    start: Stage::Agent,
    ready: ready(Probe::Get(node_agent_api::STATUS), Stage::Agent, STARTING),
    uid: AGENT_UID,
    gid: AGENT_GID,
    capabilities: &["NET_ADMIN", "NET_BIND_SERVICE"],
    // Gives its folders to its user, also where that user alone may look into them.
    start_capabilities: &["CHOWN", "DAC_READ_SEARCH", "SETGID", "SETPCAP", "SETUID"],
    listens: &[LOCAL_API],
    calls: &[GATEWAY_HTTP, TELMEET_HTTP],
    // The second is root's: its helper keeps there what `resolv.conf` was. So is the third: each dial has a folder there.
    mounts: &[write("var/lib/maru/agent"), write("var/lib/maru/resolver"), write(DIALS)],
    memory: Memory::Mib(512),
    disk_mib: 64,
    pids: 128,
};

/// The gateway.
pub const GATEWAY_SERVICE: Service = Service {
    name: "gateway",
    description: "Maru gateway: opens sealed chats and asks the engines",
    binary: "maru-gateway",
    args: &[],
    kind: Kind::Container,
    start: Stage::Containers,
    ready: ready(Probe::MeshHealth, Stage::Agent, STARTING),
    uid: GATEWAY,
    gid: GATEWAY,
    capabilities: &[],
    start_capabilities: &[],
    listens: &[GATEWAY_HTTP, PLUGIN, METRICS],
    calls: &[INFERENCE, INFERENCE_2],
    mounts: &[
        // All of them: a dial that is added needs no other container.
        read(DIALS),
        read("etc/maru/gateway.toml"),
        write("var/lib/maru/gateway"),
        read("var/lib/maru/gateway/config"),
    ],
    memory: Memory::Mib(256),
    disk_mib: 2048,
    pids: 128,
};

/// telmeet.
pub const TELMEET_SERVICE: Service = Service {
    name: "telmeet",
    description: "Maru telmeet: messaging",
    binary: "maru-telmeet",
    args: &[],
    kind: Kind::Container,
    start: Stage::Containers,
    ready: ready(Probe::MeshHealth, Stage::Agent, STARTING),
    uid: TELMEET,
    gid: TELMEET,
    capabilities: &[],
    start_capabilities: &[],
    listens: &[TELMEET_HTTP],
    calls: &[PLUGIN],
    mounts: &[read("etc/maru/telmeet.toml"), write("var/lib/maru/telmeet")],
    memory: Memory::Mib(256),
    disk_mib: 256,
    pids: 128,
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
    ],
    kind: Kind::Container,
    start: Stage::Containers,
    ready: ready(Probe::Get("/health"), Stage::Models, LOADING),
    uid: ENGINE,
    gid: ENGINE,
    capabilities: &[],
    start_capabilities: &[],
    listens: &[INFERENCE],
    calls: &[],
    mounts: &[read(MODELS)],
    memory: Memory::Model(2048),
    disk_mib: 16,
    pids: 1024,
};

/// The engine that answers when the first does not.
pub const INFERENCE_2_SERVICE: Service = Service {
    name: "inference-2",
    description: "Maru engine: answers when the first does not",
    listens: &[INFERENCE_2],
    ..INFERENCE_SERVICE
};

/// Every service, in the order in which they start.
pub const SERVICES: &[Service] = &[
    COORDINATOR_SERVICE,
    RELAY_SERVICE,
    INFERENCE_SERVICE,
    INFERENCE_2_SERVICE,
    GATEWAY_SERVICE,
    TELMEET_SERVICE,
    AGENT_SERVICE,
];

/// Every link, in the order of the services that listen.
pub fn links() -> impl Iterator<Item = &'static Link> {
    SERVICES.iter().flat_map(|service| service.listens)
}

/// Every part of the start, in order: each in which a service starts or gets ready.
#[must_use]
pub fn stages() -> BTreeSet<Stage> {
    SERVICES.iter().flat_map(|service| [service.start, service.ready.by]).collect()
}

/// Directories beside the links, parents first.
pub const DIRECTORIES: &[Directory] = &[
    directory("etc/maru", 0, 0, 0o755),
    directory("run/maru", 0, 0, 0o755),
    directory(DIALS, 0, 0, 0o755),
    directory("var/lib/maru", 0, 0, 0o755),
    directory("var/lib/maru/agent", AGENT_UID, AGENT_GID, 0o700),
    directory("var/lib/maru/resolver", 0, 0, 0o755),
    directory("var/lib/maru/coordinator", COORDINATOR, COORDINATOR, 0o700),
    directory(RELAY_STATE, RELAY, COORDINATOR, 0o750),
    directory(RELAY_NODES, COORDINATOR, RELAY, 0o750),
    directory("var/lib/maru/gateway", GATEWAY, GATEWAY, 0o700),
    directory("var/lib/maru/gateway/config", 0, GATEWAY, 0o750),
    directory("var/lib/maru/gateway/workspace", GATEWAY, GATEWAY, 0o700),
    directory("var/lib/maru/telmeet", TELMEET, TELMEET, 0o700),
    directory(MODELS, 0, 0, 0o755),
];

const fn directory(path: &'static str, uid: u32, gid: u32, mode: u32) -> Directory {
    Directory { path, uid, gid, mode }
}
