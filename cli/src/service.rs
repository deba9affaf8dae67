//! The service table: what runs, as whom, with which rights.
//!
//! [`SERVICES`] and [`LINKS`] are the one place where this is written. From them come the
//! children and `podman run` arguments of `maru up` ([`child`], [`podman`]), the systemd
//! units ([`systemd`]) and the Quadlets ([`quadlet`]) in `systemd/` and `podman/`; a test
//! compares those files with the table.

use std::path::{Path, PathBuf};

pub mod child;
pub mod podman;
pub mod quadlet;
pub mod systemd;

/// User and group of the agent, which calls the mesh services; uid and gid of the others are equal.
pub use mesh_identity::{AGENT_GID, AGENT_UID};

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

/// State of the relay, below the root. The coordinator reads the certificate there; the keys are the relay's alone.
pub const RELAY_STATE: &str = "var/lib/maru/relay";
/// Directory of the models, below the root.
pub const MODELS: &str = "var/lib/maru/models";

/// A directory below `run/maru/` with one listener's socket in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Name of the directory.
    pub name: &'static str,
    /// Name of the socket in it.
    pub socket: &'static str,
    /// Who listens.
    pub owner: u32,
    /// Who calls.
    pub group: u32,
    /// Mode of the directory.
    pub mode: u32,
}

impl Link {
    /// The directory, below the root.
    #[must_use]
    pub fn directory(&self) -> String {
        format!("run/maru/{}", self.name)
    }

    /// The socket of the instance at `root`.
    #[must_use]
    pub fn path(&self, root: &Path) -> PathBuf {
        root.join(self.directory()).join(self.socket)
    }
}

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
/// The gateway's counters, for root.
pub const METRICS: Link = link!("metrics", "http.sock", GATEWAY, 0);
/// telmeet as a mesh service.
pub const TELMEET_HTTP: Link = link!("telmeet", "http.sock", TELMEET, AGENT_GID);
/// The first engine.
pub const INFERENCE: Link = link!("inference", "llm.sock", ENGINE, GATEWAY);
/// The engine that answers when the first does not.
pub const INFERENCE_2: Link = link!("inference-2", "llm.sock", ENGINE, GATEWAY);

/// Every link.
pub const LINKS: &[Link] =
    &[ADMIN, LOCAL_API, GATEWAY_HTTP, PLUGIN, METRICS, TELMEET_HTTP, INFERENCE, INFERENCE_2];

/// How a service is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A process beside `maru up`.
    Child,
    /// A container without a network.
    Container,
}

/// An argument of a service's command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arg {
    /// As it stands.
    Text(&'static str),
    /// The socket of the first link on which the service listens.
    Socket,
    /// The model's path.
    Model,
    /// How many threads the engine takes.
    Threads,
}

/// A directory or file of the host that a container sees at the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Path below the root on the host, and below `/` inside.
    pub path: &'static str,
    /// Whether the container may write there.
    pub writable: bool,
}

/// A directory below the root that a service needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Directory {
    /// Path below the root.
    pub path: &'static str,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its mode.
    pub mode: u32,
}

/// How much memory a service may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// So many MiB.
    Mib(u64),
    /// So many MiB and the model's file.
    Model(u64),
}

/// What a unit file assumes a model takes, in MiB; `maru up` takes the file's size.
const MODEL_MIB: u64 = 6144;

impl Memory {
    /// The limit in MiB; `model` is the size of the model's file in bytes, if it is known.
    #[must_use]
    pub fn mib(self, model: Option<u64>) -> u64 {
        match self {
            Self::Mib(mib) => mib,
            Self::Model(mib) => mib + model.map_or(MODEL_MIB, |bytes| bytes.div_ceil(1 << 20)),
        }
    }
}

/// One service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name: that of its unit and container after `maru-`, and of its log.
    pub name: &'static str,
    /// What it is, for people.
    pub description: &'static str,
    /// Its program.
    pub binary: &'static str,
    /// Arguments beside `--root`.
    pub args: &'static [Arg],
    /// How it is run.
    pub kind: Kind,
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// What it keeps of root's rights, in systemd's names without `CAP_`.
    pub capabilities: &'static [&'static str],
    /// What it needs beside them to start as root, give all else up and become its user by itself; nothing for who is
    /// started as its user.
    pub start_capabilities: &'static [&'static str],
    /// Links on which it listens.
    pub listens: &'static [Link],
    /// Links that it calls.
    pub calls: &'static [Link],
    /// What it sees of the disk beside its links.
    pub mounts: &'static [Mount],
    /// Most memory.
    pub memory: Memory,
    /// Most processes and threads.
    pub pids: u32,
}

impl Service {
    /// Whether root starts it, and it becomes its user by itself.
    #[must_use]
    pub fn starts_as_root(&self) -> bool {
        !self.start_capabilities.is_empty()
    }

    /// Where it may write, below the root.
    #[must_use]
    pub fn writable(&self) -> Vec<String> {
        let links = self.listens.iter().map(Link::directory);
        let mounts = self.mounts.iter().filter(|mount| mount.writable);
        links.chain(mounts.map(|mount| mount.path.to_owned())).collect()
    }

