//! Identities and signatures.

use axum::http::Method;
use serde_json::{Value, json};
use telmeet_testkit::Signer;

use super::{CROSS_SIGNING, SIGNATURES, UPLOAD, device, device_keys, keys_of, lists, now, refused};
use crate::testing::{
    TestClient, TestServer,
    signer::{identity, sign},
};

/// Kim's phone with an identity of the seed 10: self-signing 11, user-signing 12.
async fn kim(server: &TestServer) -> TestClient {
    let kim = device(server, "kim", "PHONE", 1).await;
    kim.post(CROSS_SIGNING, identity(&kim, 10)).await;
    kim
}

fn public(seed: u8) -> String {
    Signer::new(seed).public()
}

/// The signatures of `signer` under a key of `keys`.
fn signed_by<'a>(key: &'a Value, signer: &TestClient) -> Vec<&'a String> {
    let signatures = key["signatures"][signer.user.as_str()].as_object();
    signatures.into_iter().flat_map(serde_json::Map::keys).collect()
}

#[tokio::test]
async fn the_key_for_other_people_is_the_owners_alone() {
    let server = TestServer::start().await;
    let (kim, min) = (kim(&server).await, server.member("min", "PHONE").await);
    let user = kim.user.as_str();
    let own = keys_of(&kim, &kim).await;
    assert_eq!(own["user_signing_keys"][user], identity(&kim, 10)["user_signing_key"]);
    let shown = keys_of(&min, &kim).await;
    assert_eq!(shown["master_keys"][user]["keys"], own["master_keys"][user]["keys"]);
    assert_eq!(shown["self_signing_keys"][user], own["self_signing_keys"][user]);
    assert_eq!(shown.get("user_signing_keys"), None);
}

#[tokio::test]
async fn an_identity_is_replaced_without_further_proof() {
    let server = TestServer::start().await;
    let kim = kim(&server).await;
    let since = now(&server);
    kim.post(CROSS_SIGNING, identity(&kim, 10)).await;
    assert_eq!(lists(&server, &kim, since).await.0, [""; 0], "the same identity is no change");
    kim.post(CROSS_SIGNING, identity(&kim, 20)).await;
    assert_eq!(lists(&server, &kim, since).await.0, ["kim"]);
    let keys = keys_of(&kim, &kim).await;
    let expected = json!({format!("ed25519:{}", public(20)): public(20)});
    assert_eq!(keys["master_keys"][kim.user.as_str()]["keys"], expected);
}

#[tokio::test]
async fn keys_that_the_master_key_did_not_sign_are_refused() {
    let server = TestServer::start().await;
    let kim = kim(&server).await;
    let min = server.member("min", "PHONE").await;
    let mut mixed = identity(&kim, 20);
    mixed["self_signing_key"] = identity(&kim, 30)["self_signing_key"].clone();
    for wrong in [mixed, identity(&min, 20)] {
        refused(&kim, (Method::POST, CROSS_SIGNING, wrong), (400, "M_INVALID_PARAM")).await;
    }
    let keys = keys_of(&kim, &kim).await;
    assert_eq!(
        keys["self_signing_keys"][kim.user.as_str()],
        identity(&kim, 10)["self_signing_key"]
    );
}

#[tokio::test]
async fn a_device_is_signed_by_its_person() {
    let server = TestServer::start().await;
    let (kim, min) = (kim(&server).await, server.member("min", "PHONE").await);
    let since = now(&server);
    let shown = device_keys(1, &kim);
    let signed = sign(11, &kim, &public(11), shown.clone());
    let answer = kim.post(SIGNATURES, json!({kim.user.as_str(): {"PHONE": signed}})).await;
    assert_eq!(answer, json!({}));
    assert_eq!(lists(&server, &kim, since).await.0, ["kim"]);
    let keys = keys_of(&min, &kim).await;
    let device = &keys["device_keys"][kim.user.as_str()]["PHONE"];
    let expected = [format!("ed25519:{}", public(11)), "ed25519:PHONE".to_owned()];
    assert_eq!(signed_by(device, &kim).len(), 2);
    assert!(expected.iter().all(|key| signed_by(device, &kim).contains(&key)));
}

