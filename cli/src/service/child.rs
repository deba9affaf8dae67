//! A service as a process beside `maru up`.

use std::path::Path;

use crate::service::{Arg, Service};

/// The command that runs `service`: `confine` (this program) lets it write in its own places alone, `setpriv` takes
/// away what it does not need, then becomes the program at `binary`. The process ends with whoever started it.
///
/// A service that starts as root does both by itself, as when somebody starts it by hand: what it needs only then is
/// more than it keeps.
#[must_use]
pub fn command(service: &Service, confine: &Path, binary: &Path, root: &Path) -> Vec<String> {
    let mut command = Vec::new();
    let (mut uid, mut capabilities) = (service.uid, service.capabilities.to_vec());
    if service.starts_as_root() {
        uid = 0;
        capabilities.extend_from_slice(service.start_capabilities);
    } else {
        command.extend([confine.display().to_string(), "confine".to_owned()]);
        for path in service.writable() {
            command.push(format!("--write={}", root.join(path).display()));
        }
        if let Some(state) = service.state() {
            command.push(format!("--temporary={}", root.join(state).display()));
        }
        command.push("--".to_owned());
    }
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
