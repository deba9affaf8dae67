//! The network that a policy is applied to.

use std::net::IpAddr;

use ipnet::IpNet;

/// A person of the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Number of the user at the coordinator.
    pub id: u64,
    /// Login name.
    pub name: String,
    /// Mail address; empty where there is none.
    pub email: String,
}

impl User {
    /// Whether a word is this person's login name or mail address, with or without an `@` at the end.
    pub(crate) fn is(&self, word: &str) -> bool {
        let fits = |word: &str| !word.is_empty() && (word == self.name || word == self.email);
        fits(word) || word.strip_suffix('@').is_some_and(fits)
    }
}

/// A node as a policy sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// [`User::id`] of its owner; `None` for a tagged node.
    pub user: Option<u64>,
    /// Its tags, each `tag:…`.
    pub tags: Vec<String>,
    /// Its addresses in the network.
    pub addresses: Vec<IpAddr>,
    /// Subnets that it offers to route.
    pub routable_ips: Vec<IpNet>,
    /// Those of [`Node::routable_ips`] that were approved.
    pub approved_routes: Vec<IpNet>,
}

impl Node {
    /// The approved routes without those of an exit node.
    pub(crate) fn subnets(&self) -> impl Iterator<Item = &IpNet> {
        self.approved_routes.iter().filter(|route| route.prefix_len() > 0)
    }
}

/// People and nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// The people.
    pub users: Vec<User>,
    /// The nodes.
    pub nodes: Vec<Node>,
}
