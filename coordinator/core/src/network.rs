//! The network as one value, and what the policy makes of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use control_protocol::map::{
    self, CapMap, DerpMap, DnsConfig, DnsRecord, FilterRule, Hostinfo, UserProfile,
};
use ipnet::IpNet;

use crate::{
    attributes,
    dns::ExtraDns,
    map::View,
    model::{Node, NodeId, Owner, Record, User, UserId},
    policy::{AddressRanges, RouterAccess, to_wire},
    route::{self, EXIT, Routers},
    time::{self, Millis},
};

/// Whom stock clients show as the owner of tagged nodes (the number and name that Headscale uses).
pub const TAGGED: (map::UserId, &str) = (2_147_455_555, "tagged-devices");

/// Everything that maps are made of.
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
    /// Resolvers, and names beside those of the nodes.
    pub names: Arc<ExtraDns>,
    /// The policy.
    pub policy: &'a acl::Policy,
    /// Counts the policies; the same number means the same policy.
    pub policy_revision: i64,
    /// The nodes that are connected.
    pub online: &'a BTreeSet<NodeId>,
    /// The relays.
    pub derp: Arc<DerpMap>,
    /// The time. Nodes that expired by then are in no map.
    pub now: Millis,
}

/// One node, made ready to be seen.
#[derive(Clone, Debug)]
struct Entry {
    /// As its peers see it.
    wire: Arc<map::Node>,
    /// What it is told of itself alone.
    told: Arc<CapMap>,
    /// What of that is the admin's.
    capabilities: CapMap,
    owner: Option<UserId>,
    addresses: [IpAddr; 2],
    rules: Arc<Vec<FilterRule>>,
    lets_in: Arc<AddressRanges>,
    /// What of that the policy names as prefixes: subnets to which it answers.
    answers: Arc<AddressRanges>,
    /// Approved subnets that it routes.
    subnets: Vec<IpNet>,
    /// Whether it is an approved exit node.
    is_exit: bool,
    /// Whom it lets through; nobody if it routes nothing.
    reach: Arc<RouterAccess>,
}

impl Entry {
    /// Whether either may talk to the other, or to what is behind it.
    fn sees(&self, other: &Self) -> bool {
        let lets_in = |one: &Self, other: &Self| {
            one.lets_in.contain(&other.addresses)
                || other.subnets.iter().any(|net| one.lets_in.overlap(net))
        };
        lets_in(self, other) || lets_in(other, self)
    }
}

/// The network under its policy: from it comes each node's [`View`].
#[derive(Clone, Debug)]
pub struct CompiledNetwork {
    domain: Arc<str>,
    entries: BTreeMap<NodeId, Entry>,
    profiles: BTreeMap<UserId, UserProfile>,
    records: Vec<Record>,
    names: Arc<ExtraDns>,
    /// Labels that nodes and records have.
    taken: BTreeSet<String>,
    routers: Routers,
    derp: Arc<DerpMap>,
    seen_by_policy: acl::Network,
    policy_revision: i64,
}

/// Nodes that have not expired, in the order of their numbers: the order in which a policy sees them.
fn valid(nodes: &[Node], now: Millis) -> Vec<&Node> {
    let mut valid: Vec<&Node> = nodes.iter().filter(|node| !node.is_expired(now)).collect();
    valid.sort_by_key(|node| node.id);
    valid
}

/// Shows the network to `policy`: nodes that have not expired, in the order of their numbers, with the routes that the
/// admin or this policy approves.
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

fn policy_user(user: &User) -> acl::User {
    let email = if user.name.contains('@') { user.name.clone() } else { String::new() };
    acl::User { id: user.id, name: user.name.clone(), email }
}

fn policy_node(node: &Node) -> acl::Node {
    acl::Node {
        name: node.name.clone(),
        user: node.owner.user(),
        tags: node.owner.tag_list().to_vec(),
        addresses: addresses(node).to_vec(),
        routable_ips: route::offered(node),
        approved_routes: Vec::new(),
    }
}

fn addresses(node: &Node) -> [IpAddr; 2] {
    [node.addresses.v4.into(), node.addresses.v6.into()]
}

