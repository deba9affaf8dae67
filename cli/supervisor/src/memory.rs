//! The services that run as processes beside `maru up`, and their memory limits.
//!
//! Each has a control group of version 2 where this machine allows that: the kernel counts all memory of the service. Else
//! `RLIMIT_DATA` limits each process: it counts writable mappings, used or not, and leaves out the kernel's own memory for
//! the process, such as socket buffers.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use messages::{Message, message};
use serde::{Deserialize, Serialize};
use services::{
    Instance, Kind, SERVICES, Service,
    child::{self, MemoryBound},
};

use crate::{parameters::Parameters, processes::Spec};

/// Where control groups are mounted (`cgroups(7)`).
const GROUPS: &str = "/sys/fs/cgroup";
/// The controllers that a group enables for the groups below it.
const CONTROLLERS: &str = "+memory +pids";

/// How the memory of these processes is limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemoryEnforcement {
    /// By a control group for each service.
    Groups,
    /// By `RLIMIT_DATA`.
    #[default]
    Rlimit,
}

impl MemoryEnforcement {
    /// What it is, for people.
    #[must_use]
    pub fn message(self) -> Message {
        match self {
            Self::Groups => message!("memory-by-groups"),
            Self::Rlimit => message!("memory-by-rlimit"),
        }
    }
}

/// The control group of an instance.
#[derive(Clone, Debug)]
pub struct Group {
    path: PathBuf,
}

impl Group {
    /// The group of the instance at `root`; it may not exist.
    #[must_use]
    pub fn of(root: &Path) -> Self {
        Self { path: Path::new(GROUPS).join(Instance::of(root).container("services")) }
    }

    /// Creates it, if this machine allows that.
    #[must_use]
    pub fn make(&self) -> MemoryEnforcement {
        if self.try_make().is_ok() { MemoryEnforcement::Groups } else { MemoryEnforcement::Rlimit }
    }

    fn try_make(&self) -> io::Result<()> {
        let above = self.path.parent().unwrap_or(&self.path);
        if !delegates_memory(above) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        set(above, "cgroup.subtree_control", CONTROLLERS)?;
        make_folder(&self.path)?;
        set(&self.path, "cgroup.subtree_control", CONTROLLERS)
    }

    /// How `service` is run; `confine` is the program that bounds its memory and files.
    pub fn spec(
        &self,
        service: &Service,
        parameters: &Parameters,
        holder: MemoryEnforcement,
        confine: &Path,
    ) -> anyhow::Result<Spec> {
        let (program, root) = (parameters.program(service)?, &parameters.root);
        let bound = self
            .bound(holder, service)
            .with_context(|| message!("no-control-group", service = service.name))?;
        let command = child::command(service, &bound, confine, program, root);
        Ok(Spec::of(service, root, command, None))
    }

    /// The limit of `service`, in force once the service enters it.
    fn bound(&self, holder: MemoryEnforcement, service: &Service) -> io::Result<MemoryBound> {
        if holder == MemoryEnforcement::Rlimit {
            return Ok(MemoryBound::Rlimit);
        }
        let group = self.path.join(service.name);
        make_folder(&group)?;
        set(&group, "memory.max", &(service.memory.mib(None) << 20).to_string())?;
        set(&group, "pids.max", &service.pids.to_string())?;
        // A kernel without swap lacks the first file. The second ends all processes of the service together.
        let _ = set(&group, "memory.swap.max", "0");
        let _ = set(&group, "memory.oom.group", "1");
        Ok(MemoryBound::Group(group))
    }

    /// Removes it once it is empty; one that stays is used again by the next run.
    pub fn remove(&self) {
        for service in SERVICES.iter().filter(|service| service.kind == Kind::Child) {
            let _ = fs::remove_dir(self.path.join(service.name));
        }
        let _ = fs::remove_dir(&self.path);
    }
}

/// Which limit this machine probably allows. Creates nothing.
#[must_use]
pub fn likely() -> MemoryEnforcement {
    if delegates_memory(Path::new(GROUPS)) {
        MemoryEnforcement::Groups
    } else {
        MemoryEnforcement::Rlimit
    }
}

/// Whether groups in this folder can bound memory.
fn delegates_memory(folder: &Path) -> bool {
    let known = fs::read_to_string(folder.join("cgroup.controllers")).unwrap_or_default();
    ["memory", "pids"].iter().all(|one| known.split_whitespace().any(|known| known == *one))
}

fn make_folder(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

fn set(group: &Path, file: &str, text: &str) -> io::Result<()> {
    fs::write(group.join(file), text)
}

#[cfg(test)]
mod tests {
    use services::RELAY_SERVICE;

    use super::*;

    #[test]
    fn a_machine_with_groups_has_one_for_each_service_and_another_has_a_limit() {
        let dir = tempfile::tempdir().unwrap();
        let group = Group { path: dir.path().join("maru-services") };
        assert_eq!(group.make(), MemoryEnforcement::Rlimit);
        assert_eq!(
            group.bound(MemoryEnforcement::Rlimit, &RELAY_SERVICE).unwrap(),
            MemoryBound::Rlimit
        );
        assert!(!group.path.exists());

        fs::write(dir.path().join("cgroup.controllers"), "cpuset cpu io memory pids\n").unwrap();
        assert_eq!(
            (group.make(), group.make()),
            (MemoryEnforcement::Groups, MemoryEnforcement::Groups)
        );
        let own = group.path.join("relay");
        let bound = group.bound(MemoryEnforcement::Groups, &RELAY_SERVICE).unwrap();

        assert_eq!(bound, MemoryBound::Group(own.clone()));
        let read = |path: PathBuf| fs::read_to_string(path).unwrap();
        assert_eq!(read(own.join("memory.max")), (256_u64 << 20).to_string());
        assert_eq!(read(own.join("memory.swap.max")), "0");
        assert_eq!(read(own.join("pids.max")), "64");
        for folder in [dir.path(), &group.path] {
            assert_eq!(read(folder.join("cgroup.subtree_control")), CONTROLLERS);
        }
    }
}
