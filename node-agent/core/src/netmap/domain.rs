//! The network's domain: fixed by the first map after joining, whatever the coordinator says later.

use control_protocol::map::{MapResponse, Node};

use super::{
    map::Netmap,
    naming::{Names, Naming},
};
use crate::{domain::Domain, registration::showable};

impl Netmap {
    /// The names in this map of what `response` is about.
    pub(super) fn names_before(&self, response: &MapResponse) -> Names {
        let peers = response.peers.iter().flatten().chain(&response.peers_changed);
        let name = |peer: &Node| Some((peer.id, self.peers.get(&peer.id)?.name.clone()));
        Names {
            own: self.node.as_ref().map(|node| node.name.clone()),
            peers: peers.filter_map(name).collect(),
            dns: Some(self.dns.clone()),
        }
    }

    /// The network's domain, once a map fixed it.
    #[must_use]
    pub fn network(&self) -> Option<&Domain> {
        match &self.naming {
            Naming::Domain(domain) => Some(domain),
            Naming::Open | Naming::Nameless => None,
        }
    }

    /// Fixes the network's domain by this map, unless one did before.
    pub fn fix_domain(&mut self) {
        if self.naming == Naming::Open && self.node.is_some() {
            self.naming = match self.claimed().and_then(|claimed| claimed.parse().ok()) {
                Some(domain) => Naming::Domain(domain),
                None => Naming::Nameless,
            };
        }
    }

    /// What is wrong with the coordinator's names, and what to do.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let refused = self.refused.as_ref()?;
        Some(match self.network() {
            Some(domain) => format!(
                "the coordinator calls this network {refused:?} now, but it was {domain} when this device joined, which \
                 stays: the new names are refused (to take them, leave and join again)"
            ),
            None => format!(
                "the coordinator calls this network {refused:?}, which cannot be used here: this device takes no names \
                 (the domain has to have two labels or more; when that is mended, leave and join again)"
            ),
        })
    }

    /// Refuses the names of a message that are not below the network's domain: those from before stay.
    pub(super) fn settle_names(&mut self, before: Names, names_node: bool) {
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

    /// What the coordinator calls the network: what this node's full name has after its first label.
    fn claimed(&self) -> Option<&str> {
        let name = self.node.as_ref()?.name.trim_end_matches('.');
        let suffix = name.split_once('.').map_or(self.domain.as_str(), |(_, suffix)| suffix);
        (!suffix.is_empty()).then_some(suffix)
    }
}
