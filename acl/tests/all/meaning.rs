//! What rules mean, however they are written: compiled, explained and compared.

use std::net::IpAddr;

use acl::{Attempt, CanonicalFilter, Changes, Network, Node, PartyError, Policy, Rule, User};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Two people with a device each, a server, two routers of one subnet of which one is an exit node too.
fn network() -> Network {
    let user = |id, name: &str| User {
        id,
        name: name.to_owned(),
        email: format!("{name}@{}.test", if id == 1 { "home" } else { "away" }),
    };
    let node = |name: &str, user, tags: &[&str], last: u8, routes: &[&str]| {
        let routes: Vec<_> = routes.iter().map(|route| route.parse().unwrap()).collect();
        Node {
            name: name.to_owned(),
            user,
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            addresses: vec![
                format!("100.64.0.{last}").parse().unwrap(),
                format!("fd7a:115c:a1e0::{last:x}").parse().unwrap(),
            ],
            routable_ips: routes.clone(),
            approved_routes: routes,
        }
    };
    Network {
        users: vec![user(1, "mina"), user(2, "noa")],
        nodes: vec![
            node("server", None, &["tag:server"], 1, &[]),
            node("laptop", Some(1), &[], 2, &[]),
            node("phone", Some(1), &[], 3, &[]),
            node("tablet", Some(2), &[], 6, &[]),
            node("hall", None, &["tag:hall"], 8, &["10.1.0.0/16"]),
            node("attic", None, &["tag:attic"], 9, &["10.1.0.0/16", "0.0.0.0/0", "::/0"]),
        ],
    }
}

fn policy(rules: &Value) -> Policy {
    let mut document = json!({
        "groups": { "group:a": ["mina", "noa@away.test"] },
        "tagOwners": { "tag:server": [], "tag:hall": [], "tag:attic": [] },
        "hosts": { "printer": "10.1.0.7", "lan": "10.1.0.0/16" },
    });
    for (name, rules) in rules.as_object().unwrap() {
        document[name] = rules.clone();
    }
    Policy::parse(&document.to_string()).unwrap()
}

fn of(rules: &Value, name: &str) -> Vec<Rule> {
    let network = network();
    let index = network.nodes.iter().position(|node| node.name == name).unwrap();
    policy(rules).compile(&network, index)
}

fn sources(rules: &[Rule]) -> Vec<&str> {
    rules.iter().flat_map(|rule| &rule.src_ips).map(String::as_str).collect()
}

fn destinations(rules: &[Rule]) -> Vec<&str> {
    rules.iter().flat_map(|rule| &rule.dst_ports).map(|port| port.ip.as_str()).collect()
}

#[test]
fn people_are_named_by_the_domain_of_their_mail() {
    let rules = json!({ "grants": [{ "src": ["user:*@home.test"], "dst": ["tag:server"], "ip": ["tcp:22"] }] });
    let server = of(&rules, "server");
    assert_eq!(
        sources(&server),
        ["100.64.0.2", "100.64.0.3", "fd7a:115c:a1e0::2", "fd7a:115c:a1e0::3"]
    );
    let to = json!({ "grants": [{ "src": ["*"], "dst": ["user:*@home.test"], "ip": ["*"] }] });
    assert_eq!(destinations(&of(&to, "laptop")), ["100.64.0.2", "fd7a:115c:a1e0::2"]);
    assert!(of(&to, "tablet").is_empty());
}

#[test]
fn danger_all_is_every_address_there_is() {
    let rules = json!({ "acls": [{ "action": "accept", "src": ["autogroup:danger-all", "mina"], "dst": ["tag:server:80"] }] });
    assert_eq!(sources(&of(&rules, "server")), ["*"]);
}

