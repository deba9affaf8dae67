//! Checks `[[dial]]` sections.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::{Component, Path},
};

use common::mesh;
use node_agent_api::settings::{DIALS, Dial};

/// Most dials: each is a socket and a task.
const MAX: usize = 64;
/// Longest name.
const MAX_NAME: usize = 64;

/// Checks the dials.
pub(super) fn check(dials: &[Dial]) -> Result<(), String> {
    if dials.len() > MAX {
        return Err(format!("there are {} dials; at most {MAX} are allowed", dials.len()));
    }
    for (index, dial) in dials.iter().enumerate() {
        let (name, to) = (&dial.name, dial.to);
        if name.is_empty() || name.len() > MAX_NAME {
            return Err(format!("the dial to {to} needs a name of 1 to {MAX_NAME} letters"));
        }
        if dial.uid == u32::MAX {
            return Err(format!("dial {name:?}: uid {} is not a user id", dial.uid));
        }
        let Some(folder) = folder(&dial.socket) else {
            return Err(format!(
                "dial {name:?}: socket {} must be {DIALS}/FOLDER/FILE, such as \
                 {DIALS}/{name}/http.sock",
                dial.socket.display()
            ));
        };
        if let Some(other) =
            dials[..index].iter().find(|it| self::folder(&it.socket) == Some(folder))
        {
            return Err(format!(
                "dials {:?} and {name:?} have one folder, {}: give each its own",
                other.name,
                folder.display()
            ));
        }
        check_target(dial)?;
    }
    Ok(())
}

/// Checks a dial's target.
fn check_target(Dial { name, to, outside, .. }: &Dial) -> Result<(), String> {
    let inside = to.ip().is_loopback() || mesh::contains(to.ip());
    let (v4, v6) = (mesh::V4, mesh::V6);
    match (outside, inside) {
        _ if to.port() == 0 => Err(format!("dial {name:?}: {to} needs a port from 1 to 65535")),
        (false, false) => Err(format!(
            "dial {name:?}: {to} is neither a loopback address nor one of the mesh's ({v4} and {v6}), \
             with a port; if it is to lead outside, say so with outside = true"
        )),
        (true, true) => Err(format!(
            "dial {name:?}: {to} is this machine's or the mesh's ({v4} and {v6}); take outside = true out of it"
        )),
        (true, false) if !is_one_host(to.ip()) => Err(format!(
            "dial {name:?}: {to} is not the address of one other machine; write its own, such as 203.0.113.5:443"
        )),
        (true, false) | (false, true) => Ok(()),
    }
}

/// Whether it can be the address of one other machine: not unspecified, multicast, reserved or link-local (clouds serve a
/// machine's credentials at 169.254.169.254), and not an IPv4 address embedded in IPv6.
fn is_one_host(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let this_network = ip.octets()[0] == 0;
            let reserved = ip >= Ipv4Addr::new(240, 0, 0, 0);
            !(this_network || reserved || ip.is_link_local() || ip.is_multicast())
        }
        IpAddr::V6(ip) => {
            let embeds_v4 = ip.to_ipv4().is_some() || ip.segments()[..2] == [0x64, 0xff9b];
            !(ip.is_unspecified() || ip.is_unicast_link_local() || ip.is_multicast() || embeds_v4)
        }
    }
}

/// The folder of a dial's socket, if it is directly below [`DIALS`].
fn folder(socket: &Path) -> Option<&Path> {
    let folder = socket.parent()?;
    let is_plain = |path: &Path| path.components().all(|part| matches!(part, Component::Normal(_)));
    (is_plain(socket) && folder.parent()? == Path::new(DIALS) && socket.file_name().is_some())
        .then_some(folder)
}

#[cfg(test)]
mod tests;
