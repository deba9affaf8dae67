//! The network's domain: fixed by the first map after joining, whatever the coordinator says later.

use control_protocol::map::{MapResponse, Node};
use messages::{Message, message};

use super::map::{Naming, Netmap, PreviousNames};
use crate::{domain::Domain, registration::showable};

impl Netmap {
    /// The current names of the nodes in `response`.
    pub(super) fn names_before(&self, response: &MapResponse) -> PreviousNames {
        let peers = response.peers.iter().flatten().chain(&response.peers_changed);
        let name = |peer: &Node| Some((peer.id, self.peers.get(&peer.id)?.name.clone()));
        PreviousNames {
            own: self.node.as_ref().map(|node| node.name.clone()),
            peers: peers.filter_map(name).collect(),
            dns: Some(self.dns.clone()),
        }
    }

    /// The network's domain, once a map has fixed it.
    #[must_use]
    pub fn network(&self) -> Option<&Domain> {
        match &self.naming {
            Naming::Domain(domain) => Some(domain),
            Naming::Open | Naming::Nameless => None,
        }
    }

    /// Fixes the network's domain by this map, unless it is fixed already.
    pub fn fix_domain(&mut self) {
        if self.naming == Naming::Open && self.node.is_some() {
            self.naming = match self.claimed().and_then(|claimed| claimed.parse().ok()) {
                Some(domain) => Naming::Domain(domain),
                None => Naming::Nameless,
            };
        }
    }

    /// A problem with the coordinator's names, and what to do.
    #[must_use]
    pub fn problem(&self) -> Option<Message> {
        let refused = self.refused.as_ref()?;
        let refused = format!("{refused:?}");
        Some(match self.network() {
            Some(domain) => message!("problem-agent-other-domain", refused, domain),
            None => message!("problem-agent-invalid-domain", refused),
        })
    }

    /// Refuses the names of a message that are outside the network's domain, and keeps the previous ones.
    pub(super) fn settle_names(&mut self, before: PreviousNames, names_node: bool) {
        let was_open = self.naming == Naming::Open;
        self.fix_domain();
        if names_node {
            let claimed = self.claimed().map(str::to_owned);
            let is_ours = |claimed: &str| {
                claimed.parse().is_ok_and(|claimed: Domain| self.network() == Some(&claimed))
            };
            self.refused = claimed.filter(|claimed| !is_ours(claimed)).map(|text| showable(&text));
        }
        let Naming::Domain(domain) = &self.naming else { return };
        if was_open {
            return;
        }
        let keep = |node: &mut Node, old: &str| {
            if domain.host(&node.name).is_none() && domain.host(old).is_some() {
                old.clone_into(&mut node.name);
            }
        };
        if let (Some(node), Some(old)) = (&mut self.node, &before.own) {
            keep(node, old);
        }
        for (id, old) in &before.peers {
            if let Some(peer) = self.peers.get_mut(id) {
                keep(peer, old);
            }
        }
        if let (Some(_), Some(dns)) = (&self.refused, before.dns) {
            self.dns = dns;
        }
    }

    /// The coordinator's name for the network: this node's full name without its first label.
    fn claimed(&self) -> Option<&str> {
        let name = self.node.as_ref()?.name.trim_end_matches('.');
        let suffix = name.split_once('.').map_or(self.domain.as_str(), |(_, suffix)| suffix);
        (!suffix.is_empty()).then_some(suffix)
    }
}
