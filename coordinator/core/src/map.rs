//! One node's view of the network, and what of it has changed since it was last told.

use std::{collections::BTreeMap, sync::Arc};

use control_protocol::map::{
    BASE_FILTER, Debug, DerpMap, DnsConfig, FilterRule, MapResponse, Node, NodeId, PeerChange,
    UserId, UserProfile,
};

use crate::time::{self, Millis};

/// Everything that a node is told.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// DNS domain of the network.
    pub domain: Arc<str>,
    /// The node itself.
    pub node: Arc<Node>,
    /// Those with whom it may talk in either direction, by number.
    pub peers: BTreeMap<NodeId, Arc<Node>>,
    /// Users whom these nodes name, by number.
    pub profiles: BTreeMap<UserId, UserProfile>,
    /// Names and resolvers.
    pub dns: DnsConfig,
    /// What it lets in.
    pub rules: Arc<Vec<FilterRule>>,
    /// The relays.
    pub derp: Arc<DerpMap>,
}

/// The responses of one map stream: remembers what was sent, and never sends it again.
#[derive(Clone, Debug, Default)]
pub struct MapDeltas {
    sent: Option<View>,
}

impl MapDeltas {
    /// Starts a stream in which nothing was sent.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the response that brings the node up to `view`: the first whole, later ones only what changed, `None`
    /// if nothing did.
    pub fn next(&mut self, view: View, now: Millis) -> Option<MapResponse> {
        let response = match &self.sent {
            None => first(&view, now),
            Some(sent) => delta(sent, &view),
        };
        self.sent = Some(view);
        (response != MapResponse::default()).then_some(response)
    }

    /// Returns the last response to a node that was removed or has expired: its key has ended, it has no peers and
    /// lets nothing in. `None` if it was never told anything.
    pub fn end(self, now: Millis) -> Option<MapResponse> {
        let sent = self.sent?;
        let node = Node {
            key_expiry: Some(time::to_rfc3339(now)),
            expired: true,
            machine_authorized: false,
            online: Some(false),
            ..Node::clone(&sent.node)
        };
        Some(MapResponse {
            node: Some(node),
            peers_removed: sent.peers.into_keys().collect(),
            packet_filters: Some(filters(&[])),
            ..MapResponse::default()
        })
    }
}

/// The filter under its one name; an explicit empty list lets nothing in.
fn filters(rules: &[FilterRule]) -> BTreeMap<String, Option<Vec<FilterRule>>> {
    BTreeMap::from([(BASE_FILTER.to_owned(), Some(rules.to_vec()))])
}

fn first(view: &View, now: Millis) -> MapResponse {
    MapResponse {
        node: Some(Node::clone(&view.node)),
        derp_map: Some(DerpMap::clone(&view.derp)),
        peers: Some(view.peers.values().map(|peer| Node::clone(peer)).collect()),
        dns_config: Some(view.dns.clone()),
        domain: view.domain.to_string(),
        collect_services: Some(false),
        packet_filters: Some(filters(&view.rules)),
        user_profiles: view.profiles.values().cloned().collect(),
        control_time: Some(time::to_rfc3339(now)),
        debug: Some(Debug { disable_log_tail: true, ..Debug::default() }),
        ..MapResponse::default()
    }
}

fn delta(sent: &View, view: &View) -> MapResponse {
    let mut response = MapResponse {
        node: (sent.node != view.node).then(|| Node::clone(&view.node)),
        derp_map: (sent.derp != view.derp).then(|| DerpMap::clone(&view.derp)),
        dns_config: (sent.dns != view.dns).then(|| view.dns.clone()),
        packet_filters: (sent.rules != view.rules).then(|| filters(&view.rules)),
        peers_removed: sent
            .peers
            .keys()
            .filter(|id| !view.peers.contains_key(id))
            .copied()
            .collect(),
        ..MapResponse::default()
    };
    for (id, profile) in &view.profiles {
        if sent.profiles.get(id) != Some(profile) {
            response.user_profiles.push(profile.clone());
        }
    }
    for (id, peer) in &view.peers {
        match sent.peers.get(id) {
            Some(before) if before == peer => {}
            Some(before) => match presence(before, peer) {
                Some(change) => response.peers_changed_patch.push(change),
                None => response.peers_changed.push(Node::clone(peer)),
            },
            None => response.peers_changed.push(Node::clone(peer)),
        }
    }
    // Stock apps take peers that come or change with nothing else in small steps, and 1.100 then makes no route to a new
    // one (`netmapDeltaNeedsAuthReconfig`): with the node itself they take the map as a whole.
    if !response.peers_changed.is_empty() || !response.peers_removed.is_empty() {
        response.node = Some(Node::clone(&view.node));
    }
    response
}

/// The change from `before` to `after` if it is only that the peer came or went.
///
/// Other small changes go out as whole nodes: not every client applies every field of a patch.
fn presence(before: &Node, after: &Node) -> Option<PeerChange> {
    let change = PeerChange {
        node_id: after.id,
        online: after.online,
        last_seen: after.last_seen.clone(),
        ..PeerChange::default()
    };
    let mut patched = before.clone();
    patched.apply(&change);
    (patched == *after).then_some(change)
}

#[cfg(test)]
mod tests;
