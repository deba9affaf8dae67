//! openresolv: the command `resolvconf`, which makes `/etc/resolv.conf` of the entries of several programs.

use std::{fs, io, path::Path};

use node_agent_core::{
    domain::Domain,
    resolv_conf::{names_agent_alone, render},
    system_resolver::without_entry,
};

use crate::dns::{
    command::Program,
    resolv_conf::{RESOLV_CONF, keep},
};

/// Where it keeps its entries.
pub(crate) const FOLDER: &str = "/run/resolvconf";
/// Its command. systemd-resolved has one of this name, too, which is a link to its own.
const COMMAND: &str = "resolvconf";

/// Whether it is there, and not another program under its name.
pub(crate) fn is_there() -> bool {
    command().is_ok() && Path::new(FOLDER).exists()
}

/// Makes the agent the only resolver; `others` is where the resolvers of other entries are kept. Returns `false`, and changes
/// nothing, if its settings lead programs elsewhere, such as to a resolver on this machine.
pub(crate) fn set(interface: &str, network: &Domain, others: &Path) -> io::Result<bool> {
    let command = command()?;
    let listed = without_entry(&command.run(&["-l"], "").unwrap_or_default(), interface);
    if fs::read_to_string(others).ok().as_ref() != Some(&listed) {
        keep(others, &listed)?;
    }
    // An error may be one of its subscribers': what counts is the file.
    let entry = render(&listed, network);
    let added = command.run(&["-m", "0", "-x", "-a", interface], &entry);
    let text = fs::read_to_string(RESOLV_CONF)?;
    if names_agent_alone(&text) {
        return Ok(true);
    }
    unset(interface)?;
    added.map(|_| false)
}

/// Removes the entry of `interface`, if it has one.
pub(crate) fn unset(interface: &str) -> io::Result<()> {
    let Ok(command) = command() else { return Ok(()) };
    // An error may be one of its subscribers': what counts is the entry.
    let removed = command.run(&["-f", "-d", interface], "");
    let listed = command.run(&["-l"], "").unwrap_or_default();
    if without_entry(&listed, interface) == listed { Ok(()) } else { removed.map(drop) }
}

fn command() -> io::Result<Program> {
    let found = Program::find(COMMAND).filter(|program| !program.is_link_to("resolvectl"));
    found.ok_or_else(|| io::ErrorKind::NotFound.into())
}