impl CompiledNetwork {
    /// Compiles the network. What the policy said before is taken from `previous` if nothing it looks at has changed.
    #[must_use]
    pub fn build(input: &Input<'_>, previous: Option<&Self>) -> Self {
        let seen_by_policy = for_policy(input.users, input.nodes, input.policy, input.now);
        let reusable = previous.filter(|previous| {
            previous.policy_revision == input.policy_revision
                && previous.seen_by_policy == seen_by_policy
        });
        let mut entries = BTreeMap::new();
        for (index, node) in valid(input.nodes, input.now).into_iter().enumerate() {
            let before = previous.and_then(|previous| previous.entries.get(&node.id));
            let kept = reusable.and(before);
            let entry = entry(input, &seen_by_policy, index, node, before, kept);
            entries.insert(node.id, entry);
        }
        let routes = entries.iter().map(|(id, entry)| (*id, entry.subnets.as_slice()));
        let before = previous.map(|previous| &previous.routers);
        let routers = Routers::elect(routes, input.online, before);
        Self {
            domain: input.domain.into(),
            entries,
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

    /// What node `id` is told; `None` if it is no node, or has expired.
    #[must_use]
    pub fn view(&self, id: NodeId) -> Option<View> {
        let own = self.entries.get(&id)?;
        let visible = |(other_id, other): (&NodeId, &Entry)| *other_id == id || own.sees(other);
        let seen: Vec<(NodeId, &Entry)> = self
            .entries
            .iter()
            .filter(|&pair| visible(pair))
            .map(|(id, entry)| (*id, entry))
            .collect();
        let profiles =
            seen.iter().map(|(_, entry)| self.profile_of(entry)).map(|p| (p.id, p)).collect();
        let peers = seen.iter().filter(|(other, _)| *other != id);
        Some(View {
            domain: Arc::clone(&self.domain),
            node: self.own_node(id, own),
            peers: peers
                .map(|(other, entry)| (entry.wire.id, self.shown_to(id, own, *other, entry)))
                .collect(),
            profiles,
            dns: self.dns(&seen),
            rules: Arc::clone(&own.rules),
            derp: Arc::clone(&self.derp),
        })
    }

    /// A node as it is told of itself.
    fn own_node(&self, id: NodeId, own: &Entry) -> Arc<map::Node> {
        let node = Self::routing(own, self.own_routes(id, own), own.is_exit);
        Arc::new(map::Node { cap_map: CapMap::clone(&own.told), ..Arc::unwrap_or_clone(node) })
    }

    /// The subnets for which a node is in use.
    fn own_routes(&self, id: NodeId, own: &Entry) -> Vec<IpNet> {
        own.subnets.iter().filter(|net| self.is_in_use(id, net)).copied().collect()
    }

    /// The router by which node `id` sends to a subnet: the best of those that let it through. If none does, and a rule
    /// names the subnet as a source of what the node lets in, the best of all, so that answers find their way back.
    fn router_for(&self, id: NodeId, own: &Entry, net: &IpNet) -> Option<NodeId> {
        let routers = self.routers.of(net);
        // Who leads there itself takes no other's way.
        if routers.contains(&id) {
            return None;
        }
        let leads = |router: &NodeId| {
            let router = self.entries.get(router);
            router.is_some_and(|router| router.reach.leads(&own.addresses, net))
        };
        let there = routers.iter().find(|router| leads(router));
        let back = || routers.first().filter(|_| own.answers.overlap(net));
        there.or_else(back).copied()
    }

    /// A peer as node `id` is told of it: with those of its routes for which it is the node's router.
    fn shown_to(&self, id: NodeId, own: &Entry, peer_id: NodeId, peer: &Entry) -> Arc<map::Node> {
        let is_chosen = |net: &&IpNet| self.router_for(id, own, net) == Some(peer_id);
        let subnets = peer.subnets.iter().filter(is_chosen).copied().collect();
        let is_exit = peer.is_exit && peer.reach.leads_out(&own.addresses);
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

    fn profile_of(&self, entry: &Entry) -> UserProfile {
        let known = entry.owner.and_then(|owner| self.profiles.get(&owner)).cloned();
        known.unwrap_or_else(|| UserProfile {
            id: TAGGED.0,
            login_name: TAGGED.1.to_owned(),
            display_name: TAGGED.1.to_owned(),
        })
    }

    fn dns(&self, seen: &[(NodeId, &Entry)]) -> DnsConfig {
        let mut extra_records = Vec::new();
        for record in &self.records {
            let Some((_, entry)) = seen.iter().find(|(id, _)| *id == record.node) else { continue };
            let name = format!("{}.{}", record.name, self.domain);
            for address in entry.addresses {
                let r#type = if address.is_ipv4() { "A" } else { "AAAA" }.to_owned();
                extra_records.push(DnsRecord {
                    name: name.clone(),
                    r#type,
                    value: address.to_string(),
                });
            }
        }
        let mut dns = DnsConfig {
            routes: BTreeMap::from([(self.domain.to_string(), Vec::new())]),
            domains: vec![self.domain.to_string()],
            proxied: true,
            extra_records,
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

/// Makes a node ready to be seen. `before` is the node as it was, `kept` the same if what the policy says of it still holds.
fn entry(
    input: &Input<'_>,
    network: &acl::Network,
    index: usize,
    node: &Node,
    before: Option<&Entry>,
    kept: Option<&Entry>,
) -> Entry {
    let compile = || input.policy.compile(network, index).iter().flat_map(to_wire).collect();
    let rules = kept.map_or_else(|| Arc::new(compile()), |kept| Arc::clone(&kept.rules));
    let lets_in = kept
        .map_or_else(|| Arc::new(AddressRanges::sources(&rules)), |kept| Arc::clone(&kept.lets_in));
    let answers = || Arc::new(AddressRanges::of(&input.policy.named_sources(network, index)));
    let answers = kept.map_or_else(answers, |kept| Arc::clone(&kept.answers));
    let approved = network.nodes.get(index).map(|node| node.approved_routes.as_slice());
    let (exits, subnets): (Vec<IpNet>, Vec<IpNet>) =
        approved.unwrap_or_default().iter().partition(|net| EXIT.contains(net));
    let routes = !exits.is_empty() || !subnets.is_empty();
    let reach =
        || Arc::new(if routes { RouterAccess::of(&rules) } else { RouterAccess::default() });
    let reach = kept.map_or_else(reach, |kept| Arc::clone(&kept.reach));
    let wire = wire_node(node, input);
    let wire = match before {
        Some(before) if *before.wire == wire => Arc::clone(&before.wire),
        Some(_) | None => Arc::new(wire),
    };
    let told = || {
        let by_policy = input.policy.attributes(network, index);
        Arc::new(attributes::own(node, by_policy))
    };
    // The admin's part is in neither the policy nor what it looks at.
    let same = before.filter(|before| before.capabilities == node.capabilities).and(kept);
    Entry {
        told: same.map_or_else(told, |kept| Arc::clone(&kept.told)),
        capabilities: node.capabilities.clone(),
        wire,
        owner: node.owner.user(),
        addresses: addresses(node),
        rules,
        lets_in,
        answers,
        subnets,
        is_exit: !exits.is_empty(),
        reach,
    }
}

fn profile(user: &User) -> UserProfile {
    UserProfile {
        id: wire_id(user.id),
        login_name: user.name.clone(),
        display_name: user.name.clone(),
    }
}

/// Numbers on the wire are signed.
#[must_use]
pub fn wire_id(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}

/// What a device says of itself, without what JSON would have to escape: one stock client cannot read such a text, and
/// with it the whole map.
fn plain(text: &str) -> String {
    text.chars()
        .filter(|character| {
            !common::foreign::steers(*character) && !['"', '\\'].contains(character)
        })
        .take(255)
        .collect()
}

fn wire_node(node: &Node, input: &Input<'_>) -> map::Node {
    let online = input.online.contains(&node.id);
    let addresses: Vec<IpNet> = addresses(node).into_iter().map(IpNet::from).collect();
    // Peers learn what they need: the rest of what a device says of itself is nobody else's business.
    let hostinfo = Hostinfo {
        os: plain(&node.claims.hostinfo.os),
        hostname: plain(&node.claims.hostinfo.hostname),
        services: attributes::services(&node.claims.hostinfo),
        ..Hostinfo::default()
    };
    map::Node {
        id: wire_id(node.id),
        stable_id: node.stable_id.clone(),
        name: format!("{}.{}.", node.name, input.domain),
        user: node.owner.user().map_or(TAGGED.0, wire_id),
        key: node.keys.node,
        key_expiry: node.times.expires.map(time::to_rfc3339),
        machine: node.keys.machine,
        disco_key: node.keys.disco,
        allowed_ips: Some(addresses.clone()),
        addresses,
        endpoints: node.claims.endpoints.clone(),
        home_derp: node.claims.home_derp,
        hostinfo: Some(hostinfo),
        created: Some(time::to_rfc3339(node.times.created)),
        // Go reads an `int`, which has 32 bits on some phones: one that lies must not spoil the map of others.
        cap: node.claims.version.min(i32::MAX.unsigned_abs()),
        tags: match &node.owner {
            Owner::User(_) => Vec::new(),
            Owner::Tags(tags) => tags.clone(),
        },
        last_seen: node.times.last_seen.filter(|_| !online).map(time::to_rfc3339),
        online: Some(online),
        machine_authorized: true,
        cap_map: attributes::for_peers(node),
        ..map::Node::default()
    }
}

#[cfg(test)]
pub(crate) mod tests;
