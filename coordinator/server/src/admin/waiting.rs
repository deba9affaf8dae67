//! Which device that waits the admin means: by number, by code, or by name.

use coordinator_core::{code, model::Pending};

use super::Error;
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
        pending.hostinfo.hostname == device || was(pending).is_some_and(|node| node.name == device)
    };
    let mut found = pending.iter().filter(is_called);
    match (found.next(), found.next()) {
        (None, _) => Err(NotFound::Nobody),
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => Err(NotFound::Several),
    }
}
