//! A device that waits asks again: it is answered by what is read, without a turn to change the database, unless something is
//! due. Strangers could otherwise take turns all the time.

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

/// What is read of a device that waits, beside its own row.
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

    /// Whether it goes on waiting and that is not to be written. What is not read here (other nodes of the machine, who else
    /// waits, the policy's tags) never makes a device wait that would not wait anyway.
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
