//! Device keys.

use axum::http::Method;
use serde_json::json;
use telmeet_testkit::Signer;

use super::{QUERY, UPLOAD, device, device_keys, keys_of, refused};
use crate::testing::TestServer;

#[tokio::test]
async fn device_keys_are_read_by_others() {
    let server = TestServer::start().await;
    let phone = device(&server, "kim", "PHONE", 1).await;
    let laptop = device(&server, "kim", "LAPTOP", 2).await;
    let min = server.member("min", "PHONE").await;
    let keys = keys_of(&min, &phone).await;
    let devices = keys["device_keys"][phone.user.as_str()].as_object().unwrap();
    assert_eq!(devices.keys().collect::<Vec<_>>(), ["LAPTOP", "PHONE"]);
    let shown = device_keys(1, &phone);
    assert_eq!(devices["PHONE"], shown, "as the device signed it");
    let one = json!({"device_keys": {phone.user.as_str(): [laptop.device]}});
    let keys = min.post(QUERY, one).await;
    assert_eq!(keys["device_keys"][phone.user.as_str()].as_object().unwrap().len(), 1);
}

#[tokio::test]
async fn somebody_without_devices_and_a_stranger_look_the_same() {
    let server = TestServer::start().await;
    let (kim, _) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let people = ["@min:maru.test", "@nobody:maru.test", "@kim:elsewhere.test"];
    let asked = people.map(|user| (user.to_owned(), json!([])));
    let asked = json!({"device_keys": serde_json::Map::from_iter(asked)});
    let keys = kim.post(QUERY, asked).await;
    for user in people {
        assert_eq!(keys["device_keys"][user], json!({}), "{user}");
    }
}

#[tokio::test]
async fn identity_keys_of_a_device_do_not_change() {
    let server = TestServer::start().await;
    let phone = device(&server, "kim", "PHONE", 1).await;
    phone.post(UPLOAD, json!({"device_keys": device_keys(1, &phone)})).await;
    let other = json!({"device_keys": device_keys(2, &phone)});
    refused(&phone, (Method::POST, UPLOAD, other), (400, "M_INVALID_PARAM")).await;
    let kept = keys_of(&phone, &phone).await;
    let kept = &kept["device_keys"][phone.user.as_str()]["PHONE"]["keys"]["ed25519:PHONE"];
    assert_eq!(*kept, json!(Signer::new(1).public()));
}

#[tokio::test]
async fn keys_of_other_devices_and_people_are_refused() {
    let server = TestServer::start().await;
    let phone = server.member("kim", "PHONE").await;
    let others = [server.member("kim", "LAPTOP").await, server.member("min", "PHONE").await];
    for other in others {
        let keys = json!({"device_keys": device_keys(1, &other)});
        refused(&phone, (Method::POST, UPLOAD, keys), (400, "M_INVALID_PARAM")).await;
        let keys = keys_of(&phone, &other).await;
        assert_eq!(keys["device_keys"][other.user.as_str()], json!({}));
    }
}

#[tokio::test]
async fn a_device_that_signs_out_has_no_keys() {
    let server = TestServer::start().await;
    let phone = device(&server, "kim", "PHONE", 1).await;
    let laptop = device(&server, "kim", "LAPTOP", 2).await;
    let since = super::now(&server);
    let (user, device) = (phone.user.clone(), phone.device.clone());
    let forget = server.homeserver.write(move |tx| {
        Box::pin(async move { crate::keys::forget_device(tx, &user, &device).await })
    });
    forget.await.unwrap();
    let keys = keys_of(&laptop, &phone).await;
    let devices = keys["device_keys"][phone.user.as_str()].as_object().unwrap();
    assert_eq!(devices.keys().collect::<Vec<_>>(), ["LAPTOP"]);
    assert_eq!(super::lists(&server, &laptop, since).await.0, ["kim"]);
}
