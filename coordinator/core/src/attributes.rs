//! What a node is told of itself, and what its peers are told of it, by names that stock apps know.
//!
//! A node's own map has all of it. Its peers see what they need: `maru/…`, and whether it is an exit node.

use control_protocol::map::{CapMap, Hostinfo, Service};
use serde_json::Value;

use crate::model::Node;

/// What every node is told (tailcfg, constants `NodeAttr…` of capability version 141): not to ask foreign hosts whether
/// it is behind a portal, to keep its map on disk, so that it starts while the coordinator is down, and to leave updating
/// to its person.
fn always() -> [(&'static str, Vec<Value>); 3] {
    [
        ("disable-captive-portal-detection", Vec::new()),
        ("cache-network-maps", Vec::new()),
        ("default-auto-update", vec![Value::Bool(false)]),
    ]
}

/// What begins the names that our own agent reads.
const OURS: &str = "maru/";
/// What a node that leads to everywhere has for its peers (tailcfg, `NodeAttrSuggestExitNode`).
pub(crate) const SUGGEST_EXIT_NODE: &str = "suggest-exit-node";
/// Services of a stock app that its peers ask (tailcfg, `Service`): files, and names through an exit node.
const PEERAPI: [&str; 3] = ["peerapi4", "peerapi6", "peerapi-dns-proxy"];

/// All that a node is told of itself; `by_policy` is what the policy says.
pub(crate) fn own(node: &Node, by_policy: CapMap) -> CapMap {
    let mut told = node.capabilities.clone();
    told.extend(by_policy);
    told.extend(always().map(|(name, values)| (name.to_owned(), values)));
    told
}

/// What of it its peers are told, routes aside.
pub(crate) fn for_peers(node: &Node) -> CapMap {
    let ours = node.capabilities.iter().filter(|(name, _)| name.starts_with(OURS));
    ours.map(|(name, values)| (name.clone(), values.clone())).collect()
}

/// The services that its peers may ask, one of each kind; what it says of others is nobody else's business.
pub(crate) fn services(hostinfo: &Hostinfo) -> Vec<Service> {
    let find = |proto: &&str| hostinfo.services.iter().find(|service| service.proto == **proto);
    let found = PEERAPI.iter().filter_map(find);
    found.map(|service| Service { description: String::new(), ..service.clone() }).collect()
}

#[cfg(test)]
mod tests;
