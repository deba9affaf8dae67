//! A service as a process beside `maru up`.

use std::path::{Path, PathBuf};

use crate::entry::{Arg, Service};

/// What holds a process to the memory that the table gives its service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// A control group, which has the limits.
    Group(PathBuf),
    /// `RLIMIT_DATA`: how much it may map to write in, used or not, in each of its processes.
    Data,
}

/// The command that runs `service`: `confine` (this program) bounds its memory and files and lets it write in its own
/// places alone, `setpriv` takes away what it does not need, then becomes the program at `binary`. The process ends with
/// whoever started it.
///
/// A service that starts as root chooses its places and gives up its rights by itself, as when somebody starts it by
/// hand: what it needs only then is more than it keeps.
#[must_use]
pub fn command(
    service: &Service,
    bound: &Bound,
    confine: &Path,
    binary: &Path,
    root: &Path,
) -> Vec<String> {
    let mut command = vec![
        confine.display().to_string(),
        "confine".to_owned(),
        match bound {
            Bound::Group(folder) => format!("--group={}", folder.display()),
            Bound::Data => format!("--data-mib={}", service.memory.mib(None)),
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
        Arg::Socket | Arg::Model | Arg::Threads => None,
    }));
    command.extend(["--root".to_owned(), root.display().to_string()]);
    command
}
