//! WireGuard devices: devices that have a plain WireGuard app and no client of this protocol.
//!
//! Such a device is a node without machine key, disco key, relay and endpoints. Another node, its router, has it as a plain
//! WireGuard peer and forwards its packets: in maps the device's addresses are among the allowed IPs and primary routes of the
//! router, and its own allowed IPs are an empty list.

use serde::{Deserialize, Serialize};

use super::{
    common::{CapMap, NodeId},
    filter::FilterRule,
};
use crate::{json, key::NodePublic};

/// Name of the capability in a router's own map: one [`WireguardDevice`] for each device that it serves.
pub const WIREGUARD_DEVICES: &str = "maru/wireguard-devices";

/// Name of the capability that the admin sets on home, the machine that the coordinator runs on: where devices reach the
/// coordinator.
pub const SERVER_URL: &str = "maru/server-url";

/// A WireGuard device, in its router's map.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct WireguardDevice {
    /// The device, which is among the peers of the map, with its name, owner, addresses, expiry and key (its WireGuard public
    /// key).
    pub node: NodeId,
    /// Whether its packets to the internet leave at the router, as far as `allow` has a rule for them.
    pub full_tunnel: bool,
    /// What it may open in the mesh, the router's own addresses included: the sources of each rule are addresses of this
    /// device, the destinations addresses, ranges `A-B` and prefixes, never `*`.
    #[serde(deserialize_with = "json::objects")]
    pub allow: Vec<FilterRule>,
}

impl WireguardDevice {
    /// The devices that a node's own map has it serve. Values that are none are skipped.
    #[must_use]
    pub fn served(own: &CapMap) -> Vec<Self> {
        let values = own.get(WIREGUARD_DEVICES).into_iter().flatten();
        values.filter_map(|value| serde_json::from_value(value.clone()).ok()).collect()
    }
}

/// The offer to be the router of WireGuard devices, which a node reports about itself. It is not sent to peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct WireguardRouter {
    /// Public key of its WireGuard interface.
    pub key: NodePublic,
    /// UDP port of that interface.
    pub port: u16,
}