    /// The name of its unit, and of its container in the instance at `/`.
    #[must_use]
    pub fn unit(&self) -> String {
        format!("maru-{}", self.name)
    }
}

const fn read(path: &'static str) -> Mount {
    Mount { path, writable: false }
}

const fn write(path: &'static str) -> Mount {
    Mount { path, writable: true }
}

/// The coordinator.
pub const COORDINATOR_SERVICE: Service = Service {
    name: "coordinator",
    description: "Maru coordinator: the control plane",
    binary: "maru-coordinator",
    args: &[Arg::Text("serve")],
    kind: Kind::Child,
    uid: COORDINATOR,
    gid: COORDINATOR,
    capabilities: &[],
    start_capabilities: &[],
    listens: &[ADMIN],
    calls: &[],
    mounts: &[write("var/lib/maru/coordinator"), read(RELAY_STATE)],
    memory: Memory::Mib(512),
    pids: 128,
};

/// The relay.
pub const RELAY_SERVICE: Service = Service {
    name: "relay",
    description: "Maru relay: DERP and STUN",
    binary: "maru-coordinator",
    args: &[Arg::Text("relay")],
    kind: Kind::Child,
    uid: RELAY,
    gid: RELAY,
    capabilities: &[],
    start_capabilities: &[],
    listens: &[],
    calls: &[],
    mounts: &[write(RELAY_STATE)],
    memory: Memory::Mib(256),
    pids: 64,
};

/// The agent.
pub const AGENT_SERVICE: Service = Service {
    name: "agent",
    description: "Maru agent: this device's part in the mesh",
    binary: "maru-agent",
    args: &[],
    kind: Kind::Child,
    uid: AGENT_UID,
    gid: AGENT_GID,
    capabilities: &["NET_ADMIN", "NET_BIND_SERVICE"],
    // Gives its folders to its user, also where that user alone may look into them.
    start_capabilities: &["CHOWN", "DAC_READ_SEARCH", "SETGID", "SETPCAP", "SETUID"],
    listens: &[LOCAL_API],
    calls: &[GATEWAY_HTTP, TELMEET_HTTP],
    // The second is root's: its helper keeps there what `resolv.conf` was.
    mounts: &[write("var/lib/maru/agent"), write("var/lib/maru/resolver")],
    memory: Memory::Mib(512),
    pids: 128,
};

/// The gateway.
pub const GATEWAY_SERVICE: Service = Service {
    name: "gateway",
    description: "Maru gateway: opens sealed chats and asks the engines",
    binary: "maru-gateway",
    args: &[],
    kind: Kind::Container,
    uid: GATEWAY,
    gid: GATEWAY,
    capabilities: &[],
    start_capabilities: &[],
    listens: &[GATEWAY_HTTP, PLUGIN, METRICS],
    calls: &[INFERENCE, INFERENCE_2],
    mounts: &[
        read("etc/maru/gateway.toml"),
        write("var/lib/maru/gateway"),
        read("var/lib/maru/gateway/config"),
    ],
    memory: Memory::Mib(256),
    pids: 128,
};

/// telmeet.
pub const TELMEET_SERVICE: Service = Service {
    name: "telmeet",
    description: "Maru telmeet: messaging",
    binary: "maru-telmeet",
    args: &[],
    kind: Kind::Container,
    uid: TELMEET,
    gid: TELMEET,
    capabilities: &[],
    start_capabilities: &[],
    listens: &[TELMEET_HTTP],
    calls: &[PLUGIN],
    mounts: &[read("etc/maru/telmeet.toml"), write("var/lib/maru/telmeet")],
    memory: Memory::Mib(256),
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
    uid: ENGINE,
    gid: ENGINE,
    capabilities: &[],
    start_capabilities: &[],
    listens: &[INFERENCE],
    calls: &[],
    mounts: &[read(MODELS)],
    memory: Memory::Model(2048),
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

/// Directories beside the links, parents first.
pub const DIRECTORIES: &[Directory] = &[
    directory("etc/maru", 0, 0, 0o755),
    directory("run/maru", 0, 0, 0o755),
    directory("var/lib/maru", 0, 0, 0o755),
    directory("var/lib/maru/agent", AGENT_UID, AGENT_GID, 0o700),
    directory("var/lib/maru/resolver", 0, 0, 0o755),
    directory("var/lib/maru/coordinator", COORDINATOR, COORDINATOR, 0o700),
    directory(RELAY_STATE, RELAY, COORDINATOR, 0o750),
    directory("var/lib/maru/gateway", GATEWAY, GATEWAY, 0o700),
    directory("var/lib/maru/gateway/config", 0, GATEWAY, 0o750),
    directory("var/lib/maru/gateway/workspace", GATEWAY, GATEWAY, 0o700),
    directory("var/lib/maru/telmeet", TELMEET, TELMEET, 0o700),
    directory(MODELS, 0, 0, 0o755),
];

const fn directory(path: &'static str, uid: u32, gid: u32, mode: u32) -> Directory {
    Directory { path, uid, gid, mode }
}

#[cfg(test)]
mod tests;
