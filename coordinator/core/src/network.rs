//! The network as one value, and what the policy makes of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use control_protocol::map::{
    self, DerpMap, DnsConfig, DnsRecord, FilterRule, Hostinfo, UserProfile,
};
use ipnet::IpNet;

use crate::{
    map::View,
    model::{Node, NodeId, Owner, Record, User, UserId},
    policy::{Sources, to_wire},
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
    wire: Arc<map::Node>,
    owner: Option<UserId>,
    addresses: [IpAddr; 2],
    rules: Arc<Vec<FilterRule>>,
    lets_in: Arc<Sources>,
}

/// The network under its policy: from it comes each node's [`View`].
#[derive(Clone, Debug)]
pub struct Compiled {
    domain: Arc<str>,
    entries: BTreeMap<NodeId, Entry>,
    profiles: BTreeMap<UserId, UserProfile>,
    records: Vec<Record>,
    derp: Arc<DerpMap>,
    seen_by_policy: acl::Network,
    policy_revision: i64,
}

/// Shows the network to the policy: nodes that have not expired, in the order of their numbers.
#[must_use]
pub fn for_policy(users: &[User], nodes: &[Node], now: Millis) -> acl::Network {
    let mut valid: Vec<&Node> = nodes.iter().filter(|node| !node.is_expired(now)).collect();
    valid.sort_by_key(|node| node.id);
    acl::Network {
        users: users.iter().map(policy_user).collect(),
        nodes: valid.into_iter().map(policy_node).collect(),
    }
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
        routable_ips: node.claims.hostinfo.routable_ips.clone(),
        approved_routes: Vec::new(),
    }
}

fn addresses(node: &Node) -> [IpAddr; 2] {
    [node.addresses.v4.into(), node.addresses.v6.into()]
}

impl Compiled {
    /// Compiles the network. What the policy said before is taken from `previous` if nothing it looks at has changed.
    #[must_use]
    pub fn build(input: &Input<'_>, previous: Option<&Self>) -> Self {
        let seen_by_policy = for_policy(input.users, input.nodes, input.now);
        let reusable = previous.filter(|previous| {
            previous.policy_revision == input.policy_revision
                && previous.seen_by_policy == seen_by_policy
        });
        let mut valid: Vec<&Node> =
            input.nodes.iter().filter(|node| !node.is_expired(input.now)).collect();
        valid.sort_by_key(|node| node.id);
        let mut entries = BTreeMap::new();
        for (index, node) in valid.into_iter().enumerate() {
            let before = previous.and_then(|previous| previous.entries.get(&node.id));
            let kept = reusable.and(before);
            let rules = kept.map_or_else(
                || {
                    Arc::new(
                        input
                            .policy
                            .compile(&seen_by_policy, index)
                            .iter()
                            .flat_map(to_wire)
                            .collect(),
                    )
                },
                |kept| Arc::clone(&kept.rules),
            );
            let lets_in = kept
                .map_or_else(|| Arc::new(Sources::of(&rules)), |kept| Arc::clone(&kept.lets_in));
            let wire = wire_node(node, input);
            let wire = match before {
                Some(before) if *before.wire == wire => Arc::clone(&before.wire),
                Some(_) | None => Arc::new(wire),
            };
            let entry = Entry {
                wire,
                owner: node.owner.user(),
                addresses: addresses(node),
                rules,
                lets_in,
            };
            entries.insert(node.id, entry);
        }
        Self {
            domain: input.domain.into(),
            entries,
            profiles: input.users.iter().map(|user| (user.id, profile(user))).collect(),
            records: input.records.to_vec(),
            derp: Arc::clone(&input.derp),
            seen_by_policy,
            policy_revision: input.policy_revision,
        }
    }

    /// What node `id` is told; `None` if it is no node, or has expired.
    #[must_use]
    pub fn view(&self, id: NodeId) -> Option<View> {
        let own = self.entries.get(&id)?;
        let sees = |other: &Entry| {
            own.lets_in.contain(&other.addresses) || other.lets_in.contain(&own.addresses)
        };
        let visible = |(other_id, other): (&NodeId, &Entry)| *other_id == id || sees(other);
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
            node: Arc::clone(&own.wire),
            peers: peers.map(|(_, entry)| (entry.wire.id, Arc::clone(&entry.wire))).collect(),
            profiles,
            dns: self.dns(&seen),
            rules: Arc::clone(&own.rules),
            derp: Arc::clone(&self.derp),
        })
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
        DnsConfig {
            routes: BTreeMap::from([(self.domain.to_string(), Vec::new())]),
            domains: vec![self.domain.to_string()],
            proxied: true,
            extra_records,
            ..DnsConfig::default()
        }
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
        .filter(|character| !character.is_control() && !['"', '\\'].contains(character))
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
        cap: node.claims.version,
        tags: match &node.owner {
            Owner::User(_) => Vec::new(),
            Owner::Tags(tags) => tags.clone(),
        },
        last_seen: node.times.last_seen.filter(|_| !online).map(time::to_rfc3339),
        online: Some(online),
        machine_authorized: true,
        cap_map: node.capabilities.clone(),
        ..map::Node::default()
    }
}

#[cfg(test)]
mod tests;
