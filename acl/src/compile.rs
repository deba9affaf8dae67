//! Compiles the policy to one node's packet filter.

use std::collections::{BTreeMap, BTreeSet};

use common::mesh;
use ipnet::IpNet;
use serde_json::{Value, json};

use crate::{
    DstPort, Network, Node, Rule,
    addresses::{AddressSet, spans},
    document::Document,
    error::Location,
    internet::{self, INTERNET},
    selector::{Selector, owner, print},
    service::Ports,
};

/// Capabilities for which the reference also grants a companion capability in the opposite direction (headscale,
/// `companionCaps`).
const COMPANIONS: [(&str, &str); 2] = [
    ("tailscale.com/cap/drive", "tailscale.com/cap/drive-sharer"),
    ("tailscale.com/cap/relay", "tailscale.com/cap/relay-target"),
];

/// A validated rule.
#[derive(Clone, Debug)]
pub(crate) struct ParsedRule {
    /// The location of its entry; several rules may come from one entry.
    pub(crate) location: Location,
    pub(crate) src: Vec<Selector>,
    pub(crate) dst: Vec<Target>,
    pub(crate) ip_proto: Vec<u8>,
    pub(crate) via: Vec<Selector>,
    /// Application capabilities; such a rule opens no ports.
    pub(crate) app: Option<BTreeMap<String, Vec<Value>>>,
}

/// A destination.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) selector: Selector,
    pub(crate) ports: Vec<Ports>,
}

/// The filter of `network.nodes[index]`; neither order nor repetition of the rules changes it.
pub(crate) fn node(
    document: &Document,
    rules: &[ParsedRule],
    network: &Network,
    index: usize,
) -> Vec<Rule> {
    let Some(node) = network.nodes.get(index) else { return Vec::new() };
    let mut ports: BTreeMap<(Vec<u8>, Vec<String>), BTreeSet<DstPort>> = BTreeMap::new();
    let mut grants: BTreeMap<Vec<String>, Vec<Value>> = BTreeMap::new();
    for rule in rules.iter().flat_map(|parsed| rules_for_node(document, parsed, network, node)) {
        if !rule.cap_grant.is_empty() {
            grants.entry(rule.src_ips.clone()).or_default().extend(rule.cap_grant);
        }
        if !rule.dst_ports.is_empty() {
            ports.entry((rule.ip_proto, rule.src_ips)).or_default().extend(rule.dst_ports);
        }
    }
    let ports = ports.into_iter().map(|((ip_proto, src_ips), dst_ports)| Rule {
        src_ips,
        dst_ports: dst_ports.into_iter().collect(),
        ip_proto,
        cap_grant: Vec::new(),
    });
    let grants = grants.into_iter().map(|(src_ips, mut cap_grant)| {
        cap_grant.sort_by_cached_key(ToString::to_string);
        cap_grant.dedup();
        Rule { src_ips, dst_ports: Vec::new(), ip_proto: Vec::new(), cap_grant }
    });
    ports.chain(grants).collect()
}

/// The rule with its prefix sources only; `None` if it has none, or grants capabilities.
pub(crate) fn with_prefix_sources(rule: &ParsedRule) -> Option<ParsedRule> {
    let is_prefix = |source: &&Selector| matches!(source, Selector::Prefix(_));
    let src: Vec<Selector> = rule.src.iter().filter(is_prefix).cloned().collect();
    let has_ports = rule.app.is_none();
    (!src.is_empty() && has_ports).then(|| ParsedRule { src, ..rule.clone() })
}

