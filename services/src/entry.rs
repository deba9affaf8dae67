//! The columns of the service table.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{engine::EngineOptions, link::Link, mesh::Mesh, mount::Mount};

/// How a service is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A process beside `maru up`.
    Child,
    /// A container without a network.
    Container,
}

/// A stage of the start. Its services start together, after those of the stages before; it ends once every service that has
/// to be ready by then is ready. Services stop in the opposite order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The control plane, without which no node joins.
    ControlPlane,
    /// The mesh services and the engines.
    Containers,
    /// The agent; the home node joins at the end of this stage.
    Agent,
    /// Models are loaded after the join; no service starts.
    Models,
}

/// When a service counts as ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// The probe that succeeds then.
    pub probe: Probe,
    /// The stage that waits for it.
    pub by: Stage,
    /// Timeout, after which the start fails.
    pub patience: Duration,
}

/// A readiness probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// `GET` of this path, on the first link on which the service listens.
    Get(&'static str),
    /// `GET /healthz` of a mesh service, without an identity.
    MeshHealth,
    /// A connection to the relay's TCP port, which the coordinator's settings name.
    RelayPort,
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
    /// The engine's other options, as many as were chosen.
    Options,
}

/// The memory limit of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// So many MiB.
    Mib(u64),
    /// So many MiB, the size of the model's file, and the memory of conversations without a slot.
    Model(u64),
}

/// The size of a model in a unit file, in MiB; `maru up` takes the file's size.
const MODEL_MIB: u64 = 6144;

impl Memory {
    /// The limit in MiB; `engine` is the size of the model's file in bytes and the engine's options, if they are known.
    #[must_use]
    pub fn mib(self, engine: Option<(u64, &EngineOptions)>) -> u64 {
        match self {
            Self::Mib(mib) => mib,
            Self::Model(mib) => {
                let model = engine.map_or(MODEL_MIB, |(bytes, _)| bytes.div_ceil(1 << 20));
                mib + model + EngineOptions::cache_mib(engine.map(|(_, options)| options))
            }
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
    /// When it starts.
    pub start: Stage,
    /// When it is ready.
    pub ready: Readiness,
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Capabilities, in systemd's names without `CAP_`.
    pub capabilities: &'static [&'static str],
    /// Further capabilities of a service that starts as root and becomes its user by itself; empty for one that is started
    /// as its user.
    pub start_capabilities: &'static [&'static str],
    /// Links on which it listens.
    pub listens: &'static [Link],
    /// Links that it calls.
    pub calls: &'static [Link],
    /// How devices reach it in the mesh, if they do.
    pub mesh: Option<Mesh>,
    /// Files and folders beside its links; the first writable one is its own folder.
    pub mounts: &'static [Mount],
    /// Most memory.
    pub memory: Memory,
    /// Disk quota, in MiB. No file may be longer (`RLIMIT_FSIZE`); `maru up` stops the service when all files together are
    /// larger, and a backup leaves out the rest.
    pub disk_mib: u64,
    /// Most processes and threads.
    pub pids: u32,
}

impl Service {
    /// The socket of its readiness probe, in the instance at `root`; `None` if it listens on none.
    #[must_use]
    pub fn socket(&self, root: &Path) -> Option<PathBuf> {
        self.listens.first().map(|link| link.path(root))
    }

    /// Whether it starts as root and becomes its user by itself.
    #[must_use]
    pub fn starts_as_root(&self) -> bool {
        !self.start_capabilities.is_empty()
    }

    /// Where it may write, below the root.
    #[must_use]
    pub fn writable(&self) -> Vec<String> {
        let links = self.listens.iter().map(Link::directory);
        let mounts = self.mounts.iter().filter(|mount| mount.is_writable());
        links.chain(mounts.map(|mount| mount.path.to_owned())).collect()
    }

    /// Its own folder, below the root: the first of its mounts where it may write.
    #[must_use]
    pub fn state(&self) -> Option<&'static str> {
        self.mounts.iter().find(|mount| mount.is_writable()).map(|mount| mount.path)
    }

    /// The name of its unit, and of its container in the instance at `/`.
    #[must_use]
    pub fn unit(&self) -> String {
        format!("maru-{}", self.name)
    }
}
