//! The servers of a confidential deployment, each with a user, a configuration file and a unit of its own.
//!
//! They stand on machines of several operators (`docs/protocols/confidential.md`). On a node, `boot` alone reaches the security module or the TPM,
//! `router-com` alone the network; the workers are `boot`'s, and the engine is asked by nobody else.

use crate::{
    link::{Link, new_link},
    mount::Directory,
};

/// User of the relay of the chain.
pub const RELAY: u32 = 61011;
/// User of its gateway.
pub const GATEWAY: u32 = 61012;
/// User of its router.
pub const ROUTER: u32 = 61013;
/// User of the server of the configuration.
pub const AUTH: u32 = 61014;
/// User of a node's part that collects evidence and holds its key, and of its workers.
pub const BOOT: u32 = 61015;
/// User of a node's part that talks to the router.
pub const ROUTER_COM: u32 = 61016;
/// User of a node's engine.
pub const ENGINE: u32 = 61017;

/// Where a node's evidence is asked for, and its workers.
pub const BOOT_LINK: Link = new_link!("confidential-boot", "boot.sock", BOOT, ROUTER_COM);
/// A node's engine, for its workers.
pub const ENGINE_LINK: Link = new_link!("confidential-engine", "llm.sock", ENGINE, BOOT);

/// One server of a confidential deployment: a unit on whichever machine its operator runs it. No household needs it,
/// and `maru up` does not start it, so that it has no [`Stage`](crate::Stage).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its name: that of its unit after `maru-`.
    pub name: &'static str,
    /// What it is, for people.
    pub description: &'static str,
    /// Its program.
    pub binary: &'static str,
    /// Arguments beside `--root`.
    pub args: &'static [&'static str],
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Links on which it listens.
    pub listens: &'static [Link],
    /// Links that it calls.
    pub calls: &'static [Link],
    /// Where it may write beside its links, below the root.
    pub writes: &'static [&'static str],
    /// The devices that it alone uses, where they are there.
    pub devices: &'static [&'static str],
    /// Whether it has a network.
    pub network: bool,
    /// Most memory in MiB; none for an engine, which takes what its model takes.
    pub memory_mib: Option<u64>,
    /// Longest file that it may write, in MiB (`RLIMIT_FSIZE`).
    pub file_mib: u64,
    /// Most processes and threads.
    pub pids: u32,
}

impl Server {
    /// Where it may write, below the root.
    #[must_use]
    pub fn writable(&self) -> Vec<String> {
        let links = self.listens.iter().map(Link::directory);
        links.chain(self.writes.iter().map(|&path| path.to_owned())).collect()
    }

    /// The name of its unit.
    #[must_use]
    pub fn unit(&self) -> String {
        format!("maru-{}", self.name)
    }
}

/// What most of them are like.
const SERVER: Server = Server {
    name: "",
    description: "",
    binary: "maru-confidential",
    args: &[],
    uid: 0,
    gid: 0,
    listens: &[],
    calls: &[],
    writes: &[],
    devices: &[],
    network: true,
    memory_mib: Some(256),
    file_mib: 16,
    pids: 128,
};

/// Every server.
pub const SERVERS: &[Server] = &[
    Server {
        name: "confidential-relay",
        description: "Maru confidential relay: passes on what it cannot read, and not for whom",
        args: &["relay"],
        uid: RELAY,
        gid: RELAY,
        ..SERVER
    },
    Server {
        name: "confidential-gateway",
        description: "Maru confidential gateway: opens the outer layer for the router",
        args: &["gateway"],
        uid: GATEWAY,
        gid: GATEWAY,
        writes: &["var/lib/maru/confidential-gateway"],
        ..SERVER
    },
    Server {
        name: "confidential-router",
        description: "Maru confidential router: knows the nodes, and hands them what is sealed to them",
        args: &["router"],
        uid: ROUTER,
        gid: ROUTER,
        ..SERVER
    },
    Server {
        name: "confidential-auth",
        description: "Maru confidential auth: publishes the deployment's configuration",
        args: &["auth"],
        uid: AUTH,
        gid: AUTH,
        writes: &["var/lib/maru/confidential-auth"],
        ..SERVER
    },
    Server {
        name: "compute-boot",
        description: "Maru compute boot: holds a node's key, shows evidence, starts a worker per request",
        binary: "maru-compute",
        args: &["boot"],
        uid: BOOT,
        gid: BOOT,
        listens: &[BOOT_LINK],
        calls: &[ENGINE_LINK],
        devices: &["/dev/nsm", "/dev/tpmrm0"],
        network: false,
        // Eight workers at a time, each with up to 256 MiB.
        memory_mib: Some(2304),
        pids: 512,
        ..SERVER
    },
    Server {
        name: "compute-router-com",
        description: "Maru compute router-com: takes sealed requests, and tells the router that it lives",
        binary: "maru-compute",
        args: &["router-com"],
        uid: ROUTER_COM,
        gid: ROUTER_COM,
        calls: &[BOOT_LINK],
        ..SERVER
    },
    Server {
        name: "compute-engine",
        description: "Maru compute engine: the model of a node",
        binary: "maru-llm",
        args: &[
            "--socket",
            "/run/maru/confidential-engine/llm.sock",
            "--alias",
            "default",
            "--model",
            "/var/lib/maru/models/default.gguf",
        ],
        uid: ENGINE,
        gid: ENGINE,
        listens: &[ENGINE_LINK],
        network: false,
        memory_mib: None,
        pids: 1024,
        ..SERVER
    },
];

/// Every link between them, in the order of the servers that listen.
pub fn server_links() -> impl Iterator<Item = &'static Link> {
    SERVERS.iter().flat_map(|server| server.listens)
}

/// Directories beside the links, parents first. Keys and certificates of all of them lie in one: each key is its
/// owner's alone (0600).
pub const SERVER_DIRECTORIES: &[Directory] = &[
    Directory::new("etc/maru", 0, 0, 0o755),
    Directory::new("etc/maru/confidential", 0, 0, 0o755),
    Directory::new("run/maru", 0, 0, 0o755),
    Directory::new("var/lib/maru", 0, 0, 0o755),
    Directory::new("var/lib/maru/models", 0, 0, 0o755),
    Directory::new("var/lib/maru/confidential-gateway", GATEWAY, GATEWAY, 0o700),
    Directory::new("var/lib/maru/confidential-auth", AUTH, AUTH, 0o700),
];
