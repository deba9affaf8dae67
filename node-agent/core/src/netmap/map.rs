//! The map, and how messages change it.

use std::{collections::BTreeMap, net::IpAddr};

use common::mesh;
use control_protocol::map::{
    BASE_FILTER, DerpMap, DnsConfig, FilterRule, MapResponse, Node, NodeId, PeerChange, UserId,
    UserProfile,
};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::sanitize;
use crate::domain::Domain;

/// Name under which all filters are removed.
const ALL_FILTERS: &str = "*";

/// The network map. Its serialized form is kept on disk.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Netmap {
    /// This node; `None` before the first map.
    pub node: Option<Node>,
    /// The coordinator's name for the network.
    pub domain: String,
    /// The other nodes.
    pub peers: BTreeMap<NodeId, Node>,
    /// The people whose nodes those are.
    pub users: BTreeMap<UserId, UserProfile>,
    /// The relays.
    pub relays: DerpMap,
    /// Names besides those of the nodes.
    pub dns: DnsConfig,
    /// Packet filters by the coordinator's names; their union is in force.
    pub filters: BTreeMap<String, Vec<FilterRule>>,
    /// Problems of this node that the coordinator found.
    pub health: Vec<String>,
    /// The domain in which names are accepted. Stored with the membership, not with the map.
    #[serde(skip)]
    pub naming: Naming,
    /// The coordinator's new name for the network, if it was refused.
    pub refused: Option<String>,
}

/// The domain in which the coordinator may set names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Naming {
    /// No map was received since this device joined.
    #[default]
    Open,
    /// The first map had no valid domain: no names are accepted.
    Nameless,
    /// This domain, as long as this device belongs to the network.
    Domain(Domain),
}

/// The names before a message, of the nodes that it may change.
#[derive(Debug, Default)]
pub(super) struct PreviousNames {
    pub(super) own: Option<String>,
    pub(super) peers: BTreeMap<NodeId, String>,
    pub(super) dns: Option<DnsConfig>,
}

/// A message that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The first message of a stream does not describe this node.
    #[error("the first map of the stream lacks this node")]
    NoNode,
}

impl Netmap {
    /// Applies the first message of a stream, which replaces peers, filters, names and people of an earlier stream. Relays
    /// stay if it has none.
    ///
    /// # Errors
    ///
    /// [`Error::NoNode`]; nothing is changed then.
    pub fn apply_first(&mut self, response: MapResponse) -> Result<(), Error> {
        if response.node.is_none() {
            return Err(Error::NoNode);
        }
        let names = self.names_before(&response);
        let mut next = Self {
            relays: std::mem::take(&mut self.relays),
            naming: self.naming.clone(),
            ..Self::default()
        };
        next.merge(response, names);
        *self = next;
        Ok(())
    }

    /// Applies a later message of a stream. A keep-alive changes nothing.
    pub fn apply(&mut self, response: MapResponse) {
        if response.keep_alive {
            return;
        }
        let names = self.names_before(&response);
        self.merge(response, names);
    }

    fn merge(&mut self, mut response: MapResponse, names: PreviousNames) {
        sanitize::sanitize(&mut response);
        let names_node = response.node.is_some() || !response.domain.is_empty();
        if let Some(node) = response.node {
            self.node = Some(node);
        }
        if !response.domain.is_empty() {
            self.domain = response.domain;
        }
        if let Some(relays) = response.derp_map {
            self.relays = relays;
        }
        if let Some(dns) = response.dns_config {
            self.dns = dns;
        }
        for user in response.user_profiles {
            self.users.insert(user.id, user);
        }
        if let Some(health) = response.health {
            self.health = health;
        }
        self.apply_filters(response.packet_filter, response.packet_filters);
        // An empty list of peers means "as before" (the protocol's rule).
        if let Some(peers) = response.peers.filter(|peers| !peers.is_empty()) {
            self.peers = peers.into_iter().map(|peer| (peer.id, peer)).collect();
        }
        self.change_peers(response.peers_changed, &response.peers_removed);
        self.patch_peers(&response.peers_changed_patch);
        for (id, online) in response.online_change {
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.online = Some(online);
            }
        }
        self.settle_names(names, names_node);
    }

    fn apply_filters(
        &mut self,
        whole: Option<Vec<FilterRule>>,
        named: Option<BTreeMap<String, Option<Vec<FilterRule>>>>,
    ) {
        if let Some(rules) = whole {
            self.filters.insert(BASE_FILTER.to_owned(), rules);
        }
        let mut named = named.unwrap_or_default();
        if let Some(None) = named.remove(ALL_FILTERS) {
            self.filters.clear();
        }
        for (name, rules) in named {
            match rules {
                Some(rules) => self.filters.insert(name, rules),
                None => self.filters.remove(&name),
            };
        }
    }

    fn change_peers(&mut self, changed: Vec<Node>, removed: &[NodeId]) {
        for peer in changed {
            self.peers.insert(peer.id, peer);
        }
        for id in removed {
            self.peers.remove(id);
        }
    }

    fn patch_peers(&mut self, patches: &[PeerChange]) {
        for patch in patches {
            if let Some(peer) = self.peers.get_mut(&patch.node_id) {
                peer.apply(patch);
            }
        }
    }
}

/// A node's own addresses.
pub(super) fn mesh_addresses(node: &Node) -> Vec<IpAddr> {
    node.addresses.iter().map(IpNet::addr).filter(|address| mesh::contains(*address)).collect()
}
