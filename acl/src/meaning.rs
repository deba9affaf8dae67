//! What a filter means, whatever the order of its rules, their doubles, and how prefixes are cut.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    Rule,
    addresses::{AddressSet, Span, cells, spans},
};

/// TCP, UDP and ICMP: what a rule without protocols means.
pub(crate) const USUAL: [u8; 4] = [1, 6, 17, 58];

/// Ports of one protocol, and who may open them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Opening {
    /// IANA protocol number.
    pub protocol: u8,
    /// First port.
    pub first: u16,
    /// Last port.
    pub last: u16,
    /// Who may.
    pub from: AddressSet,
}

/// The meaning of a node's rules. Filters that let the same through are equal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meaning {
    /// Destinations, in order, each with what is open there.
    pub open: Vec<(Span, Vec<Opening>)>,
    /// Capabilities by name and value (as JSON; empty for none): at which destinations, and who has them.
    pub capabilities: BTreeMap<(String, String), Vec<(Span, AddressSet)>>,
}

impl Meaning {
    /// Of these rules.
    #[must_use]
    pub fn of(rules: &[Rule]) -> Self {
        Self::beyond(rules, &[])
    }

    /// Of what these rules allow and `others` do not.
    #[must_use]
    pub fn beyond(rules: &[Rule], others: &[Rule]) -> Self {
        Self { open: open(rules, others), capabilities: capabilities(rules, others) }
    }

    /// Whether nothing is allowed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty() && self.capabilities.is_empty()
    }
}

/// A destination of a rule.
struct Box<'a> {
    from: &'a AddressSet,
    to: Span,
    protocol: u8,
    first: u16,
    last: u16,
}

fn sources(rules: &[Rule]) -> Vec<AddressSet> {
    rules.iter().map(|rule| AddressSet::of(&rule.src_ips)).collect()
}

fn boxes<'a>(rules: &[Rule], sources: &'a [AddressSet]) -> Vec<Box<'a>> {
    let mut boxes = Vec::new();
    for (rule, from) in rules.iter().zip(sources) {
        let protocols = if rule.ip_proto.is_empty() { &USUAL[..] } else { &rule.ip_proto };
        for port in &rule.dst_ports {
            let (first, last) = (port.first, port.last);
            for to in spans(&port.ip) {
                boxes.extend(protocols.iter().map(|&protocol| Box {
                    from,
                    to,
                    protocol,
                    first,
                    last,
                }));
            }
        }
    }
    boxes
}

fn open(rules: &[Rule], others: &[Rule]) -> Vec<(Span, Vec<Opening>)> {
    let (from, not_from) = (sources(rules), sources(others));
    let (allowed, taken) = (boxes(rules, &from), boxes(others, &not_from));
    let mut open: Vec<(Span, Vec<Opening>)> = Vec::new();
    for cell in cells(allowed.iter().chain(&taken).map(|of| of.to)) {
        let here = |of: &&Box<'_>| of.to.holds(&cell);
        let allowed: Vec<_> = allowed.iter().filter(here).collect();
        let taken: Vec<_> = taken.iter().filter(here).collect();
        let protocols: BTreeSet<u8> = allowed.iter().map(|of| of.protocol).collect();
        let openings: Vec<_> =
            protocols.into_iter().flat_map(|protocol| ports(protocol, &allowed, &taken)).collect();
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

/// What is open to one protocol at one place.
fn ports(protocol: u8, allowed: &[&Box<'_>], taken: &[&Box<'_>]) -> Vec<Opening> {
    let of_it = |of: &&&Box<'_>| of.protocol == protocol;
    let mut cuts = BTreeSet::new();
    for of in allowed.iter().chain(taken).filter(of_it) {
        cuts.insert(of.first);
        cuts.extend(of.last.checked_add(1));
    }
    let cuts: Vec<u16> = cuts.into_iter().collect();
    let mut openings: Vec<Opening> = Vec::new();
    for (index, &first) in cuts.iter().enumerate() {
        let last = cuts.get(index + 1).map_or(u16::MAX, |next| next - 1);
        let who = |of: &[&Box<'_>]| -> AddressSet {
            let here = of.iter().filter(of_it).filter(|of| of.first <= first && last <= of.last);
            here.flat_map(|of| of.from.spans()).copied().collect()
        };
        let from = who(allowed).without(&who(taken));
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

type Given = BTreeMap<(String, String), Vec<(Span, AddressSet)>>;

fn capabilities(rules: &[Rule], others: &[Rule]) -> Given {
    let (given, taken) = (grants(rules), grants(others));
    let mut left = Given::new();
    for (name, given) in given {
        let taken = taken.get(&name).map(Vec::as_slice).unwrap_or_default();
        let mut merged: Vec<(Span, AddressSet)> = Vec::new();
        for cell in cells(given.iter().chain(taken).map(|(to, _)| *to)) {
            let who = |of: &[(Span, AddressSet)]| -> AddressSet {
                let here = of.iter().filter(|(to, _)| to.holds(&cell));
                here.flat_map(|(_, from)| from.spans()).copied().collect()
            };
            let from = who(&given).without(&who(taken));
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

/// The capabilities of rules, as they stand there.
fn grants(rules: &[Rule]) -> Given {
    let mut given = Given::new();
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
