//! Users, nodes and waiting devices.

use std::net::SocketAddr;

use control_protocol::{
    key::{DiscoPublic, MachinePublic, NodePublic},
    map::{CapMap, Hostinfo, RegionId},
};

use serde::{Deserialize, Serialize};

use crate::{address::Addresses, route::Decisions, time::Millis, wireguard::Tunnel};

/// Number of a node, and of the waiting device before.
pub type NodeId = u64;

/// Number of a user.
pub type UserId = u64;

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its number.
    pub id: UserId,
    /// Login name.
    pub name: String,
    /// When it was created.
    pub created: Millis,
}

/// The owner of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A user.
    User(UserId),
    /// Tags, sorted; usually of a server.
    Tags(Vec<String>),
}

impl Owner {
    /// An owner by tags, sorted and without duplicates.
    #[must_use]
    pub fn tags(mut tags: Vec<String>) -> Self {
        tags.sort();
        tags.dedup();
        Self::Tags(tags)
    }

    /// The user; `None` if it is tagged.
    #[must_use]
    pub fn user(&self) -> Option<UserId> {
        match self {
            Self::User(id) => Some(*id),
            Self::Tags(_) => None,
        }
    }

    /// The tags; empty for a user's node.
    #[must_use]
    pub fn tag_list(&self) -> &[String] {
        match self {
            Self::User(_) => &[],
            Self::Tags(tags) => tags,
        }
    }
}

/// Keys of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keys {
    /// Of the machine, proved by the Noise handshake; the zero key of a WireGuard device, which has none.
    pub machine: MachinePublic,
    /// Of the node.
    pub node: NodePublic,
    /// For path discovery; the zero key if it has none.
    pub disco: DiscoPublic,
}

/// Times of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeTimes {
    /// When it was approved.
    pub created: Millis,
    /// When its node key expires; `None`: never.
    pub expires: Option<Millis>,
    /// When it was last connected, as stored.
    pub last_seen: Option<Millis>,
    /// Whether it is removed soon after it disconnects.
    pub ephemeral: bool,
}

/// What a node reports about itself; stored as JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Claims {
    /// Where it can be reached directly.
    pub endpoints: Vec<SocketAddr>,
    /// Its home relay region; 0: none known.
    pub home_derp: RegionId,
    /// Its capability version.
    pub version: u32,
    /// The rest.
    pub hostinfo: Hostinfo,
}

/// A node: a device that was approved.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its number.
    pub id: NodeId,
    /// Number of changes. Updates need the current revision.
    pub revision: i64,
    /// Name for programs, which is never reused.
    pub stable_id: String,
    /// DNS label.
    pub name: String,
    /// Its owner.
    pub owner: Owner,
    /// Its keys.
    pub keys: Keys,
    /// Its addresses.
    pub addresses: Addresses,
    /// Its times.
    pub times: NodeTimes,
    /// What it reports about itself.
    pub claims: Claims,
    /// Capabilities that the admin set for its peers.
    pub capabilities: CapMap,
    /// The admin's decisions about its routes.
    pub routes: Decisions,
    /// Of a WireGuard device: how it is reached.
    pub wireguard: Option<Tunnel>,
}

impl Node {
    /// Whether its node key has expired at `now`.
    #[must_use]
    pub fn is_expired(&self, now: Millis) -> bool {
        self.times.expires.is_some_and(|at| at <= now)
    }

    /// Whether another state of this node differs only in what its peers are told of it: everything that the policy, routes,
    /// names and WireGuard devices depend on is the same.
    pub(crate) fn differs_for_peers_alone(&self, other: &Self) -> bool {
        // Each field is named, so that nobody adds one without a thought.
        let Self {
            id,
            revision: _,
            stable_id: _,
            name,
            owner,
            keys: _,
            addresses,
            times,
            claims,
            capabilities,
            routes,
            wireguard,
        } = self;
        let NodeTimes { created: _, expires, last_seen: _, ephemeral: _ } = times;
        let Claims { endpoints: _, home_derp: _, version: _, hostinfo } = claims;
        let (told, told_other) = (hostinfo, &other.claims.hostinfo);
        *id == other.id
            && *name == other.name
            && *owner == other.owner
            && *addresses == other.addresses
            && *expires == other.times.expires
            && told.app == told_other.app
            && told.routable_ips == told_other.routable_ips
            && told.maru_wireguard == told_other.maru_wireguard
            && *capabilities == other.capabilities
            && *routes == other.routes
            && *wireguard == other.wireguard
    }
}

/// A device that registers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Registrant {
    /// Its machine key.
    pub machine: MachinePublic,
    /// Its node key.
    pub node_key: NodePublic,
    /// What it reports about itself.
    pub hostinfo: Hostinfo,
    /// Its capability version; 0: not known.
    pub version: u32,
    /// Whether it is removed soon after it disconnects.
    pub ephemeral: bool,
}

/// A device that waits for approval. It has no address and no name, and is in no map.
#[derive(Clone, Debug, PartialEq)]
pub struct Pending {
    /// Its number, which the node keeps.
    pub id: NodeId,
    /// Random last part of its `AuthURL`.
    pub ticket: String,
    /// The device.
    pub device: Registrant,
    /// The address it registered from, as the coordinator saw it: an IPv4 address or an IPv6 network of 64 bits. Empty: not
    /// known.
    pub source: String,
    /// The pre-auth key that it used, and the owner by that key.
    pub key: Option<(u64, Owner)>,
    /// The node that it was, and becomes again with the approval.
    pub replaces: Option<NodeId>,
    /// When it registered.
    pub created: Millis,
    /// When it last sent a request.
    pub asked: Millis,
}

/// A node to insert. The store assigns its address, and its number and name unless they are given.
#[derive(Clone, Debug)]
pub struct NewNode {
    /// The number under which it waited.
    pub id: Option<NodeId>,
    /// Its owner.
    pub owner: Owner,
    /// The device.
    pub device: Registrant,
    /// When its node key expires.
    pub expires: Option<Millis>,
    /// The name that the admin chose, checked.
    pub name: Option<String>,
    /// Of a WireGuard device: how it is reached.
    pub wireguard: Option<Tunnel>,
}

impl NewNode {
    /// The node with what the store assigns.
    #[must_use]
    pub fn into_node(
        self,
        id: NodeId,
        (stable_id, name): (String, String),
        addresses: Addresses,
        now: Millis,
    ) -> Node {
        let Registrant { machine, node_key, hostinfo, version, ephemeral } = self.device;
        Node {
            id,
            revision: 1,
            stable_id,
            name,
            owner: self.owner,
            keys: Keys { machine, node: node_key, disco: DiscoPublic::default() },
            addresses,
            times: NodeTimes { created: now, expires: self.expires, last_seen: None, ephemeral },
            claims: Claims { hostinfo, version, ..Claims::default() },
            capabilities: CapMap::new(),
            routes: Decisions::default(),
            wireguard: self.wireguard,
        }
    }
}

/// A device that begins to wait. The store assigns its number and ticket.
#[derive(Clone, Debug)]
pub struct NewPending {
    /// The device.
    pub device: Registrant,
    /// The address that it registers from; empty: not known.
    pub source: String,
    /// The pre-auth key that it used.
    pub key: Option<u64>,
    /// The node that it was.
    pub replaces: Option<NodeId>,
}

/// An extra DNS name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// DNS label.
    pub name: String,
    /// The node whose addresses it has.
    pub node: NodeId,
}
