//! WireGuard devices: devices that have only WireGuard.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use control_protocol::key::{KEY_LEN, NodePublic};
use messages::{Message, message};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::ToSchema;

use crate::Device;

/// Seconds between the keep-alives of a device that sends them (`wg(8)`).
pub const KEEPALIVE_S: u16 = 25;

/// The operating system of a WireGuard device, as [`Device::os`] has it.
pub const WIREGUARD_OS: &str = "wireguard";

/// A WireGuard public key, written as the WireGuard tools do: 44 characters of base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireguardKey(pub NodePublic);

/// A text that is not a WireGuard public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.message())]
pub struct NotWireguardKey;

impl NotWireguardKey {
    /// What is wrong, and what to do.
    #[must_use]
    pub fn message(self) -> Message {
        message!("problem-wireguard-not-a-key")
    }
}

impl fmt::Display for WireguardKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0.as_bytes()))
    }
}

impl FromStr for WireguardKey {
    type Err = NotWireguardKey;

    fn from_str(text: &str) -> Result<Self, NotWireguardKey> {
        let bytes = STANDARD.decode(text).map_err(|_| NotWireguardKey)?;
        let bytes: [u8; KEY_LEN] = bytes.try_into().map_err(|_| NotWireguardKey)?;
        Ok(Self(NodePublic::from_bytes(bytes)))
    }
}

impl Serialize for WireguardKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WireguardKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// A WireGuard device, and what its configuration says. Its private key is known to the device alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WireguardDevice {
    /// The device.
    pub device: Device,
    /// Its public key.
    #[schema(value_type = String)]
    pub public_key: WireguardKey,
    /// Name of its router, the node that serves it; `None` if that was removed.
    pub router: Option<String>,
    /// Public key of the router in its configuration.
    #[schema(value_type = String)]
    pub router_key: WireguardKey,
    /// Where it reaches the router, `HOST:PORT`; `None` if the router does not serve it.
    pub endpoint: Option<String>,
    /// The prefixes that it sends to the router.
    pub allowed_ips: Vec<String>,
    /// Its resolvers, and the network's domain.
    pub dns: Vec<String>,
    /// Whether it sends its packets to the internet to the router, too.
    pub full_tunnel: bool,
    /// Seconds between its keep-alives; `None`: it sends none.
    pub keepalive_s: Option<u16>,
    /// Why it has no way into the network, or out of it.
    pub problem: Option<WireguardProblem>,
}

/// What is wrong with the way of a WireGuard device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WireguardProblem {
    /// Its router was removed, or its key has expired: the device is in no map.
    RouterGone,
    /// Its router has no tags any more: the device is in no map.
    RouterUntagged,
    /// Its router does not offer to serve WireGuard devices now.
    NotOffered,
    /// Its router has another key than its configuration.
    OtherKey,
    /// It is a full tunnel, and the policy does not let it reach the internet.
    InternetRefused,
}

/// Adds a WireGuard device.
///
/// Its owner is a user or tags; with tags, `user` is ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddWireguardDevice {
    /// Its DNS label.
    pub name: String,
    /// Its public key.
    #[schema(value_type = String)]
    pub public_key: WireguardKey,
    /// Its owner; must exist.
    #[serde(default)]
    pub user: Option<String>,
    /// Its tags, each `tag:…`.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Whether it sends its packets to the internet to the router, too.
    #[serde(default)]
    pub full_tunnel: bool,
    /// Seconds until it expires. Default: it does not, since it cannot register again.
    #[serde(default)]
    pub expires_in_s: Option<u64>,
    /// Its router: number or name of a tagged node that offers it. Default: home.
    #[serde(default)]
    pub via: Option<String>,
    /// Where it reaches the router, `HOST:PORT`. Default: the coordinator's host and the router's port.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// Whether it sends keep-alives, every 25 seconds.
    #[serde(default)]
    pub keepalive: bool,
}

/// Gives a WireGuard device another key; the one before is void at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateWireguardDevice {
    /// Its new public key.
    #[schema(value_type = String)]
    pub public_key: WireguardKey,
    /// Its new router. Default: the same, with the key that it has now.
    #[serde(default)]
    pub via: Option<String>,
    /// Where it reaches the router from now on. Default: as before.
    #[serde(default)]
    pub endpoint: Option<String>,
}
