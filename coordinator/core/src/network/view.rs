//! What a node sees of the network.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use control_protocol::map::{
    self, CapMap, DnsConfig, DnsRecord, FilterRule, UserProfile, WIREGUARD_DEVICES, WireguardDevice,
};
use ipnet::IpNet;

use super::{CompiledNetwork, Entry, Position, wire::TAGGED};
use crate::{
    attributes,
    map::{NodeUpdate, View},
    model::{NodeId, UserId},
    policy::RouterAccess,
    route::EXIT,
    wireguard,
};

impl CompiledNetwork {
    /// The view of node `id`; `None` if it does not exist or has expired.
    #[must_use]
    pub fn view(&self, id: NodeId) -> Option<View> {
        let own = self.entries.get(id)?;
        let seen: Vec<(NodeId, &Entry)> = self.seen_by(id, own).collect();
        let owners: BTreeSet<_> = seen.iter().map(|(_, entry)| entry.owner).collect();
        let profiles =
            owners.into_iter().map(|owner| self.profile_of(owner)).map(|p| (p.id, p)).collect();
        // Stock apps send a packet to the node that has its destination's address, whatever the routes are (1.100,
        // `lookupPeerByIP`): a WireGuard device must be a route of its router there, and no peer.
        let is_peer = |entry: &Entry| own.is_maru || entry.tunnel.is_none();
        let peers = seen.iter().filter(|(other, entry)| *other != id && is_peer(entry));
        Some(View {
            domain: Arc::clone(&self.frame.domain),
            node: self.own_node(id, own),
            peers: peers
                .map(|(other, entry)| (entry.wire.id, self.shown_to(id, own, *other, entry)))
                .collect(),
            profiles,
            dns: self.dns(id, own, &seen),
            rules: self.rules(id, own),
            derp: Arc::clone(&self.frame.derp),
        })
    }

    /// The present position of a map stream.
    #[must_use]
    pub fn position(&self) -> Position {
        self.changes.position()
    }

    /// What has changed for node `id` since its `view` was made at `position`; `None` if the view must be made again.
    #[must_use]
    pub fn update(&self, id: NodeId, view: &View, position: &Position) -> Option<NodeUpdate> {
        let (changed, own) = (self.changes.since(position)?, self.entries.get(id)?);
        let mut update = NodeUpdate::default();
        for changed_id in changed {
            let entry = self.entries.get(changed_id)?;
            if changed_id == id {
                update.node = Some(self.own_node(id, own));
            } else if view.peers.contains_key(&entry.wire.id) {
                update.peers.push(self.shown_to(id, own, changed_id, entry));
            }
        }
        Some(update)
    }

    /// The WireGuard devices that a node serves.
    fn devices(&self, id: NodeId) -> impl Iterator<Item = (NodeId, &Entry)> {
        let served = self.frame.served.get(&id).into_iter().flatten();
        served.filter_map(|id| Some((*id, &**self.entries.get(*id)?)))
    }

    /// A node and the WireGuard devices that it serves.
    fn group(&self, id: NodeId) -> impl Iterator<Item = &Entry> {
        let own = self.entries.get(id).map(|own| &**own);
        own.into_iter().chain(self.devices(id).map(|(_, device)| device))
    }