/// The filter rules that a policy rule becomes at one node.
pub(crate) fn rules_for_node(
    document: &Document,
    parsed: &ParsedRule,
    network: &Network,
    node: &Node,
) -> Vec<Rule> {
    let is_led = |via: &Selector| via.selects(node, network, document);
    if !parsed.via.is_empty() && !parsed.via.iter().any(is_led) {
        return Vec::new();
    }
    let (own, others): (Vec<_>, Vec<_>) =
        parsed.dst.iter().partition(|target| target.selector == Selector::SelfDevices);
    let at = RuleAtNode { document, parsed, network, node };
    let mut rules = Vec::new();
    let addressed = |target: &Target| at.addressed(&target.selector);
    // Who the sources are takes long to find, and most nodes are no destination of most rules.
    let is_here = || others.iter().any(|target| !addressed(target).is_empty());
    if !others.is_empty() && (parsed.app.is_some() || is_here()) {
        let src_ips = addresses(document, &parsed.src, network);
        rules.extend(at.ports(&src_ips, &others, addressed));
        rules.extend(at.capabilities(&src_ips, &others));
    }
    if !own.is_empty() && owner(node, network).is_some() {
        let src_ips = at.own_sources();
        rules.extend(at.ports(&src_ips, &own, |_| own_addresses(node)));
        rules.extend(at.own_capabilities(&src_ips));
    }
    rules.retain(|rule| !rule.src_ips.is_empty());
    rules
}

/// A policy rule, evaluated at one node.
struct RuleAtNode<'a> {
    document: &'a Document,
    parsed: &'a ParsedRule,
    network: &'a Network,
    node: &'a Node,
}

