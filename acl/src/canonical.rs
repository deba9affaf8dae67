//! The canonical form of a packet filter: equal for filters that allow the same.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    Rule,
    addresses::{AddressSet, Span, cells, spans},
};

/// TCP, UDP and ICMP: the protocols of a rule that names none.
pub(crate) const DEFAULT_PROTOCOLS: [u8; 4] = [1, 6, 17, 58];

/// Ports of one protocol, and the sources that may open them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Opening {
    /// IANA protocol number.
    pub protocol: u8,
    /// First port.
    pub first: u16,
    /// Last port.
    pub last: u16,
    /// The sources.
    pub from: AddressSet,
}

/// A node's rules in canonical form: order, duplicates and the way prefixes are cut make no difference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CanonicalFilter {
    /// Destinations, in order, each with its open ports.
    pub open: Vec<(Span, Vec<Opening>)>,
    /// Capabilities by name and value (as JSON; empty for none): destinations, and the sources that have them.
    pub capabilities: BTreeMap<(String, String), Vec<(Span, AddressSet)>>,
}

impl CanonicalFilter {
    /// The canonical form of these rules.
    #[must_use]
    pub fn of(rules: &[Rule]) -> Self {
        Self::difference(rules, &[])
    }

    /// What these rules allow and `others` do not.
    #[must_use]
    pub fn difference(rules: &[Rule], others: &[Rule]) -> Self {
        Self { open: open(rules, others), capabilities: capabilities(rules, others) }
    }

    /// Whether nothing is allowed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty() && self.capabilities.is_empty()
    }
}

/// One destination of a rule, for one protocol.
struct Destination<'a> {
    from: &'a AddressSet,
    to: Span,
    protocol: u8,
    first: u16,
    last: u16,
}

fn sources(rules: &[Rule]) -> Vec<AddressSet> {
    rules.iter().map(|rule| AddressSet::of(&rule.src_ips)).collect()
}

fn destinations<'a>(rules: &[Rule], sources: &'a [AddressSet]) -> Vec<Destination<'a>> {
    let mut destinations = Vec::new();
    for (rule, from) in rules.iter().zip(sources) {
        let protocols =
            if rule.ip_proto.is_empty() { &DEFAULT_PROTOCOLS[..] } else { &rule.ip_proto };
        for port in &rule.dst_ports {
            let (first, last) = (port.first, port.last);
            for to in spans(&port.ip) {
                destinations.extend(protocols.iter().map(|&protocol| Destination {
                    from,
                    to,
                    protocol,
                    first,
                    last,
                }));
            }
        }
    }
    destinations
}

fn open(rules: &[Rule], others: &[Rule]) -> Vec<(Span, Vec<Opening>)> {
    let (from, not_from) = (sources(rules), sources(others));
    let (allowed, excluded) = (destinations(rules, &from), destinations(others, &not_from));
    let mut open: Vec<(Span, Vec<Opening>)> = Vec::new();
    for cell in cells(allowed.iter().chain(&excluded).map(|of| of.to)) {
        let here = |of: &&Destination<'_>| of.to.holds(&cell);
        let allowed: Vec<_> = allowed.iter().filter(here).collect();
        let excluded: Vec<_> = excluded.iter().filter(here).collect();
        let protocols: BTreeSet<u8> = allowed.iter().map(|of| of.protocol).collect();
        let openings: Vec<_> = protocols
            .into_iter()
            .flat_map(|protocol| ports(protocol, &allowed, &excluded))
            .collect();
        if openings.is_empty() {
            continue;
        }
        match open.last_mut() {
            Some((last, same)) if last.meets(&cell) && *same == openings => *last = last.with(cell),
            Some(_) | None => open.push((cell, openings)),
        }
    }
    open
}

/// What is open to one protocol in one cell of addresses.
fn ports(
    protocol: u8,
    allowed: &[&Destination<'_>],
    excluded: &[&Destination<'_>],
) -> Vec<Opening> {
    let of_it = |of: &&&Destination<'_>| of.protocol == protocol;
    let mut cuts = BTreeSet::new();
    for of in allowed.iter().chain(excluded).filter(of_it) {
        cuts.insert(of.first);
        cuts.extend(of.last.checked_add(1));
    }
    let cuts: Vec<u16> = cuts.into_iter().collect();
    let mut openings: Vec<Opening> = Vec::new();
    for (index, &first) in cuts.iter().enumerate() {
        let last = cuts.get(index + 1).map_or(u16::MAX, |next| next - 1);
        let who = |of: &[&Destination<'_>]| -> AddressSet {
            let here = of.iter().filter(of_it).filter(|of| of.first <= first && last <= of.last);
            here.flat_map(|of| of.from.spans()).copied().collect()
        };
        let from = who(allowed).without(&who(excluded));
        if from.is_empty() {
            continue;
        }
        match openings.last_mut() {
            Some(before) if before.last.checked_add(1) == Some(first) && before.from == from => {
                before.last = last;
            }
            Some(_) | None => openings.push(Opening { protocol, first, last, from }),
        }
    }
    openings
}

type Capabilities = BTreeMap<(String, String), Vec<(Span, AddressSet)>>;

fn capabilities(rules: &[Rule], others: &[Rule]) -> Capabilities {
    let (given, excluded) = (grants(rules), grants(others));
    let mut left = Capabilities::new();
    for (name, given) in given {
        let excluded = excluded.get(&name).map(Vec::as_slice).unwrap_or_default();
        let mut merged: Vec<(Span, AddressSet)> = Vec::new();
        for cell in cells(given.iter().chain(excluded).map(|(to, _)| *to)) {
            let who = |of: &[(Span, AddressSet)]| -> AddressSet {
                let here = of.iter().filter(|(to, _)| to.holds(&cell));
                here.flat_map(|(_, from)| from.spans()).copied().collect()
            };
            let from = who(&given).without(&who(excluded));
            if from.is_empty() {
                continue;
            }
            match merged.last_mut() {
                Some((last, same)) if last.meets(&cell) && *same == from => {
                    *last = last.with(cell);
                }
                Some(_) | None => merged.push((cell, from)),
            }
        }
        if !merged.is_empty() {
            left.insert(name, merged);
        }
    }
    left
}

/// The capabilities of rules, not yet merged.
fn grants(rules: &[Rule]) -> Capabilities {
    let mut given = Capabilities::new();
    for rule in rules {
        let from = AddressSet::of(&rule.src_ips);
        for grant in &rule.cap_grant {
            let texts = grant["Dsts"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let to: Vec<Span> = texts.flat_map(spans).collect();
            for (name, values) in grant["CapMap"].as_object().into_iter().flatten() {
                let values = values.as_array().map(Vec::as_slice).unwrap_or_default();
                let none = values.is_empty().then(String::new);
                for value in values.iter().map(ToString::to_string).chain(none) {
                    let known = given.entry((name.clone(), value)).or_default();
                    known.extend(to.iter().map(|to| (*to, from.clone())));
                }
            }
        }
    }
    given
}
