//! Policies that people write, and text that nobody should.
#![allow(clippy::unwrap_used, reason = "nothing to do but fail")]

use std::{collections::BTreeMap, net::IpAddr};

use acl::{Error, Network, Node, Policy, User};
use proptest::prelude::*;
use serde_json::json;

/// What was asked for, as it stands.
const SEED: &str = r#"{
  "acls": [{ "action": "accept", "src": ["group:trusted"], "dst": ["*:*"] }],
  "groups": { "group:trusted": ["user1", "user2"] },
  "hosts": { "openclaw-server": "100.64.0.1", "ollama-server": "100.64.0.2" }
}"#;

fn network() -> Network {
    let user = |id, name: &str| User { id, name: name.to_owned(), email: String::new() };
    let node = |name: &str, user, tags: &[&str], address: &str| Node {
        name: name.to_owned(),
        user,
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        addresses: vec![address.parse::<IpAddr>().unwrap()],
        routable_ips: vec![],
        approved_routes: vec![],
    };
    Network {
        users: vec![user(1, "user1"), user(2, "stranger")],
        nodes: vec![
            node("home", None, &["tag:home"], "100.64.0.1"),
            node("laptop", Some(1), &[], "100.64.0.7"),
            node("other", Some(2), &[], "100.64.0.8"),
        ],
    }
}

#[test]
fn the_seed_policy_loads_whether_or_not_its_users_exist() {
    let policy = Policy::parse(SEED).unwrap();
    assert_eq!(policy.compile(&Network::default(), 0), []);
    let rules = policy.compile(&network(), 0);
    assert_eq!(rules.len(), 1);
    assert_eq!(rules[0].src_ips, ["100.64.0.7"], "the one trusted user who exists, and no other");
}

#[test]
fn what_no_rule_allows_is_denied() {
    let policy = Policy::parse(
        r#"{ "tagOwners": { "tag:home": [] },
             "acls": [{ "action": "accept", "src": ["user1"], "dst": ["tag:home:80"] }] }"#,
    )
    .unwrap();
    let home = policy.compile(&network(), 0);
    assert_eq!((home[0].dst_ports[0].first, home[0].dst_ports[0].last), (80, 80));
    assert_eq!(policy.compile(&network(), 1), []);
    assert_eq!(policy.compile(&network(), 2), []);
    assert_eq!(policy.compile(&network(), 99), []);
}