impl RuleAtNode<'_> {
    fn ports(
        &self,
        src_ips: &[String],
        targets: &[&Target],
        addresses: impl Fn(&Target) -> Vec<String>,
    ) -> Option<Rule> {
        let mut dst_ports = BTreeSet::new();
        for target in targets {
            for ip in addresses(target) {
                let port = |ports: &Ports| DstPort {
                    ip: ip.clone(),
                    first: ports.first,
                    last: ports.last,
                };
                dst_ports.extend(target.ports.iter().map(port));
            }
        }
        let rule = self.rule(src_ips);
        (!dst_ports.is_empty()).then(|| Rule { dst_ports: dst_ports.into_iter().collect(), ..rule })
    }

    fn rule(&self, src_ips: &[String]) -> Rule {
        Rule {
            src_ips: src_ips.to_vec(),
            dst_ports: Vec::new(),
            ip_proto: self.parsed.ip_proto.clone(),
            cap_grant: Vec::new(),
        }
    }

    /// The part of a destination that is at this node: its addresses, `*`, or a prefix that it routes.
    fn addressed(&self, selector: &Selector) -> Vec<String> {
        let Self { node, network, document, parsed } = self;
        let via = !parsed.via.is_empty();
        if let Selector::Prefix(prefix) = selector {
            let own = || node.addresses.iter().any(|address| prefix.contains(address));
            let out = || internet::is_exit(node) && internet::holds(prefix);
            let is_here = self.is_routed(prefix) || !via && (own() || out());
            return is_here.then(|| print(prefix)).into_iter().collect();
        }
        if *selector == Selector::Internet {
            return internet::at(node);
        }
        if via || *selector == Selector::Everyone || !selector.selects(node, network, document) {
            return Vec::new();
        }
        if *selector == Selector::Any { vec!["*".to_owned()] } else { own_addresses(node) }
    }

    /// Whether the node routes a part of a prefix.
    fn is_routed(&self, prefix: &IpNet) -> bool {
        self.node.subnets().any(|route| route.contains(prefix) || prefix.contains(route))
    }

    /// The addresses of the devices of this node's owner that the rule's sources select.
    fn own_sources(&self) -> Vec<String> {
        let Self { document, parsed, network, node } = self;
        let person = owner(node, network).map(|user| user.id);
        let nodes = network.nodes.iter().filter(|other| {
            owner(other, network).map(|user| user.id) == person
                && parsed.src.iter().any(|source| source.selects(other, network, document))
        });
        nodes.flat_map(own_addresses).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The capabilities that the sources have at this node, and the companions that this node has as a source.
    fn capabilities(&self, src_ips: &[String], targets: &[&Target]) -> Vec<Rule> {
        let Self { document, parsed, network, .. } = self;
        let Some(app) = &parsed.app else { return Vec::new() };
        let here: BTreeSet<String> =
            targets.iter().flat_map(|target| self.granted(&target.selector)).collect();
        let there: BTreeSet<String> =
            parsed.src.iter().flat_map(|source| self.granted(source)).collect();
        let selectors: Vec<_> = targets.iter().map(|target| target.selector.clone()).collect();
        let mut rules = vec![self.grant(src_ips, here, json!(app))];
        let companions = COMPANIONS.iter().filter(|(name, _)| app.contains_key(*name));
        for (_, companion) in companions {
            let from = addresses(document, &selectors, network);
            rules.push(self.grant(&from, there.clone(), json!({ *companion: null })));
        }
        rules.into_iter().flatten().collect()
    }

    /// The same among the devices of the node's owner.
    fn own_capabilities(&self, src_ips: &[String]) -> Vec<Rule> {
        let Some(app) = &self.parsed.app else { return Vec::new() };
        let own: BTreeSet<String> =
            self.node.addresses.iter().map(|ip| IpNet::from(*ip).to_string()).collect();
        let person = owner(self.node, self.network).map(|user| user.id);
        let of_person = self
            .network
            .nodes
            .iter()
            .filter(|other| owner(other, self.network).map(|user| user.id) == person);
        let all: Vec<String> = of_person.flat_map(own_addresses).collect();
        let is_source = own_addresses(self.node).iter().any(|own| src_ips.contains(own));
        let mut rules = vec![self.grant(src_ips, own.clone(), json!(app))];
        for (name, companion) in COMPANIONS {
            if app.contains_key(name) && is_source {
                rules.push(self.grant(&all, own.clone(), json!({ companion: null })));
            }
        }
        rules.into_iter().flatten().collect()
    }

    fn grant(&self, src_ips: &[String], to: BTreeSet<String>, capabilities: Value) -> Option<Rule> {
        let grant = json!({ "Dsts": to, "CapMap": capabilities });
        (!to.is_empty()).then(|| Rule {
            ip_proto: Vec::new(),
            cap_grant: vec![grant],
            ..self.rule(src_ips)
        })
    }

    /// The prefixes at this node at which a grant to `selector` applies: the selected ones of its addresses and subnets.
    fn granted(&self, selector: &Selector) -> Vec<String> {
        let Self { node, network, document, .. } = self;
        let own = |addresses: &AddressSet| -> Vec<String> {
            let held = node.addresses.iter().filter(|ip| addresses.holds(&(**ip).into()));
            held.map(|ip| IpNet::from(*ip).to_string()).collect()
        };
        if let Selector::Prefix(prefix) = selector {
            let mut granted = own(&AddressSet::from_iter(spans(&prefix.to_string())));
            if self.is_routed(prefix) {
                granted.push(prefix.trunc().to_string());
            }
            return granted;
        }
        if !selector.selects(node, network, document) {
            return Vec::new();
        }
        if *selector == Selector::Any {
            own(&overlay().flat_map(|text| spans(&text)).collect())
        } else {
            own(&AddressSet::from_iter(spans("*")))
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

/// The addresses of selectors that are sources.
pub(crate) fn addresses(
    document: &Document,
    selectors: &[Selector],
    network: &Network,
) -> Vec<String> {
    if selectors.contains(&Selector::Everyone) {
        return vec!["*".to_owned()];
    }
    let mut ips = BTreeSet::new();
    for selector in selectors {
        if let Selector::Prefix(prefix) = selector {
            ips.insert(print(prefix));
        } else if *selector == Selector::Internet {
            ips.extend(INTERNET.map(str::to_owned));
        } else if *selector == Selector::Any {
            ips.extend(overlay());
            ips.extend(network.nodes.iter().flat_map(Node::subnets).map(print));
        } else {
            let nodes = network.nodes.iter();
            let nodes = nodes.filter(|node| selector.selects(node, network, document));
            ips.extend(nodes.flat_map(own_addresses));
        }
    }
    ips.into_iter().collect()
}
