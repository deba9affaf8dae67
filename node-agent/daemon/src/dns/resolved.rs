//! systemd-resolved, by its own command `resolvectl`: an interface's resolver and its domains (resolvectl(1)).
//!
//! The command is where systemd-resolved is, speaks its D-Bus interface (or that of systemd-networkd, if that manages the
//! interface), and asks for no library of ours.

use std::{io, path::Path};

use common::mesh::RESOLVER;

use crate::dns::command::Program;

/// systemd-resolved's folder; it exists once the service has started.
pub(crate) const FOLDER: &str = "/run/systemd/resolve";
/// The resolvers of the networks, of which it writes a list.
pub(crate) const UPLINKS: &str = "/run/systemd/resolve/resolv.conf";
/// Where it keeps the settings of interfaces. Their content is its own; that one changed is seen by the folder.
pub(crate) const LINKS: &str = "/run/systemd/resolve/netif";
/// Its command.
const COMMAND: &str = "resolvectl";
/// What it must not do with the agent's answers: another machine's settings may ask for signatures and TLS by default, which the
/// agent does not have, and for multicast, which would leave through the tunnel.
const OFF: [&str; 4] = ["llmnr", "mdns", "dnssec", "dnsovertls"];
/// All names: no interface without this domain is asked then.
const ALL: &str = "~.";

/// Whether it has started, and can be asked.
pub(crate) fn is_there() -> bool {
    Path::new(FOLDER).exists() && Program::find(COMMAND).is_some()
}

/// Asks the agent for the names of these domains, or for all names, on `interface`.
pub(crate) fn set(interface: &str, domains: &[String], takes_all: bool) -> io::Result<()> {
    let command = command()?;
    // The resolver last: with a resolver and no domain, an interface is asked for every name.
    command.run(&["default-route", interface, if takes_all { "yes" } else { "no" }], "")?;
    for setting in OFF {
        command.run(&[setting, interface, "no"], "")?;
    }
    let domains = domains.iter().map(String::as_str).chain(takes_all.then_some(ALL));
    command.run(&["domain", interface].into_iter().chain(domains).collect::<Vec<_>>(), "")?;
    command.run(&["dns", interface, &RESOLVER.to_string()], "")?;
    command.run(&["flush-caches"], "").map(drop)
}

/// Whether the agent is the resolver of `interface`: settings end with an interface, and other programs may change them.
pub(crate) fn is_set(interface: &str) -> io::Result<bool> {
    let printed = command()?.run(&["dns", interface], "")?;
    Ok(printed.split_whitespace().any(|word| word == RESOLVER.to_string()))
}

/// Removes everything that was set on `interface`, if there still is one.
pub(crate) fn unset(interface: &str) -> io::Result<()> {
    if !Path::new("/sys/class/net").join(interface).exists() || !Path::new(FOLDER).exists() {
        return Ok(());
    }
    let command = command()?;
    command.run(&["revert", interface], "")?;
    command.run(&["flush-caches"], "").map(drop)
}

fn command() -> io::Result<Program> {
    Program::find(COMMAND).ok_or_else(|| io::ErrorKind::NotFound.into())
}
