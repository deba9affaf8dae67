//! Whatever changes, and in whatever order: each map stream leaves its client with the map that it would get if nothing had
//! been compiled or sent before, although only those are woken whose maps may have changed.

use std::collections::BTreeMap;

use control_protocol::map::{
    BASE_FILTER, DerpMap, Hostinfo, MapResponse, NodeId as WireId, WireguardRouter,
};
use ipnet::IpNet;

use super::*;
use crate::{
    route::{EXIT, Routers},
    session::MapSession,
    time::Millis,
    wireguard::Tunnel,
};

/// Node numbers.
const NODES: std::ops::RangeInclusive<u64> = 1..=7;

/// One change of the network. Numbers beside the node's choose a value.
#[derive(Clone, Copy, Debug)]
enum Change {
    Endpoint(u64, u16),
    Hostname(u64, u8),
    /// It offers to be the router of WireGuard devices, or not.
    Offer(u64, bool),
    LastSeen(u64, i64),
    Key(u64, u8),
    Connected(u64),
    /// In so many moments, or never.
    Expires(u64, Option<i64>),
    /// A moment passes.
    Time,
    Owner(u64, u8),
    Capability(u64, bool),
    Routes(u64, u8),
    Maru(u64, bool),
    Gone(u64),
    Policy(usize),
    Record(u64),
    UserName(bool),
    /// The second person is removed, or there again.
    User,
    Derp(bool),
}

fn change() -> impl Strategy<Value = Change> {
    use Change as C;
    prop_oneof![
        (NODES, 1_u16..4).prop_map(|(id, port)| C::Endpoint(id, port)),
        (NODES, 0_u8..3).prop_map(|(id, name)| C::Hostname(id, name)),
        (NODES, any::<bool>()).prop_map(|(id, is)| C::Offer(id, is)),
        (NODES, 5_i64..7).prop_map(|(id, time)| C::LastSeen(id, 1000 * time)),
        (NODES, 20_u8..22).prop_map(|(id, key)| C::Key(id, key)),
        NODES.prop_map(C::Connected),
        (NODES, prop::option::of(0_i64..3)).prop_map(|(id, time)| C::Expires(id, time)),
        Just(C::Time),
        (NODES, 0_u8..5).prop_map(|(id, owner)| C::Owner(id, owner)),
        (NODES, any::<bool>()).prop_map(|(id, is)| C::Capability(id, is)),
        (NODES, 0_u8..8).prop_map(|(id, routes)| C::Routes(id, routes)),
        (NODES, any::<bool>()).prop_map(|(id, is)| C::Maru(id, is)),
        NODES.prop_map(C::Gone),
        (0_usize..4).prop_map(C::Policy),
        NODES.prop_map(C::Record),
        any::<bool>().prop_map(C::UserName),
        Just(C::User),
        any::<bool>().prop_map(C::Derp),
    ]
}

fn policies() -> [acl::Policy; 4] {
    let all = r#"{ "acls": [{ "action": "accept", "src": ["*"], "dst": ["*:*"] }] }"#;
    let own = r#"{
        "tagOwners": { "tag:home": [], "tag:server": [] },
        "groups": { "group:kids": ["bob@"] },
        "autoApprovers": { "routes": { "192.168.0.0/16": ["tag:home"] }, "exitNode": ["tag:server"] },
        "acls": [
            { "action": "accept", "src": ["autogroup:member"], "dst": ["autogroup:self:*"] },
            { "action": "accept", "src": ["group:kids"], "dst": ["tag:server:443", "192.168.1.0/24:*"] },
            { "action": "accept", "src": ["alice@"], "dst": ["autogroup:internet:*", "tag:home:*"] },
        ],
        "nodeAttrs": [{ "target": ["tag:server"], "attr": ["randomize-client-port"] }],
    }"#;
    let texts = [all, own, "{}", &crate::policy::first()];
    texts.map(|text| acl::Policy::parse(text).unwrap())
}

/// Adds a node, or takes it out.
fn toggle(nodes: &mut BTreeSet<u64>, id: u64) {
    if !nodes.remove(&id) {
        nodes.insert(id);
    }
}

/// The network as the database and the streams would have it.
struct Simulation {
    nodes: Vec<Arc<Node>>,
    gone: BTreeSet<u64>,
    online: BTreeSet<u64>,
    users: [User; 2],
    record: Record,
    policies: [acl::Policy; 4],
    policy: usize,
    policy_revision: i64,
    derp: DerpMap,
    names: Arc<ExtraDns>,
    /// Whether the second person is there.
    both: bool,
    now: Millis,
}

