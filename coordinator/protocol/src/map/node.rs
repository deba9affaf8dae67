//! Nodes in maps.

use std::net::SocketAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{
    common::{CapMap, NodeId, UserId},
    derp::RegionId,
    hostinfo::Hostinfo,
};
use crate::{
    json,
    key::{DiscoPublic, MachinePublic, NodePublic},
};

/// A node in its own map or in a peer's.
///
/// The Rust client cannot read escaped JSON: names in a map must not contain quotes, backslashes or control characters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Node {
    /// Number of the node.
    #[serde(rename = "ID")]
    pub id: NodeId,
    /// Name of the node that never changes and is never reused.
    #[serde(rename = "StableID")]
    pub stable_id: String,
    /// Fully qualified name with a final dot.
    pub name: String,
    /// The owner; of a tagged node, the user that tagged it.
    pub user: UserId,
    /// Its node key.
    pub key: NodePublic,
    /// When the key expires (RFC 3339); `None`: never.
    #[serde(deserialize_with = "json::time", skip_serializing_if = "Option::is_none")]
    pub key_expiry: Option<String>,
    /// Its machine key.
    #[serde(skip_serializing_if = "MachinePublic::is_zero")]
    pub machine: MachinePublic,
    /// Its path discovery key; the zero key: it has none.
    #[serde(skip_serializing_if = "DiscoPublic::is_zero")]
    pub disco_key: DiscoPublic,
    /// Its addresses. The Rust client requires one IPv4 and one IPv6 prefix, in this order.
    #[serde(deserialize_with = "json::null_default")]
    pub addresses: Vec<IpNet>,
    /// Its WireGuard allowed IPs: its addresses and the prefixes that it routes. `None`: `addresses` (capability version 112);
    /// an empty list: none.
    #[serde(rename = "AllowedIPs", skip_serializing_if = "Option::is_none")]
    pub allowed_ips: Option<Vec<IpNet>>,
    /// Addresses at which it can be reached directly.
    #[serde(deserialize_with = "json::lenient_list", skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<SocketAddr>,
    /// Its home relay region for clients before capability version 111: `127.3.3.40:REGION`.
    #[serde(rename = "DERP", skip_serializing_if = "String::is_empty")]
    pub legacy_derp: String,
    /// Its home relay region; 0: none known.
    #[serde(rename = "HomeDERP", skip_serializing_if = "json::is_default")]
    pub home_derp: RegionId,
    /// What it reports about itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostinfo: Option<Hostinfo>,
    /// When it registered (RFC 3339).
    #[serde(deserialize_with = "json::time", skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Its capability version.
    #[serde(skip_serializing_if = "json::is_default")]
    pub cap: u32,
    /// Its tags, each with `tag:`.
    #[serde(deserialize_with = "json::null_default", skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The routes in `allowed_ips` for which it is the router in use.
    #[serde(deserialize_with = "json::null_default", skip_serializing_if = "Vec::is_empty")]
    pub primary_routes: Vec<IpNet>,
    /// When it was last online (RFC 3339), for offline nodes.
    #[serde(deserialize_with = "json::time", skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<String>,
    /// Whether it is connected to the coordinator; `None`: unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub online: Option<bool>,
    /// Whether it is approved.
    #[serde(skip_serializing_if = "json::is_default")]
    pub machine_authorized: bool,
    /// Its capabilities and attributes.
    #[serde(deserialize_with = "json::null_values", skip_serializing_if = "CapMap::is_empty")]
    pub cap_map: CapMap,
    /// Whether its key has expired.
    #[serde(skip_serializing_if = "json::is_default")]
    pub expired: bool,
}

impl Node {
    /// Its WireGuard allowed IPs.
    #[must_use]
    pub fn effective_allowed_ips(&self) -> &[IpNet] {
        self.allowed_ips.as_deref().unwrap_or(&self.addresses)
    }

    /// Its home relay region, in either form.
    #[must_use]
    pub fn home_region(&self) -> Option<RegionId> {
        let legacy =
            || self.legacy_derp.strip_prefix("127.3.3.40:").and_then(|region| region.parse().ok());
        Some(self.home_derp)
            .filter(|region| *region != 0)
            .or_else(legacy)
            .filter(|region| *region != 0)
    }

    /// Applies a patch for this node.
    pub fn apply(&mut self, change: &PeerChange) {
        if change.derp_region != 0 {
            self.home_derp = change.derp_region;
            self.legacy_derp.clear();
        }
        if change.cap != 0 {
            self.cap = change.cap;
        }
        if let Some(cap_map) = &change.cap_map {
            self.cap_map.clone_from(cap_map);
        }
        if let Some(endpoints) = &change.endpoints {
            self.endpoints.clone_from(endpoints);
        }
        if let Some(key) = change.key {
            self.key = key;
        }
        if let Some(disco_key) = change.disco_key {
            self.disco_key = disco_key;
        }
        if let Some(online) = change.online {
            self.online = Some(online);
        }
        if let Some(last_seen) = &change.last_seen {
            self.last_seen = Some(last_seen.clone());
        }
        if let Some(key_expiry) = &change.key_expiry {
            self.key_expiry = Some(key_expiry.clone())
                .filter(|time| !time.is_empty() && time != crate::ZERO_TIME);
        }
    }
}

/// A patch for a peer. An absent field means "unchanged".
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PeerChange {
    /// Number of the peer; unknown peers are ignored.
    #[serde(rename = "NodeID")]
    pub node_id: NodeId,
    /// Its new home relay region; 0: unchanged.
    #[serde(rename = "DERPRegion", skip_serializing_if = "json::is_default")]
    pub derp_region: RegionId,
    /// Its new capability version; 0: unchanged.
    #[serde(skip_serializing_if = "json::is_default")]
    pub cap: u32,
    /// Its new capabilities. Go does not send an empty map: use `peers_changed`.
    #[serde(
        deserialize_with = "json::optional_null_values",
        skip_serializing_if = "Option::is_none"
    )]
    pub cap_map: Option<CapMap>,
    /// Its new endpoints. Go reads an empty list as "unchanged": use `peers_changed`.
    #[serde(
        deserialize_with = "json::optional_lenient_list",
        skip_serializing_if = "Option::is_none"
    )]
    pub endpoints: Option<Vec<SocketAddr>>,
    /// Its new node key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<NodePublic>,
    /// Its new path discovery key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disco_key: Option<DiscoPublic>,
    /// Whether it is online now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub online: Option<bool>,
    /// When it was last online (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<String>,
    /// When its key expires (RFC 3339); [`crate::ZERO_TIME`]: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_expiry: Option<String>,
}

/// An owner of nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UserProfile {
    /// Number of the user.
    #[serde(rename = "ID")]
    pub id: UserId,
    /// Login name: an e-mail address, or a text of that form.
    pub login_name: String,
    /// Name for people.
    pub display_name: String,
}
