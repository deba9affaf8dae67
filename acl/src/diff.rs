//! What a new policy opens and closes compared with the old one, in words.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    CanonicalFilter, Network, Node, Policy,
    addresses::{AddressSet, Span, spans},
    canonical::{DEFAULT_PROTOCOLS, Opening},
    internet,
    service::protocol_name,
};

/// The name in [`Change::from`] for all other devices.
pub const EVERY_DEVICE: &str = "every other device";

/// What opens or closes at one destination.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// The device, or `PREFIX by DEVICE` for what it routes.
    pub to: String,
    /// Names of devices, and addresses of others; empty for attributes, which have no source.
    pub from: Vec<String>,
    /// Ports, such as `22`, `tcp 443` or `all ports`, capabilities, and attributes.
    pub what: Vec<String>,
}

/// Attributes by name, with their values.
type Attributes = BTreeMap<String, Vec<Value>>;

/// What a policy changes: packets, capabilities, and the attributes of nodes. Tag owners are not compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// What only the new policy allows.
    pub opens: Vec<Change>,
    /// What only the old policy allows.
    pub closes: Vec<Change>,
}

impl Changes {
    /// Compares two policies, each with the network and the routes that it approves there. Both networks have the same
    /// nodes, in the same order.
    #[must_use]
    pub fn between(before: (&Policy, &Network), after: (&Policy, &Network)) -> Self {
        let mut changes = Self::default();
        let (compiled_before, compiled_after) = (before.0.on(before.1), after.0.on(after.1));
        let (sources_before, sources_after) = (Sources::of(before.1), Sources::of(after.1));
        for (index, node) in after.1.nodes.iter().enumerate() {
            let old = compiled_before.rules(index);
            let new = compiled_after.rules(index);
            let old_node = before.1.nodes.get(index).unwrap_or(node);
            let (old, new) = (served(&old, old_node), served(&new, node));
            let opened = CanonicalFilter::difference(&new, &old);
            changes.opens.extend(words(&opened, &sources_after, node));
            changes.closes.extend(words(
                &CanonicalFilter::difference(&old, &new),
                &sources_before,
                old_node,
            ));
            let old = before.0.attributes(before.1, index);
            let new = after.0.attributes(after.1, index);
            changes.opens.extend(new_attributes(&new, &old, node));
            changes.closes.extend(new_attributes(&old, &new, old_node));
        }
        changes
    }

    /// Whether nothing opens or closes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.opens.is_empty() && self.closes.is_empty()
    }
}

/// The attributes that are not among the others. One with other values is another one.
fn new_attributes(these: &Attributes, others: &Attributes, node: &Node) -> Option<Change> {
    let is_new = |(name, values): &(&String, &Vec<Value>)| others.get(*name) != Some(*values);
    let what: Vec<_> =
        these.iter().filter(is_new).map(|(name, _)| format!("attribute {name}")).collect();
    (!what.is_empty()).then(|| Change { to: node.name.clone(), from: Vec::new(), what })
}

/// The rules, with destinations cut to what the node has or routes.
fn served(rules: &[crate::Rule], node: &Node) -> Vec<crate::Rule> {
    let places: Vec<Span> = places(node).into_iter().map(|(_, span)| span).collect();
    let cut = |port: &crate::DstPort| -> Vec<crate::DstPort> {
        let here = spans(&port.ip).into_iter().flat_map(|span| {
            places.iter().filter_map(move |place| place.common(&span)).collect::<Vec<_>>()
        });
        here.map(|span| crate::DstPort { ip: span.to_string(), ..port.clone() }).collect()
    };
    let rule = |rule: &crate::Rule| crate::Rule {
        dst_ports: rule.dst_ports.iter().flat_map(cut).collect(),
        ..rule.clone()
    };
    rules.iter().map(rule).collect()
}

/// What a node has and routes, with names.
fn places(node: &Node) -> Vec<(String, Span)> {
    let own = node.addresses.iter().map(|ip| (node.name.clone(), Span::from(*ip)));
    let routed = node.subnets().map(|net| (format!("{net} by {}", node.name), Span::from(*net)));
    let mut places: Vec<_> = own.chain(routed).collect();
    if internet::is_exit(node) {
        let out = internet::INTERNET.iter().flat_map(|text| spans(text));
        places.extend(out.map(|span| (format!("the internet by {}", node.name), span)));
    }
    places
}

/// By destination and sources: first port, last port, and what is open, in words.
type ByDestination = BTreeMap<(String, Vec<String>), BTreeSet<(u16, u16, String)>>;

