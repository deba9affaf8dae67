//! What the coordinator stores of a WireGuard device beside its node.

use control_protocol::key::NodePublic;
use serde::{Deserialize, Serialize};

/// How a WireGuard device is reached, as its configuration says. Stored as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tunnel {
    /// Number of the node that serves it.
    pub router: u64,
    /// Public key of the router's WireGuard interface.
    pub router_key: NodePublic,
    /// Where the device reaches the router, `HOST:PORT`, as the admin gave it; `None`: at the coordinator's host and the
    /// router's port.
    pub endpoint: Option<String>,
    /// Whether the device sends its packets to the internet to the router, too.
    pub full_tunnel: bool,
    /// Whether the device sends keep-alives.
    pub keepalive: bool,
}
