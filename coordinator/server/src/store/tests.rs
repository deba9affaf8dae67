use std::net::Ipv4Addr;

use coordinator_core::{
    address::Addresses,
    model::{NewNode, Owner, Registrant},
};

use super::*;

fn node(id: NodeId, revision: i64, name: &str) -> Node {
    let (owner, device) = (Owner::User(1), Registrant::default());
    let new = NewNode { id: None, owner, device, expires: None, name: None, wireguard: None };
    let addresses = Addresses::of(Ipv4Addr::new(100, 64, 0, 1));
    Node { revision, ..new.into_node(id, (format!("n{id}"), name.to_owned()), addresses, 0) }
}

#[test]
fn a_change_is_taken_over_only_next_in_order_and_never_over_a_later_one() {
    let network = StoredNetwork {
        revision: 7,
        users: Arc::default(),
        nodes: [node(1, 3, "before"), node(2, 1, "other")].map(Arc::new).into(),
        pending: Arc::default(),
        records: Arc::default(),
        api_keys: Arc::default(),
        policy: "{}".into(),
        policy_revision: 1,
    };
    let after = |node: Node, revision| {
        let next = network.with(node, revision)?;
        let names = next.nodes.iter().map(|node| node.name.clone()).collect::<Vec<_>>();
        Some((next.revision, names))
    };
    let names = |first: &str| Some((8, vec![first.to_owned(), "other".to_owned()]));

    assert_eq!(after(node(1, 4, "after"), 8), names("after"));
    assert_eq!(after(node(1, 2, "earlier"), 8), names("before"), "a later change was read");
    assert_eq!(after(node(1, 5, "after"), 9), None, "another change is between");
    assert_eq!(after(node(1, 4, "after"), 7), None, "it was read");
    assert_eq!(after(node(3, 1, "unknown"), 8), None);
}
