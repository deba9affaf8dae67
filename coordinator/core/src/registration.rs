//! What a request to register leads to.
//!
//! ```text
//!                  good pre-approved key                       expiry, logout
//!   unknown ───────────────────────────────▶ node ─────────────────────────────▶ expired
//!      │                                       ▲ ▲                                  │
//!      └──────────────▶ waiting ───────────────┘ └──────────────────────────────────┘
//!        no key, or one     │      approval          good pre-approved key, or waiting
//!        that needs it      └────▶ (forgotten: rejected, or nobody came)
//! ```
//!
//! A device that waits may be given a key on its page: that is decided as if it had brought the key itself.
//!
//! The machine key is the one that the Noise handshake proved. A node key that is known under another machine key is
//! refused on every path: node keys are public, so whoever sends one has shown nothing.

use control_protocol::key::{MachinePublic, NodePublic};
use coordinator_api::KeyState;

use crate::{
    key::PreAuthKey,
    model::{Node, NodeId, Owner, Pending},
    tagging::{RequestedTags, TagNotAllowed},
    time::Millis,
};

/// How many devices may wait that came without a key; anyone can make one.
pub const WAITING_MAX: usize = 64;

/// How many of those one machine may let wait: node keys cost nothing.
pub const WAITING_OF_MACHINE_MAX: usize = 4;

/// How many of those may have come from one address, a household's mostly.
pub const WAITING_OF_ADDRESS_MAX: usize = 16;

/// How many devices may wait that came with a key; a reusable one may be in many hands.
pub const WAITING_BY_KEY_MAX: usize = 256;

/// How long a device that came without a key is remembered after it last asked.
pub const WAITING_FORGOTTEN_AFTER: Millis = 60 * 60 * 1000;

/// A request to register, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// The machine key that the Noise handshake proved.
    pub machine: MachinePublic,
    /// The key to register.
    pub node_key: NodePublic,
    /// When the node wants the key to end.
    pub expiry: Option<Millis>,
    /// Whether it only waits for an earlier request's approval.
    pub is_followup: bool,
}

/// The pre-auth key in a request.
#[derive(Clone, Copy, Debug)]
pub enum PresentedKey<'a> {
    /// None was sent.
    Nothing,
    /// One that is not known.
    Unknown,
    /// One that is known, still good or not.
    Key(&'a PreAuthKey),
}

/// What is stored about the device that sent a request.
#[derive(Clone, Copy, Debug)]
pub struct RegistrationContext<'a> {
    /// The node under the request's node key.
    pub node: Option<&'a Node>,
    /// The node that the request's node key replaces, if the device says so.
    pub old: Option<&'a Node>,
    /// All nodes of the request's machine key.
    pub of_machine: &'a [Node],
    /// The device that waits under the request's node key.
    pub pending: Option<&'a Pending>,
    /// How many devices wait that came without a key.
    pub waiting: usize,
    /// How many of those are of the request's machine.
    pub waiting_of_machine: usize,
    /// How many of those came from where the request came from.
    pub waiting_of_address: usize,
    /// How many devices wait that came with one.
    pub waiting_by_key: usize,
    /// The request's pre-auth key.
    pub presented: PresentedKey<'a>,
    /// The tags that the device asks for.
    pub asked: RequestedTags<'a>,
}

/// When the node key of a node ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyExpiry {
    /// When the old key would have ended.
    Same,
    /// A new life begins now.
    New,
}

/// What the request leads to. The caller writes it in the transaction that read [`RegistrationContext`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The node ends its key.
    Logout(NodeId),
    /// The node, an ephemeral one, leaves for good.
    Forget(NodeId),
    /// It asked to be logged out, and is no node, or its key has ended already.
    LoggedOut,
    /// It is a node already.
    Refresh(NodeId),
    /// Its key has expired: it must come with another, or with a pre-auth key.
    Expired,
    /// The node goes on under the request's node key.
    Replace {
        /// The node.
        node: NodeId,
        /// The pre-auth key to use up for that.
        key: Option<u64>,
        /// When the new key ends.
        life: KeyExpiry,
    },
    /// It becomes a node by this pre-auth key, which is used up by it.
    Admit {
        /// The pre-auth key.
        key: u64,
    },
    /// It begins to wait for approval; if it waits already, it goes on waiting, now with a key.
    Await {
        /// The pre-auth key to use up.
        key: Option<u64>,
        /// The node that it becomes again with the approval.
        replaces: Option<NodeId>,
    },
    /// It waits already.
    StillWaiting,
}

