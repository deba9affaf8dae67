//! Devices that wait, as the admin meets them: by number, code and name, with what they ask for; and what the admin does
//! for keys and people afterwards.

use control_protocol::{map::Hostinfo, register::RegisterRequest};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    device::Device,
    harness::{Coordinator, OPEN},
    http::get,
};

/// Who may give which tag.
const TAGS: &str = r#"{ "tagOwners": { "tag:printer": ["alice"], "tag:home": [] },
    "acls": [{ "action": "accept", "src": ["*"], "dst": ["*:*"] }] }"#;

/// Lets a device wait that came without a key; what the admin sees of it.
async fn knocks(coordinator: &Coordinator, device: &Device) -> Value {
    let mut channel = device.connect(coordinator.address).await;
    let waiting = channel.register(&device.request()).await;
    assert!(!waiting.auth_url.is_empty(), "{waiting:?}");
    let key = device.key().to_string();
    let devices = coordinator.devices().await;
    devices.into_iter().find(|listed| listed["node_key"] == key).unwrap()
}

async fn approve(coordinator: &Coordinator, device: &str, body: Value) -> (StatusCode, Value) {
    coordinator.admin(Method::POST, &format!("/devices/{device}/approve"), body).await
}

fn alice() -> Value {
    json!({ "user": "alice" })
}

async fn with_alice() -> Coordinator {
    let coordinator = Coordinator::start().await;
    coordinator.ok(Method::POST, "/users", json!({ "name": "alice" })).await;
    coordinator
}

#[tokio::test]
async fn a_waiting_device_is_listed_with_its_code_and_approved_by_it() {
    let coordinator = with_alice().await;
    let device = Device::new("phone");
    let auth_url =
        device.connect(coordinator.address).await.register(&device.request()).await.auth_url;

    let listed = coordinator.devices().await.remove(0);
    let code = listed["code"].as_str().unwrap();
    assert_eq!(
        (&listed["hostname"], &listed["os"], &listed["source"]),
        (&json!("phone"), &json!("linux"), &json!("127.0.0.1"))
    );
    let path = auth_url.strip_prefix("http://coordinator.test:8443").unwrap();
    let (_, page) = get(coordinator.address, path).await;
    assert!(page.contains(&format!("<b>{code}</b>")), "{page}");
    let shown = coordinator.ok(Method::GET, &format!("/devices/{code}"), Value::Null).await;
    assert_eq!(shown["id"], listed["id"]);

    let (status, problem) = approve(&coordinator, "BCDF-GHJK", alice()).await;
    assert_eq!(
        (status, &problem["type"]),
        (StatusCode::NOT_FOUND, &json!("urn:maru:problem:not-found"))
    );
    let (_, approved) = approve(&coordinator, &code.replace('-', "").to_lowercase(), alice()).await;
    assert_eq!((&approved["id"], &approved["code"]), (&listed["id"], &json!("")));
}

#[tokio::test]
async fn a_name_is_good_while_one_device_waits_under_it_and_never_stands_for_a_code_or_a_number() {
    let coordinator = with_alice().await;
    let phone = knocks(&coordinator, &Device::new("phone")).await;
    let impostor = Device::new(&phone["code"].as_str().unwrap().to_lowercase());
    let impostor = knocks(&coordinator, &impostor).await;
    let number = knocks(&coordinator, &Device::new("9999")).await;
    knocks(&coordinator, &Device::new("BCDFGHJK")).await;

    let by_code = format!("/devices/{}", phone["code"].as_str().unwrap());
    assert_eq!(coordinator.ok(Method::GET, &by_code, Value::Null).await["id"], phone["id"]);
    assert_ne!(impostor["id"], phone["id"]);
    for called in ["9999", "BCDFGHJK", "bcdf-ghjk"] {
        assert_eq!(
            approve(&coordinator, called, alice()).await.0,
            StatusCode::NOT_FOUND,
            "{called}"
        );
    }
    assert_eq!(number["hostname"], "9999");

    let second = knocks(&coordinator, &Device::new("phone")).await;
    let (status, problem) = approve(&coordinator, "phone", alice()).await;
    assert_eq!(
        (status, &problem["type"]),
        (StatusCode::CONFLICT, &json!("urn:maru:problem:several"))
    );
    let reject = format!("/devices/{}/reject", second["code"].as_str().unwrap());
    coordinator.ok(Method::POST, &reject, Value::Null).await;
    let (_, approved) = approve(&coordinator, "phone", alice()).await;
    assert_eq!(approved["id"], phone["id"]);
}

