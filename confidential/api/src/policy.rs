//! The policy: the programs of a deployment, and the trust anchors of their evidence. Crate `attestation` applies it, together
//! with a home's pin.

use std::{collections::BTreeMap, fmt};

use common::wire::{Bytes, Version};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, MapAccess, Visitor},
};

use crate::{certificate::Use, signed::Document};

/// Maximum number of images.
pub const IMAGES_MAX: usize = 64;
/// Maximum number of anchors.
pub const ANCHORS_MAX: usize = 16;
/// Longest name, in bytes.
pub const NAME_MAX: usize = 256;

/// A deployment's policy. Signed by its identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Always 1.
    pub version: Version,
    /// Its name for people.
    pub policy_id: String,
    /// Increases with each policy of a deployment.
    pub epoch: u64,
    /// Its expiry, in milliseconds since 1970.
    pub not_after: u64,
    /// Whether simulated evidence may be used, if the home also allows it.
    #[serde(default)]
    pub simulated: bool,
    /// Trust anchors beside AWS's.
    #[serde(default)]
    pub anchors: Vec<Anchor>,
    /// The programs.
    pub images: Vec<Image>,
}

/// The kind of evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EvidenceKind {
    /// A document of a Nitro Security Module.
    Nitro,
    /// Quotes of a TPM 2.0.
    Tpm,
}

/// A trust anchor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// Its name for people.
    pub name: String,
    /// The kind of its evidence.
    pub kind: EvidenceKind,
    /// A certificate, DER.
    #[serde(default)]
    pub certificate: Option<Bytes>,
    /// An attestation key's public area (`TPMT_PUBLIC`).
    #[serde(default)]
    pub key: Option<Bytes>,
}

/// The KEM of a node's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RekKind {
    /// X25519 and ML-KEM-768 (draft-connolly-cfrg-xwing-kem).
    #[serde(rename = "x-wing")]
    XWing,
    /// P-256, which TPMs support.
    #[serde(rename = "p-256")]
    P256,
}

/// A program, identified by its measurements.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Its name for people.
    pub name: String,
    /// The kind of its evidence.
    pub kind: EvidenceKind,
    /// The models that it serves, at least one.
    pub models: Vec<String>,
    /// Its registers, at least one; all of them must match.
    pub pcrs: Registers,
    /// The KEM of its key.
    pub rek: RekKind,
}

/// Values of registers (PCRs) by index; hexadecimal on the wire.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Registers(pub BTreeMap<u8, Vec<u8>>);

impl Document for Policy {
    const KIND: &'static str = "policy";
    const SIGNED_BY: Option<Use> = None;

    fn check(&self) -> Result<(), &'static str> {
        if self.images.len() > IMAGES_MAX || self.anchors.len() > ANCHORS_MAX {
            return Err("it must have at most 64 images and 16 anchors");
        }
        let anchors = self.anchors.iter().map(|anchor| &anchor.name);
        let images = self.images.iter().flat_map(|image| image.models.iter().chain([&image.name]));
        if anchors
            .chain(images)
            .chain([&self.policy_id])
            .any(|it| it.is_empty() || it.len() > NAME_MAX)
        {
            return Err("a name is empty or longer than 256 bytes");
        }
        if self.anchors.iter().any(|it| it.certificate.is_some() == it.key.is_some()) {
            return Err("an anchor must have either a certificate or a key");
        }
        for image in &self.images {
            if image.models.is_empty() || image.models.len() > IMAGES_MAX {
                return Err("an image must have 1 to 64 models");
            }
            let len = match image.kind {
                EvidenceKind::Nitro => 48,
                EvidenceKind::Tpm => 32,
            };
            if image.pcrs.0.is_empty() || image.pcrs.0.values().any(|value| value.len() != len) {
                return Err(
                    "an image must have registers, of 48 bytes (nitro) or 32 bytes (tpm) each",
                );
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Registers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(at, value)| (at, hex::encode(value)))).finish()
    }
}

impl Serialize for Registers {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(index, value)| (index, hex::encode(value))))
    }
}

impl<'de> Deserialize<'de> for Registers {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Map;

        impl<'de> Visitor<'de> for Map {
            type Value = Registers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("registers by their index, in hexadecimal")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Registers, A::Error> {
                let mut registers = BTreeMap::new();
                while let Some((index, value)) = map.next_entry::<u8, String>()? {
                    if index > 31 {
                        return Err(A::Error::custom("there are registers 0 to 31"));
                    }
                    let value = hex::decode(value)
                        .map_err(|_| A::Error::custom("a register is not hexadecimal"))?;
                    if registers.insert(index, value).is_some() {
                        return Err(A::Error::custom("a register is there twice"));
                    }
                }
                Ok(Registers(registers))
            }
        }

        from.deserialize_map(Map)
    }
}
