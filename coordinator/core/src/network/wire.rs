//! Users and nodes as clients and the policy read them.

use control_protocol::map::{self, Hostinfo, UserProfile};
use ipnet::IpNet;

use crate::{
    attributes,
    model::{Node, Owner, User},
    route, time,
};

/// The owner of tagged nodes in stock clients (number and name as in Headscale).
pub const TAGGED: (map::UserId, &str) = (2_147_455_555, "tagged-devices");

/// A user for clients.
pub(super) fn profile(user: &User) -> UserProfile {
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

/// Removes characters that JSON escapes: one stock client cannot read such text, and rejects the whole map.
fn plain(text: &str) -> String {
    text.chars()
        .filter(|character| {
            !common::foreign::steers(*character) && !['"', '\\'].contains(character)
        })
        .take(255)
        .collect()
}

/// A node for its peers, without routes.
pub(super) fn wire_node(node: &Node, domain: &str, online: bool) -> map::Node {
    let addresses: Vec<IpNet> = node.addresses.both().into_iter().map(IpNet::from).collect();
    let is_wireguard = node.wireguard.is_some();
    // Peers get only what they need.
    let hostinfo = Hostinfo {
        os: plain(&node.claims.hostinfo.os),
        hostname: plain(&node.claims.hostinfo.hostname),
        services: attributes::services(&node.claims.hostinfo),
        ..Hostinfo::default()
    };
    map::Node {
        id: wire_id(node.id),
        stable_id: node.stable_id.clone(),
        name: format!("{}.{}.", node.name, domain),
        user: node.owner.user().map_or(TAGGED.0, wire_id),
        key: node.keys.node,
        key_expiry: node.times.expires.map(time::to_rfc3339),
        machine: node.keys.machine,
        disco_key: node.keys.disco,
        // Of a WireGuard device none: its router has them, and no client makes a tunnel to it.
        allowed_ips: Some(if is_wireguard { Vec::new() } else { addresses.clone() }),
        addresses,
        endpoints: node.claims.endpoints.clone(),
        home_derp: node.claims.home_derp,
        hostinfo: Some(hostinfo),
        created: Some(time::to_rfc3339(node.times.created)),
        // Go's `int` has 32 bits on some phones: a false value must not break the maps of peers.
        cap: node.claims.version.min(i32::MAX.unsigned_abs()),
        tags: match &node.owner {
            Owner::User(_) => Vec::new(),
            Owner::Tags(tags) => tags.clone(),
        },
        last_seen: node.times.last_seen.filter(|_| !online).map(time::to_rfc3339),
        // The coordinator never hears of a WireGuard device.
        online: (!is_wireguard).then_some(online),
        machine_authorized: true,
        cap_map: attributes::for_peers(node),
        ..map::Node::default()
    }
}

/// A user for the policy.
pub(super) fn policy_user(user: &User) -> acl::User {
    let email = if user.name.contains('@') { user.name.clone() } else { String::new() };
    acl::User { id: user.id, name: user.name.clone(), email }
}

/// A node for the policy, without approved routes.
pub(super) fn policy_node(node: &Node) -> acl::Node {
    acl::Node {
        name: node.name.clone(),
        user: node.owner.user(),
        tags: node.owner.tag_list().to_vec(),
        addresses: node.addresses.both().to_vec(),
        routable_ips: route::offered(node),
        approved_routes: Vec::new(),
    }
}
