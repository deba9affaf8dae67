//! The configuration that auth serves, the same bytes to every client (`GET /api/config`).

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{
    bundle::{Bundle, KEYS_MAX},
    certificate::Use,
    policy::Policy,
    signed::{Document, Signed},
    text,
};

/// The version of the configuration.
pub const VERSION: &str = "0.002";
/// Maximum number of relays.
pub const RELAYS_MAX: usize = 16;

/// The configuration of a deployment. Signed by its configuration key; the signature comes in headers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Always [`VERSION`].
    pub version: ConfigVersion,
    /// The features of the deployment.
    pub features: Features,
    /// The relays, in the order in which clients use them.
    pub relay_urls: Vec<String>,
    /// The gateway, whose clients are relays.
    pub gateway_url: String,
    /// The router, whose clients are the gateway and nodes.
    pub router_url: String,
    /// The gateway's keys as `application/ohttp-keys` (RFC 9458, section 3.2); base64 with padding.
    #[serde(with = "text::base64_padded")]
    pub ohttp_key_configs_bundle: Vec<u8>,
    /// The active time of each key.
    pub ohttp_key_rotation_periods: Vec<Period>,
    /// The rules for evidence.
    pub attestation: Attestation,
    /// Increases with each change.
    pub epoch: u64,
    /// The source of the keys.
    pub key_source: KeySource,
    /// The keys that the gateway signed; `None` if they are from seeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<Signed<Bundle>>,
}

/// The features of a deployment. Clients refuse a configuration in which one is false.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Features {
    /// Requests are encapsulated to the gateway.
    pub ohttp: bool,
    /// Nodes have evidence.
    pub real_attestation: bool,
}

/// The active time of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// The key's ID.
    pub key_id: u8,
    /// Accepted from, in milliseconds since 1970; RFC 3339 on the wire.
    #[serde(with = "text::rfc3339")]
    pub active_from: u64,
    /// Accepted before, in milliseconds since 1970; RFC 3339 on the wire.
    #[serde(with = "text::rfc3339")]
    pub active_until: u64,
}

/// The rules for evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attestation {
    /// The policy's name.
    pub policy_id: String,
    /// The policy.
    pub allowed_images: Signed<Policy>,
    /// The kinds of evidence, for people.
    #[serde(default)]
    pub verifier_hints: Vec<String>,
}

/// The source of the gateway's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeySource {
    /// Made in the gateway, and signed there (option C).
    Gateway,
    /// Derived from seeds that gateway and auth share (option A), so that auth could open requests.
    Seeds,
}

impl Document for Config {
    const KIND: &'static str = "config";
    const SIGNED_BY: Option<Use> = Some(Use::Config);

    fn check(&self) -> Result<(), &'static str> {
        if self.relay_urls.is_empty() || self.relay_urls.len() > RELAYS_MAX {
            return Err("it must have 1 to 16 relays");
        }
        if self.ohttp_key_rotation_periods.len() > KEYS_MAX {
            return Err("it has more than 16 keys");
        }
        if (self.key_source == KeySource::Gateway) != self.bundle.is_some() {
            return Err(
                "it must have a bundle if the keys are from the gateway, and none if they are from seeds",
            );
        }
        Ok(())
    }

    fn epoch(&self) -> Option<u64> {
        Some(self.epoch)
    }
}

/// The field `version` of the configuration: always [`VERSION`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConfigVersion;

impl Serialize for ConfigVersion {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(VERSION)
    }
}

impl<'de> Deserialize<'de> for ConfigVersion {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let found = std::borrow::Cow::<'de, str>::deserialize(from)?;
        if found == VERSION {
            return Ok(Self);
        }
        let found: String = found.chars().filter(|c| c.is_ascii_graphic()).take(16).collect();
        Err(D::Error::custom(format!(
            "version {found} is not supported; this program supports version {VERSION}"
        )))
    }
}
