//! Compiles the policy to one node's packet filter.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet},
};

use ipnet::IpNet;
use serde_json::{Value, json};

use crate::{
    DstPort, Node, Rule,
    addresses::{AddressSet, Span, spans},
    error::Location,
    internet,
    nodes::{Nodes, Selected, overlay},
    selector::{Selector, print},
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

/// A rule on a network.
#[derive(Debug)]
pub(crate) struct RuleOn<'a> {
    parsed: &'a ParsedRule,
    src: Vec<Selected>,
    dst: Vec<Selected>,
    via: Vec<Selected>,
    /// The addresses of the sources. Most rules are for few nodes, so this is found when it is needed.
    sources: OnceCell<Vec<String>>,
}

impl<'a> RuleOn<'a> {
    pub(crate) fn new(nodes: &mut Nodes<'a>, parsed: &'a ParsedRule) -> Self {
        Self {
            parsed,
            src: parsed.src.iter().map(|selector| nodes.selected(selector)).collect(),
            dst: parsed.dst.iter().map(|target| nodes.selected(&target.selector)).collect(),
            via: parsed.via.iter().map(|selector| nodes.selected(selector)).collect(),
            sources: OnceCell::new(),
        }
    }

    /// The filter rules that it becomes at `network.nodes[index]`.
    pub(crate) fn at(&self, nodes: &Nodes<'_>, index: usize) -> Vec<Rule> {
        let Some(node) = nodes.network.nodes.get(index) else { return Vec::new() };
        let is_led = |via: &Selected| via.has(index);
        if !self.via.is_empty() && !self.via.iter().any(is_led) {
            return Vec::new();
        }
        RuleAtNode { nodes, rule: self, parsed: self.parsed, node, index }.rules()
    }

    /// The addresses of the sources.
    pub(crate) fn sources(&self, nodes: &Nodes<'_>) -> &[String] {
        self.sources.get_or_init(|| {
            let selected = self.parsed.src.iter().zip(&self.src);
            nodes.addresses(selected.map(|(selector, selected)| (selector, &**selected)))
        })
    }

    /// For each person, the devices that the sources select, and all devices.
    pub(crate) fn devices_by_owner(&self, nodes: &Nodes<'_>) -> Vec<(AddressSet, AddressSet)> {
        let span = |index: &usize| {
            nodes
                .network
                .nodes
                .get(*index)
                .into_iter()
                .flat_map(|node| node.addresses.iter().copied().map(Span::from))
        };
        let is_source = |index: &&usize| self.src.iter().any(|source| source.has(**index));
        let of_person = |devices: &Vec<usize>| {
            let named = devices.iter().filter(is_source).flat_map(span).collect();
            (named, devices.iter().flat_map(span).collect())
        };
        nodes.devices().map(of_person).collect()
    }
}

