//! Approved routes, exit nodes, and the attributes of nodes.

use std::collections::BTreeMap;

use acl::{Error, Policy};
use serde_json::json;

use crate::support::network;

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
