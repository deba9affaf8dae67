//! Devices that have only WireGuard: the admin API, and what their router and others are told.
//!
//! They fail if a client becomes such a device, if a removed one stays in a map, or if a key is given to two.

use control_protocol::{
    key::{NodePrivate, NodePublic},
    map::{Hostinfo, MapRequest, SERVER_URL, WireguardDevice, WireguardRouter},
};
use coordinator::config::Config;
use coordinator_api::WireguardKey;
use hyper::Method;
use serde_json::{Value, json};

use crate::{
    device::{Channel, Device},
    harness::{Coordinator, config},
};

/// Members reach each other and home; tagged devices nobody.
const POLICY: &str = r#"{
  "tagOwners": { "tag:home": [] },
  "acls": [{ "action": "accept", "src": ["alice@"], "dst": ["tag:home:443", "alice@:22"] }],
}"#;

/// Home, as `maru up` marks it, which offers itself as router with this key.
async fn home(coordinator: &Coordinator, name: &str, key: NodePublic) -> Channel {
    let home = router(coordinator, name, key).await;
    let capabilities = json!({ SERVER_URL: ["https://coordinator.test"] });
    coordinator.ok(Method::PUT, &format!("/devices/{name}/capabilities"), capabilities).await;
    home
}

/// A tagged node that offers itself as router with this key.
async fn router(coordinator: &Coordinator, name: &str, key: NodePublic) -> Channel {
    let auth = coordinator.key(json!({ "tags": ["tag:home"], "pre_approved": true })).await;
    let mut home = Device::new(name).join(coordinator, &auth).await;
    let router = WireguardRouter { key, port: 51820 };
    let hostname = name.to_owned();
    let app = Hostinfo::MARU.to_owned();
    let hostinfo = Hostinfo { app, hostname, maru_wireguard: Some(router), ..Hostinfo::default() };
    let update = MapRequest { hostinfo: Some(hostinfo), ..home.map_request() };
    assert_eq!(home.update(update).await.0, 200);
    home
}

fn public(private: &NodePrivate) -> String {
    WireguardKey(private.public()).to_string()
}

struct TestNetwork {
    coordinator: Coordinator,
    router_key: NodePrivate,
    home: Channel,
}

impl TestNetwork {
    async fn new() -> Self {
        Self::on(Coordinator::start().await).await
    }

    async fn on(coordinator: Coordinator) -> Self {
        coordinator.ok(Method::POST, "/users", json!({ "name": "alice" })).await;
        coordinator.ok(Method::PUT, "/policy", json!({ "policy": POLICY })).await;
        let router_key = NodePrivate::generate().unwrap();
        let home = home(&coordinator, "home", router_key.public()).await;
        Self { coordinator, router_key, home }
    }

    async fn add(&self, wanted: Value) -> Value {
        self.coordinator.ok(Method::POST, "/wireguard", wanted).await
    }

    /// What a request is refused with.
    async fn refused(&self, path: &str, body: Value) -> (u16, String) {
        let (status, problem) = self.coordinator.admin(Method::POST, path, body).await;
        (status.as_u16(), problem["title"].as_str().unwrap().to_owned())
    }
}

#[tokio::test]
async fn a_device_is_added_told_to_its_router_and_removed() {
    let mut house = TestNetwork::new().await;
    let key = NodePrivate::generate().unwrap();
    let mut stream = house.home.stream().await;
    stream.next().await.unwrap();

    let made = house.add(json!({ "name": "phone", "public_key": public(&key) })).await;

    let device = &made["device"];
    assert_eq!(
        (&device["name"], &device["user"]),
        (&json!("phone"), &json!("alice")),
        "the only user"
    );
    assert_eq!((&device["os"], &device["key_expiry"]), (&json!("wireguard"), &Value::Null));
    assert_eq!(made["router_key"], public(&house.router_key));
    assert_eq!(made["endpoint"], "coordinator.test:51820");
    assert_eq!(made["allowed_ips"], json!(["100.64.0.0/10", "fd7a:115c:a1e0::/48"]));
    assert_eq!((&made["dns"][2], &made["problem"]), (&json!("maru.home.arpa"), &Value::Null));
    let told = stream.next().await.unwrap();
    let served = WireguardDevice::served(&told.node.unwrap().cap_map);
    assert_eq!(served.len(), 1);
    let phone = told.peers_changed.iter().find(|peer| peer.id == served[0].node).unwrap();
    assert_eq!((phone.key, phone.allowed_ips.as_deref()), (key.public(), Some(&[][..])));
    assert!(served[0].allow.iter().any(|rule| rule.dst_ports[0].ports.contains(443)));

    let listed = house.coordinator.ok(Method::GET, "/devices", Value::Null).await;
    assert!(listed.as_array().unwrap().contains(device), "{listed}");
    house.coordinator.ok(Method::DELETE, "/devices/phone", Value::Null).await;
    let told = stream.next().await.unwrap();
    assert_eq!(told.peers_removed, [phone.id]);
    assert_eq!(WireguardDevice::served(&told.node.unwrap().cap_map), []);
}