#[test]
fn via_leads_by_the_routers_with_the_tag_alone() {
    let grant = |via: &[&str], dst: &str| json!({ "grants": [{ "src": ["mina"], "dst": [dst], "ip": ["tcp:80"], "via": via }] });
    for dst in ["lan", "printer", "10.0.0.0/8"] {
        assert_eq!(of(&grant(&["tag:hall"], dst), "hall").len(), 1, "{dst}");
        assert!(of(&grant(&["tag:hall"], dst), "attic").is_empty(), "{dst}");
        let both = grant(&["tag:hall", "tag:attic"], dst);
        assert_eq!(of(&both, "hall"), of(&both, "attic"), "{dst}");
    }
    assert_eq!(destinations(&of(&grant(&["tag:attic"], "autogroup:internet"), "attic")).len(), 10);
    assert!(of(&grant(&["tag:hall"], "autogroup:internet"), "hall").is_empty());
    for dst in ["*", "tag:hall", "mina"] {
        assert!(of(&grant(&["tag:hall"], dst), "hall").is_empty(), "{dst}");
    }
}

#[test]
fn an_exit_node_leads_to_parts_of_the_internet_too() {
    let rules = json!({ "acls": [{ "action": "accept", "src": ["mina"], "dst": ["8.8.8.8:53", "10.9.0.1:53"] }] });
    assert_eq!(destinations(&of(&rules, "attic")), ["8.8.8.8"]);
    assert!(of(&rules, "hall").is_empty());
}

#[test]
fn capabilities_go_to_those_whom_a_grant_names() {
    let rules = |dst: &str| json!({ "grants": [{ "src": ["mina"], "dst": [dst], "app": { "a.test/cap": [{ "x": 1 }], "a.test/bare": [] } }] });
    let given = json!([{ "Dsts": ["100.64.0.1/32", "fd7a:115c:a1e0::1/128"],
                         "CapMap": { "a.test/cap": [{ "x": 1 }], "a.test/bare": [] } }]);
    for dst in ["tag:server", "*"] {
        let server = of(&rules(dst), "server");
        assert_eq!((server.len(), &json!(server[0].cap_grant)), (1, &given), "{dst}");
        assert!(server[0].dst_ports.is_empty());
    }
    assert!(of(&rules("tag:server"), "hall").is_empty());
    let lan = of(&rules("printer"), "hall");
    assert_eq!(lan[0].cap_grant[0]["Dsts"], json!(["10.1.0.7/32"]), "what is behind a router");
}

#[test]
fn a_drive_is_told_to_those_who_may_use_it() {
    let cap = json!({ "tailscale.com/cap/drive": [{ "shares": ["*"], "access": "rw" }] });
    let rules = json!({ "grants": [{ "src": ["mina"], "dst": ["tag:server"], "app": cap }] });
    let laptop = of(&rules, "laptop");
    assert_eq!(sources(&laptop), ["100.64.0.1", "fd7a:115c:a1e0::1"], "the other way");
    assert_eq!(
        laptop[0].cap_grant,
        [json!({ "Dsts": ["100.64.0.2/32", "fd7a:115c:a1e0::2/128"],
                 "CapMap": { "tailscale.com/cap/drive-sharer": null } })]
    );
    assert!(of(&rules, "tablet").is_empty());
}

#[test]
fn a_deny_test_that_holds_for_some_alone_is_warned_of() {
    let rules = json!({
        "acls": [{ "action": "accept", "src": ["mina"], "dst": ["tag:server:22"] }],
        "tests": [{ "src": "group:a", "deny": ["tag:server:22"] }, { "src": "noa", "deny": ["tag:server:22"] }],
    });
    let warnings = policy(&rules).check(&network()).unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(warnings[0].place, "tests[0].deny[0]");
    assert!(warnings[0].reason.contains("100.64.0.2"), "{}", warnings[0].reason);
}

