//! Registering: what `coordinator-core` decides, read and written in one change.

mod applicant;
mod redeem;
mod seen;
mod writer;

use control_protocol::register::RegisterRequest;
use coordinator_api::Actor;
use coordinator_core::{
    model::{Node, NodeId, Owner},
    registration::Refusal,
    time::Millis,
};

use self::applicant::Applicant;
use self::seen::Seen;
pub(crate) use self::{
    applicant::Tagging,
    redeem::{Redeemed, redeem},
};
use crate::{
    app::Peer,
    clock,
    hub::HubError,
    limits::RegistrationPermit,
    store::{Change, DatabaseError, StoreError},
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
    /// The node has caused too much for everyone in a short time.
    #[error("this device changed too often in a short time: try again in ten seconds")]
    Often,
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
            Self::Store(StoreError::Database(DatabaseError::Conflict)) => true,
            Self::Store(StoreError::Database(DatabaseError::Query(sqlx::Error::Database(
                error,
            )))) => error.is_unique_violation(),
            Self::Store(_) | Self::Refused(_) | Self::Busy | Self::Often | Self::Hub(_) => false,
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
    let answer = register_in_turn(peer, request).await;
    peer.app.metrics.registration(match &answer {
        Ok(Answer::Node(_)) => "node",
        Ok(Answer::Expired) => "expired",
        Ok(Answer::Waiting(_)) => "waiting",
        Err(RegisterError::Refused(_)) => "refused",
        Err(RegisterError::Busy | RegisterError::Often) => "busy",
        Err(RegisterError::Store(_) | RegisterError::Hub(_)) => "failed",
    });
    answer
}

async fn register_in_turn(peer: &Peer, request: &RegisterRequest) -> Result<Answer, RegisterError> {
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
    let store = &peer.app.store;
    if let Some(pending) = store.pending(&request.node_key).await? {
        let seen = Seen::read(store, request).await?;
        if seen.still_waits(peer, request, &pending, now) {
            return Ok((Answer::Waiting(pending.ticket), Effect::Nothing));
        }
    }
    let mut change = store.change_by_node(Actor::Device { id: None }).await?;
    let applicant = Applicant::by_request(&mut change, peer, request).await?;
    let pending = change.pending_by_key(&request.node_key).await?;
    let (decision, writer) =
        applicant.decide(&peer.app, &mut change, pending.as_ref(), now).await?;
    writer.write(change, decision, pending.as_ref()).await
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
    node.ok_or(StoreError::Database(DatabaseError::Conflict))
}
