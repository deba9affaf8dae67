//! Subnets and exit nodes: who is told of which, and who takes over.

use ipnet::IpNet;

use super::*;
use crate::session::MapSession;

/// Alice's laptop (1) and phone (2), two routers of one subnet (3, 4, the second with a tag of its own), an exit node (5),
/// and Bob's laptop (6), under a policy.
fn with_routers(
    policy: &str,
    online: &[u64],
    previous: Option<&CompiledNetwork>,
) -> CompiledNetwork {
    let mut nodes: Vec<Node> = (1..=6).map(|id| node(id, Owner::User(1))).collect();
    for (index, tag, routes) in [
        (2, "tag:router", &["192.168.1.0/24"][..]),
        (3, "tag:router", &["192.168.1.0/24", "10.9.0.0/16"]),
        (4, "tag:exit", &["0.0.0.0/0", "::/0"]),
    ] {
        nodes[index].owner = Owner::tags(vec![tag.to_owned()]);
        let routes: Vec<IpNet> = routes.iter().map(|route| route.parse().unwrap()).collect();
        nodes[index].claims.hostinfo.routable_ips.clone_from(&routes);
        nodes[index].routes.approved = routes;
    }
    nodes[3].routes.approved.pop();
    nodes[3].owner = Owner::tags(vec!["tag:router".to_owned(), "tag:second".to_owned()]);
    nodes[5].owner = Owner::User(2);
    let user = |id, name: &str| User { id, name: name.to_owned(), created: 0 };
    let tags = r#""tag:router": [], "tag:second": [], "tag:exit": []"#;
    let policy = format!(r#"{{ "tagOwners": {{ {tags} }}, {policy} }}"#);
    let input = Input {
        domain: "maru.home.arpa",
        users: &[user(1, "alice"), user(2, "bob")],
        nodes: &shared(&nodes),
        records: &[],
        names: previous.map_or_else(Arc::default, |previous| Arc::clone(&previous.frame.names)),
        policy: &acl::Policy::parse(&policy).unwrap(),
        policy_revision: 1,
        online: &Arc::new(online.iter().copied().collect()),
        derp: previous.map_or_else(Arc::default, |previous| Arc::clone(&previous.frame.derp)),
        now: NOW,
    };
    CompiledNetwork::build(&input, previous)
}

/// The routes of `peer` as `viewer` is told them: what it may be sent beside its addresses, and what it is in use for.
fn routes(
    compiled: &CompiledNetwork,
    viewer: u64,
    peer: u64,
) -> Option<(Vec<String>, Vec<String>)> {
    let view = compiled.view(viewer).unwrap();
    let peer = i64::try_from(peer).unwrap();
    let node = if peer == view.node.id { &view.node } else { view.peers.get(&peer)? };
    let texts = |nets: &[IpNet]| nets.iter().map(ToString::to_string).collect();
    let allowed = node.allowed_ips.as_ref().unwrap();
    assert_eq!(allowed[..2], node.addresses);
    Some((texts(&allowed[2..]), texts(&node.primary_routes)))
}

fn no_routes() -> Option<(Vec<String>, Vec<String>)> {
    Some((Vec::new(), Vec::new()))
}

const LAN_AND_INTERNET: &str = r#""acls": [
    { "action": "accept", "src": ["alice@"], "dst": ["192.168.1.0/24:*", "autogroup:internet:*"] },
    { "action": "accept", "src": ["bob@"], "dst": ["tag:router:22", "tag:exit:22"] },
]"#;

#[test]
fn one_router_of_a_subnet_is_in_use_and_whoever_may_not_go_there_is_told_of_none() {
    let lan = vec!["192.168.1.0/24".to_owned()];
    let compiled = with_routers(LAN_AND_INTERNET, &[1, 2, 3, 4, 5, 6], None);

    assert_eq!(routes(&compiled, 1, 3), Some((lan.clone(), lan.clone())));
    assert_eq!(routes(&compiled, 1, 4), no_routes(), "the second waits");
    assert_eq!(
        routes(&compiled, 3, 3),
        Some((lan.clone(), lan.clone())),
        "it knows that of itself"
    );
    let waits = Some((lan.clone(), Vec::new()));
    assert_eq!(
        routes(&compiled, 4, 4),
        waits,
        "who is sent to it by another coordinator gets there"
    );
    assert_eq!(routes(&compiled, 6, 3), no_routes(), "Bob may not go there");
    assert_eq!(routes(&compiled, 4, 3), None, "routers have nothing to say to each other");

    let failed = with_routers(LAN_AND_INTERNET, &[1, 2, 4, 5, 6], Some(&compiled));
    assert_eq!(routes(&failed, 1, 3), no_routes());
    assert_eq!(routes(&failed, 1, 4), Some((lan.clone(), lan.clone())));
    let back = with_routers(LAN_AND_INTERNET, &[1, 2, 3, 4, 5, 6], Some(&failed));
    assert_eq!(routes(&back, 1, 4), Some((lan.clone(), lan)), "what works stays");
    assert!(back.is_in_use(4, &"192.168.1.0/24".parse().unwrap()));
    assert!(!back.is_approved(4, &"10.9.0.0/16".parse().unwrap()), "nobody approved that one");
}

#[test]
fn an_exit_node_leads_out_whom_the_policy_lets_and_is_nobodys_router() {
    let out = vec!["0.0.0.0/0".to_owned(), "::/0".to_owned()];
    let compiled = with_routers(LAN_AND_INTERNET, &[5], None);

    assert_eq!(routes(&compiled, 1, 5), Some((out.clone(), Vec::new())));
    assert_eq!(routes(&compiled, 6, 5), no_routes());
    let suggested = |to, peer| {
        let peers = compiled.view(to).unwrap().peers;
        peers[&peer].cap_map.contains_key("suggest-exit-node")
    };
    assert!(suggested(1, 5) && !suggested(6, 5) && !suggested(1, 3));

    let all = r#""acls": [{ "action": "accept", "src": ["*"], "dst": ["*:*"] }]"#;
    assert_eq!(routes(&with_routers(all, &[], None), 6, 5), Some((out, Vec::new())));
}