    /// A node, those that it sees, and which see it.
    pub(super) fn seen_by<'a>(
        &'a self,
        id: NodeId,
        own: &'a Entry,
    ) -> impl Iterator<Item = (NodeId, &'a Entry)> {
        let is_seen = |(other_id, other): &(NodeId, &Arc<Entry>)| {
            let sees = || match self.frame.served.is_empty() {
                true => own.sees(other),
                false => self.sees(id, *other_id),
            };
            *other_id == id || sees()
        };
        let find = || self.entries.iter().filter(is_seen).map(|(id, _)| id).collect();
        let seen = own.seen.get_or_init(find).iter();
        seen.filter_map(|id| Some((*id, &**self.entries.get(*id)?)))
    }

    /// Whether one of two nodes, or of the WireGuard devices that they serve, may reach the other. A router and its devices
    /// always see each other.
    fn sees(&self, id: NodeId, other: NodeId) -> bool {
        let is_served =
            |id, by| self.frame.served.get(&by).is_some_and(|served| served.contains(&id));
        let reach = |one: &Entry| self.group(other).any(|other| one.sees(other));
        is_served(id, other) || is_served(other, id) || self.group(id).any(reach)
    }

    /// The packet filter of a node, which for a router is that of its WireGuard devices, too.
    fn rules(&self, id: NodeId, own: &Entry) -> Arc<Vec<FilterRule>> {
        let of_device = |(_, device): (NodeId, &Entry)| {
            wireguard::narrow(&device.access.rules, None, &device.places(false))
        };
        let mut rules = self.devices(id).flat_map(of_device).peekable();
        if rules.peek().is_none() {
            return Arc::clone(&own.access.rules);
        }
        Arc::new(own.access.rules.iter().cloned().chain(rules).collect())
    }

    /// What a WireGuard device may open anywhere in the mesh, and through its router. Subnets of its router are reached through no
    /// other one: the router forwards to them itself, and its own rules decide.
    fn allow(&self, id: NodeId, device: &Entry) -> Vec<FilterRule> {
        let router = device.tunnel.map(|(router, _)| router);
        let own = router.and_then(|router| self.entries.get(router));
        let own = own.map_or(&[][..], |router| router.subnets.as_slice());
        let mut allow = Vec::new();
        for (other_id, other) in self.entries.iter().filter(|(other, _)| *other != id) {
            let is_way_out = device.tunnel == Some((other_id, true));
            let rules = if is_way_out { &other.as_exit } else { &*other.access.rules };
            let elsewhere = if router == Some(other_id) { &[][..] } else { own };
            let places = other.places_without(elsewhere, is_way_out);
            allow.extend(wireguard::narrow(rules, Some(device.addresses), &places));
        }
        allow
    }

    /// Whether the policy lets a WireGuard device with a full tunnel reach the internet.
    #[must_use]
    pub fn leads_out(&self, id: NodeId) -> bool {
        self.entries.get(id).is_some_and(|device| {
            RouterAccess::of(&self.allow(id, device)).leads_out(&device.addresses)
        })
    }

    /// A node in its own map. It may be sent packets for every subnet of its, and not only for those where it is the first
    /// router: a rule with `via`, or another coordinator, may send somebody to it, and what it is not told of it drops.
    fn own_node(&self, id: NodeId, own: &Entry) -> Arc<map::Node> {
        let devices = || self.devices(id).flat_map(|(_, device)| device.addresses.map(IpNet::from));
        let subnets = own.subnets.iter().copied();
        let node = Self::routing(own, subnets.chain(devices()).collect(), own.is_exit);
        let in_use = own.subnets.iter().filter(|net| self.is_in_use(id, net)).copied();
        let primary_routes = in_use.chain(devices()).collect();
        let mut told = CapMap::clone(&own.told);
        let served = self.devices(id).map(|(id, device)| WireguardDevice {
            node: device.wire.id,
            full_tunnel: device.tunnel.is_some_and(|(_, is_full)| is_full),
            allow: self.allow(id, device),
        });
        let served: Vec<_> = served.filter_map(|it| serde_json::to_value(it).ok()).collect();
        told.remove(WIREGUARD_DEVICES);
        if !served.is_empty() {
            told.insert(WIREGUARD_DEVICES.to_owned(), served);
        }
        Arc::new(map::Node { cap_map: told, primary_routes, ..Arc::unwrap_or_clone(node) })
    }

    /// The router that node `id` uses for a subnet: the best one that forwards its packets. If none does, and a rule names the
    /// subnet as a source for the node, the best of all, so that replies are routed back.
    fn router_for(&self, id: NodeId, net: &IpNet) -> Option<NodeId> {
        let routers = self.routers.of(net);
        // A router of the subnet uses no other router.
        if routers.contains(&id) {
            return None;
        }
        // A router of WireGuard devices uses it for them, too.
        let group: Vec<&Entry> = self.group(id).collect();
        let leads = |router: &NodeId| {
            let router = self.entries.get(*router).map(|router| &**router);
            let leads = |router: &Entry| {
                group.iter().any(|one| router.access.router.leads(&one.addresses, net))
            };
            router.is_some_and(leads)
        };
        let there = routers.iter().find(|router| leads(router));
        let is_answered = || group.iter().any(|one| one.access.answers.overlap(net));
        let back = || routers.first().filter(|_| is_answered());
        there.or_else(back).copied()
    }

    /// A peer in the map of node `id`: with the routes for which it is that node's router.
    fn shown_to(&self, id: NodeId, own: &Entry, peer_id: NodeId, peer: &Entry) -> Arc<map::Node> {
        let is_chosen = |net: &&IpNet| self.router_for(id, net) == Some(peer_id);
        let subnets = peer.subnets.iter().filter(is_chosen).copied();
        let seen = self.devices(peer_id).filter(|(device, _)| self.sees(id, *device));
        let devices = seen.flat_map(|(_, device)| device.addresses.map(IpNet::from));
        let subnets = subnets.chain(devices).collect();
        let is_exit = peer.is_exit && peer.access.router.leads_out(&own.addresses);
        Self::routing(peer, subnets, is_exit)
    }

    /// A node with routes.
    fn routing(entry: &Entry, subnets: Vec<IpNet>, is_exit: bool) -> Arc<map::Node> {
        if subnets.is_empty() && !is_exit {
            return Arc::clone(&entry.wire);
        }
        let mut wire = map::Node::clone(&entry.wire);
        let exits = is_exit.then_some(EXIT).into_iter().flatten();
        let allowed = wire.addresses.iter().copied().chain(subnets.iter().copied()).chain(exits);
        wire.allowed_ips = Some(allowed.collect());
        if is_exit {
            wire.cap_map.insert(attributes::SUGGEST_EXIT_NODE.to_owned(), Vec::new());
        }
        wire.primary_routes = subnets;
        Arc::new(wire)
    }

    /// The profile of an owner; of tagged nodes, and of a user who is not known, that of [`TAGGED`].
    fn profile_of(&self, owner: Option<UserId>) -> UserProfile {
        let known = owner.and_then(|owner| self.frame.profiles.get(&owner)).cloned();
        known.unwrap_or_else(|| UserProfile {
            id: TAGGED.0,
            login_name: TAGGED.1.to_owned(),
            display_name: TAGGED.1.to_owned(),
        })
    }

    /// The names for which node `id` may have public certificates: those that the admin gave to it alone.
    #[must_use]
    pub fn certified_names(&self, id: NodeId) -> Vec<String> {
        let own = self.frame.records.iter().filter(|record| record.node == id);
        let names = own.map(|record| format!("{}.{}", record.name, self.frame.domain));
        names.filter(|name| self.frame.names.certifies(name)).collect()
    }

    fn dns(&self, id: NodeId, own: &Entry, seen: &[(NodeId, &Entry)]) -> DnsConfig {
        let mut extra_records = Vec::new();
        for record in &self.frame.records {
            let Some((_, entry)) = seen.iter().find(|(id, _)| *id == record.node) else { continue };
            let name = format!("{}.{}", record.name, self.frame.domain);
            extra_records.extend(entry.addresses.map(|ip| DnsRecord::new(&name, ip)));
        }
        // Names of peers are in their own entries.
        let no_peers = seen.iter().filter(|(_, entry)| !own.is_maru && entry.tunnel.is_some());
        for (_, device) in no_peers {
            let name = device.wire.name.trim_end_matches('.');
            extra_records.extend(device.addresses.map(|ip| DnsRecord::new(name, ip)));
        }
        let mut dns = DnsConfig {
            routes: BTreeMap::from([(self.frame.domain.to_string(), Vec::new())]),
            domains: vec![self.frame.domain.to_string()],
            proxied: true,
            extra_records,
            cert_domains: self.certified_names(id),
            ..DnsConfig::default()
        };
        let is_taken = |name: &str| {
            let host =
                name.strip_suffix(&*self.frame.domain).and_then(|host| host.strip_suffix('.'));
            host.is_some_and(|host| self.frame.taken.contains(host))
        };
        self.frame.names.add_to(&mut dns, is_taken);
        dns
    }
}
