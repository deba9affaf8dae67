//! The policy's own tests: which destinations a source must reach, and which not.

use std::{collections::HashMap, rc::Rc};

use crate::{
    Error, Failures, Network, Position, TestResult, Warning,
    addresses::{AddressSet, Span},
    canonical::DEFAULT_PROTOCOLS,
    compile::{ParsedRule, RuleOn, Target},
    document::{Document, Test},
    error::{Problems, Word},
    nodes::Nodes,
    selector::Selector,
    service::{Ports, destination, have_ports, protocol},
};

/// Most destinations of all tests of a policy.
const ASSERTIONS_MAX: usize = 2000;

/// The result of a run.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) results: Vec<TestResult>,
    pub(crate) warnings: Vec<Warning>,
}

impl Outcome {
    /// Fails if a test failed.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let failed: Vec<String> = self
            .results
            .iter()
            .filter(|result| !result.passed)
            .map(|TestResult { at, place, reason, .. }| format!("{at}: {place}: {reason}"))
            .collect();
        if failed.is_empty() { Ok(()) } else { Err(Error::Test(Failures(failed))) }
    }
}

/// Runs every test.
pub(crate) fn run(document: &Document, rules: &[ParsedRule], network: &Network) -> Outcome {
    let mut outcome = Outcome::default();
    if document.tests.is_empty() {
        return outcome;
    }
    let mut nodes = Nodes::new(document, network);
    let mut known = HashMap::new();
    let rules: Vec<RuleSets> = rules
        .iter()
        .filter(|rule| rule.app.is_none())
        .map(|rule| RuleSets::of(&mut nodes, rule, &mut known))
        .collect();
    for test in &document.tests {
        one(document, &nodes, &rules, test, &mut outcome);
    }
    outcome
}

/// A rule as sets of addresses. Destinations count whether or not a node routes to them now.
struct RuleSets<'a> {
    protocols: &'a [u8],
    from: AddressSet,
    to: Vec<(Rc<AddressSet>, &'a [Ports])>,
    /// For each person, the devices that the rule's sources select, and all devices.
    own: Vec<(AddressSet, AddressSet)>,
    own_ports: Vec<&'a [Ports]>,
}

impl<'a> RuleSets<'a> {
    fn of(
        nodes: &mut Nodes<'a>,
        rule: &'a ParsedRule,
        known: &mut HashMap<&'a Selector, Rc<AddressSet>>,
    ) -> Self {
        let is_own = |target: &&Target| target.selector == Selector::SelfDevices;
        let (own, others): (Vec<_>, Vec<_>) = rule.dst.iter().partition(is_own);
        let mut to = Vec::new();
        for target in others {
            let all = known.entry(&target.selector).or_insert_with(|| {
                let of = if target.selector == Selector::Any {
                    vec!["*".to_owned()]
                } else {
                    nodes.addresses_of(&target.selector)
                };
                Rc::new(AddressSet::of(&of))
            });
            let all = if rule.via.is_empty() {
                Rc::clone(all)
            } else if matches!(target.selector, Selector::Prefix(_) | Selector::Internet) {
                Rc::new(all.without(&devices(nodes.network)))
            } else {
                continue;
            };
            to.push((all, target.ports.as_slice()));
        }
        let is_empty = own.is_empty() || !rule.via.is_empty();
        let on = RuleOn::new(nodes, rule);
        Self {
            protocols: &rule.ip_proto,
            from: AddressSet::of(on.sources(nodes)),
            to,
            own: if is_empty { Vec::new() } else { on.devices_by_owner(nodes) },
            own_ports: own.iter().map(|target| target.ports.as_slice()).collect(),
        }
    }

