//! The network compiled by its policy.

mod changes;
mod layers;
mod view;
mod wire;

use std::{
    borrow::Borrow,
    cell::LazyCell,
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    ops::Deref,
    sync::{Arc, OnceLock},
};

use control_protocol::key::NodePublic;
use control_protocol::map::{self, CapMap, DerpMap, FilterRule, Hostinfo, UserProfile};
use ipnet::IpNet;

use self::{
    changes::NodeChanges,
    layers::Layers,
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

/// Changed nodes for which [`CompiledNetwork::audience`] is found. Of more, most nodes see some.
const AUDIENCE_OF_MAX: usize = 16;

/// Everything that determines the maps.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    /// DNS domain of the network, without a final dot.
    pub domain: &'a str,
    /// The people.
    pub users: &'a [User],
    /// The nodes, expired ones included. Those that are shared with the previous input are known to have stayed.
    pub nodes: &'a Arc<[Arc<Node>]>,
    /// Extra DNS names.
    pub records: &'a [Record],
    /// Resolvers and extra records.
    pub names: Arc<ExtraDns>,
    /// The policy.
    pub policy: &'a acl::Policy,
    /// The revision of the policy.
    pub policy_revision: i64,
    /// The nodes that are connected.
    pub online: &'a Arc<BTreeSet<NodeId>>,
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
    /// The nodes that it sees and itself, once somebody has asked: they stay while the [`Frame`] does.
    seen: OnceLock<Arc<[NodeId]>>,
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
        self.places_without(&[], internet)
    }

    /// The same without some subnets.
    fn places_without(&self, without: &[IpNet], internet: bool) -> AddressRanges {
        let own = self.addresses.iter().map(|ip| IpNet::from(*ip));
        let subnets = self.subnets.iter().copied().filter(|net| !without.contains(net));
        AddressRanges::of_nets(own.chain(subnets), internet)
    }
}

/// The network compiled by its policy, from which each node's [`View`](crate::map::View) is made.
#[derive(Clone, Debug)]
pub struct CompiledNetwork {
    frame: Arc<Frame>,
    entries: Layers<Entry>,
    routers: Arc<Routers>,
    /// What was compiled.
    nodes: Arc<[Arc<Node>]>,
    online: Arc<BTreeSet<NodeId>>,
    /// When it was compiled, and when the next node expires.
    valid: (Millis, Millis),
    changes: NodeChanges,
}

/// What stays when nodes change only what their peers are told of them.
#[derive(Debug)]
struct Frame {
    domain: Arc<str>,
    /// The WireGuard devices of each router.
    served: BTreeMap<NodeId, Vec<NodeId>>,
    profiles: BTreeMap<UserId, UserProfile>,
    records: Vec<Record>,
    names: Arc<ExtraDns>,
    /// Labels of nodes and records.
    taken: BTreeSet<String>,
    derp: Arc<DerpMap>,
    seen_by_policy: acl::Network,
    policy_revision: i64,
}

/// The nodes that have not expired and, if they are WireGuard devices, have a router; by number, which is their order in the
/// policy's network.
fn valid(nodes: &[impl Borrow<Node>], now: Millis) -> Vec<&Node> {
    let is_in = |node: &&Node| !node.is_expired(now) && wireguard::is_routed(node, nodes, now);
    let mut valid: Vec<&Node> = nodes.iter().map(Borrow::borrow).filter(is_in).collect();
    valid.sort_by_key(|node| node.id);
    valid
}

