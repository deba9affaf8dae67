use std::net::IpAddr;

use proptest::prelude::*;
use serde_json::json;

use super::{FIRST, Sources, to_wire};

fn rule(sources: &[&str]) -> acl::Rule {
    acl::Rule {
        src_ips: sources.iter().map(|&text| text.to_owned()).collect(),
        dst_ports: vec![acl::DstPort { ip: "100.64.0.1".to_owned(), first: 80, last: 81 }],
        ip_proto: vec![6],
        cap_grant: Vec::new(),
    }
}

fn sources(texts: &[&str]) -> Sources {
    Sources::of(&to_wire(&rule(texts)))
}

#[test]
fn the_first_policy_is_one() {
    acl::Policy::parse(FIRST).unwrap();
}

#[test]
fn ports_and_capabilities_become_rules_of_their_own() {
    let mut rule = rule(&["100.64.0.2"]);
    rule.cap_grant =
        vec![json!({"Dsts": ["100.64.0.1/32"], "CapMap": {"example.com/x": [1]}}), json!(7)];

    let wire = to_wire(&rule);

    assert_eq!(wire.len(), 2);
    assert_eq!((wire[0].dst_ports.len(), wire[0].cap_grant.len()), (1, 0));
    assert_eq!((wire[1].dst_ports.len(), wire[1].cap_grant.len()), (0, 1));
    assert_eq!(wire[0].dst_ports[0].ports.last, 81);
    assert_eq!(wire[0].ip_proto, [6]);
}

#[test]
fn sources_are_addresses_prefixes_ranges_or_all() {
    let ip: [IpAddr; 1] = ["100.64.0.9".parse().unwrap()];

    assert!(sources(&["*"]).contain(&ip));
    assert!(sources(&["100.64.0.9"]).contain(&ip));
    assert!(sources(&["100.64.0.0/28"]).contain(&ip));
    assert!(sources(&["100.64.0.7-100.64.0.9"]).contain(&ip));
    assert!(!sources(&["100.64.0.0/29", "fd7a:115c:a1e0::/48", "cap:x", "::-1"]).contain(&ip));
    assert!(!sources(&[]).contain(&ip));
}

proptest! {
    #[test]
    fn any_text_as_a_source_is_survived(text in any::<String>(), v6 in any::<u128>(), v4 in any::<u32>()) {
        let addresses = [IpAddr::from(v6.to_be_bytes()), IpAddr::from(v4.to_be_bytes())];
        let _ = sources(&[&text]).contain(&addresses);
    }
}
