//! Answers a waiting device that asks again from reads only, without a write transaction unless one is due. Otherwise
//! strangers could occupy the write queue.

use control_protocol::register::RegisterRequest;
use coordinator_core::{
    key::{self, PreAuthKey},
    model::{Node, Pending},
    registration::{self, Decision, RegistrationContext},
    tagging::RequestedTags,
    time::Millis,
};

use super::{
    applicant::{asked, presented},
    writer::is_due,
};
use crate::{
    app::Peer,
    store::{Store, StoreError},
};

/// The records of a waiting device, beside its own row.
pub(super) struct PendingLookup {
    node: Option<Node>,
    old: Option<Node>,
    given_key: Option<PreAuthKey>,
}

impl PendingLookup {
    pub(super) async fn read(store: &Store, request: &RegisterRequest) -> Result<Self, StoreError> {
        let node = store.node(&request.node_key).await?;
        let old = match &request.old_node_key {
            Some(key) => store.node(key).await?,
            None => None,
        };
        let given_key = match request.auth_key().and_then(key::hash) {
            Some(hash) => store.key(&hash).await?,
            None => None,
        };
        Ok(Self { node, old, given_key })
    }

    /// Whether it still waits and no write is due. What is not read here (other nodes of the machine, other waiting devices,
    /// the policy's tags) never keeps a device waiting.
    pub(super) fn still_waits(
        &self,
        peer: &Peer,
        request: &RegisterRequest,
        pending: &Pending,
        now: Millis,
    ) -> bool {
        let known = RegistrationContext {
            node: self.node.as_ref(),
            old: self.old.as_ref(),
            of_machine: &[],
            pending: Some(pending),
            waiting: 0,
            waiting_of_machine: 0,
            waiting_of_address: 0,
            waiting_by_key: 0,
            presented: presented(self.given_key.as_ref(), request.auth_key()),
            asked: RequestedTags::default(),
        };
        let decision = registration::decide(&asked(peer, request), &known, now);
        decision == Ok(Decision::StillWaiting) && !is_due(pending, now)
    }
}
