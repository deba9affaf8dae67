//! What holds the services that are no containers to their memory.
//!
//! A control group of version 2 for each, where this machine lets us make one: its kernel counts all that the service
//! uses. Else `RLIMIT_DATA`, which counts what each process maps to write in, used or not: it is never less than what the
//! process uses of its own, and leaves out the kernel's own memory for it, such as sockets' buffers.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use services::Instance;
use services::{Kind, SERVICES, Service, child::Bound};

/// Where control groups are mounted (`cgroups(7)`).
const GROUPS: &str = "/sys/fs/cgroup";
/// What a group's folder hands to the groups below it.
const CONTROLLERS: &str = "+memory +pids";

/// What holds all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holder {
    /// A control group each.
    Groups,
    /// `RLIMIT_DATA`.
    #[default]
    Data,
}

/// For people.
impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Groups => "coordinator, relay and agent have a control group each that bounds their memory",
            Self::Data => {
                "RLIMIT_DATA bounds the memory of coordinator, relay and agent, since no control group of version 2 can"
            }
        })
    }
}

/// The group of an instance.
#[derive(Clone, Debug)]
pub struct Group {
    path: PathBuf,
}

impl Group {
    /// Of the instance at `root`; it may not be there.
    #[must_use]
    pub fn of(root: &Path) -> Self {
        Self { path: Path::new(GROUPS).join(Instance::of(root).container("services")) }
    }

    /// Makes it, if this machine lets us.
    #[must_use]
    pub fn make(&self) -> Holder {
        if self.try_make().is_ok() { Holder::Groups } else { Holder::Data }
    }

    fn try_make(&self) -> io::Result<()> {
        let above = self.path.parent().unwrap_or(&self.path);
        if !hands_memory_on(above) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        set(above, "cgroup.subtree_control", CONTROLLERS)?;
        make_folder(&self.path)?;
        set(&self.path, "cgroup.subtree_control", CONTROLLERS)
    }

    /// What holds `service`, ready for it to enter.
    pub(crate) fn bound(&self, holder: Holder, service: &Service) -> io::Result<Bound> {
        if holder == Holder::Data {
            return Ok(Bound::Data);
        }
        let group = self.path.join(service.name);
        make_folder(&group)?;
        set(&group, "memory.max", &(service.memory.mib(None) << 20).to_string())?;
        set(&group, "pids.max", &service.pids.to_string())?;
        // A kernel without swap has no such file; all of a service ends together or not.
        let _ = set(&group, "memory.swap.max", "0");
        let _ = set(&group, "memory.oom.group", "1");
        Ok(Bound::Group(group))
    }

    /// Removes it once nothing runs in it; one that is left is used again.
    pub fn remove(&self) {
        for service in SERVICES.iter().filter(|service| service.kind == Kind::Child) {
            let _ = fs::remove_dir(self.path.join(service.name));
        }
        let _ = fs::remove_dir(&self.path);
    }
}

/// What this machine would most likely let us use. Makes nothing.
#[must_use]
pub fn likely() -> Holder {
    if hands_memory_on(Path::new(GROUPS)) { Holder::Groups } else { Holder::Data }
}

/// Whether groups in this folder can bound memory.
fn hands_memory_on(folder: &Path) -> bool {
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
        assert_eq!(group.make(), Holder::Data);
        assert_eq!(group.bound(Holder::Data, &RELAY_SERVICE).unwrap(), Bound::Data);
        assert!(!group.path.exists());

        fs::write(dir.path().join("cgroup.controllers"), "cpuset cpu io memory pids\n").unwrap();
        assert_eq!((group.make(), group.make()), (Holder::Groups, Holder::Groups));
        let own = group.path.join("relay");
        let bound = group.bound(Holder::Groups, &RELAY_SERVICE).unwrap();

        assert_eq!(bound, Bound::Group(own.clone()));
        let read = |path: PathBuf| fs::read_to_string(path).unwrap();
        assert_eq!(read(own.join("memory.max")), (256_u64 << 20).to_string());
        assert_eq!(read(own.join("memory.swap.max")), "0");
        assert_eq!(read(own.join("pids.max")), "64");
        for folder in [dir.path(), &group.path] {
            assert_eq!(read(folder.join("cgroup.subtree_control")), CONTROLLERS);
        }
    }
}