/// The filter of one node under rules alone.
fn filter(acls: &str, network: &Network, index: usize) -> Vec<acl::Rule> {
    let text = format!(r#"{{ "tagOwners": {{ "tag:home": [] }}, "acls": [{acls}] }}"#);
    Policy::parse(&text).unwrap().compile(network, index)
}

#[test]
fn an_address_opens_the_node_that_has_it_and_no_other() {
    let acl = r#"{ "action": "accept", "src": ["stranger"], "dst": ["100.64.0.7:22"] }"#;
    assert_eq!(filter(acl, &network(), 1)[0].dst_ports[0].ip, "100.64.0.7");
    assert_eq!(filter(acl, &network(), 0), []);
    assert_eq!(filter(acl, &network(), 2), []);
}

#[test]
fn a_tagged_device_is_nobodys_whoever_tagged_it() {
    let mut network = network();
    network.nodes[0].user = Some(1);
    for src in ["user1", "autogroup:member"] {
        let acl = format!(r#"{{ "action": "accept", "src": ["{src}"], "dst": ["*:22"] }}"#);
        let src_ips = &filter(&acl, &network, 2)[0].src_ips;
        assert!(src_ips.contains(&"100.64.0.7".to_owned()), "{src}: {src_ips:?}");
        assert!(!src_ips.contains(&"100.64.0.1".to_owned()), "{src}: {src_ips:?}");
    }
}

#[test]
fn a_persons_own_devices_reach_each_other_and_nobody_elses() {
    let acl =
        r#"{ "action": "accept", "src": ["autogroup:member"], "dst": ["autogroup:self:22"] }"#;
    let rules = filter(acl, &network(), 1);
    assert_eq!(rules.len(), 1);
    assert_eq!(rules[0].src_ips, ["100.64.0.7"]);
    assert_eq!(rules[0].dst_ports[0].ip, "100.64.0.7");
    assert_eq!(filter(acl, &network(), 2)[0].src_ips, ["100.64.0.8"]);
    assert_eq!(filter(acl, &network(), 0), [], "a tagged device is nobody's own");
}

#[test]
fn a_port_is_open_to_the_protocol_that_it_was_opened_to() {
    let acls = r#"{ "action": "accept", "proto": "tcp", "src": ["user1"], "dst": ["tag:home:80"] },
                  { "action": "accept", "proto": "udp", "src": ["user1"], "dst": ["tag:home:53"] }"#;
    let open = |rule: &acl::Rule| {
        let ports = rule.dst_ports.iter().map(|port| (port.first, port.last));
        (rule.ip_proto.clone(), ports.collect::<Vec<_>>())
    };
    let rules: Vec<_> = filter(acls, &network(), 0).iter().map(open).collect();
    assert_eq!(rules, [(vec![6], vec![(80, 80)]), (vec![17], vec![(53, 53)])]);
}

#[test]
fn a_wrong_key_is_refused_by_line_and_column() {
    let said = |text: &str| Policy::parse(text).unwrap_err().to_string();
    let typo = "{\n  // 마루\n  \"groups\": {},  \"acl\": [],\n}";
    assert!(said(typo).starts_with("line 3, column 18: unknown field `acl`, expected one of"));
    let rules = r#"{ "acls": [
        { "action": "accept", "src": ["*"], "dst": ["*:*"] },
        { "action": "accept", "src": ["*"], "dst": ["*:*"],
          "porto": "tcp" },
    ] }"#;
    let unknown =
        "line 4, column 11: unknown field `porto`, expected one of `action`, `proto`, `src`, `dst`";
    assert_eq!(said(rules), unknown);
    let wrong = rules.replace("\"porto\": \"tcp\"", "\"proto\": []");
    assert!(said(&wrong).starts_with("line 4, column 11: "), "{}", said(&wrong));
    let missing =
        rules.replace("\"action\": \"accept\", \"src\": [\"*\"], \"dst\": [\"*:*\"],", "");
    assert_eq!(
        said(&missing.replace("porto", "proto")),
        "line 3, column 9: missing field `action`"
    );
    assert_eq!(said("{ \"acls\": [ }"), "line 1, column 13: Unexpected close brace");
}

#[test]
fn a_rule_that_means_nothing_is_refused_by_its_place() {
    let missing = r#"{ "acls": [{ "action": "accept", "src": ["group:gone"], "dst": ["*:*"] }] }"#;
    let Err(Error::Rule { place, reason }) = Policy::parse(missing) else { panic!("accepted") };
    assert_eq!(place, "acls[0]");
    assert!(reason.contains("group:gone"), "{reason}");
}

#[test]
fn a_failing_test_of_its_own_refuses_a_policy() {
    let policy = Policy::parse(
        r#"{ "tagOwners": { "tag:home": [] },
             "acls": [{ "action": "accept", "src": ["user1"], "dst": ["tag:home:80"] }],
             "tests": [{ "src": "user1", "accept": ["tag:home:80"], "deny": ["tag:home:22"] },
                       { "src": "stranger", "accept": ["tag:home:80"] }] }"#,
    )
    .unwrap();
    let Err(Error::Test(text)) = policy.check(&network()) else { panic!("accepted") };
    assert!(text.contains("tests[1]") && !text.contains("tests[0]"), "{text}");
    let open = r#"{ "acls": [{ "action": "accept", "src": ["*"], "dst": ["*:*"] }],
                    "tests": [{ "src": "stranger", "deny": ["user1:22"] }] }"#;
    let Err(Error::Test(text)) = Policy::parse(open).unwrap().check(&network()) else {
        panic!("accepted")
    };
    assert!(text.contains("tests[0]") && text.contains("reaches"), "{text}");
}

