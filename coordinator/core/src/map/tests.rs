use std::{collections::BTreeMap, sync::Arc};

use control_protocol::map::{DerpMap, DnsConfig, FilterRule, Node, UserProfile};

use super::{MapDeltas, View};

fn peer(id: i64) -> Arc<Node> {
    Arc::new(Node { id, online: Some(true), home_derp: 1, ..Node::default() })
}

fn view(peers: &[i64]) -> View {
    View {
        domain: "maru.home.arpa".into(),
        node: peer(1),
        peers: peers.iter().map(|id| (*id, peer(*id))).collect(),
        profiles: BTreeMap::from([(1, UserProfile { id: 1, ..UserProfile::default() })]),
        dns: DnsConfig::default(),
        rules: Arc::new(vec![FilterRule::default()]),
        derp: Arc::new(DerpMap::default()),
    }
}

fn deltas(peers: &[i64]) -> MapDeltas {
    let mut deltas = MapDeltas::default();
    deltas.next(view(peers), 0).unwrap();
    deltas
}

#[test]
fn the_first_response_is_whole() {
    let first = MapDeltas::default().next(view(&[3, 2]), 0).unwrap();

    assert_eq!(first.node.unwrap().id, 1);
    assert_eq!(first.peers.unwrap().iter().map(|peer| peer.id).collect::<Vec<_>>(), [2, 3]);
    assert!(first.derp_map.is_some() && first.dns_config.is_some());
    assert_eq!(first.packet_filters.unwrap()["base"].as_ref().unwrap().len(), 1);
    assert_eq!((first.domain.as_str(), first.user_profiles.len()), ("maru.home.arpa", 1));
}

#[test]
fn nothing_is_said_twice() {
    assert_eq!(deltas(&[2]).next(view(&[2]), 9), None);
}

#[test]
fn a_set_of_peers_that_becomes_empty_is_told_by_removal() {
    let response = deltas(&[2]).next(view(&[]), 0).unwrap();

    assert_eq!(response.peers_removed, [2]);
    assert_eq!(response.peers, None);
    assert_eq!(response.derp_map, None, "an unchanged relay map is never echoed");
}

#[test]
fn a_filter_that_becomes_empty_is_an_explicit_empty_list() {
    let closed = View { rules: Arc::new(Vec::new()), ..view(&[]) };

    let response = deltas(&[]).next(closed, 0).unwrap();

    assert_eq!(response.packet_filters.unwrap()["base"], Some(Vec::new()));
    assert_eq!(response.node, None);
}

#[test]
fn coming_and_going_is_a_patch_and_anything_else_the_whole_peer() {
    let mut deltas = deltas(&[2]);
    let mut changed = view(&[2]);
    let away = Node {
        online: Some(false),
        last_seen: Some("2026-11-21T00:00:00Z".to_owned()),
        ..Node::clone(&peer(2))
    };
    changed.peers.insert(2, Arc::new(away.clone()));

    let gone = deltas.next(changed.clone(), 0).unwrap();
    changed.peers.insert(2, Arc::new(Node { home_derp: 2, ..away }));
    let moved = deltas.next(changed, 0).unwrap();

    assert_eq!((gone.peers_changed.len(), gone.peers_changed_patch[0].online), (0, Some(false)));
    assert_eq!((moved.peers_changed_patch.len(), moved.peers_changed[0].home_derp), (0, 2));
}

#[test]
fn peers_that_come_change_or_leave_come_with_the_node_itself() {
    let mut deltas = deltas(&[2]);
    let comes = deltas.next(view(&[2, 3]), 0).unwrap();
    let leaves = deltas.next(view(&[3]), 0).unwrap();
    let mut away = view(&[3]);
    away.peers.insert(3, Arc::new(Node { online: Some(false), ..Node::clone(&peer(3)) }));
    let patched = deltas.next(away, 0).unwrap();

    assert_eq!(comes.node.unwrap().id, 1, "else stock apps make no route to the peer");
    assert_eq!(leaves.node.unwrap().id, 1);
    assert_eq!(patched.node, None, "a patch is a small step, and may be taken as one");
}

#[test]
fn the_last_response_leaves_nothing() {
    let last = deltas(&[2, 3]).end(1_000).unwrap();

    let node = last.node.unwrap();
    assert!(node.expired && !node.machine_authorized);
    assert_eq!(node.key_expiry.as_deref(), Some("1970-01-01T00:00:01Z"));
    assert_eq!(last.peers_removed, [2, 3]);
    assert_eq!(last.packet_filters.unwrap()["base"], Some(Vec::new()));
    assert_eq!(MapDeltas::default().end(0), None);
}
