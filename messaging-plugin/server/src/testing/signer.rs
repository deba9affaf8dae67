//! Keys and signatures of a test's clients.

use serde_json::{Value, json};
use telmeet_testkit::Signer;

use crate::testing::TestClient;

/// The keys of an app, made of this seed and signed by it.
pub(crate) fn device_keys(seed: u8, client: &TestClient) -> Value {
    Signer::new(seed).device_keys(client.user.as_str(), client.device.as_str())
}

/// Adds a signature of the key of this seed, as the client's, under `ed25519:NAME`.
pub(crate) fn sign(seed: u8, client: &TestClient, name: &str, object: Value) -> Value {
    Signer::new(seed).sign(client.user.as_str(), name, object)
}

/// An identity: the master key of this seed signs the keys of the next two.
pub(crate) fn identity(client: &TestClient, seed: u8) -> Value {
    let master = Signer::new(seed).public();
    let key = |seed, usage| Signer::new(seed).cross_signing_key(client.user.as_str(), usage);
    let signed = |object| sign(seed, client, &master, object);
    json!({
        "master_key": key(seed, "master"),
        "self_signing_key": signed(key(seed + 1, "self_signing")),
        "user_signing_key": signed(key(seed + 2, "user_signing")),
    })
}
