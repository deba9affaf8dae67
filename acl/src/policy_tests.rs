//! The policy's own tests: what a source must and must not reach.

use crate::{
    Error, Failures, Network, Policy, Position, TestResult, Warning,
    addresses::{AddressSet, Span},
    compile::{ParsedRule, addresses},
    document::{Document, Test},
    meaning::USUAL,
    problems::Problems,
    selector::{Selector, owner},
    service::{Ports, destination, have_ports, protocol},
    text::Word,
};

/// What came out of a run.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) results: Vec<TestResult>,
    pub(crate) warnings: Vec<Warning>,
}

impl Outcome {
    /// Those that fail, as a refusal.
    pub(crate) fn failed(&self) -> Result<(), Error> {
        let failed: Vec<String> = self
            .results
            .iter()
            .filter_map(|result| Some(result.to_string()).filter(|_| !result.passed))
            .collect();
        if failed.is_empty() { Ok(()) } else { Err(Error::Test(Failures(failed))) }
    }
}

/// Runs every test.
pub(crate) fn run(policy: &Policy, network: &Network) -> Outcome {
    let rules: Vec<Sets> =
        policy.rules.iter().flat_map(|rule| Sets::of(policy, network, rule)).collect();
    let mut outcome = Outcome::default();
    for test in &policy.document.tests {
        one(policy, network, &rules, test, &mut outcome);
    }
    outcome
}

/// A rule as sets, for any network that has the nodes.
struct Sets {
    from: AddressSet,
    /// Nobody's in particular, or the addresses of one person's devices.
    to: AddressSet,
    ports: Vec<Ports>,
    protocols: Vec<u8>,
}

impl Sets {
    /// What a rule lets through, whether or not a node that is there now leads to it.
    fn of(policy: &Policy, network: &Network, rule: &ParsedRule) -> Vec<Self> {
        if rule.app.is_some() {
            return Vec::new();
        }
        let document = &policy.document;
        let from = AddressSet::of(&addresses(document, &rule.src, network));
        let mut sets = Vec::new();
        for target in &rule.dst {
            let set = |from: &AddressSet, to: AddressSet| Self {
                from: from.clone(),
                to,
                ports: target.ports.clone(),
                protocols: rule.ip_proto.clone(),
            };
            if target.selector == Selector::SelfDevices {
                let of_people = network.users.iter().map(|user| {
                    let devices = network.nodes.iter().filter(|node| {
                        owner(node, network).is_some_and(|owner| owner.id == user.id)
                    });
                    let (mut all, mut named) = (Vec::new(), Vec::new());
                    for device in devices {
                        let own = device.addresses.iter().copied().map(Span::from);
                        if rule.src.iter().any(|src| src.selects(device, network, document)) {
                            named.extend(own.clone());
                        }
                        all.extend(own);
                    }
                    set(&named.into_iter().collect(), all.into_iter().collect())
                });
                sets.extend(of_people);
            } else if target.selector == Selector::Any {
                sets.push(set(&from, AddressSet::of([&"*".to_owned()])));
            } else {
                let to = addresses(document, std::slice::from_ref(&target.selector), network);
                sets.push(set(&from, AddressSet::of(&to)));
            }
        }
        sets
    }

    /// Whether it lets this source open one of the ports at one of the destinations, by one of the protocols.
    fn allows(&self, from: &Span, to: &[Span], ports: Ports, protocols: &[u8]) -> bool {
        let has_protocol =
            |protocol: &u8| self.protocols.is_empty() || self.protocols.contains(protocol);
        let has_port = |open: &Ports| open.first <= ports.first && ports.last <= open.last;
        protocols.iter().any(has_protocol)
            && self.ports.iter().any(has_port)
            && self.from.holds(from)
            && to.iter().any(|to| self.to.overlaps(to))
    }
}

fn one(policy: &Policy, network: &Network, rules: &[Sets], test: &Test, outcome: &mut Outcome) {
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
    let from = match source(policy, network, test) {
        Ok(from) => from,
        Err((word, reason)) => {
            let spot = word.map_or(&test.spot, |word| &word.spot);
            let src = word.map_or("", |word| word.text.as_str());
            outcome.results.push(result(spot.at, src, &spot.place, "", true, Some(reason)));
            return;
        }
    };
    let src = test.src.as_ref().map(|src| src.text.as_str()).unwrap_or_default();
    let proto = test.proto.as_ref().map(|proto| proto.text.to_lowercase()).unwrap_or_default();
    let mut protocols = protocol(&proto).unwrap_or_default();
    if protocols.is_empty() {
        protocols = USUAL.to_vec();
    }
    for (words, wanted) in [(&test.accept, true), (&test.deny, false)] {
        for word in words {
            let (at, place) = (word.spot.at, word.spot.place.as_str());
            let reason = match reached(policy, network, rules, &from, word, &protocols) {
                Err(reason) => Some(reason),
                Ok(reached) => {
                    let all = reached.iter().all(|(_, reached)| *reached);
                    let some = reached.iter().find(|(_, reached)| *reached == all || *reached);
                    if let Some((from, true)) = some.filter(|_| !wanted && !all) {
                        outcome.warnings.push(Warning {
                            at,
                            place: place.to_owned(),
                            reason: format!(
                                "not all of \"{src}\" reach \"{}\", so the test holds; but {from} does",
                                word.text
                            ),
                        });
                    }
                    let verb = if wanted { "does not reach" } else { "reaches" };
                    let not = reached
                        .iter()
                        .find(|(_, reached)| *reached != wanted)
                        .map(|(from, _)| *from);
                    let from = not.map(|from| format!(" ({from})")).unwrap_or_default();
                    (all != wanted).then(|| format!("\"{src}\"{from} {verb} \"{}\"", word.text))
                }
            };
            outcome.results.push(result(at, src, place, &word.text, wanted, reason));
        }
    }
}

