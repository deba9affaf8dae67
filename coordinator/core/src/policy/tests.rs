use std::net::IpAddr;

use proptest::prelude::*;
use serde_json::json;

use super::{AddressRanges, RouterAccess, first, to_wire};

fn rule(sources: &[&str]) -> acl::Rule {
    acl::Rule {
        src_ips: sources.iter().map(|&text| text.to_owned()).collect(),
        dst_ports: vec![acl::DstPort { ip: "100.64.0.1".to_owned(), first: 80, last: 81 }],
        ip_proto: vec![6],
        cap_grant: Vec::new(),
    }
}

fn sources(texts: &[&str]) -> AddressRanges {
    AddressRanges::sources(&to_wire(&rule(texts)))
}

/// Whom a router's rules let through: 100.64.0.2, to what `to` says.
fn reach(to: &str) -> RouterAccess {
    let mut rule = rule(&["100.64.0.2"]);
    rule.dst_ports[0].ip = to.to_owned();
    RouterAccess::of(&to_wire(&rule))
}

#[test]
fn the_first_policy_is_one() {
    acl::Policy::parse(&first()).unwrap();
    assert!(first().contains(r#""src": ["autogroup:member"], "dst": ["tag:home:80,443,18789"] }"#));
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

#[test]
fn a_router_leads_whom_its_rules_let_through_to_where_they_say() {
    let [member, stranger] = ["100.64.0.2", "100.64.0.3"].map(|ip| [ip.parse().unwrap()]);
    let net: ipnet::IpNet = "192.168.1.0/24".parse().unwrap();
    for (to, leads, leads_out) in [
        ("*", true, true),
        ("192.168.0.0/16", true, false),
        ("192.168.1.7", true, false),
        ("192.168.1.9-192.168.3.0", true, false),
        ("192.168.2.0/24", false, false),
        ("8.0.0.0/7", false, false),
        (acl::INTERNET[0], false, true),
        ("0.0.0.0/0", true, true),
        ("::/0", false, false),
    ] {
        let reach = reach(to);
        assert_eq!(reach.leads(&member, &net), leads, "{to}");
        assert_eq!(reach.leads_out(&member), leads_out, "{to}");
        assert!(!reach.leads(&stranger, &net) && !reach.leads_out(&stranger), "{to}");
    }
}

proptest! {
    #[test]
    fn any_text_as_a_source_is_survived(text in any::<String>(), v6 in any::<u128>(), v4 in any::<u32>()) {
        let addresses = [IpAddr::from(v6.to_be_bytes()), IpAddr::from(v4.to_be_bytes())];
        let ranges = sources(&[&text]);
        let held = ranges.contain(&addresses);
        let nets = addresses.map(ipnet::IpNet::from);
        prop_assert_eq!(held, nets.iter().any(|net| ranges.overlap(net)));
    }

    /// However the sources lie: beside, over and inside one another.
    #[test]
    fn an_address_is_held_if_any_source_holds_it(
        sources in prop::collection::vec((0_u8..32, 0_u8..32), 0..8),
        address in 0_u8..32,
    ) {
        let text = |(first, last)| format!("10.0.0.{first}-10.0.0.{last}");
        let texts: Vec<String> = sources.iter().copied().map(text).collect();
        let held = AddressRanges::of(&texts).contain(&[IpAddr::from([10, 0, 0, address])]);
        prop_assert_eq!(held, sources.iter().any(|(first, last)| (*first..=*last).contains(&address)));
    }
}
