//! One-time and fallback keys.

use std::collections::BTreeSet;

use axum::http::Method;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{CLAIM, UPLOAD, refused, session};
use crate::{
    keys::sync,
    testing::{TestClient, TestServer},
};

/// One-time keys of these ids.
fn keys(ids: impl IntoIterator<Item = u32>) -> Value {
    let key = |id| (format!("signed_curve25519:{id:04}"), json!({"key": format!("key {id}")}));
    json!({"one_time_keys": serde_json::Map::from_iter(ids.into_iter().map(key))})
}

fn fallback(id: u32) -> Value {
    let key = json!({"key": format!("key {id}"), "fallback": true});
    json!({"fallback_keys": {format!("signed_curve25519:{id}"): key}})
}

/// The text of the key that `client` claims of `of`.
async fn claim(client: &TestClient, of: &TestClient) -> Option<String> {
    let devices = json!({of.user.as_str(): {of.device.as_str(): "signed_curve25519"}});
    let claimed = client.post(CLAIM, json!({ "one_time_keys": devices })).await;
    let keys = claimed["one_time_keys"][of.user.as_str()][of.device.as_str()].as_object()?;
    let (_, key) = keys.iter().next()?;
    Some(key["key"].as_str()?.to_owned())
}

#[tokio::test]
async fn each_key_is_claimed_once_and_then_the_fallback_key() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let counted = kim.post(UPLOAD, keys(1..=2)).await;
    assert_eq!(counted, json!({"one_time_key_counts": {"signed_curve25519": 2}}));
    kim.post(UPLOAD, keys(0..=0)).await;
    kim.post(UPLOAD, fallback(9)).await;
    for expected in ["key 1", "key 2", "key 0", "key 9", "key 9"] {
        assert_eq!(claim(&min, &kim).await.as_deref(), Some(expected));
    }
    assert_eq!(kim.post(UPLOAD, json!({})).await["one_time_key_counts"]["signed_curve25519"], 0);
}

#[tokio::test]
async fn a_key_that_was_claimed_is_not_offered_again() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    kim.post(UPLOAD, keys(1..=2)).await;
    assert_eq!(claim(&min, &kim).await.as_deref(), Some("key 1"));
    let again = kim.post(UPLOAD, keys(1..=2)).await;
    assert_eq!(again["one_time_key_counts"]["signed_curve25519"], 1);
    assert_eq!(claim(&min, &kim).await.as_deref(), Some("key 2"));
    assert_eq!(claim(&min, &kim).await, None);
    let other = json!({"one_time_keys": {"signed_curve25519:0001": {"key": "other"}}});
    refused(&kim, (Method::POST, UPLOAD, other), (400, "M_INVALID_PARAM")).await;
}

#[tokio::test]
async fn of_many_who_claim_at_once_each_gets_another_key() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    kim.post(UPLOAD, keys(0..20)).await;
    let claimed = join_all((0..25).map(|_| claim(&min, &kim))).await;
    let keys: Vec<_> = claimed.into_iter().flatten().collect();
    assert_eq!((keys.len(), keys.iter().collect::<BTreeSet<_>>().len()), (20, 20));
}

#[tokio::test]
async fn unknown_devices_are_left_out() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    kim.post(UPLOAD, keys(1..=1)).await;
    let asked = json!({"one_time_keys": {
        "@kim:maru.test": {"LAPTOP": "signed_curve25519", "PHONE": "other"},
        "@nobody:maru.test": {"PHONE": "signed_curve25519"},
    }});
    assert_eq!(min.post(CLAIM, asked).await, json!({"one_time_keys": {}}));
}

#[tokio::test]
async fn a_fallback_key_is_marked_until_another_is_uploaded() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let unused = async || {
        let mut connection = server.homeserver.pool().acquire().await.unwrap();
        sync::unused_fallback_types(&mut connection, &session(&kim)).await.unwrap().len()
    };
    assert_eq!(unused().await, 0);
    kim.post(UPLOAD, fallback(1)).await;
    assert_eq!(unused().await, 1);
    claim(&min, &kim).await.unwrap();
    assert_eq!(unused().await, 0);
    kim.post(UPLOAD, fallback(1)).await;
    assert_eq!(unused().await, 0, "the same key again is still used");
    kim.post(UPLOAD, fallback(2)).await;
    assert_eq!(unused().await, 1);
}

#[tokio::test]
async fn the_number_of_keys_is_limited() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    kim.post(UPLOAD, keys(0..500)).await;
    refused(&kim, (Method::POST, UPLOAD, keys(500..501)), (400, "M_INVALID_PARAM")).await;
    let mut connection = server.homeserver.pool().acquire().await.unwrap();
    let counts = sync::one_time_key_counts(&mut connection, &session(&kim)).await.unwrap();
    assert_eq!(counts.into_values().map(u64::from).collect::<Vec<_>>(), [500]);
}

#[tokio::test]
async fn a_restored_database_offers_fallback_keys_alone() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    kim.post(UPLOAD, keys(1..=2)).await;
    kim.post(UPLOAD, fallback(9)).await;
    let forget = server
        .homeserver
        .write(|tx| Box::pin(async move { crate::keys::forget_one_time_keys(tx).await }));
    forget.await.unwrap();
    assert_eq!(claim(&min, &kim).await.as_deref(), Some("key 9"));
    assert_eq!(kim.post(UPLOAD, json!({})).await["one_time_key_counts"]["signed_curve25519"], 0);
}
