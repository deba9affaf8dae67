//! Keys and signatures.

use ruma::{CanonicalJsonObject, serde::Base64, signatures};
use serde_json::{Value, json};

use crate::testing::TestClient;

/// An Ed25519 key pair.
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
        let bytes: Vec<u8> = self.0.public_key().to_vec();
        Base64::<ruma::serde::base64::Standard, _>::new(bytes).encode()
    }

    /// Adds a signature of this key under `ed25519:NAME`.
    pub(crate) fn sign(&self, signer: &TestClient, name: &str, mut object: Value) -> Value {
        let mut signed: CanonicalJsonObject = serde_json::from_value(object.clone()).unwrap();
        signed.remove("signatures");
        signatures::sign_json("x", &self.0, &mut signed).unwrap();
        let signed = serde_json::to_value(signed).unwrap();
        let signature = signed["signatures"]["x"]["ed25519:x"].clone();
        object["signatures"][signer.user.as_str()][format!("ed25519:{name}")] = signature;
        object
    }

    /// The keys of an app, signed by it.
    pub(crate) fn device_keys(&self, client: &TestClient) -> Value {
        let device = client.device.as_str();
        let keys = json!({
            "user_id": client.user,
            "device_id": device,
            "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
            "keys": {
                format!("curve25519:{device}"): self.public(),
                format!("ed25519:{device}"): self.public(),
            },
        });
        self.sign(client, device, keys)
    }

    /// A key of a person's identity, not signed.
    pub(crate) fn cross_signing_key(&self, client: &TestClient, usage: &str) -> Value {
        json!({
            "user_id": client.user,
            "usage": [usage],
            "keys": {format!("ed25519:{}", self.public()): self.public()},
        })
    }
}

/// An identity: the master key of this seed signs the keys of the next two.
pub(crate) fn identity(client: &TestClient, seed: u8) -> Value {
    let master = Signer::new(seed);
    let signed = |key: Value| master.sign(client, &master.public(), key);
    json!({
        "master_key": master.cross_signing_key(client, "master"),
        "self_signing_key": signed(Signer::new(seed + 1).cross_signing_key(client, "self_signing")),
        "user_signing_key": signed(Signer::new(seed + 2).cross_signing_key(client, "user_signing")),
    })
}
