//! Finds devices by what the admin typed: a number, a code or a name.

use coordinator_core::{
    code,
    model::{NodeId, Pending},
    name,
};

use super::error::Error;
use crate::hub::Snapshot;

/// Why no device was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LookupError {
    /// No device matches.
    NotFound,
    /// Several devices match.
    Ambiguous,
}

impl From<LookupError> for Error {
    fn from(error: LookupError) -> Self {
        match error {
            LookupError::NotFound => Self::NotFound("waiting-device"),
            LookupError::Ambiguous => Self::Several,
        }
    }
}

/// Finds a waiting device by number, code or name.
///
/// Waiting devices choose their hostname themselves: text that looks like a number or a code is never matched as a name,
/// and an ambiguous name matches no device. A device that was a node before is also found by that node's name.
pub(super) fn find<'a>(snapshot: &'a Snapshot, device: &str) -> Result<&'a Pending, LookupError> {
    let pending = &snapshot.loaded.pending;
    if let Ok(id) = device.parse::<u64>() {
        return pending.iter().find(|pending| pending.id == id).ok_or(LookupError::NotFound);
    }
    if let Some(code) = code::read(device) {
        let found = pending.iter().find(|pending| code::of(&pending.ticket) == code);
        return found.ok_or(LookupError::NotFound);
    }
    let was = |pending: &Pending| pending.replaces.and_then(|id| snapshot.node(id));
    let is_called = |pending: &&Pending| {
        name::is_same(&pending.device.hostinfo.hostname, device)
            || was(pending).is_some_and(|node| node.name == device)
    };
    only(pending.iter().filter(is_called))
}

/// Finds a node by its hostname, to show it. Changes never use this: a node may change its hostname at any time.
pub(super) fn given_name(snapshot: &Snapshot, device: &str) -> Result<NodeId, LookupError> {
    if device.parse::<u64>().is_ok() || code::read(device).is_some() {
        return Err(LookupError::NotFound);
    }
    let nodes = snapshot.loaded.nodes.iter();
    only(nodes.filter(|node| name::is_same(&node.claims.hostinfo.hostname, device)))
        .map(|node| node.id)
}

fn only<T>(mut found: impl Iterator<Item = T>) -> Result<T, LookupError> {
    match (found.next(), found.next()) {
        (None, _) => Err(LookupError::NotFound),
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => Err(LookupError::Ambiguous),
    }
}
