//! Tests of which nodes are known and which live.

use confidential_api::{
    evidence::{EvidenceList, EvidencePiece, EvidenceType},
    names::EVIDENCE_MAX,
    node::RoutingInfo,
};
use proptest::prelude::*;

use super::*;

const SILENT: Duration = Duration::from_secs(8);

fn id(number: u8) -> NodeId {
    let uuid = uuid::Builder::from_bytes([number; 16]).with_version(uuid::Version::SortRand);
    NodeId::new(uuid.into_uuid()).unwrap()
}

fn alive(node: u8, index: u64, model: &str) -> NodeEvent {
    let info = RoutingInfo {
        url: format!("https://node-{node}:8081/"),
        healthcheck_url: format!("https://node-{node}:8081/_health"),
        tags: vec![format!("model={model}")],
        evidence: EvidenceList::default(),
    };
    NodeEvent { node: id(node), index, at_ms: 0, what: NodeStatus::Alive(Box::new(info)) }
}

/// Shows so many bytes.
fn showing(node: u8, index: u64, len: usize) -> NodeEvent {
    let mut event = alive(node, index, "a");
    let NodeStatus::Alive(info) = &mut event.what else { unreachable!() };
    let (kind, data) = (EvidenceType(1), vec![0; len]);
    info.evidence = EvidenceList(vec![EvidencePiece { kind, data, signature: vec![] }]);
    event
}

fn place(node: u8) -> NodeAddress {
    let url = format!("https://node-{node}:8081");
    NodeAddress { health: format!("{url}/_health"), url }
}

/// What the certificate of a node's own has for a key.
fn key(node: u8) -> [u8; 32] {
    [node; 32]
}

/// The node tells it itself.
fn hear(registry: &mut Registry, event: NodeEvent, now: Instant) -> Result<bool, Refused> {
    let by = event.node.uuid().as_bytes()[0];
    registry.hear(event, key(by), |_| true, now)
}

fn gone(node: u8, index: u64) -> NodeEvent {
    NodeEvent { node: id(node), index, at_ms: 0, what: NodeStatus::Shutdown }
}

fn listed(registry: &Registry, tags: &[&str], limit: usize, now: Instant) -> Vec<NodeId> {
    let tags = tags.iter().map(|&tag| tag.to_owned()).collect();
    let list = registry.manifests(&ComputeManifestRequest { tags, limit }, now, |_| {});
    let list = ComputeManifestList::decode(&list.concat()).unwrap();
    list.0.iter().map(|manifest| manifest.id).collect()
}

#[test]
fn a_node_lives_once_it_was_looked_at_and_while_it_is_heard_of() {
    let (mut registry, start) = (Registry::new(4, SILENT), Instant::now());
    assert_eq!(hear(&mut registry, alive(1, 0, "a"), start), Ok(true));
    assert_eq!(registry.live(id(1), start), None, "nobody has looked");

    registry.looked(id(1), &place(1), true);
    assert_eq!(registry.live(id(1), start), Some(place(1)));
    assert_eq!(hear(&mut registry, alive(1, 1, "a"), start + SILENT / 2), Ok(false));
    assert!(registry.live(id(1), start + SILENT).is_some());
    assert_eq!(registry.live(id(1), start + SILENT * 3 / 2), None, "it said nothing");

    assert!(registry.places(start + SILENT * 3 / 2).is_empty());
}

#[test]
fn two_looks_that_fail_or_one_connection_end_it_and_a_good_one_brings_it_back() {
    let (mut registry, now) = (Registry::new(4, SILENT), Instant::now());
    hear(&mut registry, alive(1, 0, "a"), now).unwrap();
    let mut looked = |answered: bool| {
        registry.looked(id(1), &place(1), answered);
        registry.live(id(1), now).is_some()
    };
    assert_eq!(
        [true, false, true, false, false, true].map(&mut looked),
        [true, true, true, true, false, true]
    );
    registry.unreachable(id(1), &place(1));
    assert_eq!(registry.live(id(1), now), None);
    registry.looked(id(1), &place(2), true);
    assert_eq!(registry.live(id(1), now), None, "it was looked at elsewhere");
}

#[test]
fn old_events_and_too_many_nodes_are_refused() {
    let (mut registry, now) = (Registry::new(2, SILENT), Instant::now());
    hear(&mut registry, alive(1, 5, "a"), now).unwrap();
    assert_eq!(hear(&mut registry, alive(1, 5, "a"), now), Err(Refused::Old));
    assert_eq!(hear(&mut registry, gone(1, 4), now), Err(Refused::Old));
    hear(&mut registry, alive(2, 0, "a"), now).unwrap();
    assert_eq!(hear(&mut registry, alive(3, 0, "a"), now), Err(Refused::Full));
    assert_eq!(hear(&mut registry, gone(1, 6), now), Ok(false));
    assert_eq!(registry.places(now).len(), 1);
}

