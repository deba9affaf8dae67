//! Registering: what `coordinator-core` decides, read and written in one change.

use control_protocol::{map::Hostinfo, register::RegisterRequest};
use coordinator_core::{
    key,
    model::{Node, NodeId, Owner, Pending},
    registration::{self, Decision, KeyExpiry, Known, PresentedKey, Refusal, Request},
    time::{self, Millis},
};

use crate::{
    app::Peer,
    clock,
    hub::HubError,
    limits::RegistrationPermit,
    store::{Change, NewNode, NewPending, StoreError},
};

/// How often a change is tried that conflicts with others.
const ATTEMPTS: usize = 8;

/// What a device is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is a node of this owner.
    Node(Owner),
    /// Its node key has expired: it must make another.
    Expired,
    /// It waits for approval, under this ticket.
    Waiting(String),
}

/// Why a registration failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegisterError {
    /// The device was turned away.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Too many ask at once.
    #[error("too many devices register at once: try again later")]
    Busy,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The network could not be read again.
    #[error(transparent)]
    Hub(#[from] HubError),
}

impl RegisterError {
    /// Whether the same change may succeed at once.
    fn is_collision(&self) -> bool {
        match self {
            Self::Store(StoreError::Conflict) => true,
            Self::Store(StoreError::Query(sqlx::Error::Database(error))) => {
                error.is_unique_violation()
            }
            Self::Store(_) | Self::Refused(_) | Self::Busy | Self::Hub(_) => false,
        }
    }
}

/// What remains to be done after a registration.
enum Effect {
    /// Nothing is stored.
    Nothing,
    /// Everyone's maps are made anew.
    Stored,
    /// What the node says of itself may be new.
    Said(Box<Node>),
}

/// Registers a device whose machine key the Noise handshake proved. Once begun, it goes on even if the device hangs up.
///
/// When it returns, everyone's maps show the result.
pub(crate) async fn register(
    peer: &Peer,
    request: &RegisterRequest,
) -> Result<Answer, RegisterError> {
    let permit =
        peer.app.registrations.take(peer.origin, peer.node()).await.ok_or(RegisterError::Busy)?;
    let (of, request) = (peer.clone(), request.clone());
    peer.app.carry_out(async move { register_now(&of, &request, permit).await }).await
}

async fn register_now(
    peer: &Peer,
    request: &RegisterRequest,
    permit: RegistrationPermit,
) -> Result<Answer, RegisterError> {
    let mut attempt = 1;
    let (answer, effect) = loop {
        match try_register(peer, request, clock::now()).await {
            Err(error) if error.is_collision() && attempt < ATTEMPTS => attempt += 1,
            result => break result?,
        }
    };
    drop(permit);
    match effect {
        Effect::Nothing => {}
        Effect::Stored => peer.app.hub.refresh().await?,
        // In its turn among the node's updates; the answer does not depend on it.
        Effect::Said(node) => {
            peer.app.updates.submit(&node, request.into()).await;
        }
    }
    Ok(answer)
}

async fn try_register(
    peer: &Peer,
    request: &RegisterRequest,
    now: Millis,
) -> Result<(Answer, Effect), RegisterError> {
    let Peer { app, machine, origin } = peer;
    let mut change = app.store.change_by_node().await?;
    let core = Request {
        machine: *machine,
        node_key: request.node_key,
        old_node_key: request.old_node_key,
        expiry: request.expiry.as_deref().and_then(time::parse_rfc3339),
        is_followup: !request.followup.is_empty(),
    };
    let node = change.node_by_key(&request.node_key).await?;
    let old = match &request.old_node_key {
        Some(key) => change.node_by_key(key).await?,
        None => None,
    };
    let of_machine = change.nodes_of_machine(machine).await?;
    let pending = change.pending_by_key(&request.node_key).await?;
    let waiting = change.waiting(machine, now - registration::WAITING_FORGOTTEN_AFTER).await?;
    let given_key = match request.auth_key().and_then(key::hash) {
        Some(hash) => change.key(&hash).await?,
        None => None,
    };
    let presented = match (&given_key, request.auth_key()) {
        (Some(key), _) => PresentedKey::Key(key),
        (None, Some(_)) => PresentedKey::Unknown,
        (None, None) => PresentedKey::Nothing,
    };
    let known = Known {
        node: node.as_ref(),
        old: old.as_ref(),
        of_machine: &of_machine,
        pending: pending.as_ref(),
        waiting: waiting.keyless.len(),
        waiting_of_machine: waiting.of_machine,
        waiting_of_address: app.waiting.count(*origin, &waiting.keyless),
        waiting_by_key: waiting.by_key,
        presented,
    };
    let decision = registration::decide(&core, &known, now)?;
    tracing::info!(?decision, "registration decided");
    let writer = Writer {
        peer,
        request,
        now,
        ephemeral: request.ephemeral || given_key.as_ref().is_some_and(|key| key.ephemeral),
        owner: given_key.map(|key| key.owner),
    };
    writer.write(change, decision, pending.as_ref()).await
}

