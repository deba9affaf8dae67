//! Selectors: the sources and destinations of rules.

use ipnet::IpNet;

use crate::{
    addresses::prefix,
    document::Document,
    network::{Network, Node, User},
};

/// A source, or a destination without its ports.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Selector {
    /// `*`: every node, and every approved route.
    Any,
    /// `autogroup:danger-all`: every address, of the network or not.
    Everyone,
    /// `autogroup:member`: devices that belong to people.
    Member,
    /// `autogroup:tagged`.
    Tagged,
    /// `autogroup:self`: the source's own devices.
    SelfDevices,
    /// `autogroup:internet`: the addresses that exit nodes route.
    Internet,
    /// `autogroup:nonroot`: login users of SSH, valid nowhere else.
    NonRoot,
    /// `group:…`, with its prefix.
    Group(String),
    /// `tag:…`, with its prefix.
    Tag(String),
    /// A person.
    User(String),
    /// `user:*@domain`: people by the domain of their mail address.
    Domain(String),
    /// An address or prefix, written out or by a name under `hosts`.
    Prefix(IpNet),
}

impl Selector {
    /// Reads one: an address, then what has a prefix or an `@`, then a name under `hosts`; another plain word is a person's
    /// login name.
    pub(crate) fn parse(text: &str, document: &Document) -> Result<Self, String> {
        if let Some(prefix) = prefix(text) {
            return Ok(Self::Prefix(prefix));
        }
        if text == "*" {
            return Ok(Self::Any);
        }
        if let Some(domain) = text.strip_prefix("user:*@").filter(|domain| !domain.is_empty()) {
            return Ok(Self::Domain(domain.to_owned()));
        }
        if text.contains('@') {
            return Ok(Self::User(text.to_owned()));
        }
        if text.starts_with("group:") {
            return known(document.groups.contains_key(text), Self::Group(text.to_owned()), || {
                format!(
                    "group not defined in policy: \"{text}\": list its members under \"groups\""
                )
            });
        }
        if text.starts_with("tag:") {
            return known(
                document.tag_owners.contains_key(text),
                Self::Tag(text.to_owned()),
                || format!("tag not found: \"{text}\": list its owners under \"tagOwners\""),
            );
        }
        if text.starts_with("autogroup:") {
            return autogroup(text);
        }
        if let Some(prefix) = document.hosts.get(text) {
            return Ok(Self::Prefix(*prefix));
        }
        if document.lost_hosts.contains(text) {
            return Err(format!(
                "\"{text}\" is a host whose address cannot be read: correct it under \"hosts\""
            ));
        }
        if text.is_empty() || text.contains(['/', ':', ' ']) {
            return Err(format!(
                "invalid alias format: \"{text}\": it is no address, prefix, host, group, tag or person"
            ));
        }
        Ok(Self::User(text.to_owned()))
    }

    /// Whether it selects devices by their owner or tag.
    pub(crate) fn selects_by_owner(&self) -> bool {
        matches!(
            self,
            Self::Member
                | Self::Tagged
                | Self::Group(_)
                | Self::Tag(_)
                | Self::User(_)
                | Self::Domain(_)
        )
    }

    /// Whether it selects a node, by its owner, tags or address.
    pub(crate) fn selects(&self, node: &Node, network: &Network, document: &Document) -> bool {
        let owner = || owner(node, network);
        match self {
            Self::Any | Self::Everyone => true,
            Self::Member => owner().is_some(),
            Self::Tagged => !node.tags.is_empty(),
            Self::Group(name) => owner().is_some_and(|user| {
                let members = document.groups.get(name).into_iter().flatten();
                members.into_iter().any(|member| means(&member.text, user, network))
            }),
            Self::Tag(name) => node.tags.contains(name),
            Self::User(name) => owner().is_some_and(|user| means(name, user, network)),
            Self::Domain(domain) => owner().is_some_and(|user| has_domain(user, domain)),
            Self::Prefix(prefix) => node.addresses.iter().any(|address| prefix.contains(address)),
            Self::SelfDevices | Self::Internet | Self::NonRoot => false,
        }
    }
}

fn known(
    is_known: bool,
    selector: Selector,
    reason: impl FnOnce() -> String,
) -> Result<Selector, String> {
    if is_known { Ok(selector) } else { Err(reason()) }
}

fn autogroup(text: &str) -> Result<Selector, String> {
    match text {
        "autogroup:member" | "autogroup:members" => Ok(Selector::Member),
        "autogroup:tagged" => Ok(Selector::Tagged),
        "autogroup:self" => Ok(Selector::SelfDevices),
        "autogroup:internet" => Ok(Selector::Internet),
        "autogroup:nonroot" => Ok(Selector::NonRoot),
        "autogroup:danger-all" => Ok(Selector::Everyone),
        _ => Err(format!(
            "invalid autogroup: got \"{text}\": member, tagged, self, internet and danger-all are known"
        )),
    }
}

/// The person a node belongs to; a tagged node has no owner.
pub(crate) fn owner<'a>(node: &Node, network: &'a Network) -> Option<&'a User> {
    if !node.tags.is_empty() {
        return None;
    }
    let id = node.user?;
    // Users are usually in the order of their numbers.
    match network.users.binary_search_by_key(&id, |user| user.id) {
        Ok(index) => network.users.get(index),
        Err(_) => network.users.iter().find(|user| user.id == id),
    }
}

/// Whether a word names this person alone: an ambiguous name matches nobody.
fn means(word: &str, user: &User, network: &Network) -> bool {
    user.is(word) && !network.users.iter().any(|other| other.id != user.id && other.is(word))
}

/// Whether a person's mail address is in a domain.
pub(crate) fn has_domain(user: &User, domain: &str) -> bool {
    user.email.rsplit_once('@').is_some_and(|(_, of)| of.eq_ignore_ascii_case(domain))
}

/// Prints a prefix as filters do: without bits behind its length, a single address without a length.
pub(crate) fn print(prefix: &IpNet) -> String {
    if prefix.prefix_len() == prefix.max_prefix_len() {
        prefix.addr().to_string()
    } else {
        prefix.trunc().to_string()
    }
}
