//! The network compiled by its policy.

mod wire;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use control_protocol::map::{
    self, CapMap, DerpMap, DnsConfig, DnsRecord, FilterRule, Hostinfo, UserProfile,
    WIREGUARD_DEVICES, WireguardDevice,
};
use ipnet::IpNet;

pub use self::wire::{TAGGED, wire_id};
use self::wire::{policy_node, policy_user, profile, wire_node};
use crate::{
    attributes,
    dns::ExtraDns,
    map::View,
    model::{Node, NodeId, Record, User, UserId},
    policy::{AddressRanges, RouterAccess, to_wire},
    route::{self, EXIT, Routers},
    time::Millis,
    wireguard,
};

/// Everything that determines the maps.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    /// DNS domain of the network, without a final dot.
    pub domain: &'a str,
    /// The people.
    pub users: &'a [User],
    /// The nodes, expired ones included.
    pub nodes: &'a [Node],
    /// Extra DNS names.
    pub records: &'a [Record],
    /// Resolvers and extra records.
    pub names: Arc<ExtraDns>,
    /// The policy.
    pub policy: &'a acl::Policy,
    /// The revision of the policy.
    pub policy_revision: i64,
    /// The nodes that are connected.
    pub online: &'a BTreeSet<NodeId>,
    /// The relays.
    pub derp: Arc<DerpMap>,
    /// The time. Nodes that have expired are in no map.
    pub now: Millis,
}

/// A compiled node.
#[derive(Clone, Debug)]
struct Entry {
    /// The node for its peers.
    wire: Arc<map::Node>,
    /// The attributes for its own map.
    told: Arc<CapMap>,
    /// The admin's part of them.
    capabilities: CapMap,
    owner: Option<UserId>,
    addresses: [IpAddr; 2],
    access: Arc<Access>,
    /// Approved subnets that it routes.
    subnets: Vec<IpNet>,
    /// Whether it is an approved exit node.
    is_exit: bool,
    /// Whether it is Maru's agent, as it says.
    is_maru: bool,
    /// Of a WireGuard device: its router, and whether it is a full tunnel.
    tunnel: Option<(NodeId, bool)>,
    /// Of the router of a full tunnel: its rules if it were an exit node.
    as_exit: Vec<FilterRule>,
}

/// The policy's rules for a node.
#[derive(Debug)]
struct Access {
    rules: Arc<Vec<FilterRule>>,
    /// The sources of the rules.
    sources: AddressRanges,
    /// Those sources that the policy names as prefixes: subnets that it answers.
    answers: AddressRanges,
    /// The sources that it forwards; none if it routes nothing.
    router: RouterAccess,
}

impl Entry {
    /// Whether either may reach the other, or a subnet behind it.
    fn sees(&self, other: &Self) -> bool {
        let lets_in = |one: &Self, other: &Self| {
            one.access.sources.contain(&other.addresses)
                || other.subnets.iter().any(|net| one.access.sources.overlap(net))
        };
        lets_in(self, other) || lets_in(other, self)
    }

    /// The addresses at which it is a destination: its own, its subnets, and for whom it leads out the internet.
    fn places(&self, internet: bool) -> AddressRanges {
        let own = self.addresses.iter().map(|ip| IpNet::from(*ip));
        AddressRanges::of_nets(own.chain(self.subnets.iter().copied()), internet)
    }
}

/// The network compiled by its policy, from which each node's [`View`] is made.
#[derive(Clone, Debug)]
pub struct CompiledNetwork {
    domain: Arc<str>,
    entries: BTreeMap<NodeId, Entry>,
    /// The WireGuard devices of each router.
    served: BTreeMap<NodeId, Vec<NodeId>>,
    profiles: BTreeMap<UserId, UserProfile>,
    records: Vec<Record>,
    names: Arc<ExtraDns>,
    /// Labels of nodes and records.
    taken: BTreeSet<String>,
    routers: Routers,
    derp: Arc<DerpMap>,
    seen_by_policy: acl::Network,
    policy_revision: i64,
}

