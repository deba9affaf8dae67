//! WireGuard devices: nodes that have a plain WireGuard app and no client of the control protocol.
//!
//! ```text
//!   device ══ WireGuard ══▶ its router ══ mesh ══▶ node
//!             filter: `allow`              filter: the node's own
//! ```
//!
//! The router is home, which the admin marked, or a tagged node that the admin names; either offers itself. It forwards the
//! device's packets and poses as its own devices and as nobody else: only the coordinator writes allowed IPs, and it gives a
//! router no addresses but those that it allocated to the router's devices. A device whose router was removed, has expired or
//! lost its tags is in no map.

mod tunnel;

use std::{borrow::Borrow, net::IpAddr};

use control_protocol::{
    key::NodePublic,
    map::{FilterRule, NetPortRange, SERVER_URL, WireguardRouter},
};
use coordinator_api::WireguardProblem;

pub use self::tunnel::Tunnel;
use crate::{model::Node, policy::AddressRanges, time::Millis};

/// Whether a node may serve WireGuard devices if the admin names it. A tag says nothing about who runs the node: members whom
/// `tagOwners` lists tag their own.
fn may_route(node: &Node) -> bool {
    node.wireguard.is_none() && node.owner.user().is_none()
}

/// The offer of a node that can be the router of WireGuard devices.
#[must_use]
pub fn offer(node: &Node) -> Option<WireguardRouter> {
    node.claims.hostinfo.maru_wireguard.filter(|offer| may_route(node) && offer.port != 0)
}

/// Whether a node is home: only the admin sets capabilities.
fn is_home(node: &Node) -> bool {
    may_route(node) && node.capabilities.contains_key(SERVER_URL)
}

/// Why a node is not the router of a new WireGuard device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouterError {
    /// No node is home.
    NoHome,
    /// Several are: the admin must name one.
    SeveralHomes(Vec<String>),
    /// The named node has no tags.
    Untagged(String),
    /// The named node, or home, does not offer it.
    NotOffered(String),
}

/// The router of a new device: the node `named`, or home. That another node offers itself makes it nobody's router.
///
/// # Errors
///
/// [`RouterError`].
pub fn choose_router<'a>(
    nodes: &'a [impl Borrow<Node>],
    named: Option<&'a Node>,
    now: Millis,
) -> Result<(&'a Node, WireguardRouter), RouterError> {
    let node = match named {
        Some(node) => node,
        None => home(nodes, now)?,
    };
    match offer(node).filter(|_| !node.is_expired(now)) {
        Some(offer) => Ok((node, offer)),
        None if may_route(node) => Err(RouterError::NotOffered(node.name.clone())),
        None => Err(RouterError::Untagged(node.name.clone())),
    }
}

/// Home, if there is exactly one.
fn home(nodes: &[impl Borrow<Node>], now: Millis) -> Result<&Node, RouterError> {
    let nodes = nodes.iter().map(Borrow::borrow);
    let homes: Vec<&Node> = nodes.filter(|node| is_home(node) && !node.is_expired(now)).collect();
    match homes.as_slice() {
        [only] => Ok(*only),
        [] => Err(RouterError::NoHome),
        _ => Err(RouterError::SeveralHomes(homes.iter().map(|node| node.name.clone()).collect())),
    }
}

/// Why the router of a device does not serve it; `None` if it does, or if the node is no WireGuard device.
#[must_use]
pub fn problem(
    device: &Node,
    nodes: &[impl Borrow<Node>],
    now: Millis,
) -> Option<WireguardProblem> {
    let tunnel = device.wireguard.as_ref()?;
    let mut nodes = nodes.iter().map(Borrow::borrow);
    let router = nodes.find(|node: &&Node| node.id == tunnel.router && !node.is_expired(now));
    let Some(router) = router else { return Some(WireguardProblem::RouterGone) };
    if !may_route(router) {
        return Some(WireguardProblem::RouterUntagged);
    }
    match offer(router) {
        None => Some(WireguardProblem::NotOffered),
        Some(offer) if offer.key != tunnel.router_key => Some(WireguardProblem::OtherKey),
        Some(_) => None,
    }
}

/// Whether a node is in the network: a WireGuard device needs a router. One that does not run its WireGuard interface now
/// stays the router.
pub(crate) fn is_routed(node: &Node, nodes: &[impl Borrow<Node>], now: Millis) -> bool {
    match problem(node, nodes, now) {
        Some(WireguardProblem::RouterGone | WireguardProblem::RouterUntagged) => false,
        None
        | Some(
            WireguardProblem::NotOffered
            | WireguardProblem::OtherKey
            | WireguardProblem::InternetRefused,
        ) => true,
    }
}

/// Whether a text is a place that a configuration can name as endpoint: a host name, an IPv4 address or an IPv6 address in
/// brackets, and a port.
#[must_use]
pub fn is_endpoint(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit())
        && port.parse().is_ok_and(|port: u16| port > 0);
    let is_v6 = |inner: &str| inner.parse::<std::net::Ipv6Addr>().is_ok();
    let is_name = |host: &str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        (1..=253).contains(&host.len()) && host.bytes().all(fits)
    };
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    is_port && inner.map_or_else(|| is_name(host), is_v6)
}

/// Whether a key can be a WireGuard device's: with a point of low order every shared secret is zero, so anyone could be the
/// device.
#[must_use]
pub fn is_key(key: &NodePublic) -> bool {
    x25519_dalek::x25519([1; 32], *key.as_bytes()) != [0; 32]
}

/// The part of rules whose destinations are in `places`; with `from`, only with those of these sources that they name.
pub(crate) fn narrow(
    rules: &[FilterRule],
    from: Option<[IpAddr; 2]>,
    places: &AddressRanges,
) -> Vec<FilterRule> {
    let one = |rule: &FilterRule| {
        let src_ips = match from {
            None => rule.src_ips.clone(),
            Some(from) => {
                let sources = AddressRanges::of(&rule.src_ips);
                let named = from.into_iter().filter(|ip| sources.contain(&[*ip]));
                named.map(|ip| ip.to_string()).collect()
            }
        };
        let to = |port: &NetPortRange| {
            let here = AddressRanges::of([&port.ip]).within(places).into_iter();
            here.map(|ip| NetPortRange { ip, ..port.clone() }).collect::<Vec<_>>()
        };
        let dst_ports: Vec<_> = rule.dst_ports.iter().flat_map(to).collect();
        let ip_proto = rule.ip_proto.clone();
        (!src_ips.is_empty() && !dst_ports.is_empty()).then(|| FilterRule {
            src_ips,
            dst_ports,
            ip_proto,
            ..FilterRule::default()
        })
    };
    rules.iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests;