#[test]
fn a_subnet_that_may_send_is_seen_by_whom_it_reaches() {
    let lan = vec!["192.168.1.0/24".to_owned()];
    let from_lan = r#""acls": [
        { "action": "accept", "src": ["192.168.1.0/24"], "dst": ["alice@:443"] },
    ]"#;
    let compiled = with_routers(from_lan, &[3, 4], None);

    assert_eq!(routes(&compiled, 1, 3), Some((lan.clone(), lan)), "answers find their way back");
    assert_eq!(routes(&compiled, 6, 3), None);
}

#[test]
fn from_everywhere_names_no_subnet_and_tells_nobody_of_a_route() {
    let ssh = r#""acls": [
        { "action": "accept", "src": ["*"], "dst": ["autogroup:member:22"] },
    ]"#;
    let compiled = with_routers(ssh, &[3, 4], None);

    assert_eq!(routes(&compiled, 1, 3), no_routes(), "no router lets it through");
    assert_eq!(routes(&compiled, 6, 4), no_routes());
}

#[test]
fn whom_one_router_alone_lets_through_is_sent_to_that_one() {
    let lan = vec!["192.168.1.0/24".to_owned()];
    let to_second = r#""grants": [
        { "src": ["alice@"], "dst": ["192.168.1.0/24"], "ip": ["*"], "via": ["tag:second"] },"#;
    for incoming in ["*", "192.168.1.0/24", "lan"] {
        let policy = format!(
            r#""hosts": {{ "lan": "192.168.1.0/24" }}, {to_second}
                {{ "src": ["{incoming}"], "dst": ["autogroup:member"], "ip": ["22"] }},
            ]"#
        );
        let compiled = with_routers(&policy, &[3, 4], None);

        let by_second = routes(&compiled, 1, 4);
        assert_eq!(by_second, Some((lan.clone(), lan.clone())), "{incoming}");
        let own = routes(&compiled, 4, 4).unwrap();
        assert_eq!(own, (lan.clone(), Vec::new()), "{incoming}: it knows that it forwards");
        assert_eq!(routes(&compiled, 1, 3).unwrap_or_default(), Default::default(), "{incoming}");
        let answered = routes(&compiled, 6, 3).unwrap_or_default().0 == lan;
        assert_eq!(answered, incoming != "*", "Bob's answers find their way back");
    }
}

#[test]
fn who_leads_to_a_subnet_takes_no_others_way_there() {
    let all = r#""acls": [{ "action": "accept", "src": ["*"], "dst": ["*:*"] }]"#;

    let compiled = with_routers(all, &[3, 4], None);

    assert_eq!(routes(&compiled, 4, 3), no_routes());
    assert!(routes(&compiled, 1, 3) != no_routes());
}

#[test]
fn via_chooses_the_router_and_another_takes_over_only_if_it_may() {
    let lan = vec!["192.168.1.0/24".to_owned()];
    let via = |tag: &str| {
        format!(
            r#""grants": [
                {{ "src": ["alice@"], "dst": ["192.168.1.0/24"], "ip": ["*"], "via": ["{tag}"] }},
                {{ "src": ["bob@"], "dst": ["192.168.1.0/24"], "ip": ["*"] }},
            ]"#
        )
    };
    let compiled = with_routers(&via("tag:router"), &[4], None);
    assert_eq!(routes(&compiled, 1, 4), Some((lan.clone(), lan.clone())));
    let compiled = with_routers(&via("tag:exit"), &[3, 4, 5], None);
    assert_eq!(routes(&compiled, 1, 3), None, "none of the routers has the tag");
    assert_eq!(routes(&compiled, 6, 3), Some((lan.clone(), lan)));
}

#[test]
fn a_route_moves_in_one_response() {
    let before = with_routers(LAN_AND_INTERNET, &[1, 3, 4], None);
    let after = with_routers(LAN_AND_INTERNET, &[1, 4], Some(&before));
    let mut session = MapSession::default();
    session.next(&before, 1, NOW).unwrap();

    let told = session.next(&after, 1, NOW).unwrap().unwrap();

    let changed: Vec<i64> = told.peers_changed.iter().map(|peer| peer.id).collect();
    assert_eq!(changed, [3, 4]);
    assert!(told.peers_changed_patch.is_empty() && told.packet_filters.is_none());
    assert_eq!(session.next(&after, 1, NOW), Ok(None));
}

#[test]
fn the_policy_approves_routes_as_long_as_it_says_so() {
    let mut router = node(1, Owner::tags(vec!["tag:router".to_owned()]));
    router.claims.hostinfo.routable_ips = vec!["10.1.2.0/24".parse().unwrap()];
    let nodes = [router, node(2, Owner::User(1))];
    let seen = |approvers: &str| {
        let policy = acl::Policy::parse(&format!(
            r#"{{ "tagOwners": {{ "tag:router": [] }}, "autoApprovers": {{ {approvers} }} }}"#
        ));
        super::super::for_policy(&[], &nodes, &policy.unwrap(), NOW).nodes[0].approved_routes.len()
    };

    assert_eq!(seen(r#""routes": { "10.0.0.0/8": ["tag:router"] }"#), 1);
    assert_eq!(seen(r#""routes": { "10.0.0.0/8": [] }"#), 0);
}
