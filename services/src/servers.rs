//! The servers of a confidential deployment, each with a user, a configuration file and a unit of its own.
//!
//! They run on machines of several operators (`docs/protocols/confidential.md`). On a node, only `boot` reaches the security
//! module or the TPM, only `router-com` the network, and only `boot`'s workers the engine.

use crate::{
    link::{Link, new_link},
    mount::Directory,
};

/// User of the relay of the chain.
pub const RELAY: u32 = 61011;
/// User of the chain's gateway.
pub const GATEWAY: u32 = 61012;
/// User of the chain's router.
pub const ROUTER: u32 = 61013;
/// User of the configuration server.
pub const AUTH: u32 = 61014;
/// User of a node's part that collects evidence and holds its key, and of its workers.
pub const BOOT: u32 = 61015;
/// User of a node's part that talks to the router.
pub const ROUTER_COM: u32 = 61016;
/// User of a node's engine.
pub const ENGINE: u32 = 61017;

/// The interface of a node's `boot`: evidence and workers.
pub const BOOT_LINK: Link = new_link!("confidential-boot", "boot.sock", BOOT, ROUTER_COM);
/// A node's engine, for its workers.
pub const ENGINE_LINK: Link = new_link!("confidential-engine", "llm.sock", ENGINE, BOOT);

/// One server of a confidential deployment: a unit on the machine of its operator. `maru up` does not start it, so it has no
/// [`Stage`](crate::Stage).
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
    /// Devices for its exclusive use, where they exist.
    pub devices: &'static [&'static str],
    /// Whether it has a network.
    pub network: bool,
    /// Most memory in MiB; `None` for an engine, whose need depends on the model.
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

/// Defaults.
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
        description: "Maru confidential relay: forwards sealed requests without the client's address",
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
        description: "Maru confidential router: forwards sealed requests to the nodes",
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
        description: "Maru compute boot: holds a node's key, produces evidence, starts a worker per request",
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
        description: "Maru compute router-com: receives sealed requests, and sends heartbeats to the router",
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

/// Directories beside the links, parents first. All keys and certificates are in one; only its owner can read a key (0600).
pub const SERVER_DIRECTORIES: &[Directory] = &[
    Directory::new("etc/maru", 0, 0, 0o755),
    Directory::new("etc/maru/confidential", 0, 0, 0o755),
    Directory::new("run/maru", 0, 0, 0o755),
    Directory::new("var/lib/maru", 0, 0, 0o755),
    Directory::new("var/lib/maru/models", 0, 0, 0o755),
    Directory::new("var/lib/maru/confidential-gateway", GATEWAY, GATEWAY, 0o700),
    Directory::new("var/lib/maru/confidential-auth", AUTH, AUTH, 0o700),
];
