//! `POST /machine/map`: what a node tells of itself, and the network map it gets.
//!
//! A request with [`MapRequest::stream`] starts a stream of [`MapResponse`]s ([`crate::frame`]): the first is whole,
//! the others say what changed, and an absent field means "as before". One without it is an update, answered by an
//! empty body.

mod common;
mod derp;
mod dns;
mod filter;
mod hostinfo;
mod node;

use std::{collections::BTreeMap, net::SocketAddr};

use serde::{Deserialize, Serialize};

use crate::{
    json,
    key::{DiscoPublic, NodePublic},
};

pub use self::{
    common::{CapMap, NodeId, UserId},
    derp::{DerpMap, DerpNode, DerpRegion, RegionId},
    dns::{DnsConfig, DnsRecord, Resolver},
    filter::{CapGrant, FilterRule, NetPortRange, PortRange},
    hostinfo::{Hostinfo, NetInfo, Service},
    node::{Node, PeerChange, UserProfile},
};

/// Path of the request.
pub const PATH: &str = "/machine/map";

/// Largest map request that a coordinator should read, in bytes: anyone may send one.
pub const MAX_REQUEST_LEN: usize = 64 * 1024;

/// The one name of packet filters that a coordinator needs.
pub const BASE_FILTER: &str = "base";

/// The one kind of compression that stock clients ask for.
pub const ZSTD: &str = "zstd";

/// How long a map stream may be silent before a client gives it up, in seconds (the Go client's limit).
pub const SILENCE_S: u64 = 120;

/// Starts a stream of maps, or tells the coordinator what changed at the node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct MapRequest {
    /// The client's capability version.
    #[serde(default)]
    pub version: u32,
    /// How responses are compressed: [`ZSTD`], or empty for not at all.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub compress: String,
    /// Whether the client wants keep-alives on the stream.
    #[serde(default, skip_serializing_if = "json::is_default")]
    pub keep_alive: bool,
    /// The node whose map this is. Must belong to the machine that the Noise handshake proved.
    pub node_key: NodePublic,
    /// The node's path discovery key; the zero key if it has none.
    #[serde(default)]
    pub disco_key: DiscoPublic,
    /// Whether to stream. From capability version 68 on, a streaming request changes nothing at the coordinator.
    #[serde(default, skip_serializing_if = "json::is_default")]
    pub stream: bool,
    /// What the node says of itself; absent: as before.
    #[serde(default, alias = "HostInfo", skip_serializing_if = "Option::is_none")]
    pub hostinfo: Option<Hostinfo>,
    /// A session to resume; empty: a new one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub map_session_handle: String,
    /// Number of the last response that was handled in that session.
    #[serde(default, skip_serializing_if = "json::is_default")]
    pub map_session_seq: i64,
    /// Where the node can be reached directly. Entries that are no address are left out.
    #[serde(
        default,
        deserialize_with = "json::lenient_list",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub endpoints: Vec<SocketAddr>,
    /// How each endpoint was found, as sent: 1 local, 2 STUN, 3 port mapping, 4 STUN and local port, 5 configured.
    #[serde(
        default,
        deserialize_with = "json::null_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub endpoint_types: Vec<i64>,
    /// Whether the client wants a one-time answer only; no longer sent.
    #[serde(default, skip_serializing_if = "json::is_default")]
    pub read_only: bool,
    /// Whether the answer may leave out the peers; with `stream` false, this is an update.
    #[serde(default, skip_serializing_if = "json::is_default")]
    pub omit_peers: bool,
}

/// A network map, or what changed in it. An absent field means "as before".
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MapResponse {
    /// Names the session, in its first response.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub map_session_handle: String,
    /// Number of this response in the session.
    #[serde(skip_serializing_if = "json::is_default")]
    pub seq: i64,
    /// Whether this only shows that the stream lives; every other field is then to be ignored.
    #[serde(skip_serializing_if = "json::is_default")]
    pub keep_alive: bool,
    /// Something to be asked of the client; unrelated to the map.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ping_request: Option<PingRequest>,
    /// The node itself. The first response must have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<Node>,
    /// The relays, whole. Sent only when it changed: the Rust client measures again at each.
    #[serde(rename = "DERPMap", skip_serializing_if = "Option::is_none")]
    pub derp_map: Option<DerpMap>,
    /// All peers, sorted by number. To the Go client an empty list means "as before", to the Rust client "none": a set
    /// becomes empty by `peers_removed`, and only a first response has this field.
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
    /// Peers that were just seen (true) or left (false), each now.
    #[serde(deserialize_with = "json::null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub peer_seen_change: BTreeMap<NodeId, bool>,
    /// Peers that came online or went offline.
    #[serde(deserialize_with = "json::null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub online_change: BTreeMap<NodeId, bool>,
    /// Names and resolvers.
    #[serde(rename = "DNSConfig", skip_serializing_if = "Option::is_none")]
    pub dns_config: Option<DnsConfig>,
    /// Name of the network; empty: as before.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
    /// Whether the client should say which services it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collect_services: Option<bool>,
    /// The packet filter, whole, in its older form; an empty list lets nothing in.
    #[serde(deserialize_with = "json::optional_objects", skip_serializing_if = "Option::is_none")]
    pub packet_filter: Option<Vec<FilterRule>>,
    /// Packet filters by name: the list under a name replaces that name's, `None` removes it, and `None` under `*`
    /// removes all that came before. What is let in is the union. Needs capability version 81.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packet_filters: Option<BTreeMap<String, Option<Vec<FilterRule>>>>,
    /// Users whom the nodes name; those not listed are as before.
    #[serde(deserialize_with = "json::objects", skip_serializing_if = "Vec::is_empty")]
    pub user_profiles: Vec<UserProfile>,
    /// What the coordinator finds wrong with the node; an empty list: nothing any more.
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
    /// Returns the response that only keeps the stream alive.
    #[must_use]
    pub fn keep_alive() -> Self {
        Self { keep_alive: true, ..Self::default() }
    }
}

/// Asks the client to do something, and mostly to say so at `url`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PingRequest {
    /// Where to report, with a HEAD request.
    #[serde(rename = "URL")]
    pub url: String,
    /// Whether that request goes through the Noise channel.
    #[serde(rename = "URLIsNoise", skip_serializing_if = "json::is_default")]
    pub url_is_noise: bool,
    /// Whether the client logs it.
    #[serde(skip_serializing_if = "json::is_default")]
    pub log: bool,
    /// What to do, comma separated: `disco`, `TSMP`, `ICMP`, `c2n`; empty: only report.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub types: String,
    /// Whom to ping.
    #[serde(rename = "IP", skip_serializing_if = "String::is_empty")]
    pub ip: String,
}

/// Switches for the client.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Debug {
    /// Seconds to sleep before handling the rest.
    #[serde(skip_serializing_if = "json::is_default")]
    pub sleep_seconds: f64,
    /// Whether the client must stop sending its logs to its maker.
    #[serde(skip_serializing_if = "json::is_default")]
    pub disable_log_tail: bool,
    /// Status to exit with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit: Option<i64>,
}

#[cfg(test)]
mod tests;
