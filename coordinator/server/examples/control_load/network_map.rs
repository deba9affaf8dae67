//! The network map that an agent has: what the coordinator has told it.

use std::{collections::HashMap, net::SocketAddr};

use control_protocol::{
    key::NodePublic,
    map::{BASE_FILTER, MapResponse, Node, NodeId, PeerChange},
};
use ipnet::IpNet;

/// A network map.
#[derive(Debug, Default)]
pub(crate) struct NetworkMap {
    /// The agent's own node.
    pub(crate) own: Option<(NodeId, MapNode)>,
    /// Its peers, by number.
    pub(crate) peers: HashMap<NodeId, MapNode>,
    /// The highest port that its packet filter opens.
    pub(crate) opened: Option<u16>,
}

/// What a map shows of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MapNode {
    pub(crate) key: NodePublic,
    /// Fully qualified.
    pub(crate) name: String,
    pub(crate) addresses: Vec<IpNet>,
    pub(crate) endpoints: Vec<SocketAddr>,
}

impl NetworkMap {
    /// Takes over a response of the map stream. The first one of a stream replaces all peers.
    pub(crate) fn update(&mut self, response: MapResponse) {
        let entry = |node: Node| (node.id, MapNode::from(node));
        if let Some(own) = response.node {
            self.own = Some(entry(own));
        }
        if let Some(peers) = response.peers {
            self.peers = peers.into_iter().map(entry).collect();
        }
        self.peers.extend(response.peers_changed.into_iter().map(entry));
        for id in &response.peers_removed {
            self.peers.remove(id);
        }
        for change in response.peers_changed_patch {
            if let Some(peer) = self.peers.get_mut(&change.node_id) {
                peer.apply(change);
            }
        }
        let named = response.packet_filters.and_then(|mut named| named.remove(BASE_FILTER));
        if let Some(rules) = response.packet_filter.or(named.flatten()) {
            let opened = rules.iter().flat_map(|rule| &rule.dst_ports);
            self.opened = opened.map(|opened| opened.ports.last).max();
        }
    }

    /// Whether a peer has this endpoint.
    pub(crate) fn shows(&self, peer: NodeId, endpoint: SocketAddr) -> bool {
        self.peers.get(&peer).is_some_and(|peer| peer.endpoints.contains(&endpoint))
    }
}

impl MapNode {
    fn apply(&mut self, change: PeerChange) {
        if let Some(endpoints) = change.endpoints {
            self.endpoints = endpoints;
        }
        if let Some(key) = change.key {
            self.key = key;
        }
    }
}

impl From<Node> for MapNode {
    fn from(node: Node) -> Self {
        let Node { key, name, addresses, endpoints, .. } = node;
        Self { key, name, addresses, endpoints }
    }
}
