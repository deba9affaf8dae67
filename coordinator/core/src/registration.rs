//! Decides on requests to register.
//!
//! ```text
//!                  good pre-approved key                       expiry, logout
//!   unknown ───────────────────────────────▶ node ─────────────────────────────▶ expired
//!      │                                       ▲ ▲                                  │
//!      └──────────────▶ waiting ───────────────┘ └──────────────────────────────────┘
//!        no key, or one     │      approval          good pre-approved key, or waiting
//!        that needs it      └────▶ (removed: rejected, or not approved in time)
//! ```
//!
//! A key that a person enters on a waiting device's page has the same effect as one that the device sends.
//!
//! The machine key is proved by the Noise handshake. A node key of another machine is always refused: node keys are public,
//! so sending one proves nothing. A WireGuard device never registers: nobody becomes it by its node key.

use control_protocol::key::{MachinePublic, NodePublic};
use coordinator_api::KeyState;

use crate::{
    key::PreAuthKey,
    model::{Node, NodeId, Owner, Pending},
    tagging::{RequestedTags, TagNotAllowed},
    time::Millis,
};

/// Limit of waiting devices without a key, which anyone can create.
pub const WAITING_MAX: usize = 64;

/// The same per machine, since node keys cost nothing.
pub const WAITING_OF_MACHINE_MAX: usize = 4;

/// The same per address, usually a household.
pub const WAITING_OF_ADDRESS_MAX: usize = 16;

/// Limit of waiting devices with a key; a reusable key may be widely shared.
pub const WAITING_BY_KEY_MAX: usize = 256;

/// When a waiting device without a key is forgotten, after its last request.
pub const WAITING_FORGOTTEN_AFTER: Millis = 60 * 60 * 1000;

/// The part of a request to register that matters here.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// The machine key, proved by the Noise handshake.
    pub machine: MachinePublic,
    /// The key to register.
    pub node_key: NodePublic,
    /// The expiry that the node requests.
    pub expiry: Option<Millis>,
    /// Whether it waits for the approval of an earlier request.
    pub is_followup: bool,
}

/// The pre-auth key in a request.
#[derive(Clone, Copy, Debug)]
pub enum PresentedKey<'a> {
    /// None was sent.
    Nothing,
    /// An unknown one.
    Unknown,
    /// A known one, valid or not.
    Key(&'a PreAuthKey),
}

/// The stored state that concerns a request.
#[derive(Clone, Copy, Debug)]
pub struct RegistrationContext<'a> {
    /// The node with the request's node key.
    pub node: Option<&'a Node>,
    /// The node whose key the request replaces.
    pub old: Option<&'a Node>,
    /// All nodes of the machine.
    pub of_machine: &'a [Node],
    /// The waiting device with the request's node key.
    pub pending: Option<&'a Pending>,
    /// Number of waiting devices without a key.
    pub waiting: usize,
    /// Those of the same machine.
    pub waiting_of_machine: usize,
    /// Those from the same address.
    pub waiting_of_address: usize,
    /// Number of waiting devices with a key.
    pub waiting_by_key: usize,
    /// The request's pre-auth key.
    pub presented: PresentedKey<'a>,
    /// The tags that the device requests.
    pub asked: RequestedTags<'a>,
}

/// When a replaced node key expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyExpiry {
    /// When the old key would have expired.
    Same,
    /// After a new lifetime, from now.
    New,
}

/// The result. The caller writes it in the transaction that read the [`RegistrationContext`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The node logs out: its key expires.
    Logout(NodeId),
    /// The ephemeral node logs out: it is removed.
    Forget(NodeId),
    /// The device logs out, and has no node or an expired key.
    LoggedOut,
    /// The device is a node already.
    Refresh(NodeId),
    /// Its key has expired: it must register another, or present a pre-auth key.
    Expired,
    /// The node gets the request's node key.
    Replace {
        /// The node.
        node: NodeId,
        /// The pre-auth key to consume.
        key: Option<u64>,
        /// When the new key expires.
        life: KeyExpiry,
    },
    /// The device becomes a node by a pre-auth key.
    Admit {
        /// The pre-auth key to consume.
        key: u64,
    },
    /// The device waits for approval; if it waits already, now with a key.
    Await {
        /// The pre-auth key to consume.
        key: Option<u64>,
        /// The node that it becomes again when it is approved.
        replaces: Option<NodeId>,
    },
    /// The device waits already.
    StillWaiting,
}