/// The filter of `network.nodes[index]`; neither order nor repetition of the rules changes it.
pub(crate) fn node(nodes: &Nodes<'_>, rules: &[RuleOn<'_>], index: usize) -> Vec<Rule> {
    let mut ports: BTreeMap<(Vec<u8>, Vec<String>), BTreeSet<DstPort>> = BTreeMap::new();
    let mut grants: BTreeMap<Vec<String>, Vec<Value>> = BTreeMap::new();
    for rule in rules.iter().flat_map(|rule| rule.at(nodes, index)) {
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

/// A policy rule, evaluated at one node.
struct RuleAtNode<'a> {
    nodes: &'a Nodes<'a>,
    rule: &'a RuleOn<'a>,
    parsed: &'a ParsedRule,
    node: &'a Node,
    index: usize,
}

/// A destination, and the nodes that it selects.
type SelectedTarget<'a> = (&'a Target, &'a Selected);

impl RuleAtNode<'_> {
    fn rules(&self) -> Vec<Rule> {
        let is_own = |(target, _): &SelectedTarget<'_>| target.selector == Selector::SelfDevices;
        let all = self.parsed.dst.iter().zip(&self.rule.dst);
        let (own, others): (Vec<_>, Vec<_>) = all.partition(is_own);
        let mut rules = Vec::new();
        // Who the sources are takes long to find, and most nodes are no destination of most rules.
        let is_here = || others.iter().any(|target| !self.addressed(target).is_empty());
        if !others.is_empty() && (self.parsed.app.is_some() || is_here()) {
            let src_ips = self.rule.sources(self.nodes);
            rules.extend(self.ports(src_ips, &others, |target| self.addressed(target)));
            rules.extend(self.capabilities(src_ips, &others));
        }
        if !own.is_empty() && self.nodes.owner(self.index).is_some() {
            let src_ips = self.own_sources();
            let addresses = self.nodes.texts(self.index);
            rules.extend(self.ports(&src_ips, &own, |_| addresses.to_vec()));
            rules.extend(self.own_capabilities(&src_ips));
        }
        rules.retain(|rule| !rule.src_ips.is_empty());
        rules
    }

    fn ports(
        &self,
        src_ips: &[String],
        targets: &[SelectedTarget<'_>],
        addresses: impl Fn(&SelectedTarget<'_>) -> Vec<String>,
    ) -> Option<Rule> {
        let mut dst_ports = BTreeSet::new();
        for of in targets {
            let (target, _) = of;
            for ip in addresses(of) {
                let port = |ports: &Ports| DstPort {
                    ip: ip.clone(),
                    first: ports.first,
                    last: ports.last,
                };
                dst_ports.extend(target.ports.iter().map(port));
            }
        }
        (!dst_ports.is_empty())
            .then(|| Rule { dst_ports: dst_ports.into_iter().collect(), ..self.rule(src_ips) })
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
    fn addressed(&self, (target, selected): &SelectedTarget<'_>) -> Vec<String> {
        let (node, selector) = (self.node, &target.selector);
        let via = !self.parsed.via.is_empty();
        if let Selector::Prefix(prefix) = selector {
            let own = || node.addresses.iter().any(|address| prefix.contains(address));
            let out = || internet::is_exit(node) && internet::holds(prefix);
            let is_here = self.is_routed(prefix) || !via && (own() || out());
            return is_here.then(|| print(prefix)).into_iter().collect();
        }
        if *selector == Selector::Internet {
            return internet::at(node);
        }
        if via || *selector == Selector::Everyone || !selected.has(self.index) {
            return Vec::new();
        }
        let own = || self.nodes.texts(self.index).to_vec();
        if *selector == Selector::Any { vec!["*".to_owned()] } else { own() }
    }

    /// Whether the node routes a part of a prefix.
    fn is_routed(&self, prefix: &IpNet) -> bool {
        self.node.subnets().any(|route| route.contains(prefix) || prefix.contains(route))
    }

    /// The addresses of the devices of this node's owner that the rule's sources select.
    fn own_sources(&self) -> Vec<String> {
        let is_source = |of: &&usize| self.rule.src.iter().any(|source| source.has(**of));
        let devices = self.nodes.devices_of_owner(self.index).iter().filter(is_source);
        let texts = devices.flat_map(|device| self.nodes.texts(*device));
        texts.cloned().collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The capabilities that the sources have at this node, and the companions that this node has as a source.
    fn capabilities(&self, src_ips: &[String], targets: &[SelectedTarget<'_>]) -> Vec<Rule> {
        let Some(app) = &self.parsed.app else { return Vec::new() };
        let here = targets.iter().flat_map(|(target, of)| self.granted(&target.selector, of));
        let here: BTreeSet<String> = here.collect();
        let sources = self.parsed.src.iter().zip(&self.rule.src);
        let there: BTreeSet<String> =
            sources.flat_map(|(source, of)| self.granted(source, of)).collect();
        let mut rules = vec![self.grant(src_ips, here, json!(app))];
        let companions = COMPANIONS.iter().filter(|(name, _)| app.contains_key(*name));
        for (_, companion) in companions {
            let selected = targets.iter().map(|(target, of)| (&target.selector, &***of));
            let from = self.nodes.addresses(selected);
            rules.push(self.grant(&from, there.clone(), json!({ *companion: null })));
        }
        rules.into_iter().flatten().collect()
    }

    /// The same among the devices of the node's owner.
    fn own_capabilities(&self, src_ips: &[String]) -> Vec<Rule> {
        let Some(app) = &self.parsed.app else { return Vec::new() };
        let own: BTreeSet<String> =
            self.node.addresses.iter().map(|ip| IpNet::from(*ip).to_string()).collect();
        let devices = self.nodes.devices_of_owner(self.index).iter();
        let all: Vec<String> =
            devices.flat_map(|device| self.nodes.texts(*device)).cloned().collect();
        let is_source = self.nodes.texts(self.index).iter().any(|own| src_ips.contains(own));
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
    fn granted(&self, selector: &Selector, selected: &Selected) -> Vec<String> {
        let node = self.node;
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
        if !selected.has(self.index) {
            return Vec::new();
        }
        if *selector == Selector::Any {
            own(&overlay().flat_map(|text| spans(&text)).collect())
        } else {
            own(&AddressSet::from_iter(spans("*")))
        }
    }
}
