//! A service as a process beside `maru up`.

use std::path::{Path, PathBuf};

use crate::entry::{Arg, Service};

/// How the memory of a process is limited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemoryBound {
    /// By a control group.
    Group(PathBuf),
    /// By `RLIMIT_DATA`: writable mappings of each process, used or not.
    Rlimit,
}

/// The command that runs `service`: `confine` (this program) limits its memory, its files and where it may write, `setpriv`
/// drops capabilities and becomes the program at `binary`. The process ends with its parent.
///
/// A service that starts as root gives up its rights by itself: it has its start capabilities until then.
#[must_use]
pub fn command(
    service: &Service,
    bound: &MemoryBound,
    confine: &Path,
    binary: &Path,
    root: &Path,
) -> Vec<String> {
    let mut command = vec![
        confine.display().to_string(),
        "confine".to_owned(),
        match bound {
            MemoryBound::Group(folder) => format!("--group={}", folder.display()),
            MemoryBound::Rlimit => format!("--data-mib={}", service.memory.mib(None)),
        },
        format!("--file-mib={}", service.disk_mib),
    ];
    let (mut uid, mut capabilities) = (service.uid, service.capabilities.to_vec());
    if service.starts_as_root() {
        uid = 0;
        capabilities.extend_from_slice(service.start_capabilities);
    } else {
        for path in service.writable() {
            command.push(format!("--write={}", root.join(path).display()));
        }
        if let Some(state) = service.state() {
            command.push(format!("--temporary={}", root.join(state).display()));
        }
    }
    command.push("--".to_owned());
    let mut bounding = "-all".to_owned();
    for capability in capabilities {
        bounding.push_str(",+");
        bounding.push_str(&capability.to_lowercase());
    }
    command.extend([
        "setpriv".to_owned(),
        format!("--reuid={uid}"),
        format!("--regid={}", service.gid),
        "--clear-groups".to_owned(),
        format!("--bounding-set={bounding}"),
        "--inh-caps=-all".to_owned(),
        "--ambient-caps=-all".to_owned(),
        "--no-new-privs".to_owned(),
        "--pdeathsig=TERM".to_owned(),
        "--".to_owned(),
        binary.display().to_string(),
    ]);
    command.extend(service.args.iter().filter_map(|arg| match *arg {
        Arg::Text(text) => Some(text.to_owned()),
        // Engines run in containers, where their model is mounted.
        Arg::Socket | Arg::Model | Arg::Threads | Arg::Options => None,
    }));
    command.extend(["--root".to_owned(), root.display().to_string()]);
    command
}
