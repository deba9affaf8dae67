//! From what is meant to the packet filter of one node.

use std::collections::BTreeSet;

use common::mesh;

use crate::{
    DstPort, Network, Node, Rule,
    document::Document,
    internet,
    selector::{Selector, owner, print},
};

/// A rule whose words were understood.
#[derive(Clone, Debug)]
pub(crate) struct ParsedRule {
    pub(crate) src: Vec<Selector>,
    pub(crate) dst: Vec<Target>,
    pub(crate) ip_proto: Vec<u8>,
    pub(crate) via: Vec<Selector>,
    /// Application capabilities; such a rule opens no ports.
    pub(crate) app: Option<serde_json::Value>,
}

/// A destination.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) selector: Selector,
    pub(crate) ports: Vec<Ports>,
}

/// Ports, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ports {
    pub(crate) first: u16,
    pub(crate) last: u16,
}

/// The filter of `network.nodes[index]`.
pub(crate) fn node(
    document: &Document,
    rules: &[ParsedRule],
    network: &Network,
    index: usize,
) -> Vec<Rule> {
    let Some(node) = network.nodes.get(index) else { return Vec::new() };
    let mut filter: Vec<Rule> = Vec::new();
    for parsed in rules {
        for rule in of_node(document, parsed, network, node) {
            let merges = |known: &&mut Rule| {
                known.src_ips == rule.src_ips
                    && known.ip_proto == rule.ip_proto
                    && known.cap_grant.is_empty()
                    && rule.cap_grant.is_empty()
            };
            // A rule that reaches nothing here still holds the place of those that merge with it.
            match filter.iter_mut().find(merges) {
                Some(known) => {
                    for port in rule.dst_ports {
                        if !known.dst_ports.contains(&port) {
                            known.dst_ports.push(port);
                        }
                    }
                }
                None => filter.push(rule),
            }
        }
    }
    filter.retain(|rule| !rule.dst_ports.is_empty() || !rule.cap_grant.is_empty());
    filter
}

/// The rule with those of its sources alone that are prefixes; `None` if it names none.
pub(crate) fn named(rule: &ParsedRule) -> Option<ParsedRule> {
    let is_prefix = |source: &&Selector| matches!(source, Selector::Prefix(_));
    let src: Vec<Selector> = rule.src.iter().filter(is_prefix).cloned().collect();
    (!src.is_empty()).then(|| ParsedRule { src, ..rule.clone() })
}

fn of_node(document: &Document, parsed: &ParsedRule, network: &Network, node: &Node) -> Vec<Rule> {
    if !parsed.via.is_empty() && !parsed.via.iter().any(|via| via.selects(node, network, document))
    {
        return Vec::new();
    }
    let mut rules = Vec::new();
    let (own, others): (Vec<_>, Vec<_>) =
        parsed.dst.iter().partition(|target| target.selector == Selector::SelfDevices);
    let src_ips = sources(document, &parsed.src, network, |_| true, true);
    rules.extend(rule(parsed, src_ips, &others, node, |target| {
        addressed(document, &target.selector, network, node, !parsed.via.is_empty())
    }));
    if let Some(person) = owner(node, network) {
        let same = |other: &Node| owner(other, network).is_some_and(|user| user.id == person.id);
        let src_ips = sources(document, &parsed.src, network, same, false);
        rules.extend(rule(parsed, src_ips, &own, node, |_| own_addresses(node)));
    }
    rules
}

fn rule(
    parsed: &ParsedRule,
    src_ips: Vec<String>,
    targets: &[&Target],
    node: &Node,
    addresses: impl Fn(&Target) -> Vec<String>,
) -> Option<Rule> {
    let mut rule = Rule {
        src_ips,
        dst_ports: Vec::new(),
        ip_proto: parsed.ip_proto.clone(),
        cap_grant: Vec::new(),
    };
    let mut reached = false;
    for target in targets {
        for ip in addresses(target) {
            reached = true;
            for ports in &target.ports {
                let port = DstPort { ip: ip.clone(), first: ports.first, last: ports.last };
                if !rule.dst_ports.contains(&port) {
                    rule.dst_ports.push(port);
                }
            }
        }
    }
    if rule.src_ips.is_empty() {
        return None;
    }
    rule.dst_ports.sort_by(|a, b| a.ip.cmp(&b.ip));
    if let (Some(app), true) = (&parsed.app, reached) {
        let destinations: Vec<String> =
            node.addresses.iter().map(|address| ipnet::IpNet::from(*address).to_string()).collect();
        rule.cap_grant = vec![serde_json::json!({ "Dsts": destinations, "CapMap": app })];
    }
    Some(rule)
}

/// What of this node a destination names: its addresses, `*`, or a prefix that it routes.
fn addressed(
    document: &Document,
    selector: &Selector,
    network: &Network,
    node: &Node,
    via: bool,
) -> Vec<String> {
    match selector {
        Selector::Any => vec!["*".to_owned()],
        Selector::Prefix(prefix) => {
            let routes = node.approved_routes.iter().filter(|route| route.prefix_len() > 0);
            let routed =
                routes.into_iter().any(|route| route.contains(prefix) || prefix.contains(route));
            let own = !via && node.addresses.iter().any(|address| prefix.contains(address));
            if routed || own { vec![print(prefix)] } else { Vec::new() }
        }
        Selector::Internet => internet::at(node),
        Selector::SelfDevices => Vec::new(),
        Selector::Member
        | Selector::Tagged
        | Selector::Group(_)
        | Selector::Tag(_)
        | Selector::User(_) => {
            if selector.selects(node, network, document) {
                own_addresses(node)
            } else {
                Vec::new()
            }
        }
    }
}

fn own_addresses(node: &Node) -> Vec<String> {
    node.addresses.iter().map(ToString::to_string).collect()
}

/// The mesh without the range of `ChromeOS`, as Headscale writes it.
fn overlay() -> impl Iterator<Item = String> {
    let v4 = mesh::v4_without(&[mesh::CHROMEOS_NET]).into_iter();
    v4.map(|(first, last)| format!("{first}-{last}")).chain([mesh::V6.to_string()])
}

/// The addresses that sources stand for, among the nodes that `eligible` lets through; `ranges`
/// says whether `*` and prefixes may stand for more than nodes.
fn sources(
    document: &Document,
    src: &[Selector],
    network: &Network,
    eligible: impl Fn(&Node) -> bool,
    ranges: bool,
) -> Vec<String> {
    let mut ips = BTreeSet::new();
    for selector in src {
        match selector {
            Selector::Any if ranges => {
                ips.extend(overlay());
                let routes = network.nodes.iter().flat_map(|node| &node.approved_routes);
                ips.extend(routes.filter(|route| route.prefix_len() > 0).map(print));
            }
            Selector::Prefix(prefix) if ranges => {
                ips.insert(print(prefix));
            }
            Selector::Any
            | Selector::Member
            | Selector::Tagged
            | Selector::SelfDevices
            | Selector::Internet
            | Selector::Group(_)
            | Selector::Tag(_)
            | Selector::User(_)
            | Selector::Prefix(_) => {
                let nodes = network
                    .nodes
                    .iter()
                    .filter(|node| eligible(node) && selector.selects(node, network, document));
                ips.extend(nodes.flat_map(own_addresses));
            }
        }
    }
    ips.into_iter().collect()
}
