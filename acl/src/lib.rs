//! The policy language: parse, validate, compile, test.
//!
//! A policy is Tailscale's (HuJSON): groups, hosts, tag owners, `acls` and `grants`, with tests of
//! its own. [`Policy::parse`] refuses what it cannot mean; [`Policy::compile`] gives the packet
//! filter of one node, and what no rule allows is denied.
//!
//! ```
//! let policy = acl::Policy::parse(r#"{
//!     // Everybody may ask the AI.
//!     "tagOwners": { "tag:home": ["autogroup:admin"] },
//!     "acls": [{ "action": "accept", "src": ["autogroup:member"], "dst": ["tag:home:80,18789"] }],
//! }"#)?;
//! assert!(policy.compile(&acl::Network::default(), 0).is_empty());
//! # Ok::<(), acl::Error>(())
//! ```
#![forbid(unsafe_code)]

mod approvers;
mod attributes;
mod compile;
mod document;
mod internet;
mod policy_tests;
mod selector;
mod validate;

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;

use approvers::Approvers;
use document::Document;
pub use internet::INTERNET;
use selector::Selector;

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
pub enum Error {
    /// It is not JSON (comments and trailing commas allowed), or has a wrong or unknown key: where, and what.
    #[error("{0}")]
    Syntax(String),
    /// A rule means nothing.
    #[error("{place}: {reason}")]
    Rule {
        /// Which one, such as `acls[2].dst[0]`.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A test of the policy's own fails.
    #[error("test(s) failed: {0}")]
    Test(String),
}

/// A policy document that means something.
#[derive(Clone, Debug)]
pub struct Policy {
    document: Document,
    rules: Vec<compile::ParsedRule>,
    approvers: Approvers,
    attributes: Vec<attributes::Parsed>,
}

impl Policy {
    /// Reads a policy (HuJSON: JSON with comments and trailing commas).
    ///
    /// Groups may name people who do not exist yet.
    ///
    /// # Errors
    ///
    /// [`Error::Syntax`] and [`Error::Rule`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::of(document::parse(text)?)
    }

    /// Reads a policy that is in force already, perhaps since an earlier version, which passed over `autoApprovers` and
    /// `nodeAttrs`. If these keep it from being read they are left out, which grants less, and why is returned beside it.
    ///
    /// # Errors
    ///
    /// As [`Self::parse`], for all else.
    pub fn parse_stored(text: &str) -> Result<(Self, Option<Error>), Error> {
        let error = match Self::parse(text) {
            Ok(policy) => return Ok((policy, None)),
            Err(error) => error,
        };
        let rest = document::parse_without(text, &["autoApprovers", "nodeAttrs"])?;
        Ok((Self::of(rest)?, Some(error)))
    }

    fn of(document: Document) -> Result<Self, Error> {
        let rules = validate::rules(&document)?;
        let approvers = Approvers::parse(&document)?;
        let attributes = attributes::parse(&document)?;
        Ok(Self { document, rules, approvers, attributes })
    }

    /// What `nodeAttrs` and `randomizeClientPort` tell `network.nodes[node]`: attributes by name, each with its values.
    #[must_use]
    pub fn attributes(
        &self,
        network: &Network,
        node: usize,
    ) -> BTreeMap<String, Vec<serde_json::Value>> {
        attributes::node(&self.document, &self.attributes, network, node)
    }

    /// Compiles the packet filter of `network.nodes[node]`; empty means that nothing may come in.
    #[must_use]
    pub fn compile(&self, network: &Network, node: usize) -> Vec<Rule> {
        compile::node(&self.document, &self.rules, network, node)
    }

    /// The prefixes that rules which let something into `network.nodes[node]` name as sources, themselves or by a host's
    /// name: none of the subnets that `*` stands for.
    #[must_use]
    pub fn named_sources(&self, network: &Network, node: usize) -> Vec<String> {
        let rules: Vec<_> = self.rules.iter().filter_map(compile::named).collect();
        let rules = compile::node(&self.document, &rules, network, node).into_iter();
        rules.flat_map(|rule| rule.src_ips).collect()
    }

    /// Runs the policy's own `tests` against a network.
    ///
    /// # Errors
    ///
    /// [`Error::Test`] names each test that fails, and why.
    pub fn check(&self, network: &Network) -> Result<(), Error> {
        policy_tests::run(self, network)
    }

    /// Whether `autoApprovers` lets `network.nodes[node]` route `route`; `0.0.0.0/0` and `::/0` ask for an exit node.
    #[must_use]
    pub fn approves_route(&self, network: &Network, node: usize, route: &IpNet) -> bool {
        let node = network.nodes.get(node);
        node.is_some_and(|node| self.approvers.approve(&self.document, network, node, route))
    }

    /// Whether `user_login` may give `tag` to a node: the tag's owners name the person, a group
    /// that holds the person, or all members.
    #[must_use]
    pub fn may_tag(&self, user_login: &str, tag: &str) -> bool {
        let user = User { id: 0, name: user_login.to_owned(), email: user_login.to_owned() };
        self.document.tag_owners.get(tag).is_some_and(|owners| {
            owners.iter().any(|owner| match Selector::parse(owner, &self.document) {
                Ok(Selector::Group(name)) => self.document.in_group(&name, &user),
                Ok(Selector::Member) => true,
                Ok(Selector::User(name)) => selector::is_user(&name, &user),
                _ => false,
            })
        })
    }

    /// Whether a node that has the tag `owner` may give `tag`: the tag's owners name it.
    #[must_use]
    pub fn may_tag_as(&self, owner: &str, tag: &str) -> bool {
        let owners = self.document.tag_owners.get(tag);
        owners.is_some_and(|owners| owners.iter().any(|named| named == owner))
            && self.knows_tag(owner)
    }

    /// Whether the policy names this person anywhere: in a group, a rule, a test, or as a tag's owner.
    #[must_use]
    pub fn names_user(&self, login: &str) -> bool {
        self.document.names(login)
    }

    /// Whether the policy knows a tag.
    #[must_use]
    pub fn knows_tag(&self, tag: &str) -> bool {
        self.document.tag_owners.contains_key(tag)
    }
}