#[tokio::test]
async fn a_new_device_may_come_signed() {
    let server = TestServer::start().await;
    let (kim, laptop) = (kim(&server).await, server.member("kim", "LAPTOP").await);
    let keys = device_keys(2, &laptop);
    let keys = sign(11, &laptop, &public(11), keys);
    laptop.post(UPLOAD, json!({ "device_keys": keys })).await;
    let shown = keys_of(&kim, &kim).await;
    assert_eq!(shown["device_keys"][kim.user.as_str()]["LAPTOP"], keys);
}

#[tokio::test]
async fn the_master_key_is_signed_by_a_device() {
    let server = TestServer::start().await;
    let kim = kim(&server).await;
    let master = identity(&kim, 10)["master_key"].clone();
    let signed = sign(1, &kim, "PHONE", master);
    let answer = kim.post(SIGNATURES, json!({kim.user.as_str(): {public(10): signed}})).await;
    assert_eq!(answer, json!({}));
    let keys = keys_of(&kim, &kim).await;
    assert_eq!(signed_by(&keys["master_keys"][kim.user.as_str()], &kim), ["ed25519:PHONE"]);
}

#[tokio::test]
async fn only_the_signer_sees_whom_it_verified() {
    let server = TestServer::start().await;
    let kim = kim(&server).await;
    let min = device(&server, "min", "PHONE", 3).await;
    let mo = server.member("mo", "PHONE").await;
    min.post(CROSS_SIGNING, identity(&min, 30)).await;
    let since = now(&server);
    let master = identity(&min, 30)["master_key"].clone();
    let signed = sign(12, &kim, &public(12), master);
    let answer = kim.post(SIGNATURES, json!({min.user.as_str(): {public(30): signed}})).await;
    assert_eq!(answer, json!({}));
    for (client, count) in [(&kim, 1), (&min, 0), (&mo, 0)] {
        let keys = keys_of(client, &min).await;
        assert_eq!(signed_by(&keys["master_keys"][min.user.as_str()], &kim).len(), count);
        let changed = lists(&server, client, since).await.0;
        assert_eq!(changed.len(), count, "Kim's other devices read it");
    }
}

#[tokio::test]
async fn signatures_that_are_not_valid_are_named() {
    let server = TestServer::start().await;
    let kim = kim(&server).await;
    let min = device(&server, "min", "PHONE", 3).await;
    min.post(CROSS_SIGNING, identity(&min, 30)).await;
    let since = now(&server);
    let phone = device_keys(1, &kim);
    let mut changed = phone.clone();
    changed["algorithms"] = json!([]);
    let master = identity(&min, 30)["master_key"].clone();
    for (user, target, key, code) in [
        // Not signed, signed by another key, another object, another person's device, nothing there.
        (&kim, "PHONE", phone.clone(), "M_INVALID_SIGNATURE"),
        (&kim, "PHONE", sign(9, &kim, &public(11), phone.clone()), "M_INVALID_SIGNATURE"),
        (&kim, "PHONE", sign(11, &kim, &public(11), changed), "M_INVALID_SIGNATURE"),
        (&min, &public(30), sign(11, &kim, &public(11), master), "M_INVALID_SIGNATURE"),
        (&min, "PHONE", sign(12, &kim, &public(12), phone.clone()), "M_NOT_FOUND"),
        (&kim, "LAPTOP", phone, "M_NOT_FOUND"),
    ] {
        let answer = kim.post(SIGNATURES, json!({user.user.as_str(): {target: key}})).await;
        assert_eq!(answer["failures"][user.user.as_str()][target]["errcode"], code, "{target}");
    }
    assert_eq!(lists(&server, &kim, since).await.0, [""; 0]);
}

#[tokio::test]
async fn signatures_of_a_replaced_identity_are_gone() {
    let server = TestServer::start().await;
    let kim = kim(&server).await;
    let signed = sign(11, &kim, &public(11), device_keys(1, &kim));
    kim.post(SIGNATURES, json!({kim.user.as_str(): {"PHONE": signed}})).await;
    kim.post(CROSS_SIGNING, identity(&kim, 20)).await;
    let keys = keys_of(&kim, &kim).await;
    let device = &keys["device_keys"][kim.user.as_str()]["PHONE"];
    assert_eq!(signed_by(device, &kim), ["ed25519:PHONE"]);
}
