//! Which routes of other nodes this node uses, and which it serves.
//!
//! The coordinator says which routes there are; the user of this device says which are used. So a coordinator that lies can
//! send this device's traffic nowhere that its user did not choose: exit routes count from the chosen exit node alone, subnets
//! only if they are accepted at all, and never those that would take over the mesh, this machine or most of the internet.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
};

use common::{
    mesh,
    route::{EXIT, NOWHERE, PRIVATE, VIA, overlap},
};
use control_protocol::map::Node;
use ipnet::{IpNet, Ipv4Net};

use super::map::{Netmap, mesh_addresses};
use crate::filter::Ranges;

/// Most subnets that are used.
const SUBNETS_MAX: usize = 256;
/// Shortest prefixes of public addresses that count as subnets: wider ones together would be an exit node.
const PUBLIC_MIN: [u8; 2] = [16, 32];

/// Addresses that mean no other machine (RFC 1122, section 3.2.1.3).
const THIS_NETWORK: IpNet = IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 8));

/// What the user of this device chose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteChoice {
    /// Whether subnets behind other nodes are used.
    pub accepts_subnets: bool,
    /// The exit node: its name in the network, its stable id, or one of its mesh addresses.
    pub exit_node: Option<String>,
    /// The networks that this node offers to route.
    pub offered: Vec<IpNet>,
}

/// Why a network cannot be offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteProblem {
    /// It overlaps the mesh's addresses.
    #[error("it overlaps the mesh's own addresses")]
    Mesh,
    /// Loopback, link-local or multicast addresses.
    #[error("it has loopback, link-local or multicast addresses")]
    Nowhere,
    /// All addresses.
    #[error("it is the whole internet: write advertise_exit_node = true instead")]
    Exit,
    /// Bits are set behind the prefix.
    #[error("its address is not the first of the network")]
    HostBits,
}

/// Checks that a node can offer `net` as a subnet.
///
/// # Errors
///
/// Why it cannot.
pub fn check_offer(net: &IpNet) -> Result<(), RouteProblem> {
    if EXIT.contains(net) {
        Err(RouteProblem::Exit)
    } else if net.trunc() != *net {
        Err(RouteProblem::HostBits)
    } else if [IpNet::V4(mesh::V4), IpNet::V6(mesh::V6)].iter().any(|mesh| overlap(mesh, net)) {
        Err(RouteProblem::Mesh)
    } else if NOWHERE.iter().any(|nowhere| overlap(nowhere, net)) {
        Err(RouteProblem::Nowhere)
    } else {
        Ok(())
    }
}

/// Whether a subnet behind another node can be used.
fn is_acceptable(net: &IpNet) -> bool {
    if matches!(net, IpNet::V6(net) if VIA.contains(net)) {
        return true;
    }
    let shortest = PUBLIC_MIN[usize::from(net.addr().is_ipv6())];
    let is_narrow =
        net.prefix_len() >= shortest || PRIVATE.iter().any(|private| private.contains(net));
    check_offer(net).is_ok() && is_narrow
}

impl Netmap {
    /// The routes of other nodes that are used, and whose they are: subnets, then those of the exit node. A subnet that two
    /// nodes have is the first one's; one that this node offers itself is nobody else's.
    #[must_use]
    pub fn routes(&self, choice: &RouteChoice) -> Vec<(IpNet, &Node)> {
        let mut used = Vec::new();
        let mut taken: BTreeSet<IpNet> = choice.offered.iter().copied().collect();
        for peer in self.active_peers().filter(|_| choice.accepts_subnets) {
            for net in peer.effective_allowed_ips() {
                if is_acceptable(net) && used.len() < SUBNETS_MAX && taken.insert(*net) {
                    used.push((*net, peer));
                }
            }
        }
        if let Some(peer) = self.exit_node(choice) {
            let offers = |net: &IpNet| peer.effective_allowed_ips().contains(net);
            used.extend(EXIT.into_iter().filter(offers).map(|net| (net, peer)));
        }
        used
    }

    /// The chosen exit node, if it is a peer. A name that fits two peers is none.
    #[must_use]
    pub fn exit_node(&self, choice: &RouteChoice) -> Option<&Node> {
        let wanted = choice.exit_node.as_deref()?;
        let address = wanted.parse::<IpAddr>().ok();
        let is_it = |peer: &&Node| match address {
            Some(address) => mesh_addresses(peer).contains(&address),
            None => peer.stable_id == wanted || self.short_name(peer).eq_ignore_ascii_case(wanted),
        };
        let mut found = self.active_peers().filter(is_it);
        found.next().filter(|_| found.next().is_none())
    }

    /// The networks that this node offers and the coordinator approved.
    #[must_use]
    pub fn served(&self, choice: &RouteChoice) -> Vec<IpNet> {
        let Some(node) = &self.node else { return Vec::new() };
        let approved = node.effective_allowed_ips();
        choice.offered.iter().filter(|net| approved.contains(net)).copied().collect()
    }

    /// Where this node forwards peers' packets to: the subnets that it serves, and as an exit node the internet, as far as it is
    /// `outside`, which are the addresses that may be the internet from here. A network of this machine is a subnet, or nobody's.
    #[must_use]
    pub fn forwards(&self, choice: &RouteChoice, outside: &Ranges) -> Ranges {
        let (exits, subnets): (Vec<_>, Vec<_>) =
            self.served(choice).into_iter().partition(|net| EXIT.contains(net));
        let mut forwards: Ranges = subnets.into_iter().collect();
        forwards.extend(internet(outside).within(&exits.into_iter().collect()));
        forwards
    }
}

/// What of the addresses `outside` is the internet's: not the mesh's, private, or of no route.
pub(super) fn internet(outside: &Ranges) -> Ranges {
    let mesh = [IpNet::V4(mesh::V4), IpNet::V6(mesh::V6)];
    let elsewhere = PRIVATE.into_iter().chain(NOWHERE).chain(mesh).chain([THIS_NETWORK]);
    outside.without(&elsewhere.collect())
}

#[cfg(test)]
mod tests;
