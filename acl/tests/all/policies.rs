//! Policies that people write, and text that nobody should.

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
    assert!(said(typo).starts_with("line 3, column 18: unknown field: \"acl\": take it out, or"));
    let rules = r#"{ "acls": [
        { "action": "accept", "src": ["*"], "dst": ["*:*"] },
        { "action": "accept", "src": ["*"], "dst": ["*:*"],
          "porto": "tcp" },
    ] }"#;
    let unknown = "line 4, column 11: acls[1]: unknown field: \"porto\": take it out, or write one of action, proto, src, dst";
    assert_eq!(said(rules), unknown);
    let wrong = rules.replace("\"porto\": \"tcp\"", "\"proto\": []");
    assert_eq!(
        said(&wrong),
        "line 4, column 20: acls[1].proto: a string is expected here, not a list"
    );
    let twice = rules.replace("porto", "action");
    assert!(said(&twice).starts_with("line 4, column 11: acls[1]: duplicate object member name"));
    assert_eq!(said("{ \"acls\": [ }"), "line 1, column 13: Unexpected close brace");
    assert!(said(" ").starts_with("line 1, column 1: it is empty"));
}

#[test]
fn only_comments_and_trailing_commas_are_more_than_json() {
    assert!(Policy::parse("{ /* a */ \"acls\": [], // b\n}").is_ok());
    for text in ["{ acls: [] }", "{ 'acls': [] }", "{ \"acls\": [] \"tests\": [] }"] {
        assert!(matches!(Policy::parse(text), Err(Error::Syntax { .. })), "{text}");
        assert!(matches!(Policy::parse_stored(text), Err(Error::Syntax { .. })), "{text}");
    }
}

#[test]
fn names_of_fields_are_known_in_any_case() {
    let text = r##"{ "ACLs": [{ "Action": "accept", "SRC": ["*"], "dst": ["*:22"], "#id": 7 }],
                    "tag_owners": {} }"##;
    assert_eq!(Policy::parse(text).unwrap().compile(&network(), 0).len(), 1);
    let twice = r#"{ "acls": [], "ACLS": [] }"#;
    assert!(Policy::parse(twice).unwrap_err().to_string().contains("duplicate object member"));
}

#[test]
fn a_rule_that_means_nothing_is_refused_by_its_place() {
    let missing = "{ \"acls\": [{ \"action\": \"accept\",\n  \"src\": [\"*\", \"group:gone\"], \"dst\": [\"*:*\"] }] }";
    let Err(Error::Rule { at, place, reason }) = Policy::parse(missing) else { panic!("accepted") };
    assert_eq!((at.line, at.column, place.as_str()), (2, 16, "acls[0].src[1]"));
    assert!(reason.contains("group:gone"), "{reason}");
}

/// A rule, or another part, and what its refusal says.
fn refuses(part: &str, reason: &str) {
    let text = format!(
        r#"{{ "tagOwners": {{ "tag:a": [] }}, "groups": {{ "group:a": [] }}, "hosts": {{ "net": "10.0.0.0/8" }}, {part} }}"#
    );
    match Policy::parse(&text) {
        Ok(_) => panic!("accepted: {part}"),
        Err(error) => {
            let said = error.to_string();
            assert!(said.contains(reason), "{part}: {said}");
            assert!(said.starts_with("line 1, column "), "{part}: {said}");
        }
    }
}

