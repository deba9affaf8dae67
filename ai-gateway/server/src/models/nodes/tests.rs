use proptest::prelude::*;

use super::*;

fn snapshot(slots: u32, busy: u32, status: NodeStatus, draw: u64) -> NodeSnapshot {
    NodeSnapshot { draw, slots, busy, status }
}

fn status() -> impl Strategy<Value = NodeStatus> {
    prop_oneof![
        4 => Just(NodeStatus::Well),
        1 => Just(NodeStatus::Doubtful),
        1 => Just(NodeStatus::Draining),
    ]
}

fn any_node() -> impl Strategy<Value = NodeSnapshot> {
    (1..=4096_u32, 0..10_000_u32, status(), any::<u64>())
        .prop_map(|(slots, busy, status, draw)| snapshot(slots, busy, status, draw))
}

/// Few slots and few requests, so that loads are often equal and homes often full.
fn tight_node() -> impl Strategy<Value = NodeSnapshot> {
    (1..4_u32, 0..6_u32, status(), any::<u64>())
        .prop_map(|(slots, busy, status, draw)| snapshot(slots, busy, status, draw))
}

/// The rule as the documentation says it, slowly: of all orders, the one in which each node stands where it should.
fn reference(nodes: &[NodeSnapshot]) -> Vec<usize> {
    let mut left: Vec<usize> = (0..nodes.len()).collect();
    let mut order = Vec::new();
    let (mut slots, mut busy) = (0.0, 1.0);
    for node in nodes.iter().filter(|node| node.status == NodeStatus::Well) {
        (slots, busy) = (slots + f64::from(node.slots), busy + f64::from(node.busy));
    }
    let home = left
        .iter()
        .copied()
        .filter(|&at| nodes[at].status == NodeStatus::Well)
        .reduce(|best, at| if nodes[at].score() >= nodes[best].score() { at } else { best });
    if let Some(home) = home {
        let node = nodes[home];
        let share = 1.25 * busy * f64::from(node.slots) / slots;
        if node.busy < node.slots || f64::from(node.busy) < share {
            order.push(home);
            left.retain(|&at| at != home);
        }
    }
    for status in [NodeStatus::Well, NodeStatus::Doubtful] {
        while let Some(next) = left
            .iter()
            .copied()
            .filter(|&at| nodes[at].status == status)
            .reduce(|best, at| if before(&nodes[at], &nodes[best]) { at } else { best })
        {
            order.push(next);
            left.retain(|&at| at != next);
        }
    }
    order
}

fn before(one: &NodeSnapshot, other: &NodeSnapshot) -> bool {
    let load = |node: &NodeSnapshot| (f64::from(node.busy) + 1.0) / f64::from(node.slots);
    let same = (load(one) - load(other)).abs() < 1e-9;
    if same { one.score() > other.score() } else { load(one) < load(other) }
}

