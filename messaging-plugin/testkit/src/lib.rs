//! For tests of rooms: keys and signatures of Matrix clients.
#![forbid(unsafe_code)]
#![allow(clippy::missing_panics_doc, clippy::unwrap_used, reason = "a panic is how tests fail")]

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use ruma::{CanonicalJsonObject, signatures};
use serde_json::{Value, json};

/// An Ed25519 key pair.
#[derive(Debug)]
pub struct Signer(signatures::Ed25519KeyPair);

impl Signer {
    /// The pair of a seed.
    #[must_use]
    pub fn new(seed: u8) -> Self {
        // PKCS #8, version 1 (RFC 8410, section 7).
        let mut document =
            b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
        document.extend([seed; 32]);
        Self(signatures::Ed25519KeyPair::from_der(&document, "x".to_owned()).unwrap())
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> String {
        STANDARD_NO_PAD.encode(self.0.public_key())
    }

    /// Adds a signature of this key, as `user`'s, under `ed25519:NAME`.
    #[must_use]
    pub fn sign(&self, user: &str, name: &str, mut object: Value) -> Value {
        let mut signed: CanonicalJsonObject = serde_json::from_value(object.clone()).unwrap();
        signed.remove("signatures");
        signatures::sign_json("x", &self.0, &mut signed).unwrap();
        let signed = serde_json::to_value(signed).unwrap();
        let signature = signed["signatures"]["x"]["ed25519:x"].clone();
        object["signatures"][user][format!("ed25519:{name}")] = signature;
        object
    }

    /// The keys of a device, signed by it.
    #[must_use]
    pub fn device_keys(&self, user: &str, device: &str) -> Value {
        let keys = json!({
            "user_id": user,
            "device_id": device,
            "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
            "keys": {
                format!("curve25519:{device}"): self.public(),
                format!("ed25519:{device}"): self.public(),
            },
        });
        self.sign(user, device, keys)
    }

    /// A key of a person's identity, not signed.
    #[must_use]
    pub fn cross_signing_key(&self, user: &str, usage: &str) -> Value {
        json!({
            "user_id": user,
            "usage": [usage],
            "keys": {format!("ed25519:{}", self.public()): self.public()},
        })
    }
}