#[test]
fn tests_ask_what_rules_say_whether_or_not_a_router_is_there() {
    let mut network = network();
    network.nodes.truncate(4);
    let rules = json!({
        "acls": [{ "action": "accept", "src": ["mina"], "dst": ["lan:22"] },
                 { "action": "accept", "src": ["autogroup:member"], "dst": ["autogroup:self:23"] }],
        "tests": [{ "src": "mina", "accept": ["printer:22", "mina:23"], "deny": ["printer:23", "noa:23"] }],
    });
    let policy = policy(&rules);
    assert_eq!(policy.check(&network), Ok(vec![]));
    let results = policy.test(&network);
    let shown: Vec<_> = results.iter().map(|r| (r.dst.as_str(), r.wanted, r.passed)).collect();
    assert_eq!(
        shown,
        [
            ("printer:22", true, true),
            ("mina:23", true, true),
            ("printer:23", false, true),
            ("noa:23", false, true)
        ]
    );
}

#[test]
fn a_difference_names_devices_and_ports() {
    let network = network();
    let before = policy(&json!({ "acls": [
        { "action": "accept", "src": ["mina"], "dst": ["tag:server:22,80", "lan:*"] },
    ] }));
    let after = policy(&json!({ "acls": [
        { "action": "accept", "src": ["*"], "dst": ["tag:server:80"] },
        { "action": "accept", "proto": "tcp", "src": ["mina"], "dst": ["tag:server:22", "printer:443"] },
    ] }));
    let changes = Changes::between((&before, &network), (&after, &network));
    let shown = |changes: &[acl::Change]| -> Vec<String> {
        let of =
            |c: &acl::Change| format!("{} -> {}: {}", c.from.join(", "), c.to, c.what.join(", "));
        changes.iter().map(of).collect()
    };
    assert_eq!(shown(&changes.opens), ["tablet, hall, attic, 10.1.0.0/16 -> server: 80"]);
    assert_eq!(
        shown(&changes.closes),
        [
            "laptop, phone -> server: icmp/udp/ipv6-icmp 22",
            "laptop, phone -> 10.1.0.0-10.1.0.6 by hall: all ports",
            "laptop, phone -> 10.1.0.7 by hall: tcp 0-442, icmp/udp/ipv6-icmp all ports, tcp 444-65535",
            "laptop, phone -> 10.1.0.8-10.1.255.255 by hall: all ports",
            "laptop, phone -> 10.1.0.0-10.1.0.6 by attic: all ports",
            "laptop, phone -> 10.1.0.7 by attic: tcp 0-442, icmp/udp/ipv6-icmp all ports, tcp 444-65535",
            "laptop, phone -> 10.1.0.8-10.1.255.255 by attic: all ports",
        ]
    );
    assert!(Changes::between((&after, &network), (&after, &network)).is_empty());
}

#[test]
fn a_difference_names_what_goes_round_the_filter() {
    let network = network();
    let before = policy(&json!({ "nodeAttrs": [
        { "target": ["tag:server"], "attr": ["old"] },
        { "target": ["tag:server"], "app": { "kept": [1], "other": [1] } },
    ] }));
    let after = policy(&json!({ "nodeAttrs": [
        { "target": ["tag:server"], "attr": ["https://tailscale.com/cap/file-sharing"] },
        { "target": ["tag:server"], "app": { "kept": [1], "other": [2] } },
    ] }));
    let change = |what: &[&str]| acl::Change {
        to: "server".to_owned(),
        from: Vec::new(),
        what: what.iter().map(|what| (*what).to_owned()).collect(),
    };

    let changes = Changes::between((&before, &network), (&after, &network));

    let sharing = "attribute https://tailscale.com/cap/file-sharing";
    assert_eq!(changes.opens, [change(&[sharing, "attribute other"])]);
    assert_eq!(changes.closes, [change(&["attribute old", "attribute other"])]);
}

