//! An invitation that a person gives to a device that waits, on the device's page.

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

/// What became of the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RedeemOutcome {
    /// It is a node.
    Node,
    /// It waits for the admin, now with the key, under this code.
    Waiting(String),
}

/// Gives the device that waits under `ticket` a pre-auth key, in the name of a person at `origin`, and decides in one
/// transaction as if it had brought the key. Once begun, it goes on even if the person hangs up.
///
/// When it returns, everyone's maps show the result, and the device is told.
///
/// # Errors
///
/// [`RegisterError::Refused`] for whatever is wrong with device, ticket or key, and nothing has changed.
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
        // Nothing that the key does; the device itself is told.
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
