//! Decides on an applicant, and writes the decision.

use std::time::Instant;

use coordinator_api::Actor;
use coordinator_core::{
    key,
    model::{NewNode, Node, NodeId, Owner, Pending, Registrant},
    registration::{self, Decision, KeyExpiry, Refusal, RegistrationContext},
    time::Millis,
};

use super::{
    applicant::{Applicant, TagPolicy, presented},
    outcome::{FollowUp, RegisterError, RegistrationStatus},
};
use crate::{
    app::App,
    store::{Change, DatabaseError, StoreError},
};

/// Interval of storing that a waiting device has asked again. It is forgotten an hour after that.
const ASKED_EVERY: Millis = 60 * 1000;

impl Applicant<'_> {
    /// Decides from the state that `change` reads.
    pub(super) async fn decide<'b>(
        &'b self,
        app: &'b App,
        change: &mut Change,
        pending: Option<&Pending>,
        now: Millis,
    ) -> Result<(Decision, DecisionWriter<'b>), RegisterError> {
        let node = change.node_by_key(&self.request.node_key).await?;
        let of_machine = change.nodes_of_machine(&self.request.machine).await?;
        let since = now - registration::WAITING_FORGOTTEN_AFTER;
        let waiting = change.waiting(&self.request.machine, since).await?;
        let given_key = match self.auth_key.and_then(key::hash) {
            Some(hash) => change.key(&hash).await?,
            None => None,
        };
        let presented = presented(given_key.as_ref(), self.auth_key);
        let tagging = TagPolicy::read(change, &self.device.hostinfo).await?;
        let known = RegistrationContext {
            node: node.as_ref(),
            old: self.old.as_ref(),
            of_machine: &of_machine,
            pending,
            waiting: waiting.keyless.len(),
            waiting_of_machine: waiting.of_machine,
            waiting_of_address: app.waiting.count(self.origin, &waiting.keyless),
            waiting_by_key: waiting.by_key,
            presented,
            asked: tagging.asked(&self.device.hostinfo),
        };
        let decision = registration::decide(&self.request, &known, now)?;
        tracing::info!(?decision, "registration decided");
        let owner = given_key.as_ref().and_then(|key| known.asked.owner(&key.owner).ok());
        let ephemeral = self.device.ephemeral || given_key.is_some_and(|key| key.ephemeral);
        Ok((decision, DecisionWriter { app, applicant: self, now, ephemeral, owner }))
    }
}

/// Writes a decision.
pub(super) struct DecisionWriter<'a> {
    pub(super) app: &'a App,
    pub(super) applicant: &'a Applicant<'a>,
    pub(super) now: Millis,
    /// Whether the node is removed soon after it disconnects.
    pub(super) ephemeral: bool,
    /// The owner by its key and the tags that it requests.
    pub(super) owner: Option<Owner>,
}

