//! The agent's local API: types and endpoints.
//!
//! Specified in `docs/protocols/local-api.md`. Served over the UNIX socket [`SOCKET`]
//! below the instance's root. Every user may read; changes need uid 0.
#![forbid(unsafe_code)]

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub mod endpoints;
pub mod leftovers;
mod netcheck;
mod problem;
pub mod settings;
pub mod wireguard;

pub use netcheck::{
    Endpoint, EndpointKind, MappingProtocol, NetCheck, PortProblem, RelayDelay, Router, RouterPort,
    TcpAddress, Transport,
};
pub use problem::ProblemMessage;

/// The socket, below the root.
pub const SOCKET: &str = services::LOCAL_API.socket;
/// Capability under which the coordinator publishes the gateway's Ed25519 public key.
pub const GATEWAY_IDENTITY: &str = "maru/gateway-identity";

/// The kernel's settings by which it forwards packets: of IPv4, and of IPv6.
pub const FORWARDING: [&str; 2] = ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"];

/// The agent's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not a node of any network.
    NeedsJoin,
    /// Registering, or the interface does not have the node's addresses and routes yet.
    Joining,
    /// The administrator has to approve this device.
    WaitingForApproval,
    /// A node of the network, with addresses and routes in force; the coordinator may be away.
    Running,
    /// The node key has expired.
    Expired,
    /// A node whose tunnel is down until it is resumed.
    Paused,
}

impl State {
    /// The state's name, as it is written in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NeedsJoin => "needs_join",
            Self::Joining => "joining",
            Self::WaitingForApproval => "waiting_for_approval",
            Self::Running => "running",
            Self::Expired => "expired",
            Self::Paused => "paused",
        }
    }
}

/// The agent's status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// The agent's version.
    pub version: String,
    /// Its state.
    pub state: State,
    /// A problem and what to do, in one sentence.
    #[serde(default)]
    pub problem: Option<String>,
    /// The message that says the same in other languages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem_message: Option<ProblemMessage>,
    /// A page that says how this device gets approved.
    #[serde(default)]
    pub auth_url: Option<String>,
    /// The network's domain, such as `maru.home.arpa`.
    #[serde(default)]
    pub network: Option<String>,
    /// This node.
    #[serde(default)]
    pub node: Option<SelfNode>,
    /// The coordinator that this device belongs to.
    #[serde(default)]
    pub coordinator: Option<Coordinator>,
    /// This node's home relay.
    #[serde(default)]
    pub home_relay: Option<Relay>,
    /// The tunnel's offloads in force, of [`settings::OFFLOADS`]; none while there is no tunnel.
    #[serde(default)]
    pub offload: Vec<String>,
    /// The exit node that the settings name; `None` if they name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_node: Option<ExitNode>,
    /// The subnets behind other nodes that this node uses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted_routes: Vec<AcceptedRoute>,
    /// The networks that this node offers to route; an exit node's are `0.0.0.0/0` and `::/0`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub offered_routes: Vec<OfferedRoute>,
    /// Whether peers may open nothing on this node.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shields_up: bool,
    /// The visible other nodes, by name.
    #[serde(default)]
    pub peers: Vec<Peer>,
    /// Where the AI gateway is.
    #[serde(default)]
    pub gateway: Option<Gateway>,
    /// How this machine's programs are led to the agent's resolver: `systemd-resolved`, `resolvconf` or `resolv-conf`; `off` by the
    /// settings; `None` if they are not.
    #[serde(default)]
    pub dns: Option<String>,
    /// Packets and datagrams that were dropped since the interface was made, by cause.
    #[serde(default)]
    pub drops: BTreeMap<String, u64>,
    /// The public certificates of names that this node offers over HTTPS; none if the coordinator orders none for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<Certificate>,
    /// The WireGuard devices that this node routes; `None` if the settings have no `[wireguard]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wireguard: Option<wireguard::WireguardStatus>,
}

/// The public certificate of a name that this node offers over HTTPS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Certificate {
    /// The name, such as `rooms.home.example.org`.
    pub name: String,
    /// When the one in use ends (RFC 3339); `None` if there is none.
    #[serde(default)]
    pub ends: Option<String>,
    /// Why there is none, or no newer one.
    #[serde(default)]
    pub problem: Option<String>,
    /// The message that says the same in other languages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem_message: Option<ProblemMessage>,
}

/// This node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SelfNode {
    /// Its name in the network, without the network's domain.
    pub name: String,
    /// Its stable id.
    pub stable_id: String,
    /// Its mesh addresses.
    #[schema(value_type = Vec<String>)]
    pub addresses: Vec<IpAddr>,
    /// Its public key, as `nodekey:` and 64 hex digits.
    pub node_key: String,
    /// When the key expires (RFC 3339); `None` if it does not.
    #[serde(default)]
    pub key_expiry: Option<String>,
}

/// The coordinator, as this device knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Coordinator {
    /// Its address.
    pub url: String,
    /// Its pinned Noise key, as `mkey:` and 64 hex digits; `None` before the first contact.
    #[serde(default)]
    pub noise_public_key: Option<String>,
    /// Whether its map stream is open.
    pub connected: bool,
}

/// A relay region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Relay {
    /// Its number in the relay map.
    pub region: u32,
    /// Its name in the relay map.
    pub name: String,
    /// Whether this node is connected to it.
    pub connected: bool,
}