#[tokio::test]
async fn a_name_in_hangul_is_kept_and_its_romanisation_stays_whatever_the_device_says_later() {
    const COMPOSED: &str = "민수의 노트북";
    const PARTS: &str = "\u{1106}\u{1175}\u{11ab}\u{1109}\u{116e}\u{110b}\u{1174} \u{1102}\u{1169}\u{1110}\u{1173}\u{1107}\u{116e}\u{11a8}";
    let coordinator = with_alice().await;
    let device = Device::new(PARTS);
    knocks(&coordinator, &device).await;
    let path = in_path(COMPOSED);

    let (status, approved) = approve(&coordinator, &path, alice()).await;
    assert_eq!(status, StatusCode::OK, "{approved}");
    assert_eq!(
        (&approved["name"], &approved["hostname"]),
        (&json!("minsuui-noteubuk"), &json!(PARTS))
    );

    // It asks again, now in one, and then under another name: the DNS name stays.
    for called in [COMPOSED, "거실"] {
        let said = Device { hostname: called.to_owned(), ..device.clone() };
        said.connect(coordinator.address).await.register(&said.request()).await;
        let listed = coordinator.devices().await.remove(0);
        assert_eq!(
            (&listed["name"], &listed["hostname"]),
            (&json!("minsuui-noteubuk"), &json!(called))
        );
    }

    // A second one of the same name gets a number, and then neither is meant by what they call themselves.
    let show = async |given: &str| {
        let path = format!("/devices/{}", in_path(given));
        coordinator.admin(Method::GET, &path, Value::Null).await
    };
    assert_eq!(show("거실").await.1["name"], "minsuui-noteubuk");
    let second = Device::new("거실");
    knocks(&coordinator, &second).await;
    let (_, second) = approve(&coordinator, &in_path("거실"), alice()).await;
    assert_eq!(second["name"], "geosil");
    assert_eq!(show("거실").await.0, StatusCode::CONFLICT);
    let tags = format!("/devices/{}/tags", in_path("거실"));
    let (status, _) = coordinator.admin(Method::POST, &tags, json!({ "tags": ["tag:a"] })).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "no node is changed by what it calls itself");

    let rename = "/devices/geosil/rename";
    let (status, problem) =
        coordinator.admin(Method::POST, rename, json!({ "name": "부엌" })).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(problem["title"].as_str().unwrap().contains("\"bueok\""), "{problem}");
}