proptest! {
    #[test]
    fn the_order_is_that_of_the_rule(nodes in prop::collection::vec(tight_node(), 0..6)) {
        prop_assert_eq!(order(&nodes), reference(&nodes));
    }

    /// Whatever is seen: each node once at most, none that drains, and no doubtful one before one that is well.
    #[test]
    fn each_is_asked_once_and_none_that_drains(nodes in prop::collection::vec(any_node(), 0..20)) {
        let order = order(&nodes);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        let open: Vec<_> = (0..nodes.len()).filter(|&at| nodes[at].status != NodeStatus::Draining).collect();
        prop_assert_eq!(sorted, open);
        let doubtful = order.iter().map(|&at| nodes[at].status == NodeStatus::Doubtful);
        prop_assert!(doubtful.is_sorted());
    }

    /// While nothing else is under way a conversation stays where it is, whichever other node goes.
    #[test]
    fn only_a_node_that_goes_moves_its_conversations(
        drawn in prop::collection::vec((1..9_u32, any::<u64>()), 2..8),
        gone in any::<prop::sample::Index>(),
    ) {
        let mut nodes: Vec<_> =
            drawn.into_iter().map(|(slots, draw)| snapshot(slots, 0, NodeStatus::Well, draw)).collect();
        let home = order(&nodes)[0];
        let gone = gone.index(nodes.len());
        nodes[gone].status = NodeStatus::Draining;
        let after = order(&nodes)[0];
        prop_assert!(after == home || gone == home, "{home} became {after} without {gone}");
    }

    /// Whoever asks, and whenever replies end: no node gets a request beyond its slots and beyond a quarter more than
    /// its share, unless none has less to do.
    #[test]
    fn no_node_is_overrun(
        slots in prop::collection::vec(1..5_u32, 1..6),
        steps in prop::collection::vec((0..4_u64, any::<prop::sample::Index>(), any::<bool>()), 1..120),
    ) {
        let mut nodes: Vec<_> =
            slots.iter().map(|&slots| snapshot(slots, 0, NodeStatus::Well, 0)).collect();
        let mut in_flight = Vec::new();
        for (key, which, ends) in steps {
            if ends && !in_flight.is_empty() {
                let node: usize = in_flight.swap_remove(which.index(in_flight.len()));
                nodes[node].busy -= 1;
                continue;
            }
            for (at, node) in nodes.iter_mut().enumerate() {
                node.draw = AffinityKey(key).draw(&at.to_string());
            }
            let chosen = order(&nodes)[0];
            let node = nodes[chosen];
            let total: u32 = nodes.iter().map(|node| node.busy).sum();
            let share = 1.25 * f64::from(total + 1) * f64::from(node.slots)
                / f64::from(slots.iter().sum::<u32>());
            let least = nodes.iter().all(|other| node.compare_load(other).is_le());
            prop_assert!(node.busy < node.slots || f64::from(node.busy) < share || least);
            nodes[chosen].busy += 1;
            in_flight.push(chosen);
        }
    }
}

#[test]
fn a_conversation_stays_while_its_home_has_a_slot_and_then_goes_to_the_least_busy() {
    let key = AffinityKey(7);
    let mut nodes: Vec<_> =
        ["a", "b", "c"].map(|name| snapshot(2, 0, NodeStatus::Well, key.draw(name))).into();
    let home = order(&nodes)[0];
    let others: Vec<_> = (0..3).filter(|&at| at != home).collect();
    nodes[home].busy = 1;
    assert_eq!(order(&nodes)[0], home, "a slot is free");
    nodes[home].busy = 2;
    nodes[others[0]].busy = 1;
    assert_eq!(order(&nodes)[0], others[1], "full, and beyond its share: the least busy");
    nodes.iter_mut().for_each(|node| node.busy = 2);
    assert_eq!(order(&nodes)[0], home, "all are full: each has its share");
}

#[test]
fn conversations_live_where_the_slots_are() {
    let homes = (0..10_000).map(|number| {
        let key = AffinityKey(number);
        let node = |name: &str, slots| snapshot(slots, 0, NodeStatus::Well, key.draw(name));
        order(&[node("small", 1), node("large", 4)])[0]
    });
    let large = homes.sum::<usize>();
    assert!((7_700..8_300).contains(&large), "{large} of 10,000 where four of five slots are");
}

#[test]
fn a_conversation_is_a_person_and_a_beginning() {
    let (ada, bob) = (Person::User(1), Person::User(2));
    let begin = [Message::system("Be kind."), Message::user("hi")];
    let of = |person: &Person, messages: &[Message]| AffinityKey::of(person, messages);
    let later = [&begin[..], &[Message::assistant("Hello."), Message::user("And?")]].concat();
    assert_eq!(of(&ada, &begin), of(&ada, &later), "the same one, longer");
    assert_ne!(of(&ada, &begin), of(&bob, &begin));
    assert_ne!(of(&ada, &begin), of(&ada, &[begin[0].clone(), Message::user("ho")]));
    assert_ne!(of(&ada, &begin), of(&ada, &begin[1..]));
}