#[test]
fn what_an_acl_cannot_mean_is_refused() {
    for (rule, reason) in [
        (r#""action": "deny""#, "action=\"deny\" is not supported"),
        (r#""src": ["autogroup:self"]"#, "\"autogroup:self\" not valid on the src side of a rule"),
        (r#""src": ["autogroup:internet"]"#, "can only be used in ACL destinations"),
        (r#""src": ["autogroup:nonroot"]"#, "not supported for ACL sources"),
        (r#""src": ["autogroup:king"]"#, "invalid autogroup: got \"autogroup:king\""),
        (r#""src": ["tag:gone"]"#, "src=tag not found: \"tag:gone\""),
        (r#""src": ["10.0.0.0/33"]"#, "invalid alias format: \"10.0.0.0/33\""),
        (r#""dst": ["tag:gone:22"]"#, "dst=\"tag:gone\": tag not found: \"tag:gone\""),
        (r#""dst": ["tag:a"]"#, "dst=\"tag:a\": port range \"a\": invalid first integer"),
        (r#""dst": ["*"]"#, "hostport must contain a colon"),
        (r#""dst": ["*:0"]"#, "first port must be >0"),
        (r#""dst": ["*:80,*"]"#, "invalid first integer"),
        (r#""dst": ["*:9-3"]"#, "first port is greater than last port"),
        (r#""dst": ["*:70000"]"#, "port number out of range"),
        (r#""dst": ["*:1-2-3"]"#, "invalid port range format"),
        (r#""dst": ["[100.64.0.1]:22"]"#, "square brackets are only valid around IPv6"),
        (r#""dst": ["autogroup:danger-all:22"]"#, "cannot use autogroup:danger-all as a dst"),
        (
            r#""src": ["tag:a"], "dst": ["autogroup:self:*"]"#,
            "autogroup:self can only be used with",
        ),
        (
            r#""dst": ["*:22"], "proto": "icmp""#,
            "protocol does not support specific ports: \"icmp\"",
        ),
        (r#""proto": "*""#, "proto name \"*\" not known"),
        (r#""proto": "06""#, "leading 0 not permitted"),
        (r#""proto": 256"#, "protocol number out of range (0-255)"),
        (r#""proto": "carrier-pigeon""#, "must be a known protocol name"),
        (r#""srcPosture": ["posture:x"]"#, "the state of a device is not checked here"),
    ] {
        refuses(&format!(r#""acls": [{{ {rule} }}]"#), reason);
    }
}

#[test]
fn what_a_grant_cannot_mean_is_refused() {
    for (rule, reason) in [
        (r#""src": ["*"], "dst": ["*"]"#, "ip and app can not both be empty"),
        (r#""dst": ["0.0.0.0/0"], "ip": ["*"]"#, "dst \"0.0.0.0/0\": to allow all IP addresses"),
        (r#""ip": ["tcp:80:90"]"#, "expected only one colon in Internet protocol and port type"),
        (r#""ip": ["TCP:80"]"#, "must be a known protocol name"),
        (r#""ip": ["*:80"]"#, "proto name \"*\" not known"),
        (r#""ip": ["*"], "via": ["group:a"]"#, "via can only be a tag"),
        (r#""ip": ["*"], "via": ["tag:gone"]"#, "tag \"tag:gone\" not found"),
        (r#""app": { "https://a.b/c": [] }"#, "must have the form {domain}/{path}"),
        (
            r#""app": { "tailscale.com/cap/ingress": [] }"#,
            "must not be in the tailscale.com domain",
        ),
        (r#""app": { "maru/x": [] }"#, "is for the coordinator alone"),
        (r#""app": { "a.b/c": {} }"#, "a list is expected here, not an object"),
        (r#""dst": ["autogroup:internet"], "app": { "a.b/c": [] }"#, "cannot use app grants with"),
        (r#""src": ["*"], "dst": ["autogroup:self"], "ip": ["*"]"#, "autogroup:self can only be"),
    ] {
        refuses(&format!(r#""grants": [{{ {rule} }}]"#), reason);
    }
}

#[test]
fn what_other_parts_cannot_mean_is_refused() {
    for (part, reason) in [
        (r#""Groups": { "group:a": ["group:b"] }"#, "duplicate object member name"),
        (r#""postures": {}"#, "the state of a device is not checked here"),
        (r#""defaultSrcPosture": []"#, "the state of a device is not checked here"),
        (r#""ssh": [{ "action": "accept", "users": ["root"], "dst": ["*"] }]"#, "wildcard (*)"),
        (r#""ssh": [{ "users": ["root"] }]"#, "action must be specified"),
        (r#""ssh": [{ "action": "accept" }]"#, "users must be specified"),
        (
            r#""ssh": [{ "action": "check", "users": ["root"], "checkPeriod": "200h" }]"#,
            "above the max (168h)",
        ),
        (r#""sshTests": [{ "src": "*", "dst": ["net"] }]"#, "disallowed element \"net\""),
        (r#""autoApprovers": { "routes": { "10.0.0.1": [] } }"#, "a route is a prefix"),
        (
            r#""nodeAttrs": [{ "target": ["*"], "attr": ["funnel"] }]"#,
            "feature that is not supported",
        ),
        (r#""nodeAttrs": [{ "target": ["*"], "ipPool": ["100.64.0.0/16"] }]"#, "ipPool is not"),
        (r#""tests": [{ "src": "*" }]"#, "must have at least one of \"accept\" or \"deny\""),
        (r#""tests": [{ "src": "*", "accept": ["net:22"] }]"#, "not a CIDR range"),
        (r#""tests": [{ "src": "*", "accept": ["tag:a:22,23"] }]"#, "must be a single port"),
        (
            r#""tests": [{ "src": "*", "accept": ["autogroup:internet:22"] }]"#,
            "not valid as a test",
        ),
        (r#""tests": [{ "src": "*", "proto": "icmp", "deny": ["tag:a:1"] }]"#, "must be tcp, udp"),
        (r#""tests": [{ "src": "*", "accept": ["tag:gone:22"] }]"#, "test(s) failed"),
    ] {
        refuses(part, reason);
    }
    let said = |text: &str| Policy::parse(text).unwrap_err().to_string();
    for (part, reason) in [
        (
            r#""groups": { "group:a": ["group:b"] }"#,
            "groups[\"group:a\"]: \"group:b\": group members cannot be recursive",
        ),
        (r#""groups": { "group:a": "ann" }"#, "group value must be an array of users"),
        (r#""groups": { "a": [] }"#, "group must start with 'group:', got: \"a\""),
        (
            r#""tagOwners": { "tag:1": [] }"#,
            "tagOwners[\"tag:1\"]: tag names must start with a letter, after 'tag:'",
        ),
        (r#""tagOwners": { "tag:a": ["tag:b"] }"#, "tag not found: \"tag:b\""),
        (r#""tagOwners": { "tag:a": ["*"] }"#, "invalid owner format: \"*\""),
        (r#""hosts": { "a:b": "10.0.0.1" }"#, "invalid hostname: \"a:b\""),
        (
            r#""hosts": { "a": "b" }"#,
            "hostname contains invalid IP address: hostname \"a\" address",
        ),
    ] {
        let said = said(&format!("{{ {part} }}"));
        assert!(said.contains(reason) && said.starts_with("line 1, column "), "{part}: {said}");
    }
}

#[test]
fn what_is_read_and_not_done_is_warned_of() {
    let text = r#"{ "tagOwners": { "tag:a": ["autogroup:admin"] },
        "acls": [{ "dst": ["*:22"] }],
        "grants": [{ "src": ["*"], "dst": ["tag:a"], "ip": ["*"], "app": { "a.b/c": [] }, "via": ["tag:a"] }],
        "nodeAttrs": [{ "target": ["*"] }],
        "ssh": [{ "action": "accept", "src": ["autogroup:member"], "dst": ["autogroup:self"], "users": ["root"] }],
        "sshTests": [{ "src": "tag:a", "dst": ["tag:a"], "deny": ["root"] }] }"#;
    let warnings = Policy::parse(text).unwrap().check(&network()).unwrap();
    let said: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    for (place, reason) in [
        ("line 2, column 18: acls[0]: ", "no action"),
        ("line 2, column 18: acls[0]: ", "no src"),
        ("line 3, column 20: grants[0]: ", "via leads packets alone"),
        ("line 3, column 44: grants[0].dst[0]: ", "via leads to subnets"),
        ("line 4, column 23: nodeAttrs[0]: ", "tells nobody anything"),
        ("line 5, column 17: ssh[0]: ", "does nothing"),
        ("line 6, column 22: sshTests[0]: ", "not run"),
    ] {
        let is_it = |said: &&String| said.starts_with(place) && said.contains(reason);
        assert!(said.iter().any(|said| is_it(&said)), "{place}{reason}: {said:#?}");
    }
    assert_eq!(said.len(), 7, "{said:#?}");
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
fn a_failing_test_of_its_own_refuses_a_policy() {
    let policy = Policy::parse(
        r#"{ "tagOwners": { "tag:home": [] },
             "acls": [{ "action": "accept", "src": ["user1"], "dst": ["tag:home:80"] }],
             "tests": [{ "src": "user1", "accept": ["tag:home:80"], "deny": ["tag:home:22"] },
                       { "src": "stranger", "accept": ["tag:home:80"] }] }"#,
    )
    .unwrap();
    let failed = |error: Result<_, Error>| match error {
        Err(error @ Error::Test(_)) => error.to_string(),
        other => panic!("{other:?}"),
    };
    let text = failed(policy.check(&network()));
    assert!(text.starts_with("test(s) failed: line 4, column 56: tests[1].accept[0]: "), "{text}");
    assert!(!text.contains("tests[0]"), "{text}");
    let open = r#"{ "acls": [{ "action": "accept", "src": ["*"], "dst": ["*:*"] }],
                    "tests": [{ "src": "stranger", "deny": ["user1:22"] }] }"#;
    let text = failed(Policy::parse(open).unwrap().check(&network()));
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
            "autoApprovers.routes[\"10.0.0.0/8\"][0]",
            "tag not found",
        ),
        (r#"{ "exitNode": ["*"] }"#, "autoApprovers.exitNode[0]", "cannot approve"),
        (r#"{ "exitNode": ["group:gone"] }"#, "autoApprovers.exitNode[0]", "group not defined"),
        (r#"{ "exitnodes": [] }"#, "autoApprovers", "unknown field: \"exitnodes\""),
    ] {
        let error = Policy::parse(&format!(r#"{{ "autoApprovers": {approvers} }}"#)).unwrap_err();
        assert!(
            matches!(&error, Error::Rule { place: at, reason: why, .. }
            if at == place && why.contains(reason)),
            "{error}"
        );
    }
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
        (r#"{ "target": ["group:gone"], "attr": ["a"] }"#, "nodeAttrs[0].target[0]", "group:gone"),
        (r#"{ "target": ["autogroup:self"], "attr": ["a"] }"#, "nodeAttrs[0].target[0]", "no node"),
        (
            r#"{ "target": ["*"], "attr": ["maru/gateway-identity"] }"#,
            "nodeAttrs[0].attr[0]",
            "maru/",
        ),
        (r#"{ "target": ["*"], "attr": ["a \\ b"] }"#, "nodeAttrs[0].attr[0]", "printable"),
        (r#"{ "target": ["*"], "app": { "": [] } }"#, "nodeAttrs[0].app[\"\"]", "1 to 255"),
        (r#"{ "target": ["*"], "attrs": [] }"#, "nodeAttrs[0]", "unknown field: \"attrs\""),
    ] {
        let policy = format!(r#"{{ "nodeAttrs": [{entry}] }}"#);
        let Err(Error::Rule { place, reason, .. }) = Policy::parse(&policy) else {
            panic!("{entry}")
        };
        assert!(place == at && reason.contains(why), "{place}: {reason}");
    }
}

#[test]
fn of_a_policy_in_force_what_cannot_be_read_grants_nothing() {
    let rules = r#"{ "action": "accept", "src": ["user1"], "dst": ["stranger:22"] }"#;
    let whole = Policy::parse(&format!(r#"{{ "acls": [{rules}] }}"#)).unwrap();
    for wrong in [
        r#""autoApprovers": { "exitNode": ["autogroup:admin"] }"#,
        r#""autoApprovers": [1]"#,
        r#""nodeAttrs": [{ "target": ["*"], "ipPool": ["100.64.0.0/16"] }]"#,
        r#""grants": [{ "src": ["*"], "dst": ["*"], "ip": ["*"], "srcPosture": ["posture:a"] }]"#,
        r#""grants": [{ "src": ["*"], "dst": ["*"], "ip": ["80,*"] }]"#,
        r#""hosts": { "a": "b" }"#,
        r#""tests": [{ "src": "user1", "accept": ["stranger:22,23"] }]"#,
        r#""ssh": {}"#,
    ] {
        let text = format!(r#"{{ "acls": [{rules}, {{ "action": "deny" }}], {wrong} }}"#);
        assert!(Policy::parse(&text).is_err(), "{wrong}");
        let (policy, left_out) = Policy::parse_stored(&text).unwrap();
        assert_eq!(left_out.len(), 2, "{wrong}: {left_out:?}");
        let network = network();
        for node in 0..network.nodes.len() {
            assert_eq!(policy.compile(&network, node), whole.compile(&network, node), "{wrong}");
        }
    }
    let good = format!(r#"{{ "acls": [{rules}] }}"#);
    assert!(Policy::parse_stored(&good).unwrap().1.is_empty());
}

/// Policies of about `bytes` on one line, of shapes that took time with the square of their length.
fn shapes(bytes: usize) -> Vec<(&'static str, String)> {
    let many = |item: &str| vec![item; bytes / (item.len() + 1)].join(",");
    let half = |item: &str| vec![item; bytes / 2 / (item.len() + 1)].join(",");
    let odd: Vec<String> = (0..bytes / 6).map(|n| (n % 32_000 * 2 + 1).to_string()).collect();
    let chain: Vec<String> =
        (0..bytes / 24).map(|n| format!(r#""tag:a{n}":["tag:a{}"]"#, n + 1)).collect();
    let name = "a".repeat(bytes / 2);
    vec![
        ("words", format!(r#"{{"acls":[{{"action":"accept","src":[{}]}}]}}"#, many(r#""*""#))),
        ("rules", format!(r#"{{"acls":[{}]}}"#, many("{}"))),
        ("notes", format!(r#"{{{}}}"#, many(r#""a":1"#))),
        ("members", format!(r#"{{"groups":{{"group:{name}":[{}]}}}}"#, half(r#""*""#))),
        ("grants", {
            let (src, ip) = (half(r#""*""#), half(r#""1""#));
            format!(r#"{{"grants":[{{"src":[{src}],"dst":["*"],"ip":[{ip}]}}]}}"#)
        }),
        ("own", {
            let (src, dst) = (half(r#""a""#), half(r#""autogroup:self:1""#));
            format!(r#"{{"acls":[{{"action":"accept","src":[{src}],"dst":[{dst}]}}]}}"#)
        }),
        ("ports", {
            let dst = format!("*:{}", odd.join(","));
            format!(r#"{{"acls":[{{"action":"accept","src":["*"],"dst":["{dst}"]}}]}}"#)
        }),
        ("values", {
            let values: Vec<String> = (0..bytes / 7).map(|n| n.to_string()).collect();
            let app = values.join(",");
            format!(r#"{{"nodeAttrs":[{{"target":["*"],"app":{{"a.b/c":[{app}]}}}}]}}"#)
        }),
        ("tests", format!(r#"{{"tests":[{{"src":"*","deny":[{}]}}]}}"#, many(r#""*:1""#))),
        ("owners", format!(r#"{{"tagOwners":{{{},"tag:a{}":[]}}}}"#, chain.join(","), chain.len())),
        ("ssh", {
            let same = half(r#""a""#);
            let (action, users) = (r#""action":"accept""#, r#""users":["root"]"#);
            format!(r#"{{"ssh":[{{{action},{users},"src":[{same}],"dst":[{same}]}}]}}"#)
        }),
    ]
}

/// All that is done with a policy, parsed as one that is in force; how long it took.
fn work(text: &str) -> std::time::Duration {
    #[expect(clippy::disallowed_methods, reason = "two times are compared")]
    let begun = std::time::Instant::now();
    let (policy, _) = Policy::parse_stored(text).unwrap();
    let network = network();
    let rules = policy.compile(&network, 0);
    drop((acl::Meaning::of(&rules), policy.attributes(&network, 0), policy.test(&network)));
    drop(policy.check(&network));
    assert!(!policy.may_tag("nobody", "tag:a0"));
    begun.elapsed()
}

#[test]
fn a_policy_on_one_line_takes_no_time_with_the_square_of_its_length() {
    for ((shape, small), (_, large)) in shapes(1 << 13).into_iter().zip(shapes(1 << 18)) {
        // 32 times as long: with the square of the length it would take 1024 times as long.
        let small = (0..3).map(|_| work(&small)).min().unwrap_or_default();
        let least = small.max(std::time::Duration::from_millis(4));
        // A machine that stands still for a moment does not do so three times.
        let mut tries = (0..3).map(|_| work(&large));
        assert!(tries.any(|took| took < least * 250), "{shape}: {small:?}, then 250 times that");
    }
}

#[test]
fn a_policy_has_bounds_and_says_them() {
    let said = |text: String| Policy::parse(&text).unwrap_err().to_string();
    let shape = |wanted: &str| {
        shapes(1 << 20).into_iter().find(|(shape, _)| *shape == wanted).map(|(_, text)| text)
    };
    for (wanted, reason) in [
        ("words", "line 1, column 10: acls[0]: with this rule the policy has more than 50000"),
        ("grants", "grants[0]: with this rule the policy has more than 50000"),
        ("ports", "a list of ports has at most 256 of them"),
        ("tests", "with this one there are more than 2000 destinations"),
        ("ssh", "more than a million pairs"),
    ] {
        let said = said(shape(wanted).unwrap());
        assert!(said.contains(reason), "{wanted}: {}", &said[said.len().saturating_sub(300)..]);
    }
    // Far to the right, and behind letters of several bytes.
    let word = r#""마루","#.repeat(3000);
    let said = said(format!(r#"{{"acls":[{{"action":"accept","src":[{word}"tag:a"]}}]}}"#));
    assert!(said.starts_with("line 1, column 15036: acls[0].src[3000]: "), "{said}");
}

#[test]
fn owners_and_approvers_are_somebody() {
    for (part, place) in [
        (r#""tagOwners": { "tag:a": ["usre1"] }"#, "tagOwners[\"tag:a\"][0]"),
        (r#""autoApprovers": { "exitNode": ["usre1"] }"#, "autoApprovers.exitNode[0]"),
        (
            r#""autoApprovers": { "routes": { "10.0.0.0/8": ["usre1"] } }"#,
            "autoApprovers.routes[\"10.0.0.0/8\"][0]",
        ),
    ] {
        let check = |part: &str| Policy::parse(&format!("{{ {part} }}")).unwrap().check(&network());
        let Err(Error::Rule { place: at, reason, .. }) = check(part) else { panic!("{part}") };
        assert!(at == place && reason.contains("\"usre1\" is nobody"), "{at}: {reason}");
        for good in ["user1", "later@"] {
            assert_eq!(check(&part.replace("usre1", good)), Ok(vec![]), "{part}");
        }
    }
}

#[test]
fn of_a_policy_in_force_the_last_of_two_entries_counts_and_a_lost_host_is_no_person() {
    let mut network = network();
    let mina = User { id: 3, name: "mina".to_owned(), email: String::new() };
    network.users.push(mina);
    network.nodes[2].user = Some(3);
    let sources = |hosts: &str| {
        let acl = r#"{ "action": "accept", "src": ["mina", "group:a"], "dst": ["tag:home:22"] }"#;
        let text = format!(
            r#"{{ "tagOwners": {{ "tag:home": [], "tag:home": ["user1"] }}, "hosts": {{ {hosts} }},
                 "groups": {{ "group:a": ["stranger"], "group:a": ["user1"] }}, "acls": [{acl}] }}"#
        );
        let (policy, problems) = Policy::parse_stored(&text).unwrap();
        assert!(policy.may_tag("user1", "tag:home"));
        let rules = policy.compile(&network, 0);
        (rules.into_iter().flat_map(|rule| rule.src_ips).collect::<Vec<_>>(), problems.len())
    };
    let last = sources(r#""mina": "10.0.0.1", "other": "10.0.0.3", "mina": "10.0.0.2""#);
    assert_eq!(last, (vec!["10.0.0.2".to_owned(), "100.64.0.7".to_owned()], 3));
    assert_eq!(sources(r#""mina": "no address""#), (vec![], 4), "and not the person's devices");
    assert_eq!(sources(r#""mina": 7"#).0, Vec::<String>::new());
}

/// The outcomes of tests over rules, and the warnings.
fn tested(rules: &str, tests: &str) -> (Vec<bool>, Vec<String>) {
    let text = format!(
        r#"{{ "tagOwners": {{ "tag:home": [], "tag:way": [] }}, "groups": {{ "group:a": ["user1"] }}, {rules}, "tests": [{tests}] }}"#
    );
    let policy = Policy::parse(&text).unwrap();
    let passed = policy.test(&network()).iter().map(|test| test.passed).collect();
    let warnings = policy.check(&network()).unwrap_or_default();
    (passed, warnings.iter().map(|warning| warning.reason.clone()).collect())
}

#[test]
fn a_source_that_gets_in_in_part_is_told() {
    let group = r#""acls": [{ "action": "accept", "src": ["group:a"], "dst": ["tag:home:5432"] }]"#;
    let (passed, warnings) = tested(group, r#"{ "src": "*", "deny": ["tag:home:5432"] }"#);
    assert_eq!(passed, [true]);
    let said = "not all of \"*\" reach \"tag:home:5432\", so the test holds; but 100.64.0.7 does";
    assert_eq!(warnings, [said]);
    assert_eq!(tested(group, r#"{ "src": "*", "accept": ["tag:home:5432"] }"#).0, [false]);

    let halves = r#""acls": [{ "action": "accept", "src": ["10.0.0.0/9"], "dst": ["tag:home:22"] },
                             { "action": "accept", "src": ["10.128.0.0/9"], "dst": ["*:22"] }]"#;
    let whole = r#"{ "src": "10.0.0.0/8", "accept": ["tag:home:22"], "deny": ["tag:home:22"] }"#;
    assert_eq!(tested(halves, whole).0, [true, false], "two rules let all of it in");
    let wider = r#"{ "src": "10.0.0.0/7", "accept": ["tag:home:22"], "deny": ["tag:home:22"] }"#;
    assert_eq!(tested(halves, wider).0, [false, false], "a part of one prefix gets in");
}

#[test]
fn tests_see_via_as_it_is_enforced() {
    let grants = r#""grants": [{ "src": ["user1"], "dst": ["tag:home", "100.64.0.8", "10.1.0.0/16"], "ip": ["*"], "via": ["tag:way"] }]"#;
    let test = r#"{ "src": "user1", "accept": ["tag:home:22", "100.64.0.8:22", "10.1.0.7:22"] }"#;
    assert_eq!(tested(grants, test).0, [false, false, true], "via leads to subnets alone");
}
