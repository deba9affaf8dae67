//! What a node says of itself.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::derp::RegionId;
use crate::json;

/// What a node says of itself. All of it is a claim; what no one here needs is not kept.
///
/// The aliases are the spellings of the Rust client: Go does not mind case, serde does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Hostinfo {
    /// Version of the client.
    #[serde(rename = "IPNVersion", alias = "IpnVersion", skip_serializing_if = "String::is_empty")]
    pub ipn_version: String,
    /// Operating system: `linux`, `macOS`, `windows`, `iOS`, `android` …
    #[serde(rename = "OS", alias = "Os", skip_serializing_if = "String::is_empty")]
    pub os: String,
    /// Its version.
    #[serde(rename = "OSVersion", alias = "OsVersion", skip_serializing_if = "String::is_empty")]
    pub os_version: String,
    /// Name of the distribution.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub distro: String,
    /// What embeds the client.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub app: String,
    /// Model of a phone.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub device_model: String,
    /// Name of the machine, from which the node's name is made.
    #[serde(deserialize_with = "json::null_default", skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    /// Whether the node lets no connection in.
    #[serde(skip_serializing_if = "json::is_default")]
    pub shields_up: bool,
    /// Whether the client sends no logs to its maker.
    #[serde(skip_serializing_if = "json::is_default")]
    pub no_logs_no_support: bool,
    /// Machine architecture.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub machine: String,
    /// Prefixes that the node offers to route.
    #[serde(
        rename = "RoutableIPs",
        alias = "RoutableIps",
        deserialize_with = "json::lenient_list",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub routable_ips: Vec<IpNet>,
    /// Tags that the node asks for.
    #[serde(deserialize_with = "json::null_default", skip_serializing_if = "Vec::is_empty")]
    pub request_tags: Vec<String>,
    /// Services that the node runs.
    #[serde(deserialize_with = "json::objects", skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Service>,
    /// What the node found out about its network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub net_info: Option<NetInfo>,
    /// Whether the client runs without an interface of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub userspace: Option<bool>,
    /// Whether it routes for others so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub userspace_router: Option<bool>,
}

impl Hostinfo {
    /// Returns the relay region that the node made its home, if it has.
    #[must_use]
    pub fn preferred_derp(&self) -> Option<RegionId> {
        self.net_info.as_ref().map(|net| net.preferred_derp).filter(|region| *region != 0)
    }
}

/// A service that a node runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Service {
    /// `tcp`, `udp`, `peerapi4`, `peerapi6` or `peerapi-dns-proxy`.
    pub proto: String,
    /// Port.
    pub port: u16,
    /// What it is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// What a node found out about its network.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetInfo {
    /// Whether its NAT maps one socket differently by destination.
    #[serde(
        rename = "MappingVariesByDestIP",
        alias = "MappingVariesByDestIp",
        skip_serializing_if = "Option::is_none"
    )]
    pub mapping_varies_by_dest_ip: Option<bool>,
    /// Whether IPv6 reaches the internet.
    #[serde(
        rename = "WorkingIPv6",
        alias = "WorkingIpv6",
        skip_serializing_if = "Option::is_none"
    )]
    pub working_ipv6: Option<bool>,
    /// Whether the system has IPv6.
    #[serde(rename = "OSHasIPv6", alias = "OsHasIpv6", skip_serializing_if = "Option::is_none")]
    pub os_has_ipv6: Option<bool>,
    /// Whether UDP reaches the internet.
    #[serde(rename = "WorkingUDP", alias = "WorkingUdp", skip_serializing_if = "Option::is_none")]
    pub working_udp: Option<bool>,
    /// Home relay region; 0: none yet.
    #[serde(
        rename = "PreferredDERP",
        alias = "PreferredDerp",
        deserialize_with = "json::null_default",
        skip_serializing_if = "json::is_default"
    )]
    pub preferred_derp: RegionId,
    /// `wired`, `wifi` or `mobile`.
    #[serde(deserialize_with = "json::null_default", skip_serializing_if = "String::is_empty")]
    pub link_type: String,
    /// Seconds to each relay region, by `REGION-v4` or `REGION-v6`.
    #[serde(
        rename = "DERPLatency",
        alias = "DerpLatency",
        deserialize_with = "json::null_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub derp_latency: BTreeMap<String, f64>,
    /// How the client filters packets: `nft-…` or `ipt-…` and why.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub firewall_mode: String,
}
