//! A node's view of the network, and the differences that its map stream sends.

use std::{collections::BTreeMap, sync::Arc};

use control_protocol::map::{
    BASE_FILTER, Debug, DerpMap, DnsConfig, FilterRule, MapResponse, Node, NodeId, PeerChange,
    UserId, UserProfile,
};

use crate::time::{self, Millis};

/// Everything in a node's map.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// DNS domain of the network.
    pub domain: Arc<str>,
    /// The node itself.
    pub node: Arc<Node>,
    /// The peers that it may reach or that may reach it, by number.
    pub peers: BTreeMap<NodeId, Arc<Node>>,
    /// The owners of these nodes, by number.
    pub profiles: BTreeMap<UserId, UserProfile>,
    /// Names and resolvers.
    pub dns: DnsConfig,
    /// Its packet filter.
    pub rules: Arc<Vec<FilterRule>>,
    /// The relays.
    pub derp: Arc<DerpMap>,
}

/// Changed nodes of a view, in which everything else has stayed.
#[derive(Clone, Debug, Default)]
pub struct NodeUpdate {
    /// The node itself, if it may have changed.
    pub node: Option<Arc<Node>>,
    /// Peers that may have changed, by number; all are in the view.
    pub peers: Vec<Arc<Node>>,
}

/// The responses of one map stream: stores the last view, and sends differences.
#[derive(Clone, Debug, Default)]
pub struct MapDeltas {
    sent: Option<View>,
}

impl MapDeltas {
    /// The response that updates the node to `view`: the first is complete, later ones are differences; `None` if nothing
    /// changed.
    pub fn next(&mut self, view: View, now: Millis) -> Option<MapResponse> {
        let response = match &self.sent {
            None => first(&view, now),
            Some(sent) => delta(sent, &view),
        };
        self.sent = Some(view);
        (response != MapResponse::default()).then_some(response)
    }

    /// The view that was sent last.
    #[must_use]
    pub fn sent(&self) -> Option<&View> {
        self.sent.as_ref()
    }

    /// The response for nodes that changed in the view that was sent; `None` if nothing changed, or nothing was sent.
    pub fn update(&mut self, update: NodeUpdate) -> Option<MapResponse> {
        let sent = self.sent.as_mut()?;
        let mut response = MapResponse::default();
        if let Some(node) = update.node.filter(|node| !is_same(&sent.node, node)) {
            response.node = Some(Node::clone(&node));
            sent.node = node;
        }
        for peer in update.peers {
            tell(&mut response, sent.peers.get(&peer.id), &peer);
            sent.peers.insert(peer.id, peer);
        }
        add_node(&mut response, &sent.node);
        (response != MapResponse::default()).then_some(response)
    }

    /// The last response to a node that was removed or has expired: an expired key, no peers, and a filter that lets nothing
    /// in. `None` if nothing was sent.
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

/// The filter under its name; an empty list lets nothing in.
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
        debug: Some(Debug { disable_log_tail: true }),
        ..MapResponse::default()
    }
}

/// Whether two values are equal. What has not changed is usually shared, and then nothing is read.
fn is_same<T: PartialEq>(one: &Arc<T>, other: &Arc<T>) -> bool {
    Arc::ptr_eq(one, other) || one == other
}

fn delta(sent: &View, view: &View) -> MapResponse {
    let mut response = MapResponse {
        node: (!is_same(&sent.node, &view.node)).then(|| Node::clone(&view.node)),
        derp_map: (!is_same(&sent.derp, &view.derp)).then(|| DerpMap::clone(&view.derp)),
        dns_config: (sent.dns != view.dns).then(|| view.dns.clone()),
        packet_filters: (!is_same(&sent.rules, &view.rules)).then(|| filters(&view.rules)),
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
        tell(&mut response, sent.peers.get(id), peer);
    }
    add_node(&mut response, &view.node);
    response
}

/// Adds a peer, unless it was sent so before.
fn tell(response: &mut MapResponse, before: Option<&Arc<Node>>, peer: &Arc<Node>) {
    match before {
        Some(before) if is_same(before, peer) => {}
        Some(before) => match presence(before, peer) {
            Some(change) => response.peers_changed_patch.push(change),
            None => response.peers_changed.push(Node::clone(peer)),
        },
        None => response.peers_changed.push(Node::clone(peer)),
    }
}

/// Adds the node itself if peers have changed. Stock apps apply peer changes incrementally, and 1.100 then adds no route to a
/// new peer (`netmapDeltaNeedsAuthReconfig`). With the node itself included they apply the whole map.
fn add_node(response: &mut MapResponse, node: &Arc<Node>) {
    if !response.peers_changed.is_empty() || !response.peers_removed.is_empty() {
        response.node = Some(Node::clone(node));
    }
}

/// The patch from `before` to `after` if only the peer's presence changed. Other changes are sent as whole nodes, since not
/// every client applies every field of a patch.
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