    /// Adds the sources that may open one of the ports at one of the destinations.
    fn open(&self, to: &[Span], ports: Ports, protocols: &[u8], open: &mut Vec<Span>) {
        let has_protocol =
            |protocol: &u8| self.protocols.is_empty() || self.protocols.contains(protocol);
        if !protocols.iter().any(has_protocol) {
            return;
        }
        let has_port = |all: &[Ports]| {
            all.iter().any(|open| open.first <= ports.first && ports.last <= open.last)
        };
        let is_there = |set: &AddressSet| to.iter().any(|to| set.overlaps(to));
        if self.to.iter().any(|(set, ports)| has_port(ports) && is_there(set)) {
            open.extend(self.from.spans());
        }
        if self.own_ports.iter().any(|ports| has_port(ports)) {
            let own = self.own.iter().filter(|(_, all)| is_there(all));
            open.extend(own.flat_map(|(from, _)| from.spans()));
        }
    }
}

/// The devices' own addresses; no router leads there.
fn devices(network: &Network) -> AddressSet {
    network.nodes.iter().flat_map(|node| &node.addresses).map(|ip| Span::from(*ip)).collect()
}

fn one(
    document: &Document,
    nodes: &Nodes<'_>,
    rules: &[RuleSets<'_>],
    test: &Test,
    outcome: &mut Outcome,
) {
    let result =
        |at: Position, src: &str, place: &str, dst: &str, wanted, reason: Option<String>| {
            TestResult {
                at,
                place: place.to_owned(),
                src: src.to_owned(),
                dst: dst.to_owned(),
                protocol: test.proto.as_ref().map(|proto| proto.text.clone()).unwrap_or_default(),
                wanted,
                passed: reason.is_none(),
                reason: reason.unwrap_or_default(),
            }
        };
    let from = match source(document, nodes, test) {
        Ok(from) => from,
        Err((word, reason)) => {
            let location = word.map_or(&test.location, |word| &word.location);
            let src = word.map_or("", |word| word.text.as_str());
            outcome.results.push(result(location.at, src, &location.place, "", true, Some(reason)));
            return;
        }
    };
    let src = test.src.as_ref().map(|src| src.text.as_str()).unwrap_or_default();
    let proto = test.proto.as_ref().map(|proto| proto.text.to_lowercase()).unwrap_or_default();
    let mut protocols = protocol(&proto).unwrap_or_default();
    if protocols.is_empty() {
        protocols = DEFAULT_PROTOCOLS.to_vec();
    }
    for (words, wanted) in [(&test.accept, true), (&test.deny, false)] {
        for word in words {
            let (at, place) = (word.location.at, word.location.place.as_str());
            let reason = match who(document, nodes, rules, word, &protocols) {
                Err(reason) => Some(reason),
                Ok(open) => {
                    let (reason, part) = judge(&from, &open, wanted);
                    outcome.warnings.extend(part.map(|part| Warning {
                        at,
                        place: place.to_owned(),
                        reason: format!(
                            "not all of \"{src}\" reach \"{}\", so the test holds; but {part} does",
                            word.text
                        ),
                    }));
                    let verb = if wanted { "does not reach" } else { "reaches" };
                    reason.map(|part| format!("\"{src}\" ({part}) {verb} \"{}\"", word.text))
                }
            };
            outcome.results.push(result(at, src, place, &word.text, wanted, reason));
        }
    }
}

/// The addresses of a test's source.
fn source<'a>(
    document: &Document,
    nodes: &Nodes<'_>,
    test: &'a Test,
) -> Result<AddressSet, (Option<&'a Word>, String)> {
    let nobody = || (None, "the test has no src: name a source".to_owned());
    let word = test.src.as_ref().filter(|src| !src.text.is_empty()).ok_or_else(nobody)?;
    let wrong = |reason: String| (Some(word), reason);
    let selector = Selector::parse(&word.text, document).map_err(wrong)?;
    if matches!(selector, Selector::SelfDevices | Selector::NonRoot) {
        return Err(wrong(format!("src \"{}\" cannot be a test's source", word.text)));
    }
    let from = AddressSet::of(&nodes.addresses_of(&selector));
    if from.is_empty() {
        let nobody = "there is no such person, or no device in the network";
        return Err(wrong(format!("src \"{}\" selects no device: {nobody}", word.text)));
    }
    Ok(from)
}

