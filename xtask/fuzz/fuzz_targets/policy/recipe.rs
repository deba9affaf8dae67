//! Rules of known meaning: what the coordinator compiles and the agent's filter enforces is what they say.

use std::net::IpAddr;

use acl::{Network, Node, Policy, User};
use coordinator_core::policy::to_wire;
use fuzz::Input;
use ipnet::IpNet;
use node_agent_core::filter::PacketFilter;
use serde_json::json;

use crate::network::addresses;

/// Whom a rule may name.
const WORDS: [&str; 11] = [
    "*",
    "autogroup:member",
    "autogroup:tagged",
    "autogroup:self",
    "group:a",
    "tag:x",
    "tag:y",
    "mina",
    "host",
    "100.64.0.0/30",
    "fd7a:115c:a1e0::3",
];
/// Which ports, as text and as first and last.
const PORTS: [(&str, u16, u16); 4] =
    [("22", 22, 22), ("80-90", 80, 90), ("*", 0, u16::MAX), ("443", 443, 443)];
/// Which protocols, as the policy has them.
const PROTOCOLS: [(&str, &[u8]); 3] = [("", &[6, 17]), ("tcp", &[6]), ("udp", &[17])];

/// One rule: from whom, to whom, where.
struct Rule {
    src: &'static str,
    dst: &'static str,
    ports: (&'static str, u16, u16),
    protocols: (&'static str, &'static [u8]),
}

impl Rule {
    fn new(input: &mut Input<'_>) -> Self {
        // A source is never `self`.
        let sources: Vec<_> = WORDS.into_iter().filter(|word| *word != "autogroup:self").collect();
        Self {
            src: *input.pick(&sources),
            dst: *input.pick(&WORDS),
            ports: *input.pick(&PORTS),
            protocols: *input.pick(&PROTOCOLS),
        }
    }

    fn json(&self) -> serde_json::Value {
        let mut rule = json!({
            "action": "accept",
            "src": [self.src],
            "dst": [format!("{}:{}", self.dst, self.ports.0)],
        });
        if !self.protocols.0.is_empty() {
            rule["proto"] = json!(self.protocols.0);
        }
        rule
    }

    /// `autogroup:self` is for people only; the language refuses it for others.
    fn is_refused(&self) -> bool {
        let people = ["*", "autogroup:member", "group:a", "mina"];
        self.dst == "autogroup:self" && !people.contains(&self.src)
    }

