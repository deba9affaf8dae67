//! Which device the admin means: one that waits by number, by code or by name, and a node by what it calls itself.

use coordinator_core::{
    code,
    model::{NodeId, Pending},
    name,
};

use super::error::Error;
use crate::hub::Snapshot;

/// Why no device was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotFound {
    /// None is meant.
    Nobody,
    /// More than one has that name.
    Several,
}

impl From<NotFound> for Error {
    fn from(error: NotFound) -> Self {
        match error {
            NotFound::Nobody => Self::NotFound("waiting device"),
            NotFound::Several => Self::Several,
        }
    }
}

/// Finds the device that waits under this number, code or name.
///
/// A device that waits says itself what it is called, and so may a stranger's: what looks like a number or a code is
/// never taken for a name, and a name that several have for none of them. A device that was a node before is found by
/// that node's name as well.
pub(super) fn find<'a>(snapshot: &'a Snapshot, device: &str) -> Result<&'a Pending, NotFound> {
    let pending = &snapshot.loaded.pending;
    if let Ok(id) = device.parse::<u64>() {
        return pending.iter().find(|pending| pending.id == id).ok_or(NotFound::Nobody);
    }
    if let Some(code) = code::read(device) {
        let found = pending.iter().find(|pending| code::of(&pending.ticket) == code);
        return found.ok_or(NotFound::Nobody);
    }
    let was = |pending: &Pending| pending.replaces.and_then(|id| snapshot.node(id));
    let is_called = |pending: &&Pending| {
        name::is_same(&pending.hostinfo.hostname, device)
            || was(pending).is_some_and(|node| node.name == device)
    };
    only(pending.iter().filter(is_called))
}

/// Finds the node that calls itself so, to show it. A node may call itself anything at any time: none is changed by that
/// name.
pub(super) fn given_name(snapshot: &Snapshot, device: &str) -> Result<NodeId, NotFound> {
    if device.parse::<u64>().is_ok() || code::read(device).is_some() {
        return Err(NotFound::Nobody);
    }
    let nodes = snapshot.loaded.nodes.iter();
    only(nodes.filter(|node| name::is_same(&node.claims.hostinfo.hostname, device)))
        .map(|node| node.id)
}

fn only<T>(mut found: impl Iterator<Item = T>) -> Result<T, NotFound> {
    match (found.next(), found.next()) {
        (None, _) => Err(NotFound::Nobody),
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => Err(NotFound::Several),
    }
}