impl DecisionWriter<'_> {
    pub(super) async fn write(
        self,
        mut change: Change,
        decision: Decision,
        pending: Option<&Pending>,
    ) -> Result<(RegistrationStatus, FollowUp), RegisterError> {
        if let Some(actor) = actor(&decision) {
            change.set_actor(actor);
        }
        let status = match decision {
            Decision::LoggedOut | Decision::Expired => {
                return Ok((RegistrationStatus::Expired, FollowUp::None));
            }
            Decision::Logout(id) => {
                end_key(&mut change, id, self.now).await?;
                change.note("device.logout", id, "");
                RegistrationStatus::Expired
            }
            Decision::Forget(id) => {
                change.delete_node(id).await?;
                change.note("device.remove", id, "it was ephemeral and logged out");
                RegistrationStatus::Expired
            }
            Decision::Refresh(id) => {
                let node = found(change.node(id).await?)?;
                let status = RegistrationStatus::Node(node.owner.clone());
                return Ok((status, FollowUp::Update(node.into())));
            }
            Decision::Replace { node, key, life } => {
                // The new key changes every peer's map.
                self.app.node_rates.take(node, Instant::now()).map_err(|_| RegisterError::Often)?;
                self.consume(&mut change, key).await?;
                RegistrationStatus::Node(self.replace(&mut change, node, life).await?)
            }
            Decision::Admit { key } => {
                self.consume(&mut change, Some(key)).await?;
                RegistrationStatus::Node(self.admit(&mut change, pending).await?)
            }
            Decision::Await { key, replaces } => {
                self.consume(&mut change, key).await?;
                let pending = self.wait(&mut change, key, replaces).await?;
                RegistrationStatus::Waiting(pending.ticket)
            }
            Decision::StillWaiting => {
                let pending = pending.ok_or(StoreError::Database(DatabaseError::Conflict))?;
                let status = RegistrationStatus::Waiting(pending.ticket.clone());
                if is_due(pending, self.now) {
                    change.set_asked(pending.id, self.now).await?;
                    change.commit().await?;
                }
                return Ok((status, FollowUp::None));
            }
        };
        change.commit().await?;
        Ok((status, FollowUp::Refresh))
    }

    async fn wait(
        &self,
        change: &mut Change,
        key: Option<u64>,
        replaces: Option<NodeId>,
    ) -> Result<Pending, StoreError> {
        let new = self.applicant.waits(key, replaces, self.ephemeral);
        let pending = change.insert_pending(new, self.now).await?;
        if key.is_some() {
            let target = format!("{} ({})", pending.device.hostinfo.hostname, pending.id);
            change.note("device.wait", target, &pending.source);
        } else {
            // No entry in the audit log, which strangers could fill.
            change.set_actor(Actor::Device { id: Some(pending.id) });
            self.app.waiting.add(self.applicant.origin, pending.id);
        }
        tracing::info!(device = pending.id, "a device waits for approval");
        Ok(pending)
    }

    /// Uses the key once; refuses the device if the key was used up meanwhile.
    async fn consume(&self, change: &mut Change, key: Option<u64>) -> Result<(), RegisterError> {
        match key {
            Some(id) if !change.consume_key(id, self.now).await? => Err(Refusal::Key.into()),
            Some(_) | None => Ok(()),
        }
    }

    async fn replace(
        &self,
        change: &mut Change,
        id: NodeId,
        life: KeyExpiry,
    ) -> Result<Owner, StoreError> {
        let mut node = found(change.node(id).await?)?;
        if life == KeyExpiry::New {
            // Its owner may have assigned tags.
            node.owner = self.owner.clone().unwrap_or(node.owner);
            node.times.expires = self.app.expiry(&node.owner, self.now);
        }
        node.keys.node = self.applicant.request.node_key;
        node.claims.hostinfo = self.applicant.device.hostinfo.clone();
        node.claims.version = self.applicant.device.version;
        change.update_node(&node).await?;
        if let Some(pending) = change.pending_by_key(&self.applicant.request.node_key).await? {
            change.delete_pending(pending.id).await?;
        }
        change.note("device.rekey", format!("{} ({})", node.name, node.id), "");
        tracing::info!(node = node.id, name = node.name, "node key replaced");
        Ok(node.owner)
    }

    async fn admit(
        &self,
        change: &mut Change,
        pending: Option<&Pending>,
    ) -> Result<Owner, StoreError> {
        let owner = self.owner.clone().ok_or(StoreError::Database(DatabaseError::Conflict))?;
        if let Some(pending) = pending {
            change.delete_pending(pending.id).await?;
        }
        let device = Registrant { ephemeral: self.ephemeral, ..self.applicant.device.clone() };
        let expires = self.app.expiry(&owner, self.now);
        let id = pending.map(|pending| pending.id);
        let new = NewNode { id, owner, device, expires, name: None, wireguard: None };
        let node = change.insert_node(new, self.now).await?;
        change.note("device.join", format!("{} ({})", node.name, node.id), "");
        tracing::info!(node = node.id, name = node.name, "node added");
        Ok(node.owner)
    }
}

/// Expires a node's key now, unless it has expired.
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

fn found(node: Option<Node>) -> Result<Node, StoreError> {
    node.ok_or(StoreError::Database(DatabaseError::Conflict))
}

/// Whether to store that a waiting device has asked again.
pub(super) fn is_due(pending: &Pending, now: Millis) -> bool {
    now.saturating_sub(pending.asked) >= ASKED_EVERY
}

/// Who makes the change: the key that was presented, or else the device, if it has a number.
fn actor(decision: &Decision) -> Option<Actor> {
    match *decision {
        Decision::Replace { key: Some(id), .. }
        | Decision::Admit { key: id }
        | Decision::Await { key: Some(id), .. } => Some(Actor::Key { id }),
        Decision::Logout(id)
        | Decision::Forget(id)
        | Decision::Refresh(id)
        | Decision::Replace { node: id, key: None, .. } => Some(Actor::Device { id: Some(id) }),
        Decision::LoggedOut
        | Decision::Expired
        | Decision::StillWaiting
        | Decision::Await { key: None, .. } => None,
    }
}
