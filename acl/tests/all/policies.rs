//! What policies allow, and whom their words mean; any text is a policy or an error.

use acl::{Error, Network, Policy};
use proptest::prelude::*;

use crate::support::network;

/// What was asked for, as it stands.
const SEED: &str = r#"{
  "acls": [{ "action": "accept", "src": ["group:trusted"], "dst": ["*:*"] }],
  "groups": { "group:trusted": ["user1", "user2"] },
  "hosts": { "openclaw-server": "100.64.0.1", "ollama-server": "100.64.0.2" }
}"#;

#[test]
fn the_seed_policy_loads_whether_or_not_its_users_exist() {
    let policy = Policy::parse(SEED).unwrap();
    assert_eq!(policy.compile(&Network::default(), 0), []);
    let rules = policy.compile(&network(), 0);
    assert_eq!(rules.len(), 1);
    assert_eq!(rules[0].src_ips, ["100.64.0.7"], "the one trusted user who exists, and no other");
}

#[test]
fn an_owner_is_found_in_whatever_order_people_are() {
    let policy = Policy::parse(
        r#"{ "acls": [{ "action": "accept", "src": ["user1", "stranger"], "dst": ["autogroup:member:*"] }] }"#,
    )
    .unwrap();
    let mut network = network();
    let rules: Vec<_> = (0..3).map(|node| policy.compile(&network, node)).collect();
    assert_eq!(rules[1][0].src_ips, ["100.64.0.7", "100.64.0.8"]);

    network.users.reverse();

    let compiled = policy.on(&network);
    assert_eq!((0..3).map(|node| compiled.rules(node)).collect::<Vec<_>>(), rules);
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
fn a_plain_word_is_a_host_or_somebody() {
    let check = |text: &str| Policy::parse(text).unwrap().check(&network());
    let with = |src: &str| {
        check(&format!(
            r#"{{ "groups": {{ "group:a": ["ann"] }}, "acls": [{{ "action": "accept", "src": ["{src}"], "dst": ["*:22"] }}] }}"#
        ))
    };
    for src in ["user1", "ann", "gone@", "gone@a.test", "10.0.0.1"] {
        assert_eq!(with(src), Ok(vec![]), "{src}");
    }
    let Err(Error::Rule { place, reason, .. }) = with("gone") else { panic!("accepted") };
    assert_eq!(place, "acls[0].src[0]");
    assert!(reason.contains("host not defined in policy: \"gone\""), "{reason}");
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
    let owners = r#"{ "tagOwners": { "tag:ci": ["user1"], "tag:job": ["tag:ci"], "tag:loop": ["tag:loop", "tag:job"] } }"#;
    let policy = Policy::parse(owners).unwrap();
    assert!(policy.may_tag_as("tag:ci", "tag:job"));
    assert!(!policy.may_tag_as("tag:job", "tag:ci") && !policy.may_tag_as("tag:ci", "tag:ci"));
    assert!(!policy.may_tag_as("tag:none", "tag:job"), "a tag that the policy does not know");
    assert!(policy.may_tag("user1", "tag:job"), "who may give the owner may give what it owns");
    assert!(policy.may_tag("user1", "tag:loop") && !policy.may_tag("user2", "tag:loop"));
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
        r#"{ "autoApprovers": { "routes": { "10.0.0.0/8": ["user1@"] } } }"#,
        r#"{ "autoApprovers": { "exitNode": ["user1"] } }"#,
        r#"{ "nodeAttrs": [{ "target": ["user1"], "attr": ["a"] }] }"#,
        r#"{ "ssh": [{ "action": "accept", "src": ["user1"], "dst": ["autogroup:self"], "users": ["root"] }] }"#,
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
