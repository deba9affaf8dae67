//! Networks whose people, tags and routes are those that a policy speaks of.

use std::net::IpAddr;

use acl::{Network, Node, User};
use fuzz::Input;
use ipnet::IpNet;

/// Most people, and most nodes.
const MOST: usize = 6;

/// The address of a node by its place, in both families.
pub(crate) fn addresses(index: usize) -> Vec<IpAddr> {
    let last = index + 1;
    vec![
        format!("100.64.0.{last}").parse().unwrap(),
        format!("fd7a:115c:a1e0::{last:x}").parse().unwrap(),
    ]
}

/// What stands between quotes, without ports.
fn words(text: &str) -> Vec<&str> {
    let words = text.split('"').skip(1).step_by(2).take(256);
    words
        .flat_map(|word| [Some(word), word.rsplit_once(':').map(|(who, _)| who)])
        .flatten()
        .collect()
}

/// A network for this policy.
pub(crate) fn fitting(text: &str, input: &mut Input<'_>) -> Network {
    let words = words(text);
    let is_name = |word: &&&str| !word.contains([':', '/', '*', ' ']) && !word.is_empty();
    let mut people: Vec<&str> = words.iter().filter(is_name).copied().collect();
    people.push("stranger");
    let mut tags: Vec<&str> =
        words.iter().copied().filter(|word| word.len() > 4 && word.starts_with("tag:")).collect();
    tags.push("tag:other");
    let mut routes: Vec<IpNet> = words.iter().filter_map(|word| word.parse().ok()).collect();
    routes.push("10.33.0.0/16".parse().unwrap());
    routes.push("0.0.0.0/0".parse().unwrap());
    routes.push("::/0".parse().unwrap());
    let users: Vec<User> = (1..2 + input.below(MOST) as u64)
        .map(|id| {
            let name = (*input.pick(&people)).to_owned();
            let email =
                if input.byte() & 1 == 0 { String::new() } else { format!("{name}@a.test") };
            User { id, name, email }
        })
        .collect();
    let nodes =
        (0..1 + input.below(MOST)).map(|index| node(index, users.len(), &tags, &routes, input));
    Network { nodes: nodes.collect(), users }
}

fn node(
    index: usize,
    users: usize,
    tags: &[&str],
    routes: &[IpNet],
    input: &mut Input<'_>,
) -> Node {
    let what = input.byte();
    let user = Some(input.below(users + 1) as u64).filter(|&id| id > 0);
    let mut own_tags = Vec::new();
    if what & 1 != 0 {
        own_tags.push((*input.pick(tags)).to_owned());
    }
    let mut addresses = addresses(index);
    if what & 2 != 0 {
        addresses.truncate(1);
    }
    // An address that the policy names, so that it speaks of somebody.
    if what & 4 != 0 {
        addresses.insert(0, input.pick(routes).addr());
    }
    let routable_ips: Vec<IpNet> = (0..what >> 3 & 3).map(|_| *input.pick(routes)).collect();
    let approved_routes = routable_ips.iter().copied().filter(|_| input.byte() & 1 != 0).collect();
    Node {
        name: format!("node{index}"),
        user,
        tags: own_tags,
        addresses,
        routable_ips,
        approved_routes,
    }
}
