//! Devices: nodes, and those that wait to become one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Device {
    /// Its number; stays the same when it is approved, and is never used again.
    pub id: u64,
    /// Stable name of the node for programs; empty while it waits.
    pub stable_id: String,
    /// DNS label in the network; empty while it waits.
    pub name: String,
    /// What it calls itself, in any script; its own choice, which may change and which others may make too.
    pub hostname: String,
    /// Its operating system as it says, such as `linux`; may be empty.
    pub os: String,
    /// Owner; `None` for a tagged device, and for one that waits and joined without a key.
    pub user: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Addresses in the network; empty while it waits.
    pub addresses: Vec<String>,
    /// Where it stands.
    pub state: DeviceState,
    /// Short code of one that waits, such as `WDJB-MJHT`, which its page shows; empty otherwise.
    pub code: String,
    /// Where one that waits asked from: an IPv4 address, or an IPv6 network of 64 bits; empty otherwise, and if it is not
    /// known.
    pub source: String,
    /// Tags that it asks for (`--advertise-tags`); empty once it is approved.
    pub requested_tags: Vec<String>,
    /// Its node key, `nodekey:…`.
    pub node_key: String,
    /// When it registered, RFC 3339.
    pub created: String,
    /// When it was last connected, RFC 3339; `None` while it is, and if it never was.
    pub last_seen: Option<String>,
    /// Whether it is connected now.
    pub online: bool,
    /// Where it said it can be reached, `address:port`.
    pub endpoints: Vec<String>,
    /// When its node key expires, RFC 3339; `None` if never.
    pub key_expiry: Option<String>,
    /// Whether it is removed soon after it disconnects.
    pub ephemeral: bool,
    /// What the coordinator says of it to all its peers.
    #[schema(value_type = BTreeMap<String, Vec<serde_json::Value>>)]
    pub capabilities: Capabilities,
}

/// Where a device stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeviceState {
    /// Waits for the admin.
    Pending,
    /// A node of the network.
    Approved,
    /// Its node key expired: nobody sees it until it registers again.
    Expired,
}

/// Capabilities by name, each with its values; what goes into the node's `CapMap`.
pub type Capabilities = BTreeMap<String, Vec<serde_json::Value>>;

/// Approves a device that waits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Approve {
    /// Whose it is. Needed if it joined without a key, and no tags are given.
    pub user: Option<String>,
    /// Tags to give it, each `tag:…`; a tagged device belongs to nobody and does not expire.
    pub tags: Vec<String>,
    /// DNS label to give it, instead of one made from its hostname, Hangul romanised.
    pub name: Option<String>,
}

/// Gives a device's node key a new life, expired or not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Extend {
    /// Seconds from now until it expires. Default: as long as that of a new device.
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