/// Converts the network for `policy`: the nodes that are in maps, by number, with the routes that the admin or this
/// policy approves.
#[must_use]
pub fn for_policy(
    users: &[User],
    nodes: &[impl Borrow<Node>],
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
    /// Compiles the network. What has not changed is taken over from `previous`.
    #[must_use]
    pub fn build(input: &Input<'_>, previous: Option<&Self>) -> Self {
        previous
            .and_then(|previous| previous.followed_by(input))
            .unwrap_or_else(|| Self::build_all(input, previous))
    }

    /// The next network if nodes alone have changed, and of them only what peers are told.
    fn followed_by(&self, input: &Input<'_>) -> Option<Self> {
        let (compiled, until) = self.valid;
        let is_valid = compiled <= input.now && input.now < until;
        if !is_valid || !self.frame.is_of(input) || self.nodes.len() != input.nodes.len() {
            return None;
        }
        let has_moved = !Arc::ptr_eq(&self.online, input.online) && self.online != *input.online;
        let moved: BTreeSet<_> = match has_moved {
            true => self.online.symmetric_difference(input.online).collect(),
            false => BTreeSet::new(),
        };
        let (mut entries, mut changed) = (self.entries.clone(), Vec::new());
        for (before, node) in self.nodes.iter().zip(&**input.nodes) {
            let is_same = Arc::ptr_eq(before, node);
            if is_same && !moved.contains(&node.id) {
                continue;
            }
            if !is_same && !before.differs_for_peers_alone(node) {
                return None;
            }
            // Expired nodes have none.
            let Some(entry) = self.entries.get(node.id) else { continue };
            let wire = wire_node(node, input.domain, input.online.contains(&node.id));
            if *entry.wire != wire {
                let entry = Entry { wire: Arc::new(wire), ..Entry::clone(entry) };
                entries.replace(node.id, Arc::new(entry));
                changed.push(node.id);
            }
        }
        // Subnets stay, so another router is in use only if one came or went.
        let routers = match has_moved {
            true => Arc::new(elect(&entries, input.online, Some(&self.routers))),
            false => Arc::clone(&self.routers),
        };
        let has_stayed = routers == self.routers;
        Some(Self {
            frame: Arc::clone(&self.frame),
            entries,
            routers,
            nodes: Arc::clone(input.nodes),
            online: Arc::clone(input.online),
            valid: (input.now, until),
            changes: if has_stayed {
                self.changes.followed_by(&changed)
            } else {
                NodeChanges::default()
            },
        })
    }

    fn build_all(input: &Input<'_>, previous: Option<&Self>) -> Self {
        let seen_by_policy = for_policy(input.users, input.nodes, input.policy, input.now);
        let reusable = previous.filter(|previous| {
            previous.frame.policy_revision == input.policy_revision
                && previous.frame.seen_by_policy == seen_by_policy
        });
        let ways_out = ways_out(input.nodes);
        let compiler = LazyCell::new(|| input.policy.on(&seen_by_policy));
        let (mut entries, mut served) = (Vec::new(), BTreeMap::<_, Vec<_>>::new());
        for (index, node) in valid(input.nodes, input.now).into_iter().enumerate() {
            let before = previous.and_then(|previous| previous.entries.get(node.id));
            let before = before.map(|before| &**before);
            let kept = reusable.and(before);
            let place = (&seen_by_policy, index);
            let mut entry = entry(input, place, &compiler, node, before, kept);
            if ways_out.contains(&node.id) {
                entry.as_exit = as_exit(input, &seen_by_policy, index);
            }
            if let Some((router, _)) = entry.tunnel {
                served.entry(router).or_default().push(node.id);
            }
            entries.push((node.id, Arc::new(entry)));
        }
        drop(compiler);
        let entries = entries.into_iter().collect();
        let before = previous.map(|previous| &*previous.routers);
        let routers = Arc::new(elect(&entries, input.online, before));
        let expiries = input.nodes.iter().filter_map(|node| node.times.expires);
        let until = expiries.filter(|at| *at > input.now).min().unwrap_or(Millis::MAX);
        let frame = Frame {
            domain: input.domain.into(),
            served,
            profiles: input.users.iter().map(|user| (user.id, profile(user))).collect(),
            records: input.records.to_vec(),
            names: Arc::clone(&input.names),
            taken: taken(input),
            derp: Arc::clone(&input.derp),
            seen_by_policy,
            policy_revision: input.policy_revision,
        };
        Self {
            frame: Arc::new(frame),
            entries,
            routers,
            nodes: Arc::clone(input.nodes),
            online: Arc::clone(input.online),
            valid: (input.now, until),
            changes: NodeChanges::default(),
        }
    }

    /// The nodes whose maps differ from those of `previous`; `None` if all may.
    #[must_use]
    pub fn audience(&self, previous: &Self) -> Option<BTreeSet<NodeId>> {
        let changed = self.changes.since(&previous.position())?;
        if changed.len() > AUDIENCE_OF_MAX {
            return None;
        }
        let entries = changed.iter().filter_map(|id| Some((*id, &**self.entries.get(*id)?)));
        Some(entries.flat_map(|(id, own)| self.seen_by(id, own)).map(|(id, _)| id).collect())
    }

    /// When the next node expires.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Millis> {
        Some(self.valid.1).filter(|at| *at < Millis::MAX)
    }

    /// Whether node `id` is in maps, with this key.
    #[must_use]
    pub fn has(&self, id: NodeId, key: &NodePublic) -> bool {
        self.entries.get(id).is_some_and(|entry| entry.wire.key == *key)
    }

    /// Whether the admin or the policy approves a route of node `id`.
    #[must_use]
    pub fn is_approved(&self, id: NodeId, net: &IpNet) -> bool {
        self.entries
            .get(id)
            .is_some_and(|entry| entry.subnets.contains(net) || entry.is_exit && EXIT.contains(net))
    }

    /// Whether node `id` is the router in use of a subnet, or an exit node that can be chosen.
    #[must_use]
    pub fn is_in_use(&self, id: NodeId, net: &IpNet) -> bool {
        self.is_approved(id, net)
            && (EXIT.contains(net) || self.routers.of(net).first() == Some(&id))
    }
}

