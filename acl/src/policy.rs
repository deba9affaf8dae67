//! A policy and its queries.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use crate::{
    approvers::Approvers,
    attributes,
    compile::{self, ParsedRule, RuleOn},
    document::{self, Document},
    error::{Error, Findings, TestResult, Warning},
    network::{Network, User},
    nodes::Nodes,
    policy_tests,
    rule::Rule,
    selector::{Selector, has_domain},
    ssh, validate,
};

/// A valid policy document.
#[derive(Clone, Debug)]
pub struct Policy {
    pub(crate) document: Document,
    pub(crate) rules: Vec<ParsedRule>,
    /// The rules that name prefixes as sources, with these alone.
    prefix_rules: Vec<ParsedRule>,
    approvers: Approvers,
    attributes: Vec<attributes::NodeAttributes>,
    warnings: Vec<Warning>,
}

impl Policy {
    /// Reads a policy (HuJSON: JSON with comments and trailing commas).
    ///
    /// Groups may name people who do not exist yet.
    ///
    /// # Errors
    ///
    /// The first [`Error::Syntax`] or [`Error::Rule`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (policy, problems) = Self::parse_stored(text)?;
        problems.into_iter().next().map_or(Ok(policy), Err)
    }

    /// Reads a policy that is already in force, so that an update which refuses more does not stop the coordinator. An
    /// invalid part is left out and its error returned. That grants less, since every part of a policy grants.
    ///
    /// # Errors
    ///
    /// [`Error::Syntax`].
    pub fn parse_stored(text: &str) -> Result<(Self, Vec<Error>), Error> {
        let mut found = Findings::default();
        let mut document = document::read(text, &mut found.problems)?;
        let rules = validate::rules(&document, &mut found);
        ssh::check(&document, &mut found);
        let attributes = attributes::parse(&document, &mut found);
        validate::tag_owners(&document, &mut found.problems);
        let approvers = Approvers::parse(&document, &mut found.problems);
        policy_tests::check_shape(&document, &mut found.problems);
        policy_tests::bound(&mut document, &mut found.problems);
        let Findings { problems, warnings } = found;
        let prefix_rules = rules.iter().filter_map(compile::with_prefix_sources).collect();
        let policy = Self { document, rules, prefix_rules, approvers, attributes, warnings };
        Ok((policy, problems.into_vec()))
    }

    /// The attributes that `nodeAttrs` and `randomizeClientPort` give `network.nodes[node]`: by name, with their values.
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
        self.on(network).rules(node)
    }

    /// Compiles for a network, which is faster than node by node.
    #[must_use]
    pub fn on<'a>(&'a self, network: &'a Network) -> Compiler<'a> {
        let mut nodes = Nodes::new(&self.document, network);
        let mut on = |rules: &'a [ParsedRule]| {
            rules.iter().map(|rule| RuleOn::new(&mut nodes, rule)).collect()
        };
        let (rules, prefix_rules) = (on(&self.rules), on(&self.prefix_rules));
        Compiler { nodes, rules, prefix_rules }
    }

    /// Checks the policy against a network: its own `tests` pass, and its plain words are hosts or people. Returns warnings.
    ///
    /// # Errors
    ///
    /// [`Error::Test`] lists the failed tests; [`Error::Rule`] names an unknown word.
    pub fn check(&self, network: &Network) -> Result<Vec<Warning>, Error> {
        validate::words(&self.document, network)?;
        let outcome = policy_tests::run(&self.document, &self.rules, network);
        outcome.check()?;
        Ok(self.warnings.iter().cloned().chain(outcome.warnings).collect())
    }

    /// Runs the policy's own `tests` against a network; one result for each assertion.
    #[must_use]
    pub fn test(&self, network: &Network) -> Vec<TestResult> {
        policy_tests::run(&self.document, &self.rules, network).results
    }

    /// Warnings that do not depend on a network.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Whether `autoApprovers` lets `network.nodes[node]` route `route`; `0.0.0.0/0` and `::/0` make an exit node.
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
        // Tags may own each other in a circle, or in a long chain.
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
                    Ok(Selector::User(name)) => user.is(&name),
                    Ok(Selector::Domain(domain)) => has_domain(&user, &domain),
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

/// A policy on a network.
#[derive(Debug)]
pub struct Compiler<'a> {
    nodes: Nodes<'a>,
    rules: Vec<RuleOn<'a>>,
    prefix_rules: Vec<RuleOn<'a>>,
}

impl Compiler<'_> {
    /// The packet filter of `network.nodes[node]`; empty means that nothing may come in.
    #[must_use]
    pub fn rules(&self, node: usize) -> Vec<Rule> {
        compile::node(&self.nodes, &self.rules, node)
    }

    /// The prefixes that the rules for `network.nodes[node]` name as sources, written out or by a host's name; without the
    /// subnets that `*` stands for.
    #[must_use]
    pub fn named_sources(&self, node: usize) -> Vec<String> {
        let rules = compile::node(&self.nodes, &self.prefix_rules, node).into_iter();
        rules.flat_map(|rule| rule.src_ips).collect()
    }
}