/// Another node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Peer {
    /// Its name in the network, without the network's domain.
    pub name: String,
    /// Its stable id.
    pub stable_id: String,
    /// Its mesh addresses.
    #[schema(value_type = Vec<String>)]
    pub addresses: Vec<IpAddr>,
    /// Login of the person whose node it is; `None` for a tagged node.
    #[serde(default)]
    pub user: Option<String>,
    /// Its tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Whether it is connected to the coordinator; `None` if unknown.
    #[serde(default)]
    pub online: Option<bool>,
    /// `direct ADDRESS:PORT`, `relay` or `none`.
    pub path: String,
    /// Why the path is not direct, as far as this node can tell; only of a peer whose path is `relay`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay_reason: Option<RelayReason>,
    /// Seconds since the last handshake; `None` if there was none.
    #[serde(default)]
    pub last_handshake_s: Option<u64>,
    /// Bytes received from it through the tunnel.
    #[serde(default)]
    pub rx_bytes: u64,
    /// Bytes sent to it through the tunnel.
    #[serde(default)]
    pub tx_bytes: u64,
}

/// The exit node of the settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExitNode {
    /// Its name, stable id or mesh address, as the settings have it.
    pub name: String,
    /// Whether it is a peer that may be used as an exit node. If not, nothing leaves this machine.
    pub usable: bool,
    /// Whether no name of the internet is found: the settings name no resolver behind it (`exit_node_dns`), and those of this machine
    /// have private addresses, which are none behind it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_resolver: bool,
}

/// A subnet behind another node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AcceptedRoute {
    /// The subnet.
    pub route: String,
    /// The name of the node that routes it.
    pub node: String,
}

/// A network that this node offers to route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OfferedRoute {
    /// The network.
    pub route: String,
    /// Whether the coordinator approved it.
    pub approved: bool,
    /// Whether this machine forwards no packets of its address family, so that it routes for nobody ([`FORWARDING`]).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forwarding_off: bool,
}

/// Why packets to a peer go over the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RelayReason {
    /// No STUN server answers this node by UDP.
    NoUdpHere,
    /// The peer names no address at which it can be reached by UDP.
    NoUdpThere,
    /// The two have no address family in common.
    NoCommonFamily,
    /// STUN servers see this node at several ports: its NAT gives each destination another (symmetric).
    SymmetricNatHere,
    /// Nothing answers at the peer's addresses: a NAT or a firewall between the two drops the packets, or the search goes on.
    NoAnswer,
}

/// Who has a name or an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Whois {
    /// Its name in the network, without the network's domain.
    pub name: String,
    /// Its stable id.
    pub stable_id: String,
    /// Its mesh addresses.
    #[schema(value_type = Vec<String>)]
    pub addresses: Vec<IpAddr>,
    /// Login of the person whose node it is; `None` for a tagged node.
    #[serde(default)]
    pub user: Option<String>,
    /// Its tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Whether it is connected to the coordinator; `None` if unknown.
    #[serde(default)]
    pub online: Option<bool>,
    /// Whether it is this node.
    pub this_node: bool,
}

/// A peer's answer to a ping inside the tunnel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pong {
    /// The peer's name.
    pub name: String,
    /// Its stable id.
    pub stable_id: String,
    /// Its address that was pinged.
    #[schema(value_type = String)]
    pub address: IpAddr,
    /// From the ping to the answer, in microseconds; with the handshake, if one was needed.
    pub latency_us: u64,
    /// The path on which the answer came: `direct ADDRESS:PORT` or `relay`.
    pub path: String,
    /// The relay's name, if it came over one.
    #[serde(default)]
    pub relay: Option<String>,
}

/// The AI gateway and its public key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Gateway {
    /// Stable id of the node it runs on, which may be this one.
    pub node: String,
    /// Its Ed25519 public key, base64url without padding.
    pub identity: String,
    /// `chat.<network>`.
    pub host: String,
    /// The mesh addresses behind that name.
    #[schema(value_type = Vec<String>)]
    pub addresses: Vec<IpAddr>,
}

/// The certificate authority of the network's names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Authority {
    /// The network's domain, by this node's own knowledge. The home node says what the certificate is constrained to.
    pub network: String,
    /// The root's certificate, in PEM, as the home node sent it over WireGuard.
    pub certificate: String,
    /// The page with the certificate for devices without `maru`.
    pub page: String,
}

/// A request to join a network.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Join {
    /// An invitation, or the coordinator's address alone.
    pub url: String,
    /// A pre-auth key, for an address alone.
    #[serde(default)]
    pub key: Option<String>,
    /// The name to ask for; `None` takes the machine's.
    #[serde(default)]
    pub hostname: Option<String>,
    /// Certificate authorities for an `https://` coordinator, in PEM; `None` for those that this machine trusts.
    #[serde(default)]
    pub ca: Option<String>,
}

/// Shows the hostname only: the URL and the key can contain a pre-auth key.
impl std::fmt::Debug for Join {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Join")
            .field("url", &"[redacted]")
            .field("key", &self.key.as_ref().map(|_| "[redacted]"))
            .field("hostname", &self.hostname)
            .finish()
    }
}

#[cfg(test)]
mod tests;
