//! WireGuard devices: who they are, and what this node, as their router, forwards for them.
//!
//! Such a device has plain WireGuard alone. In the map it is a peer without a way of its own (`AllowedIPs` is empty); its
//! addresses are among those of its router. Packets from it are known by these addresses, and never count as the router's.

use std::net::IpAddr;

use common::{mesh, route::EXIT};
use control_protocol::{
    key::NodePublic,
    map::{FilterRule, Node, WireguardDevice},
};
use ipnet::IpNet;

use super::{
    map::{Netmap, mesh_addresses},
    routes::{RouteChoice, internet},
};
use crate::filter::{DEFAULT_PROTOCOLS, Ranges};

/// What this node does for the WireGuard devices whose router it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WireguardPlan {
    /// The devices.
    pub devices: Vec<ServedDevice>,
    /// Which connections may be open, begun by a device or by somebody else. All others are not.
    pub rules: Vec<ConnectionRule>,
}

/// A WireGuard device whose router this node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedDevice {
    /// Its stable id.
    pub stable_id: String,
    /// Its name in the network.
    pub name: String,
    /// Its WireGuard public key.
    pub key: NodePublic,
    /// Its mesh addresses.
    pub addresses: Vec<IpAddr>,
    /// Whether its packets to the internet leave here.
    pub full_tunnel: bool,
}

/// Connections that may be open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionRule {
    /// Who may have begun them.
    pub sources: Ranges,
    /// To whom.
    pub destinations: Ranges,
    /// IP protocols.
    pub protocols: Vec<u8>,
    /// Destination ports, both ends included.
    pub ports: (u16, u16),
}

impl WireguardPlan {
    /// The mesh addresses of all devices.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddr> {
        self.devices.iter().flat_map(|device| device.addresses.iter().copied()).collect()
    }

    /// Whether the device with the address `asker` may know of `address`: it is its own, or a rule lets one of them open something
    /// on the other.
    #[must_use]
    pub fn shows(&self, asker: IpAddr, address: IpAddr) -> bool {
        let Some(device) = self.devices.iter().find(|device| device.addresses.contains(&asker))
        else {
            return false;
        };
        let is_its = |ranges: &Ranges| device.addresses.iter().any(|own| ranges.contains(*own));
        device.addresses.contains(&address)
            || self.rules.iter().any(|rule| {
                (is_its(&rule.sources) && rule.destinations.contains(address))
                    || (is_its(&rule.destinations) && rule.sources.contains(address))
            })
    }
}

/// Whether a node can be a WireGuard device: it has addresses, and no way of its own.
fn is_device(node: &Node) -> bool {
    node.allowed_ips.as_ref().is_some_and(Vec::is_empty)
        && !node.expired
        && !node.key.is_zero()
        && !mesh_addresses(node).is_empty()
}

impl Netmap {
    /// What this node forwards for WireGuard devices, where `outside` are the addresses that may be the internet from here.
    ///
    /// A device's own rules name what it may open in the mesh, in subnets that this node reaches for itself or serves, and, with
    /// a full tunnel, in the internet, as far as it is `outside`; never another address of this machine's networks. The rules of
    /// this node's own filter name who may open something on the device.
    #[must_use]
    pub fn wireguard(&self, choice: &RouteChoice, outside: &Ranges) -> WireguardPlan {
        let subnets = self.routes(choice).into_iter().map(|(net, _)| net);
        let subnets = subnets.chain(self.served(choice));
        // An exit node is a way to the internet, which is none of its subnets.
        let subnets: Ranges = subnets.filter(|net| !EXIT.contains(net)).collect();
        let mut inside: Ranges = [IpNet::V4(mesh::V4), mesh::V6.into()].into_iter().collect();
        let internet = internet(outside);
        inside.extend(subnets.without(&inside));
        let mut plan = WireguardPlan::default();
        for (served, node) in self.served_devices() {
            let addresses = mesh_addresses(node);
            let own = addresses.iter().copied().map(IpNet::from).collect();
            let mut reach = inside.clone();
            if served.full_tunnel {
                reach.extend(internet.clone());
            }
            plan.rules.extend(rules(&served.allow, &own, &reach));
            plan.devices.push(ServedDevice {
                stable_id: node.stable_id.clone(),
                name: self.short_name(node),
                key: node.key,
                addresses,
                full_tunnel: served.full_tunnel,
            });
        }
        let devices = plan.addresses().into_iter().map(IpNet::from).collect();
        plan.rules.extend(rules(&self.rules(), &inside, &devices));
        plan
    }

    /// The devices whose router this node is, by its own map. Each has addresses that are nobody else's.
    fn served_devices(&self) -> Vec<(WireguardDevice, &Node)> {
        let Some(own) = &self.node else { return Vec::new() };
        let mut taken = self.addresses();
        taken.extend(self.active_peers().flat_map(mesh_addresses));
        let mut found = Vec::new();
        for served in WireguardDevice::served(&own.cap_map) {
            let Some(node) = self.peers.get(&served.node).filter(|node| is_device(node)) else {
                continue;
            };
            let addresses = mesh_addresses(node);
            if addresses.iter().any(|address| taken.contains(address)) {
                continue;
            }
            taken.extend(addresses);
            found.push((served, node));
        }
        found
    }

    /// The WireGuard device with this address, if this node or a peer is its router.
    pub(super) fn device_at(&self, address: IpAddr) -> Option<&Node> {
        let of_peer = |net: &IpNet| *net == IpNet::from(address);
        let is_routed = || {
            self.active_peers().any(|peer| peer.effective_allowed_ips().iter().any(of_peer))
                || self.served_addresses().contains(&address)
        };
        let mut devices = self.peers.values().filter(|node| is_device(node));
        devices.find(|node| mesh_addresses(node).contains(&address)).filter(|_| is_routed())
    }

    /// The addresses of the devices whose router this node is.
    pub(super) fn served_addresses(&self) -> Vec<IpAddr> {
        self.served_devices().into_iter().flat_map(|(_, node)| mesh_addresses(node)).collect()
    }
}

/// The rules of the coordinator, as far as their sources are of `from` and their destinations of `to`. Parts that cannot be read
/// allow nothing.
fn rules(given: &[FilterRule], from: &Ranges, to: &Ranges) -> Vec<ConnectionRule> {
    let mut found = Vec::new();
    for rule in given.iter().filter(|rule| rule.is_supported()) {
        let mut sources = Ranges::default();
        rule.src_ips.iter().for_each(|text| sources.push_text(text));
        let sources = sources.within(from);
        let named = rule.ip_proto.iter().filter_map(|number| u8::try_from(*number).ok());
        let protocols: Vec<u8> = match rule.ip_proto.is_empty() {
            true => DEFAULT_PROTOCOLS.to_vec(),
            false => named.collect(),
        };
        for destination in &rule.dst_ports {
            let mut addresses = Ranges::default();
            addresses.push_text(&destination.ip);
            let destinations = addresses.within(to);
            let ports = (destination.ports.first, destination.ports.last);
            let is_something = !sources.is_empty() && !destinations.is_empty();
            if !is_something || protocols.is_empty() || ports.0 > ports.1 {
                continue;
            }
            let (sources, protocols) = (sources.clone(), protocols.clone());
            found.push(ConnectionRule { sources, destinations, protocols, ports });
        }
    }
    found
}

#[cfg(test)]
mod tests;