/// Why a device was refused. Nothing changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The node key is invalid, or belongs to another machine.
    #[error("the node key does not belong to this machine")]
    NodeKey,
    /// The pre-auth key is unknown, used or expired; the answer does not say which.
    #[error("the pre-auth key is not valid: ask the admin for another")]
    Key,
    /// The device requests tags that its owner may not assign.
    #[error(
        "the owner of this device may not assign the tags that it requests: start it without them, or have the admin \
         add the owner to tagOwners"
    )]
    Tags,
    /// Too many devices wait.
    #[error(
        "too many devices wait for approval: try again later, or ask the admin for an invitation"
    )]
    Full,
    /// The admin rejected it, or it waited too long.
    #[error("the registration was rejected, or waited too long: register again")]
    Rejected,
}

impl From<TagNotAllowed> for Refusal {
    fn from(TagNotAllowed: TagNotAllowed) -> Self {
        Self::Tags
    }
}

/// Decides on a request to register.
///
/// # Errors
///
/// A [`Refusal`], which changes nothing.
pub fn decide(
    request: &Request,
    known: &RegistrationContext<'_>,
    now: Millis,
) -> Result<Decision, Refusal> {
    let foreign = |machine: MachinePublic| machine != request.machine;
    // WireGuard devices have the zero machine key.
    if request.node_key.is_zero()
        || request.machine.is_zero()
        || known.node.is_some_and(|node| foreign(node.keys.machine))
        || known.old.is_some_and(|node| foreign(node.keys.machine))
        || known.pending.is_some_and(|pending| foreign(pending.device.machine))
    {
        return Err(Refusal::NodeKey);
    }
    // Checked first: a logout may carry the pre-auth key with which the client was started.
    if request.expiry.is_some_and(|at| at <= now) {
        return Ok(logout(known.node, now));
    }
    if let Some(node) = known.node.filter(|node| !node.is_expired(now)) {
        // A restarted client sends the key that it once used, or none.
        return Ok(Decision::Refresh(node.id));
    }
    match good_key(known, now) {
        Some(key) => with_key(known, key),
        None => without_key(request, known, now),
    }
}

fn with_key(known: &RegistrationContext<'_>, key: &PreAuthKey) -> Result<Decision, Refusal> {
    let owner = known.asked.owner(&key.owner)?;
    if known.node.is_some_and(|node| node.owner != owner) {
        // A node key belongs to one node: for another owner the device must generate another.
        return Ok(Decision::Expired);
    }
    let former = former(known, key, &owner).map(|node| node.id);
    if !key.pre_approved {
        // A waiting device without a key is not counted there yet.
        let is_further = known.pending.is_none_or(|pending| pending.key.is_none());
        if is_further && known.waiting_by_key >= WAITING_BY_KEY_MAX {
            return Err(Refusal::Full);
        }
        return Ok(Decision::Await { key: Some(key.id), replaces: former });
    }
    Ok(match former {
        Some(node) => Decision::Replace { node, key: Some(key.id), life: KeyExpiry::New },
        None => Decision::Admit { key: key.id },
    })
}

fn logout(node: Option<&Node>, now: Millis) -> Decision {
    match node {
        Some(node) if node.times.ephemeral => Decision::Forget(node.id),
        Some(node) if node.is_expired(now) => Decision::LoggedOut,
        Some(node) => Decision::Logout(node.id),
        None => Decision::LoggedOut,
    }
}

fn good_key<'a>(known: &RegistrationContext<'a>, now: Millis) -> Option<&'a PreAuthKey> {
    match known.presented {
        PresentedKey::Key(key) if key.state(now) == KeyState::Valid && !has_used(known, key) => {
            Some(key)
        }
        PresentedKey::Key(_) | PresentedKey::Unknown | PresentedKey::Nothing => None,
    }
}

