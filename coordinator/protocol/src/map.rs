//! `POST /machine/map`: updates of a node about itself, and its network map.
//!
//! A request with [`MapRequest::stream`] starts a stream of [`MapResponse`]s ([`crate::frame`]): the first is complete, later
//! ones are changes, where an absent field means "unchanged". A request without it is an update, with an empty response.

mod common;
mod derp;
mod dns;
mod filter;
mod hostinfo;
mod node;
mod wireguard;

use std::{collections::BTreeMap, net::SocketAddr};

use serde::{Deserialize, Serialize};

use crate::{
    json,
    key::{DiscoPublic, NodePublic},
};

pub use self::{
    common::{CapMap, NodeId, UserId},
    derp::{DerpMap, DerpNode, DerpRegion, OWN_REGION, RegionId},
    dns::{DnsConfig, DnsRecord, Resolver},
    filter::{CapGrant, FilterRule, NetPortRange, PortRange},
    hostinfo::{Hostinfo, NetInfo, Service},
    node::{Node, PeerChange, UserProfile},
    wireguard::{SERVER_URL, WIREGUARD_DEVICES, WireguardDevice, WireguardRouter},
};

/// Path of the request.
pub const PATH: &str = "/machine/map";

/// Largest map request that a coordinator should read, in bytes.
pub const MAX_REQUEST_LEN: usize = 64 * 1024;

/// The name of the packet filter.
pub const BASE_FILTER: &str = "base";

/// The compression that stock clients request.
pub const ZSTD: &str = "zstd";

/// Silence after which clients close a map stream, in seconds (the Go client's limit).
pub const SILENCE_S: u64 = 120;

/// Starts a map stream, or updates what the node reports about itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct MapRequest {
    /// The client's capability version.
    #[serde(default)]
    pub version: u32,
    /// Compression of responses: [`ZSTD`], or empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub compress: String,
    /// Whether the client wants keep-alives on the stream.
    #[serde(default, skip_serializing_if = "json::is_default")]
    pub keep_alive: bool,
    /// The node's key. Must belong to the machine of the Noise handshake.
    pub node_key: NodePublic,
    /// The node's path discovery key; the zero key if it has none.
    #[serde(default)]
    pub disco_key: DiscoPublic,
    /// Whether to stream. From capability version 68 on, a streaming request changes nothing at the coordinator.
    #[serde(default, skip_serializing_if = "json::is_default")]
    pub stream: bool,
    /// What the node reports about itself; absent: unchanged.
    #[serde(default, alias = "HostInfo", skip_serializing_if = "Option::is_none")]
    pub hostinfo: Option<Hostinfo>,
    /// Addresses at which the node can be reached directly. Invalid entries are skipped.
    #[serde(
        default,
        deserialize_with = "json::lenient_list",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub endpoints: Vec<SocketAddr>,
    /// Type of each endpoint: 1 local, 2 STUN, 3 port mapping, 4 STUN and local port, 5 configured.
    #[serde(
        default,
        deserialize_with = "json::null_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub endpoint_types: Vec<i64>,
    /// Whether the response may omit peers; with `stream` false, this is an update.
    #[serde(default, skip_serializing_if = "json::is_default")]
    pub omit_peers: bool,
}

/// A network map, or its changes. An absent field means "unchanged".
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MapResponse {
    /// Whether this is a keep-alive; all other fields are ignored then.
    #[serde(skip_serializing_if = "json::is_default")]
    pub keep_alive: bool,
    /// The node itself. The first response must have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<Node>,
    /// The relays. Sent only on a change: the Rust client measures again for each.
    #[serde(rename = "DERPMap", skip_serializing_if = "Option::is_none")]
    pub derp_map: Option<DerpMap>,
    /// All peers, sorted by number, in first responses only. An empty list means "unchanged" to the Go client and "none" to
    /// the Rust client: a set becomes empty by `peers_removed`.
    #[serde(deserialize_with = "json::optional_objects", skip_serializing_if = "Option::is_none")]
    pub peers: Option<Vec<Node>>,
    /// Peers that are new or changed, sorted by number.
    #[serde(deserialize_with = "json::objects", skip_serializing_if = "Vec::is_empty")]
    pub peers_changed: Vec<Node>,
    /// Peers that are gone.
    #[serde(deserialize_with = "json::null_default", skip_serializing_if = "Vec::is_empty")]
    pub peers_removed: Vec<NodeId>,
    /// Small changes of peers, applied after `peers_changed` and `peers_removed`.
    #[serde(deserialize_with = "json::objects", skip_serializing_if = "Vec::is_empty")]
    pub peers_changed_patch: Vec<PeerChange>,
    /// Peers that came online or went offline.
    #[serde(deserialize_with = "json::null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub online_change: BTreeMap<NodeId, bool>,
    /// Names and resolvers.
    #[serde(rename = "DNSConfig", skip_serializing_if = "Option::is_none")]
    pub dns_config: Option<DnsConfig>,
    /// Name of the network; empty: unchanged.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
    /// Whether the client should report its services.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collect_services: Option<bool>,
    /// The packet filter in its older form; an empty list lets nothing in.
    #[serde(deserialize_with = "json::optional_objects", skip_serializing_if = "Option::is_none")]
    pub packet_filter: Option<Vec<FilterRule>>,
    /// Packet filters by name: a list replaces the one of that name, `None` removes it, and `None` under `*` removes all
    /// earlier ones. The effective filter is the union. Needs capability version 81.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packet_filters: Option<BTreeMap<String, Option<Vec<FilterRule>>>>,
    /// Owners of nodes; users that are not listed are unchanged.
    #[serde(deserialize_with = "json::objects", skip_serializing_if = "Vec::is_empty")]
    pub user_profiles: Vec<UserProfile>,
    /// Problems of the node; an empty list: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<Vec<String>>,
    /// The coordinator's clock (RFC 3339).
    #[serde(deserialize_with = "json::time", skip_serializing_if = "Option::is_none")]
    pub control_time: Option<String>,
    /// Switches for the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debug: Option<Debug>,
}

impl MapResponse {
    /// A keep-alive.
    #[must_use]
    pub fn keep_alive() -> Self {
        Self { keep_alive: true, ..Self::default() }
    }
}

/// Switches for the client.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Debug {
    /// Whether the client must stop sending its logs to its maker.
    #[serde(skip_serializing_if = "json::is_default")]
    pub disable_log_tail: bool,
}

#[cfg(test)]
mod tests;
