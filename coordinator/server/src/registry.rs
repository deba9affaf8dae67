//! Registrations: `coordinator-core` decides, within one change of the database.

mod applicant;
mod lookup;
mod outcome;
mod redeem;
mod writer;

use control_protocol::register::RegisterRequest;
use coordinator_api::Actor;
use coordinator_core::time::Millis;

use self::{
    applicant::Applicant,
    lookup::PendingLookup,
    outcome::{ATTEMPTS, FollowUp},
};
pub(crate) use self::{
    applicant::TagPolicy,
    outcome::{RegisterError, RegistrationStatus},
    redeem::{RedeemOutcome, redeem},
    writer::end_key,
};
use crate::{app::Peer, clock, limits::RegistrationPermit};

/// Registers a device whose machine key the Noise handshake proved. Completes even if the device disconnects. When it
/// returns, the maps show the result.
pub(crate) async fn register(
    peer: &Peer,
    request: &RegisterRequest,
) -> Result<RegistrationStatus, RegisterError> {
    let answer = register_in_turn(peer, request).await;
    peer.app.metrics.registration(match &answer {
        Ok(RegistrationStatus::Node(_)) => "node",
        Ok(RegistrationStatus::Expired) => "expired",
        Ok(RegistrationStatus::Waiting(_)) => "waiting",
        Err(RegisterError::Refused(_)) => "refused",
        Err(RegisterError::Busy | RegisterError::Often) => "busy",
        Err(RegisterError::Store(_) | RegisterError::Hub(_)) => "failed",
    });
    answer
}

async fn register_in_turn(
    peer: &Peer,
    request: &RegisterRequest,
) -> Result<RegistrationStatus, RegisterError> {
    let permit =
        peer.app.registrations.take(peer.origin, peer.node()).await.ok_or(RegisterError::Busy)?;
    let (of, request) = (peer.clone(), request.clone());
    peer.app.carry_out(async move { register_now(&of, &request, permit).await }).await
}

async fn register_now(
    peer: &Peer,
    request: &RegisterRequest,
    permit: RegistrationPermit,
) -> Result<RegistrationStatus, RegisterError> {
    let mut attempt = 1;
    let (answer, effect) = loop {
        match try_register(peer, request, clock::now()).await {
            Err(error) if error.is_collision() && attempt < ATTEMPTS => attempt += 1,
            result => break result?,
        }
    };
    drop(permit);
    match effect {
        FollowUp::None => {}
        FollowUp::Refresh => peer.app.hub.refresh().await?,
        // Queued with the node's updates; the response does not depend on it.
        FollowUp::Update(node) => {
            peer.app.updates.submit(&node, request.into()).await;
        }
    }
    Ok(answer)
}

async fn try_register(
    peer: &Peer,
    request: &RegisterRequest,
    now: Millis,
) -> Result<(RegistrationStatus, FollowUp), RegisterError> {
    let store = &peer.app.store;
    if let Some(pending) = store.pending(&request.node_key).await? {
        let seen = PendingLookup::read(store, request).await?;
        if seen.still_waits(peer, request, &pending, now) {
            return Ok((RegistrationStatus::Waiting(pending.ticket), FollowUp::None));
        }
    }
    let mut change = store.change_by_node(Actor::Device { id: None }).await?;
    let applicant = Applicant::by_request(&mut change, peer, request).await?;
    let pending = change.pending_by_key(&request.node_key).await?;
    let (decision, writer) =
        applicant.decide(&peer.app, &mut change, pending.as_ref(), now).await?;
    writer.write(change, decision, pending.as_ref()).await
}
