//! Who a rule speaks of.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::{Network, Node, User, document::Document};

/// A source, or a destination without its ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selector {
    /// `*`: every node, and every approved route.
    Any,
    /// `autogroup:member`: devices that belong to people.
    Member,
    /// `autogroup:tagged`.
    Tagged,
    /// `autogroup:self`: the source's own devices.
    SelfDevices,
    /// `autogroup:internet`: what exit nodes lead to.
    Internet,
    /// `group:…`, with its prefix.
    Group(String),
    /// `tag:…`, with its prefix.
    Tag(String),
    /// A person.
    User(String),
    /// An address or prefix, written out or by a name under `hosts`.
    Prefix(IpNet),
}

impl Selector {
    /// Reads one.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(crate) fn parse(text: &str, document: &Document) -> Result<Self, String> {
        match text {
            "*" => return Ok(Self::Any),
            "autogroup:member" | "autogroup:members" => return Ok(Self::Member),
            "autogroup:tagged" => return Ok(Self::Tagged),
            "autogroup:self" => return Ok(Self::SelfDevices),
            "autogroup:internet" => return Ok(Self::Internet),
            "" => return Err("it is empty".to_owned()),
            _ => {}
        }
        if text.starts_with("autogroup:") {
            return Err(format!(
                "unknown autogroup \"{text}\": member, tagged, self and internet are known"
            ));
        }
        if text.starts_with("group:") {
            return if document.groups.contains_key(text) {
                Ok(Self::Group(text.to_owned()))
            } else {
                Err(format!("group not found: \"{text}\": name its members under \"groups\""))
            };
        }
        if text.starts_with("tag:") {
            return if document.tag_owners.contains_key(text) {
                Ok(Self::Tag(text.to_owned()))
            } else {
                Err(format!("tag not found: \"{text}\": name its owners under \"tagOwners\""))
            };
        }
        if let Some(address) = document.hosts.get(text) {
            return prefix(address).map(Self::Prefix).ok_or_else(|| {
                format!("host \"{text}\" is \"{address}\", which is no address or prefix")
            });
        }
        if let Some(prefix) = prefix(text) {
            return Ok(Self::Prefix(prefix));
        }
        if text.contains(['/', ':', ' ']) {
            return Err(format!("\"{text}\" is no address, prefix, host, group, tag or person"));
        }
        Ok(Self::User(text.to_owned()))
    }

    /// Whether a node is one of those selected, by whom it belongs to or by its address.
    pub(crate) fn selects(&self, node: &Node, network: &Network, document: &Document) -> bool {
        let owner = owner(node, network);
        match self {
            Self::Any => true,
            Self::Member => owner.is_some(),
            Self::Tagged => !node.tags.is_empty(),
            Self::Group(name) => owner.is_some_and(|user| document.in_group(name, user)),
            Self::Tag(name) => node.tags.contains(name),
            Self::User(name) => owner.is_some_and(|user| is_user(name, user)),
            Self::Prefix(prefix) => node.addresses.iter().any(|address| prefix.contains(address)),
            Self::SelfDevices | Self::Internet => false,
        }
    }
}

/// The person a node belongs to; a tagged node belongs to nobody.
pub(crate) fn owner<'a>(node: &Node, network: &'a Network) -> Option<&'a User> {
    if !node.tags.is_empty() {
        return None;
    }
    network.users.iter().find(|user| Some(user.id) == node.user)
}

/// Whether a policy's word for a person means this one: login name, mail address, or `name@`.
pub(crate) fn is_user(word: &str, user: &User) -> bool {
    !word.is_empty()
        && (word == user.name
            || word == user.email
            || word.strip_suffix('@').is_some_and(|name| name == user.name))
}

/// Reads an address or a prefix.
pub(crate) fn prefix(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// Prints a prefix as filters do: a single address without its length.
pub(crate) fn print(prefix: &IpNet) -> String {
    if prefix.prefix_len() == prefix.max_prefix_len() {
        prefix.addr().to_string()
    } else {
        prefix.to_string()
    }
}
