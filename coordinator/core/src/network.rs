//! The network compiled by its policy.

mod changes;
mod view;
mod wire;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use control_protocol::key::NodePublic;
use control_protocol::map::{self, CapMap, DerpMap, FilterRule, Hostinfo, UserProfile};
use ipnet::IpNet;

use self::{
    changes::NodeChanges,
    wire::{policy_node, policy_user, profile, wire_node},
};
pub use self::{
    changes::Position,
    wire::{TAGGED, wire_id},
};
use crate::{
    attributes,
    dns::ExtraDns,
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

/// The network compiled by its policy, from which each node's [`View`](crate::map::View) is made.
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
    changes: NodeChanges,
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
        let ways_out = ways_out(input.nodes);
        let (mut entries, mut served) = (BTreeMap::new(), BTreeMap::<_, Vec<_>>::new());
        for (index, node) in valid(input.nodes, input.now).into_iter().enumerate() {
            let before = previous.and_then(|previous| previous.entries.get(&node.id));
            let kept = reusable.and(before);
            let mut entry = entry(input, &seen_by_policy, index, node, before, kept);
            if ways_out.contains(&node.id) {
                entry.as_exit = as_exit(input, &seen_by_policy, index);
            }
            if let Some((router, _)) = entry.tunnel {
                served.entry(router).or_default().push(node.id);
            }
            entries.insert(node.id, entry);
        }
        let routes = entries.iter().map(|(id, entry)| (*id, entry.subnets.as_slice()));
        let before = previous.map(|previous| &previous.routers);
        let routers = Routers::elect(routes, input.online, before);
        let mut next = Self {
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
            changes: NodeChanges::default(),
        };
        if let Some(previous) = reusable.filter(|previous| next.is_like(previous)) {
            next.changes = previous.changes.followed_by(&next.changed_nodes(previous));
        }
        next
    }

    /// Whether every map differs from that of `previous` by the entries of nodes alone. Both have the same policy, people,
    /// names of nodes, owners, addresses and approved routes.
    fn is_like(&self, previous: &Self) -> bool {
        let is_like = |((id, entry), (before_id, before)): ((_, &Entry), (_, &Entry))| {
            let kind = |entry: &Entry| (entry.is_maru, entry.tunnel);
            id == before_id && kind(entry) == kind(before)
        };
        self.domain == previous.domain
            && self.entries.len() == previous.entries.len()
            && self.entries.iter().zip(&previous.entries).all(is_like)
            && self.routers == previous.routers
            && self.records == previous.records
            && self.taken == previous.taken
            && Arc::ptr_eq(&self.names, &previous.names)
            && Arc::ptr_eq(&self.derp, &previous.derp)
    }

    /// The nodes whose entries differ from those of `previous`, which has the same nodes.
    fn changed_nodes(&self, previous: &Self) -> Vec<NodeId> {
        let pairs = self.entries.iter().zip(previous.entries.values());
        let changed = pairs.filter(|((_, entry), before)| {
            !Arc::ptr_eq(&entry.wire, &before.wire) || !Arc::ptr_eq(&entry.told, &before.told)
        });
        changed.map(|((id, _), _)| *id).collect()
    }

    /// Whether node `id` is in maps, with this key.
    #[must_use]
    pub fn has(&self, id: NodeId, key: &NodePublic) -> bool {
        self.entries.get(&id).is_some_and(|entry| entry.wire.key == *key)
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
        as_exit: Vec::new(),
    }
}

/// The routers of WireGuard devices with a full tunnel.
fn ways_out(nodes: &[Node]) -> BTreeSet<NodeId> {
    let tunnels = nodes.iter().filter_map(|node| node.wireguard.as_ref());
    tunnels.filter(|tunnel| tunnel.full_tunnel).map(|tunnel| tunnel.router).collect()
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
