//! Redeems an invitation that a person enters on the page of a waiting device.

use coordinator_api::{Actor, Secret};
use coordinator_core::{
    code,
    registration::{Decision, Refusal},
    time::Millis,
};

use super::{
    applicant::Applicant,
    outcome::{ATTEMPTS, RegisterError, RegistrationStatus},
};
use crate::{app::App, clock, limits::Origin};

/// The result for the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RedeemOutcome {
    /// It is a node.
    Node,
    /// It waits for approval, now with the key, under this code.
    Waiting(String),
}

/// Registers the waiting device with `ticket` by a pre-auth key that a person at `origin` entered, as if the device had sent
/// the key. Completes even if the person disconnects. When it returns, the maps show the result.
///
/// Every error with the device, ticket or key is [`RegisterError::Refused`], and nothing has changed.
pub(crate) async fn redeem(
    app: &App,
    origin: Origin,
    ticket: String,
    key: Secret,
) -> Result<RedeemOutcome, RegisterError> {
    let permit = app.registrations.take(origin, None).await.ok_or(RegisterError::Busy)?;
    let of = app.clone();
    app.carry_out(async move {
        let mut attempt = 1;
        let redeemed = loop {
            match try_redeem(&of, origin, &ticket, &key, clock::now()).await {
                Err(error) if error.is_collision() && attempt < ATTEMPTS => attempt += 1,
                result => break result?,
            }
        };
        drop(permit);
        of.hub.refresh().await?;
        Ok(redeemed)
    })
    .await
}

async fn try_redeem(
    app: &App,
    origin: Origin,
    ticket: &str,
    key: &Secret,
    now: Millis,
) -> Result<RedeemOutcome, RegisterError> {
    let mut change = app.store.change_by_node(Actor::Device { id: None }).await?;
    let pending = change.pending_by_ticket(ticket).await?.ok_or(Refusal::Key)?;
    let applicant = Applicant::by_page(&mut change, &pending, key.reveal(), origin).await?;
    let (decision, writer) = applicant.decide(app, &mut change, Some(&pending), now).await?;
    match decision {
        Decision::Admit { .. }
        | Decision::Replace { key: Some(_), .. }
        | Decision::Await { key: Some(_), .. }
        // The same key again.
        | Decision::StillWaiting => {}
        // The key has no effect; the device gets its own answer.
        Decision::Logout(_)
        | Decision::Forget(_)
        | Decision::LoggedOut
        | Decision::Refresh(_)
        | Decision::Expired
        | Decision::Replace { key: None, .. }
        | Decision::Await { key: None, .. } => return Err(Refusal::Key.into()),
    }
    match writer.write(change, decision, Some(&pending)).await?.0 {
        RegistrationStatus::Node(_) => Ok(RedeemOutcome::Node),
        RegistrationStatus::Waiting(ticket) => Ok(RedeemOutcome::Waiting(code::of(&ticket))),
        RegistrationStatus::Expired => Err(Refusal::Key.into()),
    }
}
