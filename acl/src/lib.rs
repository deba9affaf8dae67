//! The policy language: parse, validate, compile, test.
#![forbid(unsafe_code)]

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

/// What a policy is applied to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// The people.
    pub users: Vec<User>,
    /// The nodes.
    pub nodes: Vec<Node>,
}

/// One destination of a [`Rule`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DstPort {
    /// Address, prefix or `*`.
    pub ip: String,
    /// First port.
    pub first: u16,
    /// Last port.
    pub last: u16,
}

/// A packet-filter rule for one node.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Addresses, prefixes or `*`.
    pub src_ips: Vec<String>,
    /// Destinations.
    pub dst_ports: Vec<DstPort>,
    /// IP protocol numbers; empty means TCP, UDP and ICMP.
    pub ip_proto: Vec<u8>,
    /// Application capabilities, as in the policy.
    pub cap_grant: Vec<serde_json::Value>,
}

/// Why a policy was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

/// A policy document.
#[derive(Clone, Debug)]
pub struct Policy {}

impl Policy {
    /// Reads a policy (HuJSON).
    ///
    /// # Errors
    ///
    /// The text is not a policy.
    pub fn parse(_text: &str) -> Result<Self, Error> {
        Ok(Self {})
    }

    /// Compiles the packet filter of `network.nodes[node]`.
    #[must_use]
    pub fn compile(&self, _network: &Network, _node: usize) -> Vec<Rule> {
        Vec::new()
    }

    /// Runs the policy's own tests.
    ///
    /// # Errors
    ///
    /// A test fails.
    pub fn check(&self, _network: &Network) -> Result<(), Error> {
        Ok(())
    }

    /// Whether `user_login` may give `tag` to a node.
    #[must_use]
    pub fn may_tag(&self, _user_login: &str, _tag: &str) -> bool {
        false
    }
}