impl Simulation {
    /// Home (1) and a server (2), which can route, and devices of two people, of whom each has one with WireGuard only (4, 6).
    fn new() -> Self {
        let mut nodes: Vec<Node> =
            NODES.map(|id| node(id, Owner::User(if id < 5 { 1 } else { 2 }))).collect();
        let key = NodePublic::from_bytes([99; 32]);
        nodes[0].owner = Owner::tags(vec!["tag:home".to_owned()]);
        nodes[0].claims.hostinfo.maru_wireguard = Some(WireguardRouter { key, port: 51820 });
        nodes[1].owner = Owner::tags(vec!["tag:server".to_owned()]);
        for (index, full_tunnel) in [(3, false), (5, true)] {
            nodes[index].keys.machine = MachinePublic::default();
            nodes[index].wireguard = Some(Tunnel {
                router: 1,
                router_key: key,
                endpoint: None,
                full_tunnel,
                keepalive: false,
            });
        }
        let user = |id, name: &str| User { id, name: name.to_owned(), created: 0 };
        Self {
            nodes: shared(&nodes).to_vec(),
            gone: BTreeSet::new(),
            online: BTreeSet::new(),
            users: [user(1, "alice"), user(2, "bob")],
            record: Record { name: "chat".to_owned(), node: 1 },
            policies: policies(),
            policy: 0,
            policy_revision: 1,
            derp: DerpMap::default(),
            names: Arc::default(),
            both: true,
            now: NOW,
        }
    }

    fn node(&mut self, id: u64) -> &mut Node {
        Arc::make_mut(&mut self.nodes[usize::try_from(id).unwrap() - 1])
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Endpoint(id, port) => {
                self.node(id).claims.endpoints = vec![([192, 0, 2, 1], port).into()];
            }
            Change::Hostname(id, name) => self.node(id).claims.hostinfo.hostname = name.to_string(),
            Change::Offer(id, is) => {
                let key = NodePublic::from_bytes([99; 32]);
                let offer = is.then_some(WireguardRouter { key, port: 51820 });
                self.node(id).claims.hostinfo.maru_wireguard = offer;
            }
            Change::LastSeen(id, time) => self.node(id).times.last_seen = Some(time),
            Change::Key(id, key) => self.node(id).keys.node = NodePublic::from_bytes([key; 32]),
            Change::Connected(id) => toggle(&mut self.online, id),
            Change::Expires(id, time) => {
                let now = self.now;
                self.node(id).times.expires = time.map(|time| now + time);
            }
            Change::Time => self.now += 1,
            Change::User => self.both = !self.both,
            Change::Owner(id, owner) => {
                self.node(id).owner = match owner {
                    0 => Owner::User(1),
                    1 => Owner::User(2),
                    2 => Owner::tags(vec!["tag:home".to_owned()]),
                    3 => Owner::tags(vec!["tag:server".to_owned()]),
                    _ => Owner::tags(vec!["tag:home".to_owned(), "tag:server".to_owned()]),
                };
            }
            Change::Capability(id, is) => {
                let capability = is.then(|| ("example.org/cap".to_owned(), Vec::new()));
                self.node(id).capabilities = capability.into_iter().collect();
            }
            Change::Routes(id, routes) => {
                let subnet: IpNet = "192.168.1.0/24".parse().unwrap();
                let offered = (routes & 1 != 0).then_some(subnet).into_iter();
                let exits = EXIT.into_iter().filter(|_| routes & 2 != 0);
                let offered: Vec<IpNet> = offered.chain(exits).collect();
                self.node(id).routes.approved =
                    if routes & 4 == 0 { Vec::new() } else { offered.clone() };
                self.node(id).claims.hostinfo.routable_ips = offered;
            }
            Change::Maru(id, is) => {
                self.node(id).claims.hostinfo.app =
                    if is { Hostinfo::MARU.to_owned() } else { String::new() };
            }
            Change::Gone(id) => toggle(&mut self.gone, id),
            Change::Policy(policy) => {
                self.policy = policy;
                self.policy_revision += 1;
            }
            Change::Record(id) => self.record.node = id,
            Change::UserName(is) => self.users[1].name = if is { "bob" } else { "rob" }.to_owned(),
            Change::Derp(is) => self.derp.omit_default_regions = is,
        }
    }

    fn compiled(&self, derp: &Arc<DerpMap>, previous: Option<&CompiledNetwork>) -> CompiledNetwork {
        let nodes = self.nodes.iter().filter(|node| !self.gone.contains(&node.id));
        let input = Input {
            domain: "maru.home.arpa",
            users: if self.both { &self.users } else { &self.users[..1] },
            nodes: &nodes.cloned().collect(),
            records: std::slice::from_ref(&self.record),
            names: Arc::clone(&self.names),
            policy: &self.policies[self.policy],
            policy_revision: self.policy_revision,
            online: &Arc::new(self.online.clone()),
            derp: Arc::clone(derp),
            now: self.now,
        };
        CompiledNetwork::build(&input, previous)
    }
}

