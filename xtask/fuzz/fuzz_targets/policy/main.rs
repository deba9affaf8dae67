//! The policy language, on networks that fit the policy: compiled for each node, its own tests run.
//!
//! An input that begins with a byte below 32 is a recipe: rules, people and nodes are generated, and what is
//! compiled is compared with a reading of the rules that shares nothing with the compiler. Any other is the text of
//! a policy; what follows a zero in it shapes the network.
#![no_main]

mod network;
mod recipe;

use libfuzzer_sys::fuzz_target;

use std::net::IpAddr;

use acl::{Attempt, CanonicalFilter, Changes, Network, Node, Policy, Rule};
use fuzz::Input;
use ipnet::IpNet;

/// Reads an address, a prefix or a range as its first and last address; none for `*`.
fn range(text: &str) -> Option<(IpAddr, IpAddr)> {
    if text == "*" {
        return None;
    }
    if let Some((first, last)) = text.split_once('-') {
        return Some((first.parse().unwrap(), last.parse().unwrap()));
    }
    let net: IpNet = text.parse().unwrap_or_else(|_| IpNet::from(text.parse::<IpAddr>().unwrap()));
    Some((net.network(), net.broadcast()))
}

/// A rule for a node lets somebody in, to something that is this node's own or that it routes.
fn belongs(rule: &Rule, node: &Node) {
    assert!(!rule.src_ips.is_empty(), "nobody may do it: {rule:?}");
    assert!(!rule.dst_ports.is_empty() || !rule.cap_grant.is_empty(), "nothing is open: {rule:?}");
    for source in &rule.src_ips {
        let _ = range(source);
    }
    for port in &rule.dst_ports {
        assert!(port.first <= port.last);
        let Some((first, last)) = range(&port.ip) else { continue };
        let own = node.addresses.iter().any(|address| (first..=last).contains(address));
        let routed = node
            .approved_routes
            .iter()
            .any(|route| first <= route.broadcast() && route.network() <= last);
        assert!(own || routed, "{port:?} is not of {node:?}");
    }
}

/// What a node lets in to itself is explained by a rule.
fn decided(policy: &Policy, network: &Network, rules: &[Rule], node: &Node) {
    let from = network.nodes.iter().flat_map(|other| other.addresses.first().copied());
    for (from, to) in from.flat_map(|from| node.addresses.iter().map(move |to| (from, *to))) {
        let attempt = Attempt { from, to, protocol: 6, port: 22 };
        let is_open = rules.iter().any(|rule| rule.allows(&attempt));
        assert!(!is_open || policy.decide(network, &attempt).is_some(), "{attempt:?}");
    }
}

/// Any text is a policy that compiles for each node, the same each time, or an error.
fn text(text: &str, shape: &[u8]) {
    let parsed = Policy::parse(text);
    let stored = Policy::parse_stored(text);
    // What is set is in force as it stands.
    match (&parsed, stored) {
        (Ok(_), Ok((_, left_out))) => assert_eq!(left_out, [], "set, but not in force"),
        (Ok(_), Err(error)) => panic!("set, but not read when stored: {error}"),
        (Err(_), _) => {}
    }
    let Ok(policy) = parsed else { return };
    let again = Policy::parse(text).unwrap();
    let network = network::fitting(text, &mut Input::new(shape));
    for (index, node) in network.nodes.iter().enumerate() {
        let rules = policy.compile(&network, index);
        assert_eq!(again.compile(&network, index), rules, "compiling is not repeatable");
        rules.iter().for_each(|rule| belongs(rule, node));
        let reversed: Vec<Rule> = rules.iter().rev().chain(&rules).cloned().collect();
        assert_eq!(
            CanonicalFilter::of(&reversed),
            CanonicalFilter::of(&rules),
            "order or doubles mean something"
        );
        decided(&policy, &network, &rules, node);
        for route in &node.routable_ips {
            let is_approved = policy.approves_route(&network, index, route);
            assert!(!is_approved || node.user.is_some() || !node.tags.is_empty(), "nobody's node");
        }
    }
    assert!(policy.compile(&network, network.nodes.len()).is_empty());
    assert!(policy.compile(&Network::default(), 0).is_empty());
    assert_eq!(policy.check(&network), again.check(&network));
    assert!(Changes::between((&policy, &network), (&again, &network)).is_empty());
    for user in &network.users {
        for tag in network.nodes.iter().flat_map(|node| &node.tags) {
            assert!(!policy.may_tag(&user.name, tag) || policy.knows_tag(tag));
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    match bytes.split_first() {
        Some((0..32, recipe)) => recipe::run(&mut Input::new(recipe)),
        Some(_) | None => {
            let mut parts = bytes.splitn(2, |&byte| byte == 0);
            let policy = parts.next().unwrap_or_default();
            if let Ok(policy) = std::str::from_utf8(policy) {
                text(policy, parts.next().unwrap_or_default());
            }
        }
    }
});
