//! The project's own vectors, `docs/protocols/vectors/confidential.json`.

use attestation::{Code, EffectivePolicy, Pin, bound_nonce};
use common::wire::Fixed;
use confidential_api::{policy::Policy, signed::Signed};
use serde_json::Value;

fn documents() -> Value {
    let text = include_str!("../../../../docs/protocols/vectors/confidential.json");
    let file: Value = serde_json::from_str(text).unwrap();
    file["documents"].clone()
}

#[test]
fn a_set_of_nonces_is_bound_as_the_vectors_say() {
    let nonces = &documents()["nonces"];
    let bytes = |value: &Value| hex::decode(value.as_str().unwrap()).unwrap();

    assert_eq!(bound_nonce(&bytes(&nonces["set"]))[..], bytes(&nonces["bound"]));
}

#[test]
fn the_policy_of_the_vectors_is_taken_under_its_identity_alone() {
    let documents = documents();
    let policy: Signed<Policy> =
        serde_json::from_value(documents["policy"]["document"].clone()).unwrap();
    let identity: Fixed<32> = serde_json::from_value(documents["identity"].clone()).unwrap();
    let now = documents["now"].as_u64().unwrap();
    let pin = |identity| Pin { identity, anchors: Vec::new(), images: None, min_epoch: 0 };

    assert!(EffectivePolicy::new(pin(identity), policy.clone(), None, now).is_ok());
    let refused = EffectivePolicy::new(pin(Fixed([9; 32])), policy, None, now).unwrap_err();
    assert_eq!(refused.code, Code::PolicySignature);
}