/// Writes a decision.
struct Writer<'a> {
    peer: &'a Peer,
    request: &'a RegisterRequest,
    now: Millis,
    ephemeral: bool,
    owner: Option<Owner>,
}

impl Writer<'_> {
    async fn write(
        self,
        mut change: Change,
        decision: Decision,
        pending: Option<&Pending>,
    ) -> Result<(Answer, Effect), RegisterError> {
        let (answer, effect) = match decision {
            Decision::LoggedOut | Decision::Expired => {
                return Ok((Answer::Expired, Effect::Nothing));
            }
            Decision::Logout(id) => {
                end_key(&mut change, id, self.now).await?;
                (Answer::Expired, Effect::Stored)
            }
            Decision::Forget(id) => {
                change.delete_node(id).await?;
                (Answer::Expired, Effect::Stored)
            }
            Decision::Refresh(id) => {
                let node = found(change.node(id).await?)?;
                return Ok((Answer::Node(node.owner.clone()), Effect::Said(node.into())));
            }
            Decision::Replace { node, key, life } => {
                self.consume(&mut change, key).await?;
                (Answer::Node(self.replace(&mut change, node, life).await?), Effect::Stored)
            }
            Decision::Admit { key } => {
                self.consume(&mut change, Some(key)).await?;
                (Answer::Node(self.admit(&mut change, pending).await?), Effect::Stored)
            }
            Decision::Await { key, replaces } => {
                self.consume(&mut change, key).await?;
                let pending = change.insert_pending(self.pending(key, replaces), self.now).await?;
                if key.is_none() {
                    self.peer.app.waiting.add(self.peer.origin, pending.id);
                }
                tracing::info!(device = pending.id, "a device waits for approval");
                (Answer::Waiting(pending.ticket), Effect::Stored)
            }
            Decision::StillWaiting => {
                let pending = pending.ok_or(StoreError::Conflict)?;
                change.set_asked(pending.id, self.now).await?;
                (Answer::Waiting(pending.ticket.clone()), Effect::Nothing)
            }
        };
        change.commit().await?;
        Ok((answer, effect))
    }

    /// Uses the key once; refuses the device if another used it up meanwhile.
    async fn consume(&self, change: &mut Change, key: Option<u64>) -> Result<(), RegisterError> {
        match key {
            Some(id) if !change.consume_key(id, self.now).await? => Err(Refusal::Key.into()),
            Some(_) | None => Ok(()),
        }
    }

    fn hostinfo(&self) -> Hostinfo {
        self.request.hostinfo.clone().unwrap_or_default()
    }

    async fn replace(
        &self,
        change: &mut Change,
        id: NodeId,
        life: KeyExpiry,
    ) -> Result<Owner, StoreError> {
        let mut node = found(change.node(id).await?)?;
        if life == KeyExpiry::New {
            node.times.expires = self.peer.app.expiry(&node.owner, self.now);
        }
        node.keys.node = self.request.node_key;
        node.claims.hostinfo = self.hostinfo();
        node.claims.version = self.request.version;
        change.update_node(&node).await?;
        if let Some(pending) = change.pending_by_key(&self.request.node_key).await? {
            change.delete_pending(pending.id).await?;
        }
        tracing::info!(node = node.id, name = node.name, "a node goes on under another key");
        Ok(node.owner)
    }

    async fn admit(
        &self,
        change: &mut Change,
        pending: Option<&Pending>,
    ) -> Result<Owner, StoreError> {
        let owner = self.owner.clone().ok_or(StoreError::Conflict)?;
        if let Some(pending) = pending {
            change.delete_pending(pending.id).await?;
        }
        let new = NewNode {
            id: pending.map(|pending| pending.id),
            expires: self.peer.app.expiry(&owner, self.now),
            owner,
            machine: self.peer.machine,
            node_key: self.request.node_key,
            hostinfo: self.hostinfo(),
            version: self.request.version,
            ephemeral: self.ephemeral,
            name: None,
        };
        let node = change.insert_node(new, self.now).await?;
        tracing::info!(node = node.id, name = node.name, "a device became a node");
        Ok(node.owner)
    }

    fn pending(&self, key: Option<u64>, replaces: Option<NodeId>) -> NewPending {
        NewPending {
            machine: self.peer.machine,
            node_key: self.request.node_key,
            hostinfo: self.hostinfo(),
            key,
            replaces,
            ephemeral: self.ephemeral,
        }
    }
}

/// Ends a node's key now, unless it has ended already.
pub(crate) async fn end_key(
    change: &mut Change,
    id: NodeId,
    now: Millis,
) -> Result<(), StoreError> {
    let mut node = found(change.node(id).await?)?;
    if !node.is_expired(now) {
        node.times.expires = Some(now);
        change.update_node(&node).await?;
    }
    Ok(())
}

/// A node that was there a moment ago.
fn found(node: Option<Node>) -> Result<Node, StoreError> {
    node.ok_or(StoreError::Conflict)
}
