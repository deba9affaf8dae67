//! Node attributes and capabilities in network maps.
//!
//! A node's own map has all of them. Its peers get `maru/…`, and whether it is an exit node.

use control_protocol::map::{CapMap, Hostinfo, Service};
use serde_json::Value;

use crate::model::Node;

/// Attributes of every node (tailcfg, constants `NodeAttr…` of capability version 141): no captive portal detection by
/// foreign hosts, a map that is cached on disk, and no automatic updates.
fn always() -> [(&'static str, Vec<Value>); 3] {
    [
        ("disable-captive-portal-detection", Vec::new()),
        ("cache-network-maps", Vec::new()),
        ("default-auto-update", vec![Value::Bool(false)]),
    ]
}

/// Prefix of the names that our own agent reads.
const OURS: &str = "maru/";
/// Attribute of exit nodes for their peers (tailcfg, `NodeAttrSuggestExitNode`).
pub(crate) const SUGGEST_EXIT_NODE: &str = "suggest-exit-node";
/// Services of a stock app that peers use (tailcfg, `Service`): files, and DNS through an exit node.
const PEERAPI: [&str; 3] = ["peerapi4", "peerapi6", "peerapi-dns-proxy"];

/// The attributes in a node's own map; `by_policy` are the policy's.
pub(crate) fn own(node: &Node, by_policy: CapMap) -> CapMap {
    let mut told = node.capabilities.clone();
    told.extend(by_policy);
    told.extend(always().map(|(name, values)| (name.to_owned(), values)));
    told
}

/// The attributes for peers, without those of routes.
pub(crate) fn for_peers(node: &Node) -> CapMap {
    let ours = node.capabilities.iter().filter(|(name, _)| name.starts_with(OURS));
    ours.map(|(name, values)| (name.clone(), values.clone())).collect()
}

/// The services for peers, one of each kind; others stay private.
pub(crate) fn services(hostinfo: &Hostinfo) -> Vec<Service> {
    let find = |proto: &&str| hostinfo.services.iter().find(|service| service.proto == **proto);
    let found = PEERAPI.iter().filter_map(find);
    found.map(|service| Service { description: String::new(), ..service.clone() }).collect()
}

#[cfg(test)]
mod tests;