#[tokio::test]
async fn another_key_and_another_time_are_given_and_what_is_void_stays_void() {
    let house = TestNetwork::new().await;
    let [first, second] = [0; 2].map(|_| NodePrivate::generate().unwrap());
    house
        .add(json!({ "name": "phone", "public_key": public(&first), "endpoint": "192.0.2.1:1" }))
        .await;
    let rotate = json!({ "public_key": public(&second) });

    let made = house.coordinator.ok(Method::POST, "/wireguard/phone/rotate", rotate).await;

    assert_eq!(
        (&made["public_key"], &made["endpoint"]),
        (&json!(public(&second)), &json!("192.0.2.1:1"))
    );
    let extended = json!({ "expires_in_s": 3600 });
    let device = house.coordinator.ok(Method::POST, "/devices/phone/extend", extended).await;
    assert!(device["key_expiry"].is_string());
    let device = house.coordinator.ok(Method::POST, "/devices/phone/extend", json!({})).await;
    assert_eq!(device["key_expiry"], Value::Null, "it cannot register again");
    house.coordinator.ok(Method::POST, "/devices/phone/expire", Value::Null).await;
    let shown = house.coordinator.ok(Method::GET, "/wireguard/phone", Value::Null).await;
    assert_eq!(shown["device"]["state"], "expired");
    let third = json!({ "public_key": public(&NodePrivate::generate().unwrap()) });
    let (status, title) = house.refused("/wireguard/phone/rotate", third).await;
    assert!(status == 409 && title.contains("maru device extend phone"), "{title}");
}

#[tokio::test]
async fn what_cannot_be_a_device_is_refused_with_what_to_do() {
    let house = TestNetwork::new().await;
    let own = public(&NodePrivate::generate().unwrap());
    house.add(json!({ "name": "phone", "public_key": own })).await;
    let laptop = Device::new("laptop");
    let auth = house.coordinator.key(json!({ "user": "alice", "pre_approved": true })).await;
    laptop.join(&house.coordinator, &auth).await;
    let waiting = Device::new("waiting");
    let mut channel = waiting.connect(house.coordinator.address).await;
    channel.register(&waiting.request()).await;
    let key_of = |key: NodePublic| WireguardKey(key).to_string();

    for known in [own, key_of(laptop.key()), key_of(waiting.key()), public(&house.router_key)] {
        let body = json!({ "name": "tv", "public_key": known });
        let (status, title) = house.refused("/wireguard", body).await;
        assert!(status == 409 && title.contains("another device has this key"), "{title}");
    }
    let fresh = || public(&NodePrivate::generate().unwrap());
    let refusals = [
        (json!({ "name": "phone", "public_key": fresh() }), 409, "name"),
        (json!({ "name": "Phone!", "public_key": fresh() }), 422, "a-z"),
        (json!({ "name": "tv", "public_key": key_of(NodePublic::default()) }), 409, "wg pubkey"),
        (json!({ "name": "tv", "public_key": "abc" }), 400, "body"),
        (json!({ "name": "tv", "public_key": fresh(), "user": "nobody" }), 404, "user"),
        (
            json!({ "name": "tv", "public_key": fresh(), "endpoint": "a:1\n[Peer]" }),
            409,
            "endpoint",
        ),
        (json!({ "name": "tv", "public_key": fresh(), "via": "laptop" }), 409, "maru device tag"),
        (json!({ "name": "tv", "public_key": fresh(), "via": "none" }), 404, "device"),
    ];
    for (body, expected, word) in refusals {
        let (status, title) = house.refused("/wireguard", body.clone()).await;
        assert_eq!(status, expected, "{body}: {title}");
        assert!(status == 400 || title.contains(word), "{body}: {title}");
    }
    let (status, _) =
        house.refused("/wireguard/laptop/rotate", json!({ "public_key": fresh() })).await;
    assert_eq!(status, 404, "it is no WireGuard device");
    house.coordinator.ok(Method::POST, "/users", json!({ "name": "bob" })).await;
    let body = json!({ "name": "tv", "public_key": fresh() });
    let (status, title) = house.refused("/wireguard", body.clone()).await;
    assert!(status == 409 && title.contains("--user"), "{title}");
    let second = NodePrivate::generate().unwrap();
    home(&house.coordinator, "nas", second.public()).await;
    let of_bob = json!({ "name": "tv", "public_key": fresh(), "user": "bob" });
    let (status, title) = house.refused("/wireguard", of_bob.clone()).await;
    assert!(status == 409 && title.contains("home, nas"), "{title}");
    let mut via = of_bob;
    via["via"] = json!("nas");
    assert_eq!(house.add(via).await["router"], "nas");
}