#[test]
fn a_node_is_where_its_certificate_is_for() {
    let (mut registry, now) = (Registry::new(9, SILENT), Instant::now());
    let is_for = |host: &str| host == "node-1";
    assert_eq!(registry.hear(alive(1, 0, "a"), key(1), is_for, now), Ok(true));
    assert_eq!(registry.hear(alive(2, 0, "a"), key(2), is_for, now), Err(Refused::Url));
    let mut elsewhere = alive(3, 0, "a");
    let NodeStatus::Alive(info) = &mut elsewhere.what else { unreachable!() };
    info.url = "http://127.0.0.1:22/".to_owned();
    assert_eq!(hear(&mut registry, elsewhere, now), Err(Refused::Url));
    assert_eq!(registry.places(now).len(), 1);
}

#[test]
fn a_nodes_name_belongs_to_the_key_that_told_of_it_first_while_it_is_known() {
    let (mut registry, now) = (Registry::new(9, SILENT), Instant::now());
    hear(&mut registry, alive(1, 0, "a"), now).unwrap();
    let other = |registry: &mut Registry, event, at| registry.hear(event, key(9), |_| true, at);

    assert_eq!(other(&mut registry, gone(1, 5), now), Err(Refused::Other));
    assert_eq!(other(&mut registry, alive(1, 5, "b"), now), Err(Refused::Other));
    assert_eq!(registry.places(now).len(), 1);
    assert_eq!(hear(&mut registry, alive(1, 1, "a"), now), Ok(false), "its own still counts");

    // It said nothing for as long as it may.
    assert_eq!(other(&mut registry, alive(1, 0, "b"), now + SILENT), Ok(true));
}

#[test]
fn one_certificate_tells_of_few_nodes() {
    let (mut registry, now) = (Registry::new(500, SILENT), Instant::now());
    let tell =
        |registry: &mut Registry, node| registry.hear(alive(node, 0, "a"), key(1), |_| true, now);
    for node in 1..=4 {
        assert_eq!(tell(&mut registry, node), Ok(true));
    }
    assert_eq!(tell(&mut registry, 5), Err(Refused::OfOne));
    assert_eq!(hear(&mut registry, alive(5, 0, "a"), now), Ok(true), "another one does");
}

#[test]
fn what_all_nodes_show_is_bounded_and_a_list_shares_it() {
    let (mut registry, now) = (Registry::new(500, SILENT), Instant::now());
    let large = |node, index| showing(node, index, EVIDENCE_MAX - 64);
    let mut told = 0;
    while hear(&mut registry, large(told + 1, 0), now) == Ok(true) {
        told += 1;
        registry.looked(id(told), &place(told), true);
    }
    assert_eq!(told, 63, "64 MiB, and a little around each");
    assert_eq!(hear(&mut registry, large(1, 1), now), Ok(false), "in place of what it showed");
    assert_eq!(hear(&mut registry, alive(99, 0, "a"), now), Ok(true), "a usual one has room");

    let all = ComputeManifestRequest { tags: vec![], limit: 500 };
    let list = registry.manifests(&all, now, |_| {});
    let len: usize = list.iter().map(Bytes::len).sum();
    assert!(len <= ComputeManifestList::LEN_MAX && list.len() == 15, "{len} {}", list.len());
    let kept = registry.nodes.values().map(|node| node.item.as_ptr());
    let kept: std::collections::HashSet<_> = kept.collect();
    assert!(list.iter().all(|item| kept.contains(&item.as_ptr())), "nothing is copied");
}

#[test]
fn manifests_are_of_live_nodes_with_the_tags() {
    let (mut registry, now) = (Registry::new(9, SILENT), Instant::now());
    for node in 1..=5 {
        hear(&mut registry, alive(node, 0, if node % 2 == 0 { "even" } else { "odd" }), now)
            .unwrap();
        registry.looked(id(node), &place(node), node != 5);
    }
    let of = |tags: &[&str], limit| {
        let mut found = listed(&registry, tags, limit, now);
        found.sort_unstable();
        found
    };
    assert_eq!(of(&["model=odd"], 9), [id(1), id(3)]);
    assert_eq!(of(&["model=even"], 1).len(), 1);
    assert_eq!(of(&[], 9).len(), 4);
    assert!(of(&[], 0).is_empty() && of(&["model=odd", "more"], 9).is_empty());
    assert!(listed(&registry, &[], 9, now + SILENT).is_empty());
}

