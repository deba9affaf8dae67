//! How long a large policy takes to compile.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Instant,
};

use serde_json::{Map, Value, json};

use crate::{
    Failure,
    numbers::{Numbers, Times},
};

/// Rules of the policy.
const RULES: usize = 200;
/// People, of whom each group has five.
const PEOPLE: usize = 50;
/// Groups.
const GROUPS: usize = 20;
/// Tags.
const TAGS: usize = 20;
/// Nodes, of which every fifth has a tag.
const NODES: usize = 1000;
/// Times that all is compiled.
const TIMES: usize = 5;

/// A person, a group or a tag.
fn party(numbers: &mut Numbers) -> String {
    match numbers.below(3) {
        0 => format!("person{}@", numbers.below(PEOPLE)),
        1 => format!("group:{}", numbers.below(GROUPS)),
        _ => format!("tag:t{}", numbers.below(TAGS)),
    }
}

/// Compiles a policy for every node of a network, on one thread.
pub(crate) fn compile() -> Result<Value, Failure> {
    let mut numbers = Numbers::new(28);
    let member = |numbers: &mut Numbers| format!("person{}@", numbers.below(PEOPLE));
    let groups: Map<_, _> = (0..GROUPS)
        .map(|group| (format!("group:{group}"), [(); 5].map(|()| member(&mut numbers)).to_vec()))
        .map(|(name, members)| (name, json!(members)))
        .collect();
    let owners: Map<_, _> = (0..TAGS).map(|tag| (format!("tag:t{tag}"), json!([]))).collect();
    let rules: Vec<_> = (0..RULES)
        .map(|_| {
            let port = 1 + numbers.below(1000);
            let (src, dst) = (party(&mut numbers), format!("{}:{port}", party(&mut numbers)));
            json!({ "action": "accept", "src": [src], "dst": [dst] })
        })
        .collect();
    let text = json!({ "groups": groups, "tagOwners": owners, "acls": rules }).to_string();
    let policy = acl::Policy::parse(&text)?;
    let users = (0..PEOPLE).map(|id| acl::User {
        id: id as u64,
        name: format!("person{id}"),
        email: String::new(),
    });
    let first = Ipv4Addr::new(100, 64, 0, 1).to_bits();
    let nodes = (first..).take(NODES).enumerate().map(|(index, v4)| acl::Node {
        name: format!("node{index}"),
        user: (index % 5 != 0).then_some((index % PEOPLE) as u64),
        tags: if index % 5 == 0 { vec![format!("tag:t{}", index / 5 % TAGS)] } else { vec![] },
        addresses: vec![
            IpAddr::from(Ipv4Addr::from_bits(v4)),
            coordinator_core::address::Addresses::of(Ipv4Addr::from_bits(v4)).v6.into(),
        ],
        routable_ips: Vec::new(),
        approved_routes: Vec::new(),
    });
    let network = acl::Network { users: users.collect(), nodes: nodes.collect() };
    let mut times = Times::default();
    for _ in 0..TIMES {
        let begun = Instant::now();
        let compiled = policy.on(&network);
        let rules: usize = (0..NODES).map(|node| compiled.rules(node).len()).sum();
        times.add(begun.elapsed());
        if rules == 0 {
            return Err("the policy opens nothing".into());
        }
    }
    Ok(times.figures())
}
