//! Who asks to become a node, whether by itself or through its page, and what is decided on it.

use std::borrow::Cow;

use control_protocol::{map::Hostinfo, register::RegisterRequest};
use coordinator_core::{
    key::PreAuthKey,
    model::{Node, NodeId, Pending},
    registration::{PresentedKey, Request},
    tagging::AskedTags,
    time,
};

use crate::{
    app::Peer,
    hub::HubError,
    limits::Origin,
    store::{Change, NewPending, StoreError},
};

/// A device and what it brings.
pub(super) struct Applicant<'a> {
    /// The node that it says it was.
    pub(super) old: Option<Node>,
    pub(super) auth_key: Option<&'a str>,
    pub(super) request: Request,
    pub(super) hostinfo: Cow<'a, Hostinfo>,
    pub(super) version: u32,
    pub(super) is_ephemeral: bool,
    /// Where it, or the person at its page, asks from.
    pub(super) origin: Origin,
    /// Where the device asked from.
    source: String,
}

impl<'a> Applicant<'a> {
    /// A device that asks by itself.
    pub(super) async fn by_request(
        change: &mut Change,
        peer: &Peer,
        request: &'a RegisterRequest,
    ) -> Result<Self, StoreError> {
        let old = match &request.old_node_key {
            Some(key) => change.node_by_key(key).await?,
            None => None,
        };
        Ok(Self {
            old,
            auth_key: request.auth_key(),
            request: asked(peer, request),
            hostinfo: request.hostinfo.as_ref().map_or_else(Cow::default, Cow::Borrowed),
            version: request.version,
            is_ephemeral: request.ephemeral,
            origin: peer.origin,
            source: peer.origin.to_string(),
        })
    }

    /// A device that waits, to which a person at `origin` gives this key.
    pub(super) async fn by_page(
        change: &mut Change,
        pending: &'a Pending,
        auth_key: &'a str,
        origin: Origin,
    ) -> Result<Self, StoreError> {
        let old = match pending.replaces {
            Some(id) => change.node(id).await?,
            None => None,
        };
        Ok(Self {
            old,
            auth_key: Some(auth_key),
            request: Request {
                machine: pending.machine,
                node_key: pending.node_key,
                expiry: None,
                is_followup: false,
            },
            hostinfo: Cow::Borrowed(&pending.hostinfo),
            version: pending.version,
            is_ephemeral: pending.ephemeral,
            origin,
            source: pending.source.clone(),
        })
    }

    /// The device as one that waits.
    pub(super) fn waits(
        &self,
        key: Option<u64>,
        replaces: Option<NodeId>,
        ephemeral: bool,
    ) -> NewPending {
        NewPending {
            machine: self.request.machine,
            node_key: self.request.node_key,
            hostinfo: self.hostinfo.clone().into_owned(),
            version: self.version,
            source: self.source.clone(),
            key,
            replaces,
            ephemeral,
        }
    }
}

/// What a device asks by itself, as far as it is decided on.
pub(super) fn asked(peer: &Peer, request: &RegisterRequest) -> Request {
    Request {
        machine: peer.machine,
        node_key: request.node_key,
        expiry: request.expiry.as_deref().and_then(time::parse_rfc3339),
        is_followup: !request.followup.is_empty(),
    }
}

/// A key that was sent, and what is known of it.
pub(super) fn presented<'a>(known: Option<&'a PreAuthKey>, sent: Option<&str>) -> PresentedKey<'a> {
    match (known, sent) {
        (Some(key), _) => PresentedKey::Key(key),
        (None, Some(_)) => PresentedKey::Unknown,
        (None, None) => PresentedKey::Nothing,
    }
}

/// The policy and the people, as far as the tags that a device asks for need them.
pub(crate) struct Tagging(Option<(acl::Policy, Vec<coordinator_core::model::User>)>);

impl Tagging {
    /// Reads them if the device asks for tags.
    pub(crate) async fn read(change: &mut Change, hostinfo: &Hostinfo) -> Result<Self, HubError> {
        if hostinfo.request_tags.is_empty() {
            return Ok(Self(None));
        }
        let stored = change.policy().await?;
        let (policy, _) = acl::Policy::parse_stored(&stored).map_err(HubError::Policy)?;
        Ok(Self(Some((policy, change.users().await?))))
    }

    /// What is asked, and what decides on it.
    pub(crate) fn asked<'a>(&'a self, hostinfo: &'a Hostinfo) -> AskedTags<'a> {
        match &self.0 {
            Some((policy, users)) => {
                AskedTags { tags: &hostinfo.request_tags, policy: Some(policy), users }
            }
            None => AskedTags::default(),
        }
    }
}