/// Judges an assertion, where `open` are the sources that reach the destination. Returns the part of the source for which it
/// fails, and the part that reaches the destination although the assertion holds.
///
/// `accept` holds if all of the source reaches the destination; `deny` fails, as in the reference, only if some of every
/// prefix does.
fn judge(from: &AddressSet, open: &AddressSet, wanted: bool) -> (Option<Span>, Option<Span>) {
    let reaching = from.spans().iter().find_map(|span| open.common(span));
    if wanted {
        return (from.without(open).spans().first().copied(), None);
    }
    let prefixes = from.spans().iter().flat_map(Span::prefixes);
    let all = prefixes.into_iter().all(|prefix| open.overlaps(&prefix));
    if all { (reaching, None) } else { (None, reaching) }
}

/// The sources that reach any address of a destination.
fn who(
    document: &Document,
    nodes: &Nodes<'_>,
    rules: &[RuleSets<'_>],
    word: &Word,
    protocols: &[u8],
) -> Result<AddressSet, String> {
    let (selector, ports) = destination(document, &word.text)?;
    let to = nodes.addresses_of(&selector);
    let to: Vec<Span> = to.iter().flat_map(|text| crate::addresses::spans(text)).collect();
    if to.is_empty() {
        return Err(format!("\"{}\" selects no device of the network", word.text));
    }
    let mut open = Vec::new();
    for ports in ports {
        for rule in rules {
            rule.open(&to, ports, protocols, &mut open);
        }
    }
    Ok(open.into_iter().collect())
}

/// Drops the tests beyond [`ASSERTIONS_MAX`].
pub(crate) fn bound(document: &mut Document, problems: &mut Problems) {
    let mut count = 0;
    let fits = |test: &Test| {
        count += test.accept.len() + test.deny.len();
        count <= ASSERTIONS_MAX
    };
    let first = document.tests.iter().map(fits).position(|fits| !fits);
    if let Some(test) = first.and_then(|index| document.tests.get(index)) {
        problems.add(test.location.wrong(format!(
            "test(s) failed: with this test there are more than {ASSERTIONS_MAX} destinations under \"accept\" and \"deny\": \
             take some out"
        )));
    }
    document.tests.truncate(first.unwrap_or(document.tests.len()));
}

/// Checks that each assertion is a connection to one port of one host.
pub(crate) fn check_shape(document: &Document, problems: &mut Problems) {
    for test in &document.tests {
        if test.accept.is_empty() && test.deny.is_empty() {
            let reason =
                "test(s) failed: test entry must have at least one of \"accept\" or \"deny\"";
            problems.add(test.location.wrong(reason));
        }
        if let Some(proto) = &test.proto {
            let numbers = protocol(&proto.text.to_lowercase());
            match numbers {
                Ok(numbers) if have_ports(&numbers) => {}
                Ok(_) => problems.add(proto.wrong(format!(
                    "test(s) failed: test protocol must be tcp, udp, sctp, or empty: \"{}\"",
                    proto.text
                ))),
                Err(reason) => problems.add(proto.wrong(format!("test(s) failed: {reason}"))),
            }
        }
        for word in test.accept.iter().chain(&test.deny) {
            if let Err(reason) = test_destination(document, &word.text) {
                problems.add(word.wrong(format!("test(s) failed: {reason}")));
            }
        }
    }
}

fn test_destination(document: &Document, text: &str) -> Result<(), String> {
    let (selector, ports) = destination(document, text)?;
    let is_range = matches!(selector, Selector::Prefix(prefix)
        if text.contains('/') || prefix.prefix_len() < prefix.max_prefix_len());
    let reason = if selector == Selector::Internet {
        "autogroup:internet not valid as a test destination: name an address"
    } else if selector == Selector::SelfDevices {
        "autogroup:self not valid as a test destination: name a person's devices"
    } else if is_range {
        "test destination must be a single host, not a CIDR range: name one address"
    } else if !matches!(ports[..], [Ports { first, last }] if first == last) {
        "test destination port must be a single port: make one test of each"
    } else {
        return Ok(());
    };
    Err(reason.to_owned())
}
