//! Explains whether a source reaches a destination.

use std::net::IpAddr;

use crate::{
    Network, Node, Policy, Position, Rule,
    addresses::{AddressSet, prefix},
    canonical::DEFAULT_PROTOCOLS,
    compile::RuleOn,
    internet,
    nodes::Nodes,
    selector::Selector,
};

/// One connection attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Where it comes from.
    pub from: IpAddr,
    /// Where it goes to.
    pub to: IpAddr,
    /// IANA protocol number.
    pub protocol: u8,
    /// Port; ignored for protocols without ports.
    pub port: u16,
}

/// The rule that allows a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Its position in the text.
    pub at: Position,
    /// Which one, such as `acls[2]`.
    pub place: String,
    /// The node whose filter allows it: index in [`Network::nodes`].
    pub node: usize,
}

/// A device or address that a selector stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    /// Name of the device, or the address as it was written.
    pub name: String,
    /// Addresses.
    pub addresses: Vec<IpAddr>,
}

impl Policy {
    /// The first rule that allows an attempt at some node of the network; `None` means that it is denied.
    #[must_use]
    pub fn decide(&self, network: &Network, attempt: &Attempt) -> Option<Decision> {
        let there = network.nodes.iter().enumerate().filter(|(_, node)| leads_to(node, attempt.to));
        let there: Vec<_> = there.map(|(index, _)| index).collect();
        let mut nodes = Nodes::new(&self.document, network);
        for parsed in &self.rules {
            let rule = RuleOn::new(&mut nodes, parsed);
            for &index in &there {
                let rules = rule.at(&nodes, index);
                if rules.iter().any(|rule| rule.allows(attempt)) {
                    let (at, place) = (parsed.location.at, parsed.location.place.clone());
                    return Some(Decision { at, place, node: index });
                }
            }
        }
        None
    }

    /// What a word stands for: an address, a device by name, or a selector of rules.
    ///
    /// # Errors
    ///
    /// [`PartyError`].
    pub fn parties(&self, network: &Network, word: &str) -> Result<Vec<Party>, PartyError> {
        let party =
            |node: &Node| Party { name: node.name.clone(), addresses: node.addresses.clone() };
        if let Some(node) = network.nodes.iter().find(|node| node.name == word) {
            return Ok(vec![party(node)]);
        }
        let selector = match prefix(word) {
            Some(prefix) => Selector::Prefix(prefix),
            None => Selector::parse(word, &self.document).map_err(PartyError::Selector)?,
        };
        let named = network.nodes.iter();
        let named = named.filter(|node| selector.selects(node, network, &self.document));
        let parties: Vec<Party> = named.map(party).collect();
        if let Selector::Prefix(prefix) = selector
            && prefix.prefix_len() == prefix.max_prefix_len()
        {
            let name = parties.first().map_or_else(|| word.to_owned(), |party| party.name.clone());
            return Ok(vec![Party { name, addresses: vec![prefix.addr()] }]);
        }
        if parties.is_empty() {
            return Err(PartyError::Nobody(word.to_owned()));
        }
        Ok(parties)
    }
}

/// Why a word stands for nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartyError {
    /// It is no selector of rules, for this reason.
    Selector(String),
    /// The word selects no device of the network.
    Nobody(String),
}

/// Whether a node has an address, or routes packets to it.
fn leads_to(node: &Node, to: IpAddr) -> bool {
    let out = || internet::is_exit(node) && internet::holds(&to.into());
    node.addresses.contains(&to) || node.subnets().any(|route| route.contains(&to)) || out()
}

impl Rule {
    /// Whether it allows an attempt.
    #[must_use]
    pub fn allows(&self, attempt: &Attempt) -> bool {
        let protocols =
            if self.ip_proto.is_empty() { &DEFAULT_PROTOCOLS[..] } else { &self.ip_proto };
        let has_ports = !matches!(attempt.protocol, 1 | 58);
        let to = |texts: &String| AddressSet::of([texts]).holds(&attempt.to.into());
        protocols.contains(&attempt.protocol)
            && AddressSet::of(&self.src_ips).holds(&attempt.from.into())
            && self.dst_ports.iter().any(|port| {
                let open = (port.first..=port.last).contains(&attempt.port) || !has_ports;
                open && to(&port.ip)
            })
    }
}