/// Why a device was turned away. Nothing changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The node key is no key, or not this machine's.
    #[error("the node key does not belong to this machine")]
    NodeKey,
    /// The pre-auth key is unknown, used up or expired: the device is not told which.
    #[error("the pre-auth key is not valid: ask the admin for another")]
    Key,
    /// The device asks for tags that its owner may not give.
    #[error(
        "the tags that this device asks for are not its owner's to give: start it without them, or have the admin add \
         the owner to tagOwners"
    )]
    Tags,
    /// Too many devices wait.
    #[error(
        "too many devices wait for approval: try again later, or ask the admin for an invitation"
    )]
    Full,
    /// The admin rejected it, or it was forgotten.
    #[error("the registration was rejected, or waited too long: register again")]
    Rejected,
}

impl From<TagNotAllowed> for Refusal {
    fn from(TagNotAllowed: TagNotAllowed) -> Self {
        Self::Tags
    }
}

/// Decides what a request to register leads to.
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
    if request.node_key.is_zero()
        || known.node.is_some_and(|node| foreign(node.keys.machine))
        || known.old.is_some_and(|node| foreign(node.keys.machine))
        || known.pending.is_some_and(|pending| foreign(pending.device.machine))
    {
        return Err(Refusal::NodeKey);
    }
    // A logout carries a pre-auth key as well if the client was started with one: the time is looked at first.
    if request.expiry.is_some_and(|at| at <= now) {
        return Ok(logout(known.node, now));
    }
    if let Some(node) = known.node.filter(|node| !node.is_expired(now)) {
        // A client that restarts sends the key that it once used, or none.
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
        // One node key is one node: for another owner the device must make another.
        return Ok(Decision::Expired);
    }
    let former = former(known, key, &owner).map(|node| node.id);
    if !key.pre_approved {
        // One that waits without a key is not among them yet.
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

/// Whether the device waits because of this very key.
fn has_used(known: &RegistrationContext<'_>, key: &PreAuthKey) -> bool {
    known.pending.and_then(|pending| pending.key.as_ref()).is_some_and(|(id, _)| *id == key.id)
}

/// The node that this device was, if the key makes it `owner`'s.
///
/// A node that changes from its person to tags stays the node that it was, if the device names it.
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
        // A key may change without the admin, its life not: otherwise it would never end. Nor may its owner: what a
        // thief has of a person's laptop would become a server that never expires.
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

/// Whether there is no room for one more that came without a key. Strangers never take the room of a machine that has
/// been a node.
fn is_full(known: &RegistrationContext<'_>) -> bool {
    let is_known = known.old.is_some() || !known.of_machine.is_empty();
    known.waiting_of_machine >= WAITING_OF_MACHINE_MAX
        || !is_known
            && (known.waiting >= WAITING_MAX || known.waiting_of_address >= WAITING_OF_ADDRESS_MAX)
}

/// What an approval leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// To whom the node belongs.
    pub owner: Owner,
    /// The node that goes on under the new node key; `None`: a new one.
    pub replaces: Option<NodeId>,
}

/// Decides to whom a device belongs that the admin approves, and whether it was a node before.
///
/// What the admin says counts first, then the pre-auth key, then who owned the node that it was. The tags that the
/// device asks for are then its owner's to give, unless the admin gave tags. `None`: nobody said whose it is.
///
/// # Errors
///
/// [`TagNotAllowed`] if the device asks for tags that its owner may not give.
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
    // One node key is one node, whoever owned it; else the machine's node of that owner goes on.
    let same_key = of_machine.iter().find(|node| node.keys.node == pending.device.node_key);
    let same_node = was.filter(|node| node.owner == owner || node.owner == base);
    let same_owner = || of_machine.iter().find(|node| node.owner == owner);
    let replaces = same_key.or(same_node).or_else(same_owner).map(|node| node.id);
    Ok(Some(Approval { owner, replaces }))
}

#[cfg(test)]
mod tests;