/// The nodes that have not expired and, if they are WireGuard devices, have a router; by number, which is their order in the
/// policy's network.
fn valid(nodes: &[Node], now: Millis) -> Vec<&Node> {
    let is_in = |node: &&Node| !node.is_expired(now) && wireguard::is_routed(node, nodes, now);
    let mut valid: Vec<&Node> = nodes.iter().filter(is_in).collect();
    valid.sort_by_key(|node| node.id);
    valid
}

/// Converts the network for `policy`: the nodes that are in maps, by number, with the routes that the admin or this
/// policy approves.
#[must_use]
pub fn for_policy(
    users: &[User],
    nodes: &[Node],
    policy: &acl::Policy,
    now: Millis,
) -> acl::Network {
    let valid = valid(nodes, now);
    let mut network = acl::Network {
        users: users.iter().map(policy_user).collect(),
        nodes: valid.iter().copied().map(policy_node).collect(),
    };
    for (index, node) in valid.into_iter().enumerate() {
        let approved = route::approved(node, |route| policy.approves_route(&network, index, route));
        if let Some(seen) = network.nodes.get_mut(index) {
            seen.approved_routes = approved;
        }
    }
    network
}

impl CompiledNetwork {
    /// Compiles the network. Results of the policy are reused from `previous` if its inputs have not changed.
    #[must_use]
    pub fn build(input: &Input<'_>, previous: Option<&Self>) -> Self {
        let seen_by_policy = for_policy(input.users, input.nodes, input.policy, input.now);
        let reusable = previous.filter(|previous| {
            previous.policy_revision == input.policy_revision
                && previous.seen_by_policy == seen_by_policy
        });
        let (mut entries, mut served) = (BTreeMap::new(), BTreeMap::<_, Vec<_>>::new());
        for (index, node) in valid(input.nodes, input.now).into_iter().enumerate() {
            let before = previous.and_then(|previous| previous.entries.get(&node.id));
            let kept = reusable.and(before);
            let entry = entry(input, &seen_by_policy, index, node, before, kept);
            if let Some((router, _)) = entry.tunnel {
                served.entry(router).or_default().push(node.id);
            }
            entries.insert(node.id, entry);
        }
        let routes = entries.iter().map(|(id, entry)| (*id, entry.subnets.as_slice()));
        let before = previous.map(|previous| &previous.routers);
        let routers = Routers::elect(routes, input.online, before);
        Self {
            domain: input.domain.into(),
            entries,
            served,
            profiles: input.users.iter().map(|user| (user.id, profile(user))).collect(),
            records: input.records.to_vec(),
            names: Arc::clone(&input.names),
            taken: taken(input),
            routers,
            derp: Arc::clone(&input.derp),
            seen_by_policy,
            policy_revision: input.policy_revision,
        }
    }

    /// Whether the admin or the policy approves a route of node `id`.
    #[must_use]
    pub fn is_approved(&self, id: NodeId, net: &IpNet) -> bool {
        self.entries
            .get(&id)
            .is_some_and(|entry| entry.subnets.contains(net) || entry.is_exit && EXIT.contains(net))
    }

    /// Whether node `id` is the router in use of a subnet, or an exit node that can be chosen.
    #[must_use]
    pub fn is_in_use(&self, id: NodeId, net: &IpNet) -> bool {
        self.is_approved(id, net)
            && (EXIT.contains(net) || self.routers.of(net).first() == Some(&id))
    }

    /// The view of node `id`; `None` if it does not exist or has expired.
    #[must_use]
    pub fn view(&self, id: NodeId) -> Option<View> {
        let own = self.entries.get(&id)?;
        let visible =
            |(other_id, _): (&NodeId, &Entry)| *other_id == id || self.sees(id, *other_id);
        let seen: Vec<(NodeId, &Entry)> = self
            .entries
            .iter()
            .filter(|&pair| visible(pair))
            .map(|(id, entry)| (*id, entry))
            .collect();
        let owners: BTreeSet<_> = seen.iter().map(|(_, entry)| entry.owner).collect();
        let profiles =
            owners.into_iter().map(|owner| self.profile_of(owner)).map(|p| (p.id, p)).collect();
        // Stock apps send a packet to the node that has its destination's address, whatever the routes are (1.100,
        // `lookupPeerByIP`): a WireGuard device must be a route of its router there, and no peer.
        let is_peer = |entry: &Entry| own.is_maru || entry.tunnel.is_none();
        let peers = seen.iter().filter(|(other, entry)| *other != id && is_peer(entry));
        Some(View {
            domain: Arc::clone(&self.domain),
            node: self.own_node(id, own),
            peers: peers
                .map(|(other, entry)| (entry.wire.id, self.shown_to(id, own, *other, entry)))
                .collect(),
            profiles,
            dns: self.dns(id, own, &seen),
            rules: self.rules(id, own),
            derp: Arc::clone(&self.derp),
        })
    }

