//! What a node reports about itself.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{derp::RegionId, wireguard::WireguardRouter};
use crate::json;

/// What a node reports about itself, unverified. Fields that are not used are not stored.
///
/// The aliases are the spellings of the Rust client: Go ignores case, serde does not.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Hostinfo {
    /// Version of the client.
    #[serde(rename = "IPNVersion", alias = "IpnVersion", skip_serializing_if = "String::is_empty")]
    pub ipn_version: String,
    /// Operating system: `linux`, `macOS`, `windows`, `iOS`, `android` …
    #[serde(rename = "OS", alias = "Os", skip_serializing_if = "String::is_empty")]
    pub os: String,
    /// The application that embeds the client: [`Self::MARU`], or nothing of Tailscale's own apps.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub app: String,
    /// Name of the machine, from which the node's name is made.
    #[serde(deserialize_with = "json::null_default", skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    /// Whether the client sends no logs to its vendor.
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
    /// Whether the node refuses every connection from peers.
    #[serde(skip_serializing_if = "json::is_default")]
    pub shields_up: bool,
    /// Tags that the node requests.
    #[serde(deserialize_with = "json::null_default", skip_serializing_if = "Vec::is_empty")]
    pub request_tags: Vec<String>,
    /// Services that the node runs.
    #[serde(deserialize_with = "json::objects", skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Service>,
    /// What the node measured of its network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub net_info: Option<NetInfo>,
    /// Whether the node offers to be the router of WireGuard devices. Only our own agent sends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maru_wireguard: Option<WireguardRouter>,
}

impl Hostinfo {
    /// The application of Maru's agent.
    pub const MARU: &str = "maru";

    /// The node's home relay region, if it has one.
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

/// What a node measured of its network.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetInfo {
    /// Home relay region; 0: none yet.
    #[serde(
        rename = "PreferredDERP",
        alias = "PreferredDerp",
        deserialize_with = "json::null_default",
        skip_serializing_if = "json::is_default"
    )]
    pub preferred_derp: RegionId,
}
