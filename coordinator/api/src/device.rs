//! Devices: nodes, and devices that wait for approval.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Device {
    /// Its number, which it keeps when it is approved, and which is never reused.
    pub id: u64,
    /// Stable name of the node for programs; empty while it waits.
    pub stable_id: String,
    /// DNS label in the network; empty while it waits.
    pub name: String,
    /// The hostname that it reports, in any script; it may change, and need not be unique.
    pub hostname: String,
    /// The operating system that it reports, such as `linux`; may be empty.
    pub os: String,
    /// Owner; `None` for a tagged device, and for a waiting one without a key.
    pub user: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Addresses in the network; empty while it waits.
    pub addresses: Vec<String>,
    /// Its state.
    pub state: DeviceState,
    /// Short code of a waiting device, such as `WDJB-MJHT`, as on its page; empty otherwise.
    pub code: String,
    /// Address from which a waiting device registered: an IPv4 address, or an IPv6 /64; empty otherwise, and if unknown.
    pub source: String,
    /// Tags that it requests (`--advertise-tags`); empty once it is approved.
    pub requested_tags: Vec<String>,
    /// Its node key, `nodekey:…`.
    pub node_key: String,
    /// When it registered, RFC 3339.
    pub created: String,
    /// When it was last connected, RFC 3339; `None` while it is connected, and if it never was.
    pub last_seen: Option<String>,
    /// Whether it is connected now.
    pub online: bool,
    /// Endpoints that it reports, `address:port`.
    pub endpoints: Vec<String>,
    /// When its node key expires, RFC 3339; `None` if never.
    pub key_expiry: Option<String>,
    /// Whether it is removed soon after it disconnects.
    pub ephemeral: bool,
    /// Capabilities that are sent to all its peers.
    #[schema(value_type = BTreeMap<String, Vec<serde_json::Value>>)]
    pub capabilities: Capabilities,
}

/// The state of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeviceState {
    /// Waits for approval.
    #[default]
    Pending,
    /// A node of the network.
    Approved,
    /// Its node key expired: it is in no map until it registers again.
    Expired,
}

/// Capabilities by name, each with its values; what goes into the node's `CapMap`.
pub type Capabilities = BTreeMap<String, Vec<serde_json::Value>>;

/// Approves a waiting device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Approve {
    /// Its owner. Required if it registered without a key, unless tags are given.
    pub user: Option<String>,
    /// Tags to assign, each `tag:…`; a tagged device has no user and does not expire.
    pub tags: Vec<String>,
    /// Its DNS label. Default: made from its hostname, with Hangul romanized.
    pub name: Option<String>,
}

/// Extends a device's node key, expired or not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Extend {
    /// Seconds from now until it expires. Default: as for a new device.
    pub expires_in_s: Option<u64>,
}

/// Renames a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rename {
    /// New DNS label.
    pub name: String,
}

/// Replaces a device's tags.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetTags {
    /// New tags, each `tag:…`; at least one.
    pub tags: Vec<String>,
}

/// Points an extra DNS name at a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetRecord {
    /// Number of the device.
    pub device: u64,
}

/// An extra DNS name: `<name>.<network>` has the addresses of the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Record {
    /// DNS label.
    pub name: String,
    /// Number of the device.
    pub device: u64,
}