/// The addresses of a test's source.
fn source<'a>(
    policy: &Policy,
    network: &Network,
    test: &'a Test,
) -> Result<Vec<Span>, (Option<&'a Word>, String)> {
    let nobody = || (None, "it has no src: say who is meant".to_owned());
    let word = test.src.as_ref().filter(|src| !src.text.is_empty()).ok_or_else(nobody)?;
    let wrong = |reason: String| (Some(word), reason);
    let selector = Selector::parse(&word.text, &policy.document).map_err(wrong)?;
    if matches!(selector, Selector::SelfDevices | Selector::NonRoot) {
        return Err(wrong(format!("src \"{}\" is nobody in particular", word.text)));
    }
    let from = addresses(&policy.document, std::slice::from_ref(&selector), network);
    let from = from.iter().flat_map(|text| crate::addresses::spans(text)).collect::<Vec<_>>();
    if from.is_empty() {
        let nobody = "it has no device in the network, or there is no such person";
        return Err(wrong(format!("src \"{}\" is nobody: {nobody}", word.text)));
    }
    Ok(from)
}

/// For each source, whether it reaches any address of a destination.
fn reached<'a>(
    policy: &Policy,
    network: &Network,
    rules: &[Sets],
    from: &'a [Span],
    word: &Word,
    protocols: &[u8],
) -> Result<Vec<(&'a Span, bool)>, String> {
    let (selector, ports) = destination(&policy.document, &word.text)?;
    let to = addresses(&policy.document, std::slice::from_ref(&selector), network);
    let to: Vec<Span> = to.iter().flat_map(|text| crate::addresses::spans(text)).collect();
    if to.is_empty() {
        return Err(format!("\"{}\" is no device in the network", word.text));
    }
    let open = |from: &Span| {
        ports.iter().any(|ports| rules.iter().any(|rule| rule.allows(from, &to, *ports, protocols)))
    };
    Ok(from.iter().map(|from| (from, open(from))).collect())
}

/// The shape of the policy's own tests: one connection attempt to one port of one host each.
pub(crate) fn check_shape(document: &Document, problems: &mut Problems) {
    for test in &document.tests {
        if test.accept.is_empty() && test.deny.is_empty() {
            let reason =
                "test(s) failed: test entry must have at least one of \"accept\" or \"deny\"";
            problems.add(test.spot.wrong(reason));
        }
        if let Some(proto) = &test.proto {
            let numbers = protocol(&proto.text.to_lowercase());
            if numbers.as_ref().is_ok_and(|numbers| have_ports(numbers)) {
                // As it should be.
            } else if let Err(reason) = numbers {
                problems.add(proto.wrong(format!("test(s) failed: {reason}")));
            } else {
                problems.add(proto.wrong(format!(
                    "test(s) failed: test protocol must be tcp, udp, sctp, or empty: \"{}\"",
                    proto.text
                )));
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
    match selector {
        Selector::Internet => {
            return Err(
                "autogroup:internet not valid as a test destination: name an address".to_owned()
            );
        }
        Selector::SelfDevices => {
            return Err("autogroup:self not valid as a test destination: name a person's devices"
                .to_owned());
        }
        Selector::Prefix(prefix)
            if text.contains('/') || prefix.prefix_len() < prefix.max_prefix_len() =>
        {
            return Err(
                "test destination must be a single host, not a CIDR range: name one address"
                    .to_owned(),
            );
        }
        Selector::Any
        | Selector::Everyone
        | Selector::Member
        | Selector::Tagged
        | Selector::NonRoot
        | Selector::Group(_)
        | Selector::Tag(_)
        | Selector::User(_)
        | Selector::Domain(_)
        | Selector::Prefix(_) => {}
    }
    if !matches!(ports[..], [Ports { first, last }] if first == last) {
        return Err("test destination port must be a single port: make one test of each".to_owned());
    }
    Ok(())
}
