//! A service as a process beside `maru up`.

use std::path::Path;

use crate::service::{Arg, Service};

/// The command that runs `service`: `setpriv` takes away what it does not need, then
/// becomes the program at `binary`. The process ends with whoever started it.
#[must_use]
pub fn command(service: &Service, binary: &Path, root: &Path) -> Vec<String> {
    let mut bounding = "-all".to_owned();
    for capability in service.capabilities {
        bounding.push_str(",+");
        bounding.push_str(&capability.to_lowercase());
    }
    let mut command = vec![
        "setpriv".to_owned(),
        format!("--reuid={}", service.uid),
        format!("--regid={}", service.gid),
        "--clear-groups".to_owned(),
        format!("--bounding-set={bounding}"),
        "--inh-caps=-all".to_owned(),
        "--ambient-caps=-all".to_owned(),
        "--no-new-privs".to_owned(),
        "--pdeathsig=TERM".to_owned(),
        "--".to_owned(),
        binary.display().to_string(),
    ];
    command.extend(service.args.iter().filter_map(|arg| match *arg {
        Arg::Text(text) => Some(text.to_owned()),
        // Engines run in containers, where their model is mounted.
        Arg::Socket | Arg::Model | Arg::Threads => None,
    }));
    command.extend(["--root".to_owned(), root.display().to_string()]);
    command
}
