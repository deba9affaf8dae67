//! Queries of a map.

use std::{
    net::{IpAddr, SocketAddr},
    time::SystemTime,
};

use common::mesh;
use control_protocol::{
    key::{DiscoPublic, NodePublic},
    map::{FilterRule, Node, RegionId, UserId},
};
use ipnet::IpNet;

use super::{
    map::{Netmap, mesh_addresses},
    routes::RouteChoice,
    sanitize,
};
use crate::{domain::Domain, names::Zone};

/// Capability under which the coordinator publishes the gateway's identity.
const GATEWAY_IDENTITY: &str = "maru/gateway-identity";
/// The gateway's name in the network.
const GATEWAY_LABEL: &str = "chat";

/// A peer as the tunnel needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelPeer {
    /// Its node key.
    pub key: NodePublic,
    /// Changes when the peer's agent restarts.
    pub disco_key: DiscoPublic,
    /// Addresses that are routed to it, and that it may send from.
    pub allowed_ips: Vec<IpNet>,
    /// Its endpoint candidates.
    pub endpoints: Vec<SocketAddr>,
    /// Its home relay region.
    pub home_region: Option<RegionId>,
}

/// The owner of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The node's stable id.
    pub stable_id: String,
    /// The person's number and login; `None` for a tagged node.
    pub user: Option<(u64, String)>,
    /// The node's tags.
    pub tags: Vec<String>,
}

/// Where the AI gateway is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// Stable id of its node.
    pub stable_id: String,
    /// Its public key, as the coordinator publishes it.
    pub identity: String,
    /// `chat.<network>`.
    pub host: String,
    /// The addresses of that name.
    pub addresses: Vec<IpAddr>,
}