#[test]
fn a_decision_names_its_rule() {
    let text = r#"{ "tagOwners": { "tag:server": [] },
      "acls": [{ "action": "accept", "src": ["noa"], "dst": ["tag:server:22"] },
               { "action": "accept", "src": ["mina"], "dst": ["tag:server:22"] }] }"#;
    let policy = Policy::parse(text).unwrap();
    let network = network();
    let mina = policy.parties(&network, "mina").unwrap();
    assert_eq!(
        mina.iter().map(|party| party.name.as_str()).collect::<Vec<_>>(),
        ["laptop", "phone"]
    );
    let attempt = |port| Attempt {
        from: mina[0].addresses[0],
        to: network.nodes[0].addresses[0],
        protocol: 6,
        port,
    };
    let decision = policy.decide(&network, &attempt(22)).unwrap();
    assert_eq!((decision.place.as_str(), decision.node), ("acls[1]", 0));
    assert_eq!((decision.at.line, decision.at.column), (3, 16));
    assert_eq!(policy.decide(&network, &attempt(23)), None);
    assert!(policy.parties(&network, "tag:gone").is_err());
    assert_eq!(policy.parties(&network, "nobody"), Err(PartyError::Nobody("nobody".to_owned())));
}

const SOURCES: [&str; 10] = [
    "*",
    "autogroup:member",
    "autogroup:tagged",
    "group:a",
    "mina",
    "tag:hall",
    "100.64.0.0/29",
    "fd7a:115c:a1e0::2",
    "192.168.7.0/24",
    "autogroup:danger-all",
];
const TARGETS: [&str; 9] = [
    "*",
    "autogroup:member",
    "autogroup:tagged",
    "autogroup:internet",
    "mina",
    "tag:server",
    "lan",
    "printer",
    "100.64.0.0/29",
];
const PORTS: [&str; 4] = ["22", "80-90", "*", "443"];
/// A port in each part that [`PORTS`] can make.
const SAMPLES: [u16; 4] = [1, 22, 85, 443];

fn rule() -> impl Strategy<Value = Value> {
    let words = (prop::sample::select(&SOURCES[..]), prop::sample::select(&TARGETS[..]));
    let service = (prop::sample::select(&PORTS[..]), prop::sample::select(&["", "tcp", "udp"][..]));
    (words, service, any::<bool>()).prop_map(|((src, dst), (ports, proto), via)| {
        let service = if proto.is_empty() { ports.to_owned() } else { format!("{proto}:{ports}") };
        let mut rule = json!({ "src": [src], "dst": [dst], "ip": [service] });
        if via {
            rule["via"] = json!(["tag:hall"]);
        }
        rule
    })
}

/// An attempt of each kind that the rules can tell apart.
fn attempts(network: &Network) -> Vec<Attempt> {
    let own = network.nodes.iter().flat_map(|node| node.addresses.clone());
    let far =
        |texts: &[&str]| -> Vec<IpAddr> { texts.iter().map(|ip| ip.parse().unwrap()).collect() };
    let from: Vec<IpAddr> =
        own.clone().chain(far(&["192.168.7.9", "10.1.0.9", "1.1.1.1"])).collect();
    let to: Vec<IpAddr> =
        own.chain(far(&["10.1.0.7", "10.1.0.9", "8.8.8.8", "2001:db8::1"])).collect();
    let mut attempts = Vec::new();
    for &from in &from {
        for &to in &to {
            // What a device sends to itself does not pass a filter.
            let is_same =
                |node: &Node| node.addresses.contains(&from) && node.addresses.contains(&to);
            if network.nodes.iter().any(is_same) {
                continue;
            }
            for port in SAMPLES {
                attempts.extend([6, 17].map(|protocol| Attempt { from, to, protocol, port }));
            }
        }
    }
    attempts
}