#[test]
fn tags_are_given_by_their_owners_only() {
    let policy = Policy::parse(
        r#"{ "groups": { "group:it": ["user1"] },
             "tagOwners": { "tag:home": ["group:it"], "tag:toy": ["stranger"] } }"#,
    )
    .unwrap();
    assert!(policy.may_tag("user1", "tag:home"));
    assert!(!policy.may_tag("user1", "tag:toy"));
    assert!(!policy.may_tag("stranger", "tag:home"));
    assert!(!policy.may_tag("user1", "tag:unknown"));
}

#[test]
fn pitfall_14_a_star_is_the_network_and_not_the_internet() {
    let acl = r#"{ "action": "accept", "src": ["*"], "dst": ["tag:home:22"] }"#;
    let rules = filter(acl, &network(), 0);
    for source in rules.iter().flat_map(|rule| &rule.src_ips) {
        let range = source.split('-').next().unwrap_or_default();
        assert!(range.starts_with("100.") || range.starts_with("fd7a:115c:a1e0:"), "{source}");
    }
    assert!(!rules.is_empty() && !rules[0].src_ips.is_empty());
}

#[test]
fn a_tag_may_own_a_tag() {
    let policy =
        Policy::parse(r#"{ "tagOwners": { "tag:ci": [], "tag:job": ["tag:ci", "tag:none"] } }"#)
            .unwrap();
    assert!(policy.may_tag_as("tag:ci", "tag:job"));
    assert!(!policy.may_tag_as("tag:job", "tag:ci") && !policy.may_tag_as("tag:ci", "tag:ci"));
    assert!(!policy.may_tag_as("tag:none", "tag:job"), "a tag that the policy does not know");
}

#[test]
fn who_is_named_anywhere_is_found() {
    let names = |text: &str| Policy::parse(text).unwrap().names_user("user1");
    for text in [
        r#"{ "groups": { "group:it": ["user1@"] } }"#,
        r#"{ "tagOwners": { "tag:home": ["user1"] } }"#,
        r#"{ "acls": [{ "action": "accept", "src": ["user1@"], "dst": ["*:*"] }] }"#,
        r#"{ "acls": [{ "action": "accept", "src": ["*"], "dst": ["user1@:22"] }] }"#,
        r#"{ "grants": [{ "src": ["*"], "dst": ["user1@"], "ip": ["*"] }] }"#,
        r#"{ "tests": [{ "src": "user1", "accept": ["user1:22"] }] }"#,
    ] {
        assert!(names(text), "{text}");
    }
    assert!(!names(r#"{ "groups": { "group:user1": ["user2@"], "group:it": ["user11@"] } }"#));
}

proptest! {
    /// Any text is either a policy that compiles for every node, or an error.
    #[test]
    fn any_text_is_a_policy_or_an_error(text in any::<String>()) {
        if let Ok(policy) = Policy::parse(&text) {
            let network = network();
            (0..3).for_each(|node| drop(policy.compile(&network, node)));
            drop(policy.check(&network));
        }
    }

    /// Any words in a rule are either understood or refused; no rule lets in more than it names.
    #[test]
    fn any_rule_is_understood_or_refused(src in word(), dst in word(), ports in word()) {
        let text = serde_json::json!({
            "groups": { "group:a": ["user1"] },
            "tagOwners": { "tag:home": [] },
            "acls": [{ "action": "accept", "src": [src], "dst": [format!("{dst}:{ports}")] }],
        });
        if let Ok(policy) = Policy::parse(&text.to_string()) {
            for rule in policy.compile(&network(), 0) {
                prop_assert!(!rule.src_ips.is_empty());
                prop_assert!(rule.dst_ports.iter().all(|port| port.first <= port.last));
            }
        }
    }
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        prop::sample::select(vec![
            "*",
            "autogroup:member",
            "autogroup:self",
            "autogroup:internet",
            "tag:home",
            "tag:",
            "group:a",
            "user1",
            "100.64.0.1",
            "0.0.0.0/0",
            "::/0",
            "22",
            "1-70000",
            "9-3",
            "80,443",
        ])
        .prop_map(str::to_owned),
    ]
}

/// Policies about routers: a printer's network behind `router`, and everybody's way out at `exit`.
const ROUTES: &str = r#"{
  "groups": { "group:admins": ["user1"] },
  "tagOwners": { "tag:router": [], "tag:exit": [] },
  "autoApprovers": {
    "routes": { "10.1.0.0/16": ["tag:router", "group:admins"], "0.0.0.0/0": ["tag:router"] },
    "exitNode": ["tag:exit"],
  },
  "acls": [{ "action": "accept", "src": ["user1"], "dst": ["autogroup:internet:*"] }],
}"#;

fn approves(index: usize, tags: &[&str], route: &str) -> bool {
    let mut network = network();
    network.nodes[index].tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
    Policy::parse(ROUTES).unwrap().approves_route(&network, index, &route.parse().unwrap())
}

#[test]
fn routes_are_approved_for_those_whom_the_policy_names_and_parts_of_them_too() {
    assert!(approves(0, &["tag:router"], "10.1.0.0/16"));
    assert!(approves(0, &["tag:router"], "10.1.2.0/24"), "a part of it");
    assert!(approves(1, &[], "10.1.2.0/24"), "one of the group");
    assert!(approves(0, &["tag:router"], "192.168.1.0/24"), "0.0.0.0/0 holds every subnet");

    assert!(!approves(1, &[], "10.0.0.0/8"), "more than what is named");
    assert!(!approves(2, &[], "10.1.2.0/24"), "a stranger's device");
    assert!(!approves(0, &["tag:exit"], "10.1.2.0/24"));
    assert!(!approves(0, &["tag:router"], "fd00::/64"), "the other family");
}

#[test]
fn an_exit_node_is_approved_as_one_alone() {
    for route in ["0.0.0.0/0", "::/0"] {
        assert!(approves(0, &["tag:exit"], route));
        assert!(!approves(0, &["tag:router"], route), "0.0.0.0/0 is no exit node's right");
    }
}

#[test]
fn approvers_that_mean_nothing_are_refused_by_place() {
    for (approvers, place, reason) in [
        (r#"{ "routes": { "lan": [] } }"#, "autoApprovers.routes[\"lan\"]", "a route is a prefix"),
        (
            r#"{ "routes": { "10.0.0.0/8": ["tag:gone"] } }"#,
            "autoApprovers.routes[\"10.0.0.0/8\"]",
            "tag not found",
        ),
        (r#"{ "exitNode": ["*"] }"#, "autoApprovers.exitNode", "cannot approve"),
        (r#"{ "exitNode": ["group:gone"] }"#, "autoApprovers.exitNode", "group not found"),
    ] {
        let error = Policy::parse(&format!(r#"{{ "autoApprovers": {approvers} }}"#)).unwrap_err();
        assert!(
            matches!(&error, Error::Rule { place: at, reason: why }
            if at == place && why.contains(reason)),
            "{error}"
        );
    }
    let unknown = Policy::parse(r#"{ "autoApprovers": { "exitnode": [] } }"#).unwrap_err();
    assert!(matches!(unknown, Error::Syntax(_)), "{unknown}");
}

#[test]
fn the_internet_is_reached_at_approved_exit_nodes_alone() {
    let policy = Policy::parse(ROUTES).unwrap();
    let mut network = network();
    let all: Vec<ipnet::IpNet> = ["0.0.0.0/0", "::/0"].map(|net| net.parse().unwrap()).into();
    network.nodes[0].routable_ips.clone_from(&all);
    assert_eq!(policy.compile(&network, 0), [], "it offers, nobody approved");

    network.nodes[0].approved_routes = all[..1].to_vec();
    assert_eq!(policy.compile(&network, 0), [], "both families or none");

    network.nodes[0].approved_routes = all;
    let rules = policy.compile(&network, 0);
    let mut ips: Vec<_> = rules[0].dst_ports.iter().map(|port| port.ip.as_str()).collect();
    let mut internet = acl::INTERNET.to_vec();
    ips.sort_unstable();
    internet.sort_unstable();
    assert_eq!(ips, internet);
    assert_eq!(rules[0].src_ips, ["100.64.0.7"]);
    assert_eq!(policy.compile(&network, 1), [], "nobody else lets anyone through");
}

#[test]
fn node_attributes_go_to_whom_they_target() {
    let policy = Policy::parse(
        r#"{ "tagOwners": { "tag:home": [] }, "groups": { "group:kids": ["user1"] },
             "randomizeClientPort": true,
             "nodeAttrs": [
                 { "target": ["group:kids"], "attr": ["https://tailscale.com/cap/file-sharing"] },
                 { "target": ["autogroup:member", "tag:home"], "app": { "example.com/x": [1, 2] } },
                 { "target": ["*"], "app": { "example.com/x": [2, { "y": 3 }] } },
             ] }"#,
    )
    .unwrap();
    let network = network();
    let told = |node| policy.attributes(&network, node);
    let of = |find: fn(&acl::Node) -> bool| network.nodes.iter().position(find).unwrap();
    let persons = told(of(|node| node.user == Some(1)));
    let home = told(of(|node| node.tags == ["tag:home"]));

    let values = [json!(1), json!(2), json!({ "y": 3 })];
    assert_eq!(persons["example.com/x"], values);
    assert!(persons["https://tailscale.com/cap/file-sharing"].is_empty());
    assert_eq!(
        home.keys().map(String::as_str).collect::<Vec<_>>(),
        ["example.com/x", "randomize-client-port"]
    );
    assert_eq!(told(network.nodes.len()), BTreeMap::new(), "there is no such node");
}

#[test]
fn node_attributes_that_mean_nothing_are_refused_by_their_place() {
    for (entry, at, why) in [
        (r#"{ "target": ["*"] }"#, "nodeAttrs[0]", "attr and app"),
        (r#"{ "target": ["group:gone"], "attr": ["a"] }"#, "nodeAttrs[0].target[0]", "group:gone"),
        (r#"{ "target": ["autogroup:self"], "attr": ["a"] }"#, "nodeAttrs[0].target[0]", "no node"),
        (r#"{ "target": ["*"], "attr": ["maru/gateway-identity"] }"#, "nodeAttrs[0]", "maru/"),
        (r#"{ "target": ["*"], "attr": ["a \\ b"] }"#, "nodeAttrs[0]", "printable"),
        (r#"{ "target": ["*"], "app": { "": [] } }"#, "nodeAttrs[0]", "1 to 255"),
    ] {
        let policy = format!(r#"{{ "nodeAttrs": [{entry}] }}"#);
        let Err(Error::Rule { place, reason }) = Policy::parse(&policy) else { panic!("{entry}") };
        assert!(place == at && reason.contains(why), "{place}: {reason}");
    }
    let unknown = Policy::parse(r#"{ "nodeAttrs": [{ "target": ["*"], "ipPool": [] }] }"#);
    assert!(unknown.unwrap_err().to_string().contains("unknown field `ipPool`"));
}

#[test]
fn a_policy_of_an_earlier_version_counts_without_what_that_passed_over() {
    let rules = r#""acls": [{ "action": "accept", "src": ["user1"], "dst": ["user2:22"] }]"#;
    for wrong in [
        r#""autoApprovers": { "exitNode": ["autogroup:admin"] }"#,
        r#""autoApprovers": [1]"#,
        r#""nodeAttrs": [{ "target": ["*"], "ipPool": [] }]"#,
    ] {
        let text = format!("{{ {rules}, {wrong} }}");
        assert!(Policy::parse(&text).is_err(), "{wrong}");
        let (policy, left_out) = Policy::parse_stored(&text).unwrap();
        assert!(left_out.is_some());
        let whole = Policy::parse(&format!("{{ {rules} }}")).unwrap();
        let network = network();
        for node in 0..network.nodes.len() {
            assert_eq!(policy.compile(&network, node), whole.compile(&network, node));
        }
    }
    let good = format!("{{ {rules} }}");
    assert!(Policy::parse_stored(&good).unwrap().1.is_none());
    assert!(Policy::parse_stored(r#"{ "acls": [{ "action": "deny" }] }"#).is_err());
}
