//! Packet filters.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::common::CapMap;
use crate::json;

/// Allows sources to reach ports of the node, or grants them capabilities there.
///
/// A rule has either `dst_ports` or `cap_grant`: the Rust client rejects a map with a rule that has both or neither.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct FilterRule {
    /// Sources: addresses, prefixes, ranges `A-B`, `*`, or `cap:NAME` for nodes with that capability.
    #[serde(rename = "SrcIPs", deserialize_with = "json::null_default")]
    pub src_ips: Vec<String>,
    /// Prefix lengths for the entries of `src_ips`; obsolete since 2020, see [`Self::is_supported`].
    #[serde(deserialize_with = "json::null_default", skip_serializing_if = "Vec::is_empty")]
    pub src_bits: Vec<i64>,
    /// Destinations.
    #[serde(deserialize_with = "json::objects", skip_serializing_if = "Vec::is_empty")]
    pub dst_ports: Vec<NetPortRange>,
    /// IP protocols; empty means TCP, UDP, ICMP and ICMPv6.
    #[serde(
        rename = "IPProto",
        deserialize_with = "json::null_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub ip_proto: Vec<i64>,
    /// Capabilities that they get.
    #[serde(deserialize_with = "json::objects", skip_serializing_if = "Vec::is_empty")]
    pub cap_grant: Vec<CapGrant>,
}

impl FilterRule {
    /// Whether the rule has no obsolete prefix lengths; otherwise it must let nothing in.
    #[must_use]
    pub fn is_supported(&self) -> bool {
        self.src_bits.is_empty() && self.dst_ports.iter().all(|port| port.bits.is_none())
    }
}

/// Addresses and ports that a rule opens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetPortRange {
    /// An address, a prefix, a range `A-B`, or `*`.
    #[serde(rename = "IP")]
    pub ip: String,
    /// Prefix length of `ip`; obsolete since 2020.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bits: Option<i64>,
    /// The ports.
    pub ports: PortRange,
}

/// An inclusive range of ports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PortRange {
    /// Lowest port.
    pub first: u16,
    /// Highest port.
    pub last: u16,
}

impl PortRange {
    /// Every port.
    pub const ALL: Self = Self { first: 0, last: u16::MAX };

    /// Whether the port is in the range.
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}

/// Capabilities that a rule grants.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CapGrant {
    /// The addresses of the node to which they apply.
    #[serde(deserialize_with = "json::null_default")]
    pub dsts: Vec<IpNet>,
    /// Capabilities without values; the older form of `cap_map`.
    #[serde(deserialize_with = "json::null_default", skip_serializing_if = "Vec::is_empty")]
    pub caps: Vec<String>,
    /// Capabilities and their values.
    #[serde(deserialize_with = "json::null_values", skip_serializing_if = "CapMap::is_empty")]
    pub cap_map: CapMap,
}