/// The first label of a full name: a node's name within its network.
#[must_use]
pub fn label(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

impl Netmap {
    /// This node's mesh addresses.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddr> {
        self.node.as_ref().map_or_else(Vec::new, mesh_addresses)
    }

    /// Peers that packets may be exchanged with: approved and known by key and address.
    ///
    /// They have their own mesh addresses, without this node's, those of WireGuard devices behind them, and the routes that this
    /// device's user chose.
    #[must_use]
    pub fn tunnel_peers(&self, choice: &RouteChoice) -> Vec<TunnelPeer> {
        let ours = [self.addresses(), self.served_addresses()].concat();
        let usable = |peer: &Node, net: &IpNet| {
            let is_its = peer.addresses.contains(net) || self.device_at(net.addr()).is_some();
            is_mesh_address(net) && is_its && !ours.contains(&net.addr())
        };
        let routes = self.routes(choice);
        let routed = |peer: &Node| {
            let of_peer = routes.iter().filter(|(_, router)| router.id == peer.id);
            of_peer.map(|(net, _)| *net).collect::<Vec<_>>()
        };
        let peers = self.active_peers().map(|peer| TunnelPeer {
            key: peer.key,
            disco_key: peer.disco_key,
            allowed_ips: peer
                .effective_allowed_ips()
                .iter()
                .filter(|net| usable(peer, net))
                .copied()
                .chain(routed(peer))
                .collect(),
            endpoints: peer.endpoints.clone(),
            home_region: peer.home_region(),
        });
        peers.collect()
    }

    /// The rules of all filters.
    #[must_use]
    pub fn rules(&self) -> Vec<FilterRule> {
        self.filters.values().flatten().cloned().collect()
    }

    /// The names that this node's resolver answers: below the network's domain and `others`, for addresses of the mesh.
    ///
    /// Names of subnets behind a peer are left out.
    #[must_use]
    pub fn zone(&self, others: &[Domain]) -> Zone {
        let mut zone = Zone::new(self.network().cloned(), others);
        for node in self.node.iter().chain(self.peers.values()) {
            zone.add_node(&node.name, mesh_addresses(node));
        }
        for record in &self.dns.extra_records {
            if let Ok(address) = record.value.parse() {
                zone.add_record(&record.name, address);
            }
        }
        zone
    }

    /// A node's display name: the first label of its name, or its stable id if the name is outside the network's domain.
    #[must_use]
    pub fn short_name(&self, node: &Node) -> String {
        match self.network().and_then(|domain| domain.host(&node.name)) {
            Some(host) => label(&host).to_owned(),
            None => node.stable_id.clone(),
        }
    }

    /// The peer or WireGuard device that may send from `address`. Never this node itself.
    #[must_use]
    pub fn peer_at(&self, address: IpAddr) -> Option<&Node> {
        if self.addresses().contains(&address) {
            return None;
        }
        let has =
            |nets: &[IpNet]| nets.iter().any(|net| net.addr() == address && is_mesh_address(net));
        let is_it = |peer: &&Node| has(&peer.addresses) && has(peer.effective_allowed_ips());
        self.device_at(address).or_else(|| self.active_peers().find(is_it))
    }

    /// That peer's identity for services.
    #[must_use]
    pub fn caller(&self, address: IpAddr) -> Option<Caller> {
        let peer = self.peer_at(address)?;
        let user = if peer.tags.is_empty() { u64::try_from(peer.user).ok() } else { None };
        let login = |id: u64| (id, self.login(peer.user).unwrap_or_default().to_owned());
        Some(Caller {
            stable_id: peer.stable_id.clone(),
            user: user.filter(|id| *id != 0).map(login),
            tags: peer.tags.clone(),
        })
    }

    /// The login of a person, if known.
    #[must_use]
    pub fn login(&self, user: UserId) -> Option<&str> {
        self.users.get(&user).map(|user| user.login_name.as_str())
    }

    /// The node with the gateway's capability; of several, the one at `chat.<network>`.
    #[must_use]
    pub fn gateway(&self) -> Option<Gateway> {
        let host = format!("{GATEWAY_LABEL}.{}", self.network()?);
        let named = self.zone(&[]).lookup(&host).to_vec();
        let own = self.node.iter();
        let mut found: Vec<(&Node, &str)> = own
            .chain(self.active_peers())
            .filter_map(|node| {
                let identity = node.cap_map.get(GATEWAY_IDENTITY)?.first()?.as_str()?;
                sanitize::is_plain(identity).then_some((node, identity))
            })
            .collect();
        found.sort_by_key(|(node, _)| {
            !mesh_addresses(node).iter().any(|address| named.contains(address))
        });
        let (node, identity) = found.first()?;
        Some(Gateway {
            stable_id: node.stable_id.clone(),
            identity: (*identity).to_owned(),
            host,
            addresses: named,
        })
    }

    /// The first value of a capability of this node, if it is a text.
    #[must_use]
    pub fn own_capability(&self, name: &str) -> Option<&str> {
        self.node.as_ref()?.cap_map.get(name)?.first()?.as_str()
    }

    /// When this node's key expires; `None` if it does not, or the time is unknown.
    #[must_use]
    pub fn key_expiry(&self) -> Option<SystemTime> {
        parse_time(self.node.as_ref()?.key_expiry.as_deref()?)
    }

    /// Whether this node's key has expired: the coordinator said so, or it did by `now`, if given.
    #[must_use]
    pub fn is_expired(&self, now: Option<SystemTime>) -> bool {
        self.node.as_ref().is_some_and(|node| node.expired)
            || now.zip(self.key_expiry()).is_some_and(|(now, at)| at <= now)
    }

    /// This map with newly expired peers marked; `None` if there are none. A connected coordinator removes such peers itself;
    /// the mark lasts until its next map.
    #[must_use]
    pub fn with_expired(&self, now: SystemTime) -> Option<Self> {
        let is_over = |peer: &Node| {
            let end = peer.key_expiry.as_deref().and_then(parse_time);
            !peer.expired && end.is_some_and(|at| at <= now)
        };
        if !self.peers.values().any(is_over) {
            return None;
        }
        let mut next = self.clone();
        for peer in next.peers.values_mut() {
            peer.expired |= is_over(peer);
        }
        Some(next)
    }

    /// Peers that are approved, and known by key and address.
    pub fn active_peers(&self) -> impl Iterator<Item = &Node> {
        self.peers.values().filter(|peer| {
            !peer.expired && !peer.key.is_zero() && !peer.effective_allowed_ips().is_empty()
        })
    }
}

/// Reads an RFC 3339 time; `None` if it is invalid, or before 1970: Go's zero time means no time.
#[must_use]
pub fn parse_time(text: &str) -> Option<SystemTime> {
    let time: jiff::Timestamp = text.parse().ok()?;
    (time >= jiff::Timestamp::UNIX_EPOCH).then(|| time.into())
}

/// Writes an RFC 3339 time; `None` if it has more than four digits for the year.
#[must_use]
pub fn format_time(time: SystemTime) -> Option<String> {
    jiff::Timestamp::try_from(time).ok().map(|time| time.to_string())
}

/// Whether a prefix is a single address of the mesh: a node's own, not a route.
fn is_mesh_address(net: &IpNet) -> bool {
    net.prefix_len() == net.max_prefix_len() && mesh::contains(net.addr())
}