impl Frame {
    /// Whether everything but the nodes is that of `input`.
    fn is_of(&self, input: &Input<'_>) -> bool {
        let is_known = |(user, known): (&User, &acl::User)| policy_user(user) == *known;
        let known = &self.seen_by_policy.users;
        *self.domain == *input.domain
            && self.policy_revision == input.policy_revision
            && Arc::ptr_eq(&self.names, &input.names)
            && Arc::ptr_eq(&self.derp, &input.derp)
            && self.records == input.records
            && known.len() == input.users.len()
            && input.users.iter().zip(known).all(is_known)
    }
}

fn elect(entries: &Layers<Entry>, online: &BTreeSet<NodeId>, before: Option<&Routers>) -> Routers {
    let routes = entries.iter().map(|(id, entry)| (id, entry.subnets.as_slice()));
    Routers::elect(routes, online, before)
}

fn taken(input: &Input<'_>) -> BTreeSet<String> {
    let nodes = input.nodes.iter().map(|node| &node.name);
    nodes.chain(input.records.iter().map(|record| &record.name)).cloned().collect()
}

/// Compiles a node. `compiler` is of the policy, and made when it is needed. `before` is its earlier entry, `kept` the same if the policy's results still hold.
fn entry<'a>(
    input: &Input<'_>,
    (network, index): (&acl::Network, usize),
    compiler: &impl Deref<Target = acl::Compiler<'a>>,
    node: &Node,
    before: Option<&Entry>,
    kept: Option<&Entry>,
) -> Entry {
    let approved = network.nodes.get(index).map(|node| node.approved_routes.as_slice());
    let (exits, subnets): (Vec<IpNet>, Vec<IpNet>) =
        approved.unwrap_or_default().iter().partition(|net| EXIT.contains(net));
    let routes = !exits.is_empty() || !subnets.is_empty();
    let access = || {
        let rules: Vec<_> = compiler.rules(index).iter().flat_map(to_wire).collect();
        Arc::new(Access {
            sources: AddressRanges::sources(&rules),
            answers: AddressRanges::of(&compiler.named_sources(index)),
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
        seen: OnceLock::new(),
    }
}

/// The routers of WireGuard devices with a full tunnel.
fn ways_out(nodes: &[Arc<Node>]) -> BTreeSet<NodeId> {
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
