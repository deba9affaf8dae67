//! Tests of which nodes are known and which live.

use confidential_api::{evidence::EvidenceList, node::RoutingInfo};
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
    NodeEvent { node: id(node), index, at_ms: 0, what: NodeNews::Alive(Box::new(info)) }
}

fn place(node: u8) -> Place {
    let url = format!("https://node-{node}:8081");
    Place { health: format!("{url}/_health"), url }
}

fn listed(registry: &Registry, tags: &[&str], limit: usize, now: Instant) -> Vec<NodeId> {
    let tags = tags.iter().map(|&tag| tag.to_owned()).collect();
    let list = registry.manifests(&ComputeManifestRequest { tags, limit }, now, |_| {});
    let list = ComputeManifestList::decode(&list).unwrap();
    list.0.iter().map(|manifest| manifest.id).collect()
}

#[test]
fn a_node_lives_once_it_was_looked_at_and_while_it_is_heard_of() {
    let (mut registry, start) = (Registry::new(4, SILENT), Instant::now());
    assert_eq!(registry.hear(alive(1, 0, "a"), start), Ok(true));
    assert_eq!(registry.live(id(1), start), None, "nobody has looked");

    registry.looked(id(1), &place(1), true);
    assert_eq!(registry.live(id(1), start), Some(place(1)));
    assert_eq!(registry.hear(alive(1, 1, "a"), start + SILENT / 2), Ok(false));
    assert!(registry.live(id(1), start + SILENT).is_some());
    assert_eq!(registry.live(id(1), start + SILENT * 3 / 2), None, "it said nothing");

    assert!(registry.places(start + SILENT * 3 / 2).is_empty());
}

#[test]
fn two_looks_that_fail_or_one_connection_end_it_and_a_good_one_brings_it_back() {
    let (mut registry, now) = (Registry::new(4, SILENT), Instant::now());
    registry.hear(alive(1, 0, "a"), now).unwrap();
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
fn old_events_too_many_nodes_and_other_urls_are_refused() {
    let (mut registry, now) = (Registry::new(2, SILENT), Instant::now());
    registry.hear(alive(1, 5, "a"), now).unwrap();
    assert_eq!(registry.hear(alive(1, 5, "a"), now), Err(Refused::Old));
    let gone = |index| NodeEvent { node: id(1), index, at_ms: 0, what: NodeNews::Shutdown };
    assert_eq!(registry.hear(gone(4), now), Err(Refused::Old));
    registry.hear(alive(2, 0, "a"), now).unwrap();
    assert_eq!(registry.hear(alive(3, 0, "a"), now), Err(Refused::Full));
    assert_eq!(registry.hear(gone(6), now), Ok(false));
    assert_eq!(registry.places(now).len(), 1);

    for url in ["http://127.0.0.1:22/", "http://node:8081", "file:///etc/passwd", "https://me@node"]
    {
        let mut event = alive(3, 0, "a");
        let NodeNews::Alive(info) = &mut event.what else { unreachable!() };
        info.url = url.to_owned();
        assert_eq!(registry.hear(event, now), Err(Refused::Url), "{url}");
    }
}

#[test]
fn manifests_are_of_live_nodes_with_the_tags() {
    let (mut registry, now) = (Registry::new(9, SILENT), Instant::now());
    for node in 1..=5 {
        registry.hear(alive(node, 0, if node % 2 == 0 { "even" } else { "odd" }), now).unwrap();
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
            let what = if shutdown { NodeNews::Shutdown } else { alive(node, index, "a").what };
            let heard = registry.hear(NodeEvent { node: id(node), index, at_ms: 0, what }, now);
            if shutdown && heard.is_ok() {
                prop_assert!(!registry.places(now).iter().any(|(known, _)| *known == id(node)));
            }
            prop_assert!(registry.places(now).len() <= 6);
        }
    }
}
