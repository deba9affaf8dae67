//! What a policy cannot mean: refused with its position, left out of a policy in force, or warned of.

use acl::{Error, Policy, User};

use crate::support::network;

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
        (r#""app": { "maru/x": [] }"#, "only the coordinator uses names"),
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
        ("line 3, column 20: grants[0]: ", "is ignored when `via` is set"),
        ("line 3, column 44: grants[0].dst[0]: ", "`via` applies to subnets"),
        ("line 4, column 23: nodeAttrs[0]: ", "so no effect"),
        ("line 5, column 17: ssh[0]: ", "no effect"),
        ("line 6, column 22: sshTests[0]: ", "not run"),
    ] {
        let is_it = |said: &&String| said.starts_with(place) && said.contains(reason);
        assert!(said.iter().any(|said| is_it(&said)), "{place}{reason}: {said:#?}");
    }
    assert_eq!(said.len(), 7, "{said:#?}");
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
        assert!(at == place && reason.contains("\"usre1\" is unknown"), "{at}: {reason}");
        for good in ["user1", "later@"] {
            assert_eq!(check(&part.replace("usre1", good)), Ok(vec![]), "{part}");
        }
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