fn words(meaning: &CanonicalFilter, sources: &Sources<'_>, node: &Node) -> Vec<Change> {
    // A node with two addresses is listed once.
    let mut changes = ByDestination::new();
    for (name, place) in places(node) {
        for (span, openings) in &meaning.open {
            let Some(common) = place.common(span) else { continue };
            let is_whole = common == place || name.starts_with("the internet");
            let name = if is_whole { name.clone() } else { format!("{common} by {}", node.name) };
            for (first, last, from, what) in ports(openings) {
                let from = sources.names(&from, node);
                if !from.is_empty() {
                    changes.entry((name.clone(), from)).or_default().insert((first, last, what));
                }
            }
        }
        for ((capability, _), given) in &meaning.capabilities {
            for (_, from) in given.iter().filter(|(to, _)| to.overlaps(&place)) {
                let from = sources.names(from, node);
                if !from.is_empty() {
                    let what = (u16::MAX, u16::MAX, format!("capability {capability}"));
                    changes.entry((name.clone(), from)).or_default().insert(what);
                }
            }
        }
    }
    let changes = changes.into_iter().map(|((to, from), what)| Change {
        to,
        from,
        what: what.into_iter().map(|(_, _, what)| what).collect(),
    });
    changes.collect()
}

/// Merges openings with the same ports and sources.
fn ports(openings: &[Opening]) -> Vec<(u16, u16, AddressSet, String)> {
    let mut by_ports: BTreeMap<(u16, u16, &AddressSet), Vec<u8>> = BTreeMap::new();
    for opening in openings {
        let key = (opening.first, opening.last, &opening.from);
        by_ports.entry(key).or_default().push(opening.protocol);
    }
    let word = |((first, last, from), protocols): ((u16, u16, &AddressSet), Vec<u8>)| {
        let ports = match (first, last) {
            (0, u16::MAX) => "all ports".to_owned(),
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first}-{last}"),
        };
        let names: Vec<String> = protocols.iter().map(|number| protocol_name(*number)).collect();
        let what = if protocols == DEFAULT_PROTOCOLS {
            ports
        } else {
            format!("{} {ports}", names.join("/"))
        };
        (first, last, from.clone(), what)
    };
    by_ports.into_iter().map(word).collect()
}

/// The sources that a network knows.
struct Sources<'a> {
    network: &'a Network,
    /// Every address of the mesh and of nodes.
    known: AddressSet,
    /// Every other address.
    unknown: AddressSet,
    /// The addresses of nodes in order, each with the node's index.
    own: Vec<(Span, usize)>,
}

impl<'a> Sources<'a> {
    fn of(network: &'a Network) -> Self {
        let mesh = [common::mesh::V4.to_string(), common::mesh::V6.to_string()];
        let nodes = network.nodes.iter().enumerate();
        let spans_of = |(index, node): (usize, &'a Node)| {
            node.addresses.iter().map(move |ip| (Span::from(*ip), index))
        };
        let mut own: Vec<_> = nodes.flat_map(spans_of).collect();
        own.sort_unstable();
        let spans = mesh.iter().flat_map(|text| spans(text));
        let known: AddressSet = spans.chain(own.iter().map(|(span, _)| *span)).collect();
        let unknown = AddressSet::of([&"*".to_owned()]).without(&known);
        Self { network, known, unknown, own }
    }

    /// The nodes that have some of these addresses, in their order.
    fn held(&self, from: &AddressSet) -> impl Iterator<Item = &'a Node> {
        let of_span = |span: &Span| {
            let first = self.own.partition_point(|(own, _)| own < span && !span.holds(own));
            let held = self.own.iter().skip(first).take_while(|(own, _)| span.holds(own));
            held.map(|(_, index)| *index).collect::<Vec<_>>()
        };
        let held: BTreeSet<usize> = from.spans().iter().flat_map(of_span).collect();
        held.into_iter().filter_map(|index| self.network.nodes.get(index))
    }

    /// Names sources for a node: devices by name, the rest by address. Unassigned addresses of the mesh are left out.
    fn names(&self, from: &AddressSet, node: &Node) -> Vec<String> {
        let (mut names, mut whole) = (Vec::new(), 0);
        let is_other = |other: &&Node| other.addresses != node.addresses;
        for other in self.held(from).filter(is_other) {
            let held: Vec<_> =
                other.addresses.iter().filter(|ip| from.holds(&(**ip).into())).collect();
            if held.len() == other.addresses.len() && !held.is_empty() {
                whole += 1;
                names.push(other.name.clone());
            } else {
                names.extend(held.iter().map(|ip| format!("{} ({ip})", other.name)));
            }
        }
        let others = || self.network.nodes.iter().filter(is_other).count();
        if whole > 1 && whole == others() {
            names = vec![EVERY_DEVICE.to_owned()];
        }
        let rest = from.without(&self.known);
        if rest == self.unknown {
            names.push("any address".to_owned());
        } else {
            names.extend(rest.spans().iter().map(ToString::to_string));
        }
        names
    }
}