    /// The WireGuard devices that a node serves.
    fn devices(&self, id: NodeId) -> impl Iterator<Item = (NodeId, &Entry)> {
        let served = self.served.get(&id).into_iter().flatten();
        served.filter_map(|id| Some((*id, self.entries.get(id)?)))
    }

    /// A node and the WireGuard devices that it serves.
    fn group(&self, id: NodeId) -> impl Iterator<Item = &Entry> {
        let own = self.entries.get(&id);
        own.into_iter().chain(self.devices(id).map(|(_, device)| device))
    }

    /// Whether one of two nodes, or of the WireGuard devices that they serve, may reach the other. A router and its devices
    /// always see each other.
    fn sees(&self, id: NodeId, other: NodeId) -> bool {
        let is_served = |id, by| self.served.get(&by).is_some_and(|served| served.contains(&id));
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

    /// What a WireGuard device may open anywhere in the mesh, and through its router.
    fn allow(&self, id: NodeId, device: &Entry) -> Vec<FilterRule> {
        let mut allow = Vec::new();
        for (other_id, other) in self.entries.iter().filter(|(other, _)| **other != id) {
            let is_way_out = device.tunnel == Some((*other_id, true));
            let rules = if is_way_out { &other.as_exit } else { &*other.access.rules };
            allow.extend(wireguard::narrow(
                rules,
                Some(device.addresses),
                &other.places(is_way_out),
            ));
        }
        allow
    }

    /// Whether the policy lets a WireGuard device with a full tunnel reach the internet.
    #[must_use]
    pub fn leads_out(&self, id: NodeId) -> bool {
        self.entries.get(&id).is_some_and(|device| {
            RouterAccess::of(&self.allow(id, device)).leads_out(&device.addresses)
        })
    }

    /// A node in its own map.
    fn own_node(&self, id: NodeId, own: &Entry) -> Arc<map::Node> {
        let subnets = self.own_routes(id, own).into_iter();
        let devices = self.devices(id).flat_map(|(_, device)| device.addresses.map(IpNet::from));
        let node = Self::routing(own, subnets.chain(devices).collect(), own.is_exit);
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
        Arc::new(map::Node { cap_map: told, ..Arc::unwrap_or_clone(node) })
    }

    /// The subnets for which a node is the router in use.
    fn own_routes(&self, id: NodeId, own: &Entry) -> Vec<IpNet> {
        own.subnets.iter().filter(|net| self.is_in_use(id, net)).copied().collect()
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
            let router = self.entries.get(router);
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
        let known = owner.and_then(|owner| self.profiles.get(&owner)).cloned();
        known.unwrap_or_else(|| UserProfile {
            id: TAGGED.0,
            login_name: TAGGED.1.to_owned(),
            display_name: TAGGED.1.to_owned(),
        })
    }

    /// The names for which node `id` may have public certificates: those that the admin gave to it alone.
    #[must_use]
    pub fn certified_names(&self, id: NodeId) -> Vec<String> {
        let own = self.records.iter().filter(|record| record.node == id);
        let names = own.map(|record| format!("{}.{}", record.name, self.domain));
        names.filter(|name| self.names.certifies(name)).collect()
    }

    fn dns(&self, id: NodeId, own: &Entry, seen: &[(NodeId, &Entry)]) -> DnsConfig {
        let mut extra_records = Vec::new();
        for record in &self.records {
            let Some((_, entry)) = seen.iter().find(|(id, _)| *id == record.node) else { continue };
            let name = format!("{}.{}", record.name, self.domain);
            extra_records.extend(entry.addresses.map(|ip| DnsRecord::new(&name, ip)));
        }
        // Names of peers are in their own entries.
        let no_peers = seen.iter().filter(|(_, entry)| !own.is_maru && entry.tunnel.is_some());
        for (_, device) in no_peers {
            let name = device.wire.name.trim_end_matches('.');
            extra_records.extend(device.addresses.map(|ip| DnsRecord::new(name, ip)));
        }
        let mut dns = DnsConfig {
            routes: BTreeMap::from([(self.domain.to_string(), Vec::new())]),
            domains: vec![self.domain.to_string()],
            proxied: true,
            extra_records,
            cert_domains: self.certified_names(id),
            ..DnsConfig::default()
        };
        let is_taken = |name: &str| {
            let host = name.strip_suffix(&*self.domain).and_then(|host| host.strip_suffix('.'));
            host.is_some_and(|host| self.taken.contains(host))
        };
        self.names.add_to(&mut dns, is_taken);
        dns
    }
}

fn taken(input: &Input<'_>) -> BTreeSet<String> {
    let nodes = input.nodes.iter().map(|node| &node.name);
    nodes.chain(input.records.iter().map(|record| &record.name)).cloned().collect()
}

/// Compiles a node. `before` is its earlier entry, `kept` the same if the policy's results still hold.
fn entry(
    input: &Input<'_>,
    network: &acl::Network,
    index: usize,
    node: &Node,
    before: Option<&Entry>,
    kept: Option<&Entry>,
) -> Entry {
    let approved = network.nodes.get(index).map(|node| node.approved_routes.as_slice());
    let (exits, subnets): (Vec<IpNet>, Vec<IpNet>) =
        approved.unwrap_or_default().iter().partition(|net| EXIT.contains(net));
    let routes = !exits.is_empty() || !subnets.is_empty();
    let access = || {
        let rules: Vec<_> = input.policy.compile(network, index).iter().flat_map(to_wire).collect();
        Arc::new(Access {
            sources: AddressRanges::sources(&rules),
            answers: AddressRanges::of(&input.policy.named_sources(network, index)),
            router: if routes { RouterAccess::of(&rules) } else { RouterAccess::default() },
            rules: Arc::new(rules),
        })
    };
    let wire = wire_node(node, input.domain, input.online.contains(&node.id));
    let wire = match before {
        Some(before) if *before.wire == wire => Arc::clone(&before.wire),
        Some(_) | None => Arc::new(wire),
    };
    let told = || {
        let by_policy = input.policy.attributes(network, index);
        Arc::new(attributes::own(node, by_policy))
    };
    // The admin's capabilities are not an input of the policy.
    let same = before.filter(|before| before.capabilities == node.capabilities).and(kept);
    Entry {
        told: same.map_or_else(told, |kept| Arc::clone(&kept.told)),
        capabilities: node.capabilities.clone(),
        wire,
        owner: node.owner.user(),
        addresses: node.addresses.both(),
        access: kept.map_or_else(access, |kept| Arc::clone(&kept.access)),
        subnets,
        is_exit: !exits.is_empty(),
        is_maru: node.claims.hostinfo.app == Hostinfo::MARU,
        tunnel: node.wireguard.as_ref().map(|tunnel| (tunnel.router, tunnel.full_tunnel)),
        as_exit: if is_way_out(input, node.id) {
            as_exit(input, network, index)
        } else {
            Vec::new()
        },
    }
}

/// Whether a node is the router of a WireGuard device with a full tunnel.
fn is_way_out(input: &Input<'_>, id: NodeId) -> bool {
    let mut tunnels = input.nodes.iter().filter_map(|node| node.wireguard.as_ref());
    tunnels.any(|tunnel| tunnel.router == id && tunnel.full_tunnel)
}

/// The rules of a node if it were an exit node.
fn as_exit(input: &Input<'_>, network: &acl::Network, index: usize) -> Vec<FilterRule> {
    let mut network = network.clone();
    if let Some(node) = network.nodes.get_mut(index) {
        node.approved_routes.extend(EXIT);
    }
    input.policy.compile(&network, index).iter().flat_map(to_wire).collect()
}

#[cfg(test)]
pub(crate) mod tests;
