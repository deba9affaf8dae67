//! What the service table says of a service.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use chassis::unix::Connector;

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

    /// How it is connected to in the instance at `root`: its owner listens there.
    #[must_use]
    pub fn connector(&self, root: &Path) -> Connector {
        Connector::new(root, &self.path(root)).listener(self.owner)
    }
}

/// How a service is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A process beside `maru up`.
    Child,
    /// A container without a network.
    Container,
}

/// A part of the start. Its services start together, after those of the parts before it; it ends once
/// every service that has to be ready by then is ready. Services stop in the opposite order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The control plane, without which no node joins.
    ControlPlane,
    /// What answers in the mesh, and the engines.
    Containers,
    /// The way from the mesh to them; the home node joins at its end.
    Agent,
    /// What takes long goes on after the join: nothing more starts, models are read.
    Models,
}

impl Stage {
    /// What happens, for people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::ControlPlane => "starting coordinator and relay",
            Self::Containers => "starting containers",
            Self::Agent => "starting the agent",
            Self::Models => "loading the model",
        }
    }
}

/// How it is seen that a service is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// The question that it answers then.
    pub probe: Probe,
    /// The part of the start that waits for it.
    pub by: Stage,
    /// How long it may take; then the start fails.
    pub patience: Duration,
}

/// A question that a service answers once it is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// `GET` of this path, on the first link on which the service listens.
    Get(&'static str),
    /// The same for a mesh service, which is asked for its health by nobody in particular.
    MeshHealth,
    /// A connection to the relay's TCP port, as the coordinator's settings name it.
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
    /// When it starts.
    pub start: Stage,
    /// When it is ready.
    pub ready: Readiness,
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
    /// What it sees of the disk beside its links; the first where it may write is its own folder.
    pub mounts: &'static [Mount],
    /// Most memory.
    pub memory: Memory,
    /// Most that it may keep on disk, in MiB. No file that it writes is longer (`RLIMIT_FSIZE`); `maru up` stops it
    /// when all of them take more, and a backup leaves out the rest.
    pub disk_mib: u64,
    /// Most processes and threads.
    pub pids: u32,
}

impl Service {
    /// The socket on which it is asked whether it is ready, in the instance at `root`; `None` for who listens on none.
    #[must_use]
    pub fn socket(&self, root: &Path) -> Option<PathBuf> {
        self.listens.first().map(|link| link.path(root))
    }

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

    /// Its own folder, below the root: the first of its mounts where it may write.
    #[must_use]
    pub fn state(&self) -> Option<&'static str> {
        self.mounts.iter().find(|mount| mount.writable).map(|mount| mount.path)
    }

    /// The name of its unit, and of its container in the instance at `/`.
    #[must_use]
    pub fn unit(&self) -> String {
        format!("maru-{}", self.name)
    }
}

/// One server of a confidential deployment: a unit on whichever machine its operator runs it. No household needs it,
/// and `maru up` does not start it, so that it has no [`Stage`].
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