/// Whether the device waits with this key.
fn has_used(known: &RegistrationContext<'_>, key: &PreAuthKey) -> bool {
    known.pending.and_then(|pending| pending.key.as_ref()).is_some_and(|(id, _)| *id == key.id)
}

/// The earlier node of this device that it becomes again, if the key makes it `owner`'s. A node may change from a user to
/// tags if the device names it.
fn former<'a>(
    known: &RegistrationContext<'a>,
    key: &PreAuthKey,
    owner: &Owner,
) -> Option<&'a Node> {
    let named = || known.node.into_iter().chain(known.old);
    let same = named().chain(known.of_machine).find(|node| node.owner == *owner);
    same.or_else(|| named().find(|node| node.owner == key.owner))
}

fn without_key(
    request: &Request,
    known: &RegistrationContext<'_>,
    now: Millis,
) -> Result<Decision, Refusal> {
    if let Some(old) = known.old.filter(|node| !node.is_expired(now) && known.node.is_none()) {
        // A key may be replaced without the admin, but with the same expiry, or it would never expire; and with the same
        // owner, or a stolen laptop could become a tagged node that never expires.
        let changes_owner =
            old.owner.user().is_some() && known.asked.owner(&old.owner)? != old.owner;
        if !changes_owner {
            return Ok(Decision::Replace { node: old.id, key: None, life: KeyExpiry::Same });
        }
    }
    let is_bad = match known.presented {
        PresentedKey::Key(key) => !has_used(known, key),
        PresentedKey::Unknown => true,
        PresentedKey::Nothing => false,
    };
    if known.pending.is_some() && !is_bad {
        return Ok(Decision::StillWaiting);
    }
    if known.node.is_some() {
        return Ok(Decision::Expired);
    }
    if is_bad {
        return Err(Refusal::Key);
    }
    if request.is_followup {
        return Err(Refusal::Rejected);
    }
    if is_full(known) {
        return Err(Refusal::Full);
    }
    Ok(Decision::Await { key: None, replaces: known.old.map(|node| node.id) })
}

/// Whether the limits for devices without a key are reached. Machines that have a node are only limited per machine.
fn is_full(known: &RegistrationContext<'_>) -> bool {
    let is_known = known.old.is_some() || !known.of_machine.is_empty();
    known.waiting_of_machine >= WAITING_OF_MACHINE_MAX
        || !is_known
            && (known.waiting >= WAITING_MAX || known.waiting_of_address >= WAITING_OF_ADDRESS_MAX)
}

/// The result of an approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// The owner of the node.
    pub owner: Owner,
    /// The node that gets the new node key; `None`: a new node.
    pub replaces: Option<NodeId>,
}

/// Decides the owner of an approved device, and whether it was a node before.
///
/// The owner is the one that the admin named, else that of the pre-auth key, else that of the earlier node; `None` if there
/// is none of these. Requested tags must be the owner's to assign, unless the admin assigned tags.
///
/// # Errors
///
/// [`TagNotAllowed`] if the device requests tags that its owner may not assign.
pub fn approve(
    pending: &Pending,
    said: Option<Owner>,
    of_machine: &[Node],
    asked: &RequestedTags<'_>,
) -> Result<Option<Approval>, TagNotAllowed> {
    let was = pending.replaces.and_then(|id| of_machine.iter().find(|node| node.id == id));
    let by_key = || pending.key.as_ref().map(|(_, owner)| owner.clone());
    let Some(base) = said.clone().or_else(by_key).or_else(|| was.map(|node| node.owner.clone()))
    else {
        return Ok(None);
    };
    let is_settled = base.user().is_none() && (said.is_some() || pending.key.is_none());
    let owner = if is_settled { base.clone() } else { asked.owner(&base)? };
    // A node key belongs to one node, whoever owns it; otherwise the machine's node of that owner is reused.
    let same_key = of_machine.iter().find(|node| node.keys.node == pending.device.node_key);
    let same_node = was.filter(|node| node.owner == owner || node.owner == base);
    let same_owner = || of_machine.iter().find(|node| node.owner == owner);
    let replaces = same_key.or(same_node).or_else(same_owner).map(|node| node.id);
    Ok(Some(Approval { owner, replaces }))
}

#[cfg(test)]
mod tests;
