//! A device that asks to become a node, by itself or through its page.

use control_protocol::{map::Hostinfo, register::RegisterRequest};
use coordinator_core::{
    key::PreAuthKey,
    model::{NewPending, Node, NodeId, Pending, Registrant},
    registration::{PresentedKey, Request},
    tagging::RequestedTags,
    time,
};

use crate::{
    app::Peer,
    hub::HubError,
    limits::Origin,
    store::{Change, StoreError},
};

/// A device and its request to register.
pub(super) struct Applicant<'a> {
    /// The node whose key the request replaces.
    pub(super) old: Option<Node>,
    pub(super) auth_key: Option<&'a str>,
    pub(super) request: Request,
    pub(super) device: Registrant,
    /// The address of the device, or of the person at its page.
    pub(super) origin: Origin,
    /// The address of the device.
    source: String,
}

impl<'a> Applicant<'a> {
    /// A device that sent a request to register.
    pub(super) async fn by_request(
        change: &mut Change,
        peer: &Peer,
        request: &'a RegisterRequest,
    ) -> Result<Self, StoreError> {
        let old = match &request.old_node_key {
            Some(key) => change.node_by_key(key).await?,
            None => None,
        };
        let device = Registrant {
            machine: peer.machine,
            node_key: request.node_key,
            hostinfo: request.hostinfo.clone().unwrap_or_default(),
            version: request.version,
            ephemeral: request.ephemeral,
        };
        let (auth_key, source) = (request.auth_key(), peer.origin.to_string());
        let request = asked(peer, request);
        Ok(Self { old, auth_key, request, device, origin: peer.origin, source })
    }

    /// A waiting device, for which a person at `origin` entered this key.
    pub(super) async fn by_page(
        change: &mut Change,
        pending: &Pending,
        auth_key: &'a str,
        origin: Origin,
    ) -> Result<Self, StoreError> {
        let old = match pending.replaces {
            Some(id) => change.node(id).await?,
            None => None,
        };
        let (machine, node_key) = (pending.device.machine, pending.device.node_key);
        let request = Request { machine, node_key, expiry: None, is_followup: false };
        let (device, source) = (pending.device.clone(), pending.source.clone());
        Ok(Self { old, auth_key: Some(auth_key), request, device, origin, source })
    }

    /// The device as one that waits.
    pub(super) fn waits(
        &self,
        key: Option<u64>,
        replaces: Option<NodeId>,
        ephemeral: bool,
    ) -> NewPending {
        let device = Registrant { ephemeral, ..self.device.clone() };
        NewPending { device, source: self.source.clone(), key, replaces }
    }
}

/// The part of a request that the decision depends on.
pub(super) fn asked(peer: &Peer, request: &RegisterRequest) -> Request {
    Request {
        machine: peer.machine,
        node_key: request.node_key,
        expiry: request.expiry.as_deref().and_then(time::parse_rfc3339),
        is_followup: !request.followup.is_empty(),
    }
}

/// The key that was sent, and its record if there is one.
pub(super) fn presented<'a>(known: Option<&'a PreAuthKey>, sent: Option<&str>) -> PresentedKey<'a> {
    match (known, sent) {
        (Some(key), _) => PresentedKey::Key(key),
        (None, Some(_)) => PresentedKey::Unknown,
        (None, None) => PresentedKey::Nothing,
    }
}

/// The policy and the users, read only if the device requests tags.
pub(crate) struct TagPolicy(Option<(acl::Policy, Vec<coordinator_core::model::User>)>);

impl TagPolicy {
    pub(crate) async fn read(change: &mut Change, hostinfo: &Hostinfo) -> Result<Self, HubError> {
        if hostinfo.request_tags.is_empty() {
            return Ok(Self(None));
        }
        let stored = change.policy().await?;
        let (policy, _) = acl::Policy::parse_stored(&stored).map_err(HubError::Policy)?;
        Ok(Self(Some((policy, change.users().await?))))
    }

    /// The tags that the device requests, with the policy that decides on them.
    pub(crate) fn asked<'a>(&'a self, hostinfo: &'a Hostinfo) -> RequestedTags<'a> {
        match &self.0 {
            Some((policy, users)) => {
                RequestedTags { tags: &hostinfo.request_tags, policy: Some(policy), users }
            }
            None => RequestedTags::default(),
        }
    }
}
