//! The configuration that auth serves, the same bytes for everyone (`GET /api/config`).

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{
    bundle::{Bundle, KEYS_MAX},
    certificate::Use,
    policy::Policy,
    signed::{Document, Signed},
    text,
};

/// The version of the configuration, text as in the seed.
pub const VERSION: &str = "0.002";
/// Most relays.
pub const RELAYS_MAX: usize = 16;

/// The configuration of a deployment. Signed by its configuration key; the signature comes in headers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Always [`VERSION`].
    pub version: ConfigVersion,
    /// What the deployment does.
    pub features: Features,
    /// Relays, in the order in which they are tried.
    pub relay_urls: Vec<String>,
    /// The gateway, which only relays speak to.
    pub gateway_url: String,
    /// The router, which only the gateway and nodes speak to.
    pub router_url: String,
    /// The gateway's keys as `application/ohttp-keys` (RFC 9458, section 3.2); base64 with padding.
    #[serde(with = "text::base64_padded")]
    pub ohttp_key_configs_bundle: Vec<u8>,
    /// When each of them is accepted.
    pub ohttp_key_rotation_periods: Vec<Period>,
    /// What evidence is judged by.
    pub attestation: Attestation,
    /// Rises with each change.
    pub epoch: u64,
    /// Where the keys are from.
    pub key_source: KeySource,
    /// The keys as the gateway signed them; none where they are from seeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<Signed<Bundle>>,
}

/// What the deployment does. Where one of them is false, a client does not go on without it: it refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Features {
    /// Requests are encapsulated to the gateway.
    pub ohttp: bool,
    /// Nodes show evidence.
    pub real_attestation: bool,
}

/// When a key is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// Which.
    pub key_id: u8,
    /// Accepted from, in milliseconds since 1970; RFC 3339 on the wire.
    #[serde(with = "text::rfc3339")]
    pub active_from: u64,
    /// Accepted before, in milliseconds since 1970; RFC 3339 on the wire.
    #[serde(with = "text::rfc3339")]
    pub active_until: u64,
}

/// What evidence is judged by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attestation {
    /// The policy's name.
    pub policy_id: String,
    /// The policy.
    pub allowed_images: Signed<Policy>,
    /// Which evidence there is, for people.
    #[serde(default)]
    pub verifier_hints: Vec<String>,
}

/// Where the gateway's keys are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeySource {
    /// Made in the gateway, and signed there (option C).
    Gateway,
    /// Derived from seeds that gateway and auth share (option A): auth could open what is sealed to them.
    Seeds,
}

impl Document for Config {
    const KIND: &'static str = "config";
    const SIGNED_BY: Option<Use> = Some(Use::Config);

    fn check(&self) -> Result<(), &'static str> {
        if self.relay_urls.is_empty() || self.relay_urls.len() > RELAYS_MAX {
            return Err("it names no relay, or more than 16");
        }
        if self.ohttp_key_rotation_periods.len() > KEYS_MAX {
            return Err("it has more than 16 keys");
        }
        if (self.key_source == KeySource::Gateway) != self.bundle.is_some() {
            return Err("keys come from the gateway with its bundle, and without one from seeds");
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
            "version {found} is not known here; this program speaks version {VERSION}"
        )))
    }
}