/// A node leads to itself and its subnets; an exit node to the internet too, not to other devices.
fn leads(node: &Node, to: IpAddr) -> bool {
    let subnet = |route: &ipnet::IpNet| route.prefix_len() > 0 && route.contains(&to);
    let is_public = ["8.8.8.8", "2001:db8::1"].contains(&to.to_string().as_str());
    node.addresses.contains(&to)
        || node.approved_routes.iter().any(subnet)
        || node.name == "attic" && is_public
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// The order of rules and their doubles change nothing, not even the bytes that nodes get.
    #[test]
    fn rules_in_another_order_are_the_same_rules(
        (rules, shuffled) in prop::collection::vec(rule(), 0..6)
            .prop_flat_map(|rules| {
                let twice: Vec<_> = rules.iter().chain(rules.first()).cloned().collect();
                (Just(rules), Just(twice).prop_shuffle())
            }),
    ) {
        let network = network();
        let (one, other) = (policy(&json!({ "grants": rules })), policy(&json!({ "grants": shuffled })));
        for node in 0..network.nodes.len() {
            prop_assert_eq!(one.compile(&network, node), other.compile(&network, node));
        }
    }

    /// What is explained is what the filters do, and what each filter means is what its rules allow.
    #[test]
    fn an_explanation_agrees_with_the_filters(rules in prop::collection::vec(rule(), 0..5)) {
        let network = network();
        let policy = policy(&json!({ "grants": rules }));
        let filters: Vec<_> =
            (0..network.nodes.len()).map(|node| policy.compile(&network, node)).collect();
        for attempt in attempts(&network) {
            let allowed = network.nodes.iter().zip(&filters).any(|(node, rules)| {
                leads(node, attempt.to) && rules.iter().any(|rule| rule.allows(&attempt))
            });
            prop_assert_eq!(policy.decide(&network, &attempt).is_some(), allowed, "{:?}", attempt);
        }
        for rules in &filters {
            let rebuilt = rebuilt(&CanonicalFilter::of(rules));
            prop_assert_eq!(CanonicalFilter::of(&rebuilt), CanonicalFilter::of(rules));
            prop_assert!(CanonicalFilter::difference(rules, &rebuilt).is_empty());
            prop_assert!(CanonicalFilter::difference(&rebuilt, rules).is_empty());
        }
    }

    /// A difference is shown if and only if something is decided otherwise.
    #[test]
    fn a_difference_is_shown_if_there_is_one(
        before in prop::collection::vec(rule(), 0..4),
        after in prop::collection::vec(rule(), 0..4),
    ) {
        let network = network();
        let (before, after) = (policy(&json!({ "grants": before })), policy(&json!({ "grants": after })));
        let compiled = |policy: &Policy| -> Vec<_> {
            (0..network.nodes.len()).map(|node| policy.compile(&network, node)).collect()
        };
        let (old, new) = (compiled(&before), compiled(&after));
        let mut differs = (false, false);
        for (index, node) in network.nodes.iter().enumerate() {
            // What a router sends to its own subnet passes no filter either.
            let passes = |attempt: &&Attempt| {
                leads(node, attempt.to) && !node.addresses.contains(&attempt.from)
            };
            for attempt in attempts(&network).iter().filter(passes) {
                let allows = |rules: &[Rule]| rules.iter().any(|rule| rule.allows(attempt));
                let (was, is) = (allows(&old[index]), allows(&new[index]));
                differs.0 |= is && !was;
                differs.1 |= was && !is;
            }
        }
        let changes = Changes::between((&before, &network), (&after, &network));
        prop_assert_eq!((!changes.opens.is_empty(), !changes.closes.is_empty()), differs, "{:?}", changes);
    }
}

/// Rules with this meaning and no other, one for each part of it.
fn rebuilt(meaning: &CanonicalFilter) -> Vec<Rule> {
    let rule = |to: &acl::Span, opening: &acl::Opening| Rule {
        src_ips: opening.from.spans().iter().map(ToString::to_string).collect(),
        dst_ports: vec![acl::DstPort {
            ip: to.to_string(),
            first: opening.first,
            last: opening.last,
        }],
        ip_proto: vec![opening.protocol],
        cap_grant: vec![],
    };
    let of = |(to, openings): &(acl::Span, Vec<acl::Opening>)| -> Vec<Rule> {
        openings.iter().map(|opening| rule(to, opening)).collect()
    };
    meaning.open.iter().flat_map(of).collect()
}
