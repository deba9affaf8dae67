//! WireGuard devices, which have nothing but the plain WireGuard app and which this node routes into the mesh.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::problem::ProblemMessage;

/// Who speaks WireGuard with the devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WireguardKind {
    /// The kernel.
    Kernel,
    /// The agent: the kernel has no WireGuard.
    Userspace,
}

/// This node as the router of WireGuard devices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WireguardStatus {
    /// Who speaks WireGuard with them; `None` while nobody does.
    #[serde(default)]
    pub kind: Option<WireguardKind>,
    /// UDP port at which the devices reach this node.
    pub port: u16,
    /// This node's WireGuard public key for them, as 44 characters of base64.
    pub key: String,
    /// What does not work and what to do, in one sentence.
    #[serde(default)]
    pub problem: Option<String>,
    /// The message that says the same in other languages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem_message: Option<ProblemMessage>,
    /// The devices, by name.
    #[serde(default)]
    pub devices: Vec<WireguardPeer>,
}

/// A WireGuard device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WireguardPeer {
    /// Its stable id.
    pub node: String,
    /// Its name in the network, without the network's domain.
    pub name: String,
    /// Where it was last heard; `None` before its first handshake since the interface was made.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub endpoint: Option<SocketAddr>,
    /// Seconds since the last handshake; `None` if there was none.
    #[serde(default)]
    pub last_handshake_s: Option<u64>,
    /// Bytes received from it.
    #[serde(default)]
    pub rx_bytes: u64,
    /// Bytes sent to it.
    #[serde(default)]
    pub tx_bytes: u64,
}
