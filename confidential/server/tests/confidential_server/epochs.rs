//! A certificate that was made while a clock was ahead: it uses up no epoch, and what is said helps.

use std::path::PathBuf;

use chassis::pem;
use common::wire::{Fixed, Version};
use confidential_api::{
    certificate::{Certificate, Use},
    signed::Signed,
};
use confidential_server::gateway;
use ed25519_dalek::SigningKey;

use super::{client::now, world::TestDeployment};

/// A day, in milliseconds.
const DAY: u64 = 86_400_000;

/// The gateway's certificate as it would be made by a clock that is so far ahead, valid from `not_before`.
fn certify(world: &TestDeployment, ahead: u64, not_before: u64) {
    let secret = |file: PathBuf| {
        let text = pem::secret(&file).unwrap();
        let Fixed(key): Fixed<32> = std::str::from_utf8(&text).unwrap().trim().parse().unwrap();
        SigningKey::from_bytes(&key)
    };
    let identity = secret(world.own().join("identity.key"));
    let certificate = Certificate {
        version: Version,
        usage: Use::Bundle,
        key: Fixed(secret(world.file("bundle.key")).verifying_key().to_bytes()),
        not_before,
        not_after: now() + 9 * DAY,
        first_epoch: Certificate::first_epoch_at(now() + ahead),
    };
    let signed = Signed::sign(&certificate, &identity, None).unwrap();
    std::fs::write(world.file("bundle.json"), signed.to_json()).unwrap();
}

#[tokio::test]
async fn a_certificate_from_a_clock_that_was_ahead_is_mended_as_the_gateway_says() {
    let world = TestDeployment::new();
    let settings = world.gateway_settings(([127, 0, 0, 1], 1).into());
    let start = async || {
        let started = gateway::start(world.root.path(), &settings).await;
        started.map(drop).map_err(|error| error.to_string())
    };
    let kept = world.root.path().join(&settings.state).join("keys.json");

    certify(&world, DAY, now() + DAY);
    let said = start().await.unwrap_err();
    assert!(said.contains("not valid yet") && said.contains("certify it there again"), "{said}");
    assert!(!kept.exists(), "no epoch is used up");
    certify(&world, 0, 0);
    start().await.unwrap();

    // One that was taken all the same.
    certify(&world, DAY, 0);
    start().await.unwrap();
    certify(&world, 0, 0);
    let said = start().await.unwrap_err();
    assert!(
        said.contains(&kept.display().to_string()) && said.contains("set `epoch` to 0"),
        "{said}"
    );
    let mut state: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&kept).unwrap()).unwrap();
    *find(&mut state, "epoch") = 0.into();
    std::fs::write(&kept, state.to_string()).unwrap();
    start().await.unwrap();
}

/// The member of this name, wherever in the file it stands.
fn find<'a>(value: &'a mut serde_json::Value, name: &str) -> &'a mut serde_json::Value {
    let object = value.as_object_mut().unwrap();
    let inside = object.values().any(|inner| inner.get(name).is_some());
    if inside {
        return object.values_mut().find_map(|inner| inner.get_mut(name)).unwrap();
    }
    object.get_mut(name).unwrap()
}
