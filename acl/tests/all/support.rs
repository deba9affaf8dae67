//! A small network.

use std::net::IpAddr;

use acl::{Network, Node, User};

/// Two people and three nodes.
pub(crate) fn network() -> Network {
    let user = |id, name: &str| User { id, name: name.to_owned(), email: String::new() };
    let node = |name: &str, user, tags: &[&str], address: &str| Node {
        name: name.to_owned(),
        user,
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        addresses: vec![address.parse::<IpAddr>().unwrap()],
        routable_ips: vec![],
        approved_routes: vec![],
    };
    Network {
        users: vec![user(1, "user1"), user(2, "stranger")],
        nodes: vec![
            node("home", None, &["tag:home"], "100.64.0.1"),
            node("laptop", Some(1), &[], "100.64.0.7"),
            node("other", Some(2), &[], "100.64.0.8"),
        ],
    }
}