proptest! {
    /// Whatever nodes tell, in whatever order, there are no more than may be, and one that was told to be gone is.
    #[test]
    fn any_events_leave_a_bounded_registry(events in prop::collection::vec((0..12_u8, any::<u64>(), any::<bool>(), 0..5_u64), 0..80)) {
        let mut registry = Registry::new(6, SILENT);
        let mut now = Instant::now();
        for (node, index, shutdown, seconds) in events {
            now += Duration::from_secs(seconds);
            let what = if shutdown { NodeStatus::Shutdown } else { alive(node, index, "a").what };
            let heard = hear(&mut registry, NodeEvent { node: id(node), index, at_ms: 0, what }, now);
            if shutdown && heard.is_ok() {
                prop_assert!(!registry.places(now).iter().any(|(known, _)| *known == id(node)));
            }
            prop_assert!(registry.places(now).len() <= 6);
        }
    }
}

#[test]
fn a_manifest_that_is_told_again_is_not_held_twice() {
    let (mut registry, now) = (Registry::new(4, SILENT), Instant::now());
    let read = |registry: &Registry| {
        registry.manifests(&ComputeManifestRequest { tags: vec![], limit: 9 }, now, |_| {})
    };
    hear(&mut registry, showing(1, 0, 1000), now).unwrap();
    registry.looked(id(1), &place(1), true);
    let first = read(&registry);
    hear(&mut registry, showing(1, 1, 1000), now).unwrap();

    assert_eq!(read(&registry)[0].as_ptr(), first[0].as_ptr(), "the same bytes");
}

#[test]
fn former_manifests_that_are_still_read_are_bounded() {
    let (mut registry, now) = (Registry::new(4, SILENT), Instant::now());
    let ask = ComputeManifestRequest { tags: vec![], limit: 9 };
    let mut reading = Vec::new();
    let mut heard = 0;
    // Each time another one, while somebody reads all before.
    for index in 0..40 {
        heard += usize::from(
            hear(&mut registry, showing(1, index, EVIDENCE_MAX - 64 - index as usize), now).is_ok(),
        );
        registry.looked(id(1), &place(1), true);
        reading.push(registry.manifests(&ask, now, |_| {}));
    }
    assert!((8..=12).contains(&heard), "{heard}");
    assert!(hear(&mut registry, showing(2, 0, EVIDENCE_MAX / 2), now).is_ok(), "of another one");

    drop(reading);
    assert!(hear(&mut registry, showing(1, 40, EVIDENCE_MAX / 2), now).is_ok());
}

#[test]
fn looks_at_the_nodes_of_one_certificate_are_bounded() {
    let (mut registry, now) = (Registry::new(4, SILENT), Instant::now());
    let mut looks = Vec::new();
    for index in 0..100 {
        let mut event = alive(1, index, "a");
        let NodeStatus::Alive(info) = &mut event.what else { unreachable!() };
        let port = 8000 + index % 2;
        info.url = format!("https://node-1:{port}/");
        info.healthcheck_url = format!("https://node-1:{port}/_health");
        assert_eq!(hear(&mut registry, event, now), Ok(true), "another place");
        looks.extend(registry.look(id(1)));
    }
    assert_eq!(looks.len(), OF_ONE);
    hear(&mut registry, alive(2, 0, "a"), now).unwrap();
    assert!(registry.look(id(2)).is_some(), "of another one");

    drop(looks);
    assert!(registry.look(id(1)).is_some());
}

#[test]
fn whoever_waits_for_a_node_learns_that_it_was_forgotten_and_not_that_it_left() {
    let (mut registry, now) = (Registry::new(4, SILENT), Instant::now());
    hear(&mut registry, alive(1, 0, "a"), now).unwrap();
    hear(&mut registry, alive(2, 0, "a"), now).unwrap();
    let (silent, left) = (registry.silence(id(1)).unwrap(), registry.silence(id(2)).unwrap());
    hear(&mut registry, alive(1, 1, "a"), now + SILENT / 2).unwrap();
    hear(&mut registry, gone(2, 1), now + SILENT / 2).unwrap();

    assert_eq!(registry.places(now + SILENT).len(), 1);
    assert!(!silent.load(Ordering::Relaxed), "it was heard of since");
    assert!(registry.places(now + 2 * SILENT).is_empty());

    assert!(silent.load(Ordering::Relaxed));
    assert!(!left.load(Ordering::Relaxed), "it may still answer what it has");
}
