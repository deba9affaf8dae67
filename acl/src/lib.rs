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

mod addresses;
mod approvers;
mod attributes;
mod compile;
mod diff;
mod document;
mod explain;
mod internet;
mod meaning;
mod policy_tests;
mod problems;
mod selector;
mod service;
mod ssh;
mod text;
mod validate;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
};

use ipnet::IpNet;

pub use addresses::{AddressSet, Span};
use approvers::Approvers;
pub use diff::{Change, Changes, EVERY_DEVICE};
use document::Document;
pub use explain::{Attempt, Decision, Party};
pub use internet::INTERNET;
pub use meaning::{Meaning, Opening};
use selector::Selector;
pub use service::protocol_name;
pub use text::Position;
use validate::Found;

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

impl Node {
    /// The approved routes that are no exit node's.
    fn subnets(&self) -> impl Iterator<Item = &IpNet> {
        self.approved_routes.iter().filter(|route| route.prefix_len() > 0)
    }
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
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

/// Why a policy was refused. Each says where, what, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not JSON (comments and trailing commas allowed).
    #[error("{at}: {reason}")]
    Syntax {
        /// Where.
        at: Position,
        /// What is wrong there.
        reason: String,
    },
    /// A wrong or unknown key, or a rule that means nothing.
    #[error("{at}: {place}{}{reason}", if place.is_empty() { "" } else { ": " })]
    Rule {
        /// Where.
        at: Position,
        /// Which one, such as `acls[2].dst[0]`; empty for the whole document.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Tests of the policy's own fail.
    #[error("test(s) failed: {0}")]
    Test(Failures),
}

/// The tests that fail, each with its place and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failures(pub Vec<String>);

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

/// What a policy says and does not do, or does otherwise than one may think.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Where.
    pub at: Position,
    /// Which part, such as `ssh[0]`.
    pub place: String,
    /// What there is to know.
    pub reason: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.at, self.place, self.reason)
    }
}

/// How one assertion of the policy's own tests came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestResult {
    /// Where.
    pub at: Position,
    /// Which one, such as `tests[0].accept[1]`.
    pub place: String,
    /// The source, as it is written.
    pub src: String,
    /// The destination, as it is written; empty if the source is nobody.
    pub dst: String,
    /// The protocol, as it is written; empty for TCP, UDP or ICMP.
    pub protocol: String,
    /// Whether it is to be reached.
    pub wanted: bool,
    /// Whether it is as wanted.
    pub passed: bool,
    /// Why not; empty if it is.
    pub reason: String,
}

impl fmt::Display for TestResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.at, self.place, self.reason)
    }
}

/// A policy document that means something.
#[derive(Clone, Debug)]
pub struct Policy {
    document: Document,
    rules: Vec<compile::ParsedRule>,
    approvers: Approvers,
    attributes: Vec<attributes::Parsed>,
    warnings: Vec<Warning>,
}

impl Policy {
    /// Reads a policy (HuJSON: JSON with comments and trailing commas).
    ///
    /// Groups may name people who do not exist yet.
    ///
    /// # Errors
    ///
    /// [`Error::Syntax`] and [`Error::Rule`]: the first thing that is wrong.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (policy, problems) = Self::parse_stored(text)?;
        problems.into_iter().next().map_or(Ok(policy), Err)
    }

    /// Reads a policy that is in force already, so that an update which refuses more does not stop the coordinator. A part
    /// that is refused is left out, which grants less, since every part of a policy grants; why is returned beside it.
    ///
    /// # Errors
    ///
    /// [`Error::Syntax`].
    pub fn parse_stored(text: &str) -> Result<(Self, Vec<Error>), Error> {
        let mut found = Found::default();
        let mut document = document::read(text, &mut found.problems)?;
        let rules = validate::rules(&document, &mut found);
        ssh::check(&document, &mut found);
        let attributes = attributes::parse(&document, &mut found);
        validate::tag_owners(&document, &mut found.problems);
        let approvers = Approvers::parse(&document, &mut found.problems);
        policy_tests::check_shape(&document, &mut found.problems);
        policy_tests::bound(&mut document, &mut found.problems);
        let Found { problems, warnings } = found;
        Ok((Self { document, rules, approvers, attributes, warnings }, problems.into_vec()))
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

    /// Whether the policy fits a network: its own `tests` pass, and its plain words are hosts or people. Returns what there
    /// is to know of it.
    ///
    /// # Errors
    ///
    /// [`Error::Test`] names each test that fails, and why; [`Error::Rule`] a word that means nobody.
    pub fn check(&self, network: &Network) -> Result<Vec<Warning>, Error> {
        validate::words(&self.document, network)?;
        let outcome = policy_tests::run(self, network);
        outcome.failed()?;
        Ok(self.warnings.iter().cloned().chain(outcome.warnings).collect())
    }

    /// Runs the policy's own `tests` against a network: how each assertion comes out.
    #[must_use]
    pub fn test(&self, network: &Network) -> Vec<TestResult> {
        policy_tests::run(self, network).results
    }

    /// What the policy says and does not do.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Whether `autoApprovers` lets `network.nodes[node]` route `route`; `0.0.0.0/0` and `::/0` ask for an exit node.
    #[must_use]
    pub fn approves_route(&self, network: &Network, node: usize, route: &IpNet) -> bool {
        let node = network.nodes.get(node);
        node.is_some_and(|node| self.approvers.approve(&self.document, network, node, route))
    }

    /// Whether `user_login` may give `tag` to a node: the tag's owners name the person, a group
    /// that holds the person, all members, or a tag that the person may give.
    #[must_use]
    pub fn may_tag(&self, user_login: &str, tag: &str) -> bool {
        let user = User { id: 0, name: user_login.to_owned(), email: user_login.to_owned() };
        // Owners may lead in a circle, and far.
        let (mut seen, mut next) = (BTreeSet::new(), vec![tag]);
        while let Some(tag) = next.pop() {
            if !seen.insert(tag) {
                continue;
            }
            let owners = self.document.tag_owners.get(tag).map(|(_, owners)| owners.as_slice());
            for owner in owners.unwrap_or_default() {
                let is_owner = match Selector::parse(&owner.text, &self.document) {
                    Ok(Selector::Group(name)) => self.document.in_group(&name, &user),
                    Ok(Selector::Member) => true,
                    Ok(Selector::User(name)) => selector::is_user(&name, &user),
                    Ok(Selector::Domain(domain)) => selector::has_domain(&user, &domain),
                    Ok(Selector::Tag(_)) => {
                        next.push(&owner.text);
                        false
                    }
                    _ => false,
                };
                if is_owner {
                    return true;
                }
            }
        }
        false
    }

    /// Whether a node that has the tag `owner` may give `tag`: the tag's owners name it.
    #[must_use]
    pub fn may_tag_as(&self, owner: &str, tag: &str) -> bool {
        let owners = self.document.tag_owners.get(tag);
        owners.is_some_and(|(_, owners)| owners.iter().any(|named| named.text == owner))
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