/// A client that holds what it was told.
#[derive(Default)]
struct Client {
    session: MapSession,
    held: Option<MapResponse>,
    /// Whether it was woken since it last looked.
    is_woken: bool,
}

impl Client {
    /// Brings it to the network; whether the node is in it.
    fn follow(&mut self, network: &CompiledNetwork, id: u64, now: Millis) -> bool {
        let Ok(response) = self.session.next(network, id, now) else { return false };
        response.into_iter().for_each(|response| self.receive(response));
        true
    }

    fn receive(&mut self, response: MapResponse) {
        let Some(held) = &mut self.held else {
            self.held = Some(response);
            return;
        };
        assert_eq!(response.peers, None, "only the first response is complete");
        held.node = response.node.or(held.node.take());
        held.derp_map = response.derp_map.or(held.derp_map.take());
        held.dns_config = response.dns_config.or(held.dns_config.take());
        if let Some(filters) = response.packet_filters {
            assert_eq!(filters.keys().collect::<Vec<_>>(), [BASE_FILTER]);
            held.packet_filters = Some(filters);
        }
        let peers = held.peers.take().unwrap_or_default().into_iter().map(|peer| (peer.id, peer));
        let mut peers: BTreeMap<WireId, _> = peers.collect();
        for id in response.peers_removed {
            assert!(peers.remove(&id).is_some(), "a peer was removed that was never told");
        }
        peers.extend(response.peers_changed.into_iter().map(|peer| (peer.id, peer)));
        for patch in response.peers_changed_patch {
            peers.get_mut(&patch.node_id).unwrap().apply(&patch);
        }
        held.peers = Some(peers.into_values().collect());
        let profiles = held.user_profiles.drain(..).chain(response.user_profiles);
        let profiles: BTreeMap<_, _> = profiles.map(|profile| (profile.id, profile)).collect();
        held.user_profiles = profiles.into_values().collect();
    }

    /// What it holds, without the people of whom it sees no node any more.
    fn held(&self, full: &MapResponse) -> Option<MapResponse> {
        let mut held = self.held.clone()?;
        let is_told = |id| full.user_profiles.iter().any(|profile| profile.id == id);
        held.user_profiles.retain(|profile| is_told(profile.id));
        Some(held)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn after_any_changes_each_client_holds_the_map_that_is_built_from_nothing(
        steps in prop::collection::vec((prop::collection::vec(change(), 1..4), any::<u8>()), 1..10),
    ) {
        let mut simulation = Simulation::new();
        let mut derp = Arc::new(simulation.derp.clone());
        let mut clients: BTreeMap<u64, Client> = BTreeMap::new();
        let mut previous: Option<CompiledNetwork> = None;
        let mut routers = Routers::default();
        // Streams whose bit is set do not look after this step.
        for (changes, slow) in std::iter::once((Vec::new(), 0)).chain(steps) {
            changes.into_iter().for_each(|change| simulation.apply(change));
            if *derp != simulation.derp {
                derp = Arc::new(simulation.derp.clone());
            }
            let compiled = simulation.compiled(&derp, previous.as_ref());
            let mut fresh = simulation.compiled(&Arc::new(simulation.derp.clone()), None);
            // Which router of a subnet is in use depends on which was before.
            let routes = fresh.entries.iter().map(|(id, entry)| (id, entry.subnets.as_slice()));
            routers = Routers::elect(routes, &simulation.online, Some(&routers));
            fresh.routers = Arc::new(routers.clone());
            let now = simulation.now;
            let audience = previous.as_ref().and_then(|previous| compiled.audience(previous));
            for id in NODES {
                let client = clients.entry(id).or_default();
                client.is_woken |= audience.as_ref().is_none_or(|audience| audience.contains(&id));
                let Some(full) = fresh.view(id) else {
                    prop_assert!(!client.follow(&compiled, id, now), "node {} is in no map", id);
                    clients.remove(&id);
                    continue;
                };
                if slow & (1 << id) != 0 {
                    continue;
                }
                if std::mem::take(&mut client.is_woken) {
                    prop_assert!(client.follow(&compiled, id, now), "node {} has a map", id);
                }
                prop_assert_eq!(
                    client.session.next(&compiled, id, now), Ok(None), "there was more to tell"
                );
                let full = MapDeltas::default().next(full, now).unwrap();
                prop_assert_eq!(client.held(&full), Some(full), "the map of node {}", id);
            }
            previous = Some(compiled);
        }
    }
}
