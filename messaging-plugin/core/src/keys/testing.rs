//! Keys and signatures for unit tests.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use ruma::{CanonicalJsonObject, signatures};
use serde_json::{Value, json};

use super::cross_signing::Usage;
use crate::testing::user;

/// An Ed25519 key pair.
#[derive(Debug)]
pub(crate) struct Signer(signatures::Ed25519KeyPair);

impl Signer {
    /// The pair of a seed.
    pub(crate) fn new(seed: u8) -> Self {
        // PKCS #8, version 1 (RFC 8410, section 7).
        let mut document =
            b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
        document.extend([seed; 32]);
        Self(signatures::Ed25519KeyPair::from_der(&document, "x".to_owned()).unwrap())
    }

    /// The public key.
    pub(crate) fn public(&self) -> String {
        STANDARD_NO_PAD.encode(self.0.public_key())
    }

    /// Adds a signature of this key under `ed25519:NAME`.
    pub(crate) fn sign(&self, signer: &str, name: &str, mut object: Value) -> Value {
        let mut signed: CanonicalJsonObject = serde_json::from_value(object.clone()).unwrap();
        signed.remove("signatures");
        signatures::sign_json("x", &self.0, &mut signed).unwrap();
        let signed = serde_json::to_value(signed).unwrap();
        let signature = signed["signatures"]["x"]["ed25519:x"].clone();
        object["signatures"][user(signer).as_str()][format!("ed25519:{name}")] = signature;
        object
    }

    /// The keys of a device, signed by it.
    pub(crate) fn device_keys(&self, owner: &str, device: &str) -> Value {
        let keys = json!({
            "user_id": user(owner),
            "device_id": device,
            "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
            "keys": {
                format!("curve25519:{device}"): self.public(),
                format!("ed25519:{device}"): self.public(),
            },
        });
        self.sign(owner, device, keys)
    }

    /// A key of an identity, not signed.
    pub(crate) fn cross_signing_key(&self, owner: &str, usage: Usage) -> Value {
        json!({
            "user_id": user(owner),
            "usage": [usage.as_str()],
            "keys": {format!("ed25519:{}", self.public()): self.public()},
        })
    }
}