/// A name as it stands in a path.
fn in_path(name: &str) -> String {
    name.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn asking(device: &Device, tag: &str) -> RegisterRequest {
    let request = device.request();
    let hostinfo = request.hostinfo.clone().unwrap_or_default();
    let hostinfo = Hostinfo { request_tags: vec![tag.to_owned()], ..hostinfo };
    RegisterRequest { hostinfo: Some(hostinfo), ..request }
}

#[tokio::test]
async fn a_device_gets_the_tags_that_it_asks_for_from_whom_tag_owners_name() {
    let coordinator = with_alice().await;
    coordinator.ok(Method::PUT, "/policy", json!({ "policy": TAGS })).await;
    let key = async |user: &str| {
        coordinator.key(json!({ "user": user, "pre_approved": true, "reusable": true })).await
    };
    let [of_alice, of_bob] = [key("alice").await, key("bob").await];
    let register = async |device: &Device, key: &str, tag: &str| {
        let request = RegisterRequest { auth: device.with_key(key).auth, ..asking(device, tag) };
        device.connect(coordinator.address).await.register(&request).await
    };

    for (key, tag) in [(&of_bob, "tag:printer"), (&of_alice, "tag:home"), (&of_alice, "printer")] {
        let refused = register(&Device::new("printer"), key, tag).await;
        assert!(refused.error.contains("tagOwners") && !refused.machine_authorized, "{refused:?}");
    }
    assert!(coordinator.devices().await.is_empty());
    let printer = Device::new("printer");
    let joined = register(&printer, &of_alice, "tag:printer").await;
    assert!(joined.machine_authorized, "{joined:?}");
    assert_eq!(joined.login.login_name, "tagged-devices");
    let tagged = |device: &Value| {
        assert_eq!(
            (&device["tags"], &device["user"], &device["key_expiry"]),
            (&json!(["tag:printer"]), &Value::Null, &Value::Null)
        );
    };
    tagged(&coordinator.devices().await[0]);
    let again = printer.connect(coordinator.address).await;
    assert!(again.clone().register(&asking(&printer, "tag:printer")).await.machine_authorized);
}

#[tokio::test]
async fn a_device_that_waits_gets_its_tags_with_the_approval_if_its_owner_may_give_them() {
    let coordinator = with_alice().await;
    coordinator.ok(Method::PUT, "/policy", json!({ "policy": TAGS })).await;
    coordinator.ok(Method::POST, "/users", json!({ "name": "bob" })).await;
    let device = Device::new("printer");
    let mut channel = device.connect(coordinator.address).await;
    channel.register(&asking(&device, "tag:printer")).await;
    assert_eq!(coordinator.devices().await[0]["requested_tags"], json!(["tag:printer"]));

    let (status, problem) = approve(&coordinator, "printer", json!({ "user": "bob" })).await;
    assert_eq!((status, &problem["type"]), (StatusCode::CONFLICT, &json!("urn:maru:problem:tags")));
    assert_eq!(coordinator.devices().await[0]["state"], "pending");
    let (_, approved) = approve(&coordinator, "printer", alice()).await;
    assert_eq!((&approved["tags"], &approved["user"]), (&json!(["tag:printer"]), &Value::Null));

    let other = Device::new("server");
    other.connect(coordinator.address).await.register(&asking(&other, "tag:home")).await;
    let by_admin = json!({ "tags": ["tag:home"] });
    let (_, approved) = approve(&coordinator, "server", by_admin).await;
    assert_eq!(approved["tags"], json!(["tag:home"]), "the admin gives any tag");
}

#[tokio::test]
async fn a_person_s_node_that_asks_for_tags_waits_and_stays_the_same_node() {
    let coordinator = with_alice().await;
    coordinator.ok(Method::PUT, "/policy", json!({ "policy": TAGS })).await;
    let key = coordinator.key(json!({ "user": "alice", "pre_approved": true })).await;
    let device = Device::new("laptop");
    device.join(&coordinator, &key).await;
    let before = coordinator.devices().await.remove(0);
    let renewed = Device { node: Device::new("").node, ..device.clone() };
    let asks =
        |tag: &str| RegisterRequest { old_node_key: Some(device.key()), ..asking(&renewed, tag) };

    let mut channel = renewed.connect(coordinator.address).await;
    assert!(channel.register(&asks("tag:home")).await.error.contains("tagOwners"));
    let waits = channel.register(&asks("tag:printer")).await;
    assert!(!waits.auth_url.is_empty() && !waits.machine_authorized, "{waits:?}");
    let held = coordinator.devices().await;
    assert_eq!((held.len(), &held[0]["user"]), (2, &json!("alice")), "it is as it was until then");

    let (_, approved) = approve(&coordinator, "laptop", Value::Null).await;
    assert_eq!(
        (&approved["id"], &approved["addresses"], &approved["tags"]),
        (&before["id"], &before["addresses"], &json!(["tag:printer"]))
    );
    assert!(channel.register(&asks("tag:printer")).await.machine_authorized);
    assert_eq!(coordinator.devices().await.len(), 1);
}

#[tokio::test]
async fn a_key_is_given_a_new_life_also_after_its_end() {
    let coordinator = with_alice().await;
    let key = coordinator.key(json!({ "user": "alice", "pre_approved": true })).await;
    let device = Device::new("laptop");
    let mut channel = device.join(&coordinator, &key).await;
    let first = coordinator.devices().await[0]["key_expiry"].clone();
    let extend =
        async |body: Value| coordinator.ok(Method::POST, "/devices/laptop/extend", body).await;

    let short = extend(json!({ "expires_in_s": 3600 })).await;
    assert!(short["key_expiry"].as_str() < first.as_str(), "{short}");
    let node = channel.stream().await.next().await.unwrap().node.unwrap();
    assert_eq!(json!(node.key_expiry), short["key_expiry"]);
    coordinator.ok(Method::POST, "/devices/laptop/expire", Value::Null).await;
    assert!(channel.register(&device.request()).await.node_key_expired);
    let again = extend(Value::Null).await;
    assert_eq!(again["state"], "approved");
    assert!(again["key_expiry"].as_str() >= first.as_str(), "{again}");
    assert!(channel.register(&device.request()).await.machine_authorized, "with the same key");

    coordinator.ok(Method::POST, "/devices/laptop/tags", json!({ "tags": ["tag:x"] })).await;
    assert_eq!(extend(Value::Null).await["key_expiry"], Value::Null, "a tagged node's never ends");
    let far = extend(json!({ "expires_in_s": u64::MAX })).await;
    assert!(far["key_expiry"].as_str().unwrap() < "2100", "{far}");
    let missing = coordinator.admin(Method::POST, "/devices/attic/extend", Value::Null).await;
    assert_eq!(missing.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_renamed_person_keeps_devices_and_keys_and_the_policy_is_looked_at() {
    let coordinator = Coordinator::open().await;
    let key = json!({ "user": "alice", "pre_approved": true, "reusable": true });
    let key = coordinator.key(key).await;
    let mut channel = Device::new("laptop").join(&coordinator, &key).await;
    let mut stream = channel.stream().await;
    stream.next().await.unwrap();
    let rename = async |from: &str, to: &str| {
        coordinator
            .admin(Method::POST, &format!("/users/{from}/rename"), json!({ "name": to }))
            .await
    };
    let named = OPEN.replace("[\"*\"]", "[\"*\", \"alice@\", \"carol@\"]");
    coordinator.ok(Method::POST, "/users", json!({ "name": "bob" })).await;

    let (status, renamed) = rename("alice", "anna").await;
    assert_eq!((status, &renamed["name"]), (StatusCode::OK, &json!("anna")));
    assert_eq!(renamed["devices"], 1);
    let names = |on: &Value| (on["policy_names_old"] == true, on["policy_names_new"] == true);
    assert_eq!(names(&renamed), (false, false));
    stream
        .until(|held| held.last.user_profiles.iter().any(|profile| profile.login_name == "anna"))
        .await;
    Device::new("phone").join(&coordinator, &key).await;
    assert!(coordinator.devices().await.iter().all(|device| device["user"] == "anna"));

    for (from, to, kind) in
        [("anna", "bob", "name-taken"), ("anna", "A b", "name"), ("alice", "x", "not-found")]
    {
        let (_, problem) = rename(from, to).await;
        assert_eq!(problem["type"], format!("urn:maru:problem:{kind}"), "{from} {to}");
    }
    coordinator.ok(Method::PUT, "/policy", json!({ "policy": named })).await;
    assert_eq!(names(&rename("anna", "alice").await.1), (false, true));
    assert_eq!(names(&rename("alice", "carol").await.1), (true, true));
    assert_eq!(names(&rename("carol", "carol").await.1), (false, false));
}

#[tokio::test]
async fn a_removed_key_is_gone_and_its_nodes_stay() {
    let coordinator = with_alice().await;
    let reusable = json!({ "user": "alice", "pre_approved": true, "reusable": true });
    let key = coordinator.key(reusable).await;
    Device::new("laptop").join(&coordinator, &key).await;
    let asks = coordinator.key(json!({ "user": "alice" })).await;
    let device = Device::new("phone");
    device.connect(coordinator.address).await.register(&device.with_key(&asks)).await;
    let keys = coordinator.ok(Method::GET, "/keys", Value::Null).await;
    let path = |at: usize| format!("/keys/{}", keys[at]["id"]);

    coordinator.ok(Method::DELETE, &path(0), Value::Null).await;
    let late = Device::new("late");
    let refused = late.connect(coordinator.address).await.register(&late.with_key(&key)).await;
    assert!(refused.error.contains("key"), "{refused:?}");
    let (status, problem) = coordinator.admin(Method::DELETE, &path(1), Value::Null).await;
    assert_eq!(
        (status, &problem["type"]),
        (StatusCode::CONFLICT, &json!("urn:maru:problem:state"))
    );
    assert_eq!(
        coordinator.admin(Method::DELETE, &path(0), Value::Null).await.0,
        StatusCode::NOT_FOUND
    );

    coordinator.ok(Method::POST, "/devices/phone/reject", Value::Null).await;
    coordinator.ok(Method::DELETE, &path(1), Value::Null).await;
    assert_eq!(coordinator.ok(Method::GET, "/keys", Value::Null).await, json!([]));
    assert_eq!(coordinator.devices().await.len(), 1);
}