    /// Whether it allows this, read without the compiler's help.
    fn allows(&self, from: (&Node, IpAddr), to: (&Node, IpAddr), protocol: u8, port: u16) -> bool {
        let reaches = if self.dst == "autogroup:self" {
            let owner = |node: &Node| node.user.filter(|_| node.tags.is_empty());
            owner(to.0).is_some() && owner(from.0) == owner(to.0)
        } else {
            names(self.dst, to.0, to.1)
        };
        reaches
            && names(self.src, from.0, from.1)
            && self.protocols.1.contains(&protocol)
            && (self.ports.1..=self.ports.2).contains(&port)
    }
}

/// Whether a word names a node at one of its addresses. The people are mina (1), in `group:a` with noa (2), and joon (3).
fn names(word: &str, node: &Node, address: IpAddr) -> bool {
    let person = node.user.filter(|_| node.tags.is_empty());
    match word {
        "*" => true,
        "autogroup:member" => person.is_some(),
        "autogroup:tagged" => !node.tags.is_empty(),
        "group:a" => matches!(person, Some(1 | 2)),
        "mina" => person == Some(1),
        tag if tag.starts_with("tag:") => node.tags.iter().any(|own| own == tag),
        "host" => address == addresses(0)[0],
        net => {
            let net: IpNet =
                net.parse().unwrap_or_else(|_| IpNet::from(net.parse::<IpAddr>().unwrap()));
            net.contains(&address)
        }
    }
}

fn network(input: &mut Input<'_>) -> Network {
    let users = ["mina", "noa", "joon"];
    let users =
        (1..).zip(users).map(|(id, name)| User { id, name: name.to_owned(), email: String::new() });
    let nodes = (0..2 + input.below(4)).map(|index| {
        let what = input.byte();
        let tags = ["tag:x", "tag:y"].iter().enumerate().filter(|(bit, _)| what >> bit & 5 == 1);
        Node {
            name: format!("node{index}"),
            user: Some(u64::from(what >> 4 & 3)).filter(|&id| id > 0),
            tags: tags.map(|(_, tag)| (*tag).to_owned()).collect(),
            addresses: addresses(index),
            routable_ips: Vec::new(),
            approved_routes: Vec::new(),
        }
    });
    Network { nodes: nodes.collect(), users: users.collect() }
}

fn document(rules: &[Rule], tests: &[serde_json::Value]) -> String {
    json!({
        "groups": { "group:a": ["mina", "noa"] },
        "tagOwners": { "tag:x": [], "tag:y": [] },
        "hosts": { "host": addresses(0)[0].to_string() },
        "acls": rules.iter().map(Rule::json).collect::<Vec<_>>(),
        "tests": tests,
    })
    .to_string()
}

/// Compiles rules and looks from every address at every other.
pub(crate) fn run(input: &mut Input<'_>) {
    let rules: Vec<Rule> = (0..input.below(6)).map(|_| Rule::new(input)).collect();
    let network = network(input);
    let parsed = Policy::parse(&document(&rules, &[]));
    assert_eq!(parsed.is_err(), rules.iter().any(Rule::is_refused), "{parsed:?}");
    let Ok(policy) = parsed else { return };
    let (port, protocol) = (*input.pick(&[22, 80, 85, 443, 65_535]), *input.pick(&[6, 17]));
    let mut tests = Vec::new();
    for (index, to) in network.nodes.iter().enumerate() {
        let compiled = policy.compile(&network, index);
        assert!(!rules.is_empty() || compiled.is_empty(), "open without a rule");
        let wire: Vec<_> = compiled.iter().flat_map(to_wire).collect();
        let filter = PacketFilter::compile(&wire, &[]);
        for from in &network.nodes {
            for (source, target) in pairs(from, to) {
                let said = |rule: &Rule| rule.allows((from, source), (to, target), protocol, port);
                let wanted = rules.iter().any(said);
                let passes = filter.allows_port(source, target, protocol, port);
                assert_eq!(passes, wanted, "{source} to {target}, {protocol}, {port}");
                tests.push((source, target, wanted));
            }
        }
    }
    check(&rules, &network, &tests, input, (port, protocol));
}

/// Every address of one node with every address of another.
fn pairs(from: &Node, to: &Node) -> Vec<(IpAddr, IpAddr)> {
    let targets = |source| to.addresses.iter().map(move |target| (source, *target));
    from.addresses.iter().flat_map(|source| targets(*source)).collect()
}

/// The policy's own tests say the same, and one that says otherwise fails.
fn check(
    rules: &[Rule],
    network: &Network,
    tests: &[(IpAddr, IpAddr, bool)],
    input: &mut Input<'_>,
    (port, protocol): (u16, u8),
) {
    let test = |(source, target, wanted): (IpAddr, IpAddr, bool)| {
        let verb = if wanted { "accept" } else { "deny" };
        let proto = if protocol == 6 { "tcp" } else { "udp" };
        json!({ "src": source.to_string(), "proto": proto, verb: [format!("{target}:{port}")] })
    };
    let some: Vec<_> = (0..4).map(|_| *input.pick(tests)).collect();
    let holds: Vec<_> = some.iter().copied().map(test).collect();
    let policy = Policy::parse(&document(rules, &holds)).unwrap();
    assert_eq!(policy.check(network), Ok(Vec::new()));
    let (source, target, wanted) = some[0];
    let fails = [test((source, target, !wanted))];
    let policy = Policy::parse(&document(rules, &fails)).unwrap();
    assert!(policy.check(network).is_err(), "{fails:?} holds");
}