#[tokio::test]
async fn without_a_free_address_a_device_is_refused_and_nothing_of_it_is_kept() {
    // Home and one device.
    let config = Config { addresses: "100.64.0.0/30".parse().unwrap(), ..config() };
    let house = TestNetwork::on(Coordinator::with(config, None).await).await;
    let fresh = || public(&NodePrivate::generate().unwrap());
    let phone = house.add(json!({ "name": "phone", "public_key": fresh() })).await;
    let before = (house.coordinator.devices().await, log(&house.coordinator).await);
    let tv = json!({ "name": "tv", "public_key": fresh() });

    for _ in 0..2 {
        let (status, title) = house.refused("/wireguard", tv.clone()).await;

        let said = title.contains("no address is free") && title.contains("remove devices");
        assert!(status == 409 && said, "{status} {title}");
    }

    assert_eq!((house.coordinator.devices().await, log(&house.coordinator).await), before);
    house.coordinator.ok(Method::DELETE, "/devices/phone", Value::Null).await;
    let made = house.add(tv).await;
    assert_eq!(made["device"]["addresses"], phone["device"]["addresses"], "name and key are free");
}

/// The audit log.
async fn log(coordinator: &Coordinator) -> Value {
    coordinator.ok(Method::GET, "/log", Value::Null).await
}

#[tokio::test]
async fn a_tagged_node_that_offers_itself_is_the_router_of_those_alone_that_the_admin_sends_through_it()
 {
    let house = TestNetwork::new().await;
    let thief = NodePrivate::generate().unwrap();
    router(&house.coordinator, "thief", thief.public()).await;
    let wanted = |name: &str| json!({ "name": name, "public_key": public(&NodePrivate::generate().unwrap()) });

    assert_eq!(house.add(wanted("phone")).await["router"], "home");
    house.coordinator.ok(Method::DELETE, "/devices/home", Value::Null).await;
    let rotated = wanted("")["public_key"].clone();
    for (path, body) in [
        ("/wireguard", wanted("tv")),
        ("/wireguard/phone/rotate", json!({ "public_key": rotated })),
    ] {
        let (status, title) = house.refused(path, body).await;
        assert!(status == 409 && title.contains("maru up") && title.contains("--via"), "{title}");
    }
    let mut named = wanted("tv");
    named["via"] = json!("thief");
    assert_eq!(house.add(named).await["router"], "thief");
}

#[tokio::test]
async fn no_client_becomes_a_wireguard_device() {
    let house = TestNetwork::new().await;
    let key = NodePrivate::generate().unwrap();
    house.add(json!({ "name": "phone", "public_key": public(&key) })).await;
    let auth = house.coordinator.key(json!({ "user": "alice", "pre_approved": true })).await;
    // It knows the device's private key, even.
    let thief = Device { node: key, ..Device::new("thief") };
    let mut channel = thief.connect(house.coordinator.address).await;

    let answer = channel.register(&thief.with_key(&auth)).await;

    assert!(!answer.machine_authorized && answer.auth_url.is_empty(), "{answer:?}");
    assert!(answer.error.contains("does not belong to this machine"), "{answer:?}");
    assert_eq!(channel.try_stream("").await.err().map(|status| status.as_u16()), Some(404));
    let other = Device::new("other");
    let mut channel = other.connect(house.coordinator.address).await;
    let mut request = other.with_key(&auth);
    request.old_node_key = Some(thief.key());
    let answer = channel.register(&request).await;
    assert!(answer.error.contains("does not belong to this machine"), "{answer:?}");
}

#[tokio::test]
async fn a_device_whose_router_is_removed_is_told_and_moves_to_another() {
    let house = TestNetwork::new().await;
    let key = public(&NodePrivate::generate().unwrap());
    house.add(json!({ "name": "phone", "public_key": key })).await;

    house.coordinator.ok(Method::DELETE, "/devices/home", Value::Null).await;

    let shown = house.coordinator.ok(Method::GET, "/wireguard/phone", Value::Null).await;
    assert_eq!((&shown["router"], &shown["problem"]), (&Value::Null, &json!("router_gone")));
    let second = NodePrivate::generate().unwrap();
    router(&house.coordinator, "nas", second.public()).await;
    let rotate = json!({ "public_key": public(&NodePrivate::generate().unwrap()), "via": "nas" });
    let made = house.coordinator.ok(Method::POST, "/wireguard/phone/rotate", rotate).await;
    assert_eq!((&made["router"], &made["problem"]), (&json!("nas"), &Value::Null));
    assert_eq!(made["router_key"], public(&second));
}

#[tokio::test]
async fn a_full_tunnel_that_the_policy_does_not_let_out_is_told() {
    let house = TestNetwork::new().await;
    let key = public(&NodePrivate::generate().unwrap());
    let wanted =
        json!({ "name": "phone", "public_key": key, "full_tunnel": true, "keepalive": true });
    let made = house.add(wanted).await;

    assert_eq!(made["allowed_ips"], json!(["0.0.0.0/0", "::/0"]));
    assert_eq!((&made["keepalive_s"], &made["problem"]), (&json!(25), &json!("internet_refused")));
    let policy = POLICY.replace("tag:home:443", "autogroup:internet:*");
    house.coordinator.ok(Method::PUT, "/policy", json!({ "policy": policy })).await;
    let shown = house.coordinator.ok(Method::GET, "/wireguard/phone", Value::Null).await;
    assert_eq!(shown["problem"], Value::Null);
}
