//! The audit log: each change leaves an entry of who made it, and no change is forgotten.

use control_protocol::{
    key::{NodePrivate, NodePublic},
    map::{Hostinfo, MapRequest, WireguardRouter},
};
use coordinator_api::{Actor, WireguardKey, endpoints::ENDPOINTS};
use endpoint::Method as Declared;
use hyper::Method;
use serde_json::{Value, json};

use crate::{
    device::{Channel, Device},
    harness::{Coordinator, OPEN},
};

/// A network with one of each thing that endpoints change.
struct TestNetwork {
    coordinator: Coordinator,
    keys: [u64; 2],
    laptop: u64,
    _connected: Channel,
}

/// The action that an endpoint's entry names; `None` where nothing is changed.
type Question = (String, Value, Option<&'static str>);

impl TestNetwork {
    async fn new() -> Self {
        let coordinator = Coordinator::start().await;
        for user in ["alice", "bob", "carol"] {
            coordinator.ok(Method::POST, "/users", json!({ "name": user })).await;
        }
        let wanted = json!({ "user": "alice", "pre_approved": true, "reusable": true });
        let key = coordinator.key(wanted).await;
        let mut connected = Device::new("laptop").join(&coordinator, &key).await;
        let routable_ips = ["192.168.1.0/24"].map(|route| route.parse().unwrap()).to_vec();
        let hostname = "laptop".to_owned();
        let hostinfo = Hostinfo { hostname, routable_ips, ..Hostinfo::default() };
        let update = MapRequest { hostinfo: Some(hostinfo), ..connected.map_request() };
        assert_eq!(connected.update(update).await.0, 200);
        Device::new("old").join(&coordinator, &key).await;
        for name in ["phone", "tablet"] {
            let device = Device::new(name);
            let answer =
                device.connect(coordinator.address).await.register(&device.request()).await;
            assert!(!answer.auth_url.is_empty(), "it waits");
        }
        let mut keys = [0; 2];
        for key in &mut keys {
            let made = coordinator.ok(Method::POST, "/keys", json!({ "user": "alice" })).await;
            *key = made["id"].as_u64().unwrap();
        }
        coordinator.ok(Method::POST, "/api-keys", json!({ "name": "ci" })).await;
        let device = json!(coordinator.devices().await.iter().find(|it| it["name"] == "laptop"));
        let laptop = device["id"].as_u64().unwrap();
        coordinator.ok(Method::PUT, "/records/files", json!({ "device": laptop })).await;
        router(&coordinator).await;
        let tv =
            json!({ "name": "tv", "public_key": public_key(), "user": "alice", "via": "home" });
        coordinator.ok(Method::POST, "/wireguard", tv).await;
        Self { coordinator, keys, laptop, _connected: connected }
    }

    /// How an endpoint is asked for a change, and what that is called.
    fn question(&self, endpoint: &str) -> Question {
        let laptop = |rest: &str| format!("/devices/{}{rest}", self.laptop);
        let routes = json!({ "routes": ["192.168.1.0/24"] });
        let (path, body, action) = match endpoint.replace("/api/v1", "").as_str() {
            "POST /users" => ("/users".into(), json!({ "name": "dave" }), "user.create"),
            "POST /users/{name}/rename" => {
                ("/users/bob/rename".into(), json!({ "name": "robert" }), "user.rename")
            }
            "DELETE /users/{name}" => ("/users/carol".into(), Value::Null, "user.remove"),
            "POST /keys" => ("/keys".into(), json!({ "user": "alice" }), "key.create"),
            "POST /keys/{id}/expire" => {
                (format!("/keys/{}/expire", self.keys[0]), Value::Null, "key.expire")
            }
            "DELETE /keys/{id}" => (format!("/keys/{}", self.keys[1]), Value::Null, "key.remove"),
            "POST /api-keys" => ("/api-keys".into(), json!({ "name": "new" }), "api-key.create"),
            "DELETE /api-keys/{key}" => ("/api-keys/ci".into(), Value::Null, "api-key.remove"),
            "POST /invitations" => {
                ("/invitations".into(), json!({ "user": "alice" }), "invitation.create")
            }
            "DELETE /devices/{device}" => ("/devices/old".into(), Value::Null, "device.remove"),
            "POST /devices/{device}/approve" => {
                ("/devices/phone/approve".into(), json!({ "user": "alice" }), "device.approve")
            }
            "POST /devices/{device}/reject" => {
                ("/devices/tablet/reject".into(), Value::Null, "device.reject")
            }
            "POST /devices/{device}/expire" => (laptop("/expire"), Value::Null, "device.expire"),
            "POST /devices/{device}/extend" => (laptop("/extend"), json!({}), "device.extend"),
            "POST /devices/{device}/rename" => {
                (laptop("/rename"), json!({ "name": "book" }), "device.rename")
            }
            "POST /devices/{device}/tags" => {
                (laptop("/tags"), json!({ "tags": ["tag:router"] }), "device.tags")
            }
            "PUT /devices/{device}/capabilities" => (
                laptop("/capabilities"),
                json!({ "maru.example/cap/a": [] }),
                "device.capabilities",
            ),
            "PUT /records/{name}" => {
                ("/records/chat".into(), json!({ "device": self.laptop }), "record.set")
            }
            "DELETE /records/{name}" => ("/records/files".into(), Value::Null, "record.remove"),
            "POST /devices/{device}/routes/approve" => {
                (laptop("/routes/approve"), routes, "route.approve")
            }
            "POST /devices/{device}/routes/reject" => {
                (laptop("/routes/reject"), routes, "route.reject")
            }
            "PUT /policy" => ("/policy".into(), json!({ "policy": OPEN }), "policy.set"),
            path @ ("POST /policy/check" | "POST /policy/diff") => {
                return (path["POST ".len()..].into(), json!({ "policy": OPEN }), None);
            }
            "POST /policy/test" => return ("/policy/test".into(), json!({}), None),
            "POST /policy/explain" => {
                let question = json!({ "src": "alice", "dst": "book", "port": 80 });
                return ("/policy/explain".into(), question, None);
            }
            new => return of_wireguard(new),
        };
        (path, body, Some(action))
    }

    async fn log(&self, after: u64) -> Vec<Value> {
        log(&self.coordinator, &format!("after={after}")).await
    }
}

/// A tagged node that serves WireGuard devices.
async fn router(coordinator: &Coordinator) {
    let key = coordinator.key(json!({ "tags": ["tag:home"], "pre_approved": true })).await;
    let mut home = Device::new("home").join(coordinator, &key).await;
    let router = WireguardRouter { key: NodePublic::from_bytes([7; 32]), port: 51820 };
    let hostinfo = Hostinfo { maru_wireguard: Some(router), ..Hostinfo::default() };
    let update = MapRequest { hostinfo: Some(hostinfo), ..home.map_request() };
    assert_eq!(home.update(update).await.0, 200);
}

/// The questions about WireGuard devices.
fn of_wireguard(endpoint: &str) -> Question {
    let key = json!({ "public_key": public_key() });
    match endpoint {
        "POST /wireguard" => {
            let body = json!({ "name": "pad", "public_key": public_key(), "user": "alice", "via": "home" });
            ("/wireguard".into(), body, Some("wireguard.add"))
        }
        "POST /wireguard/{device}/rotate" => {
            ("/wireguard/tv/rotate".into(), key, Some("wireguard.rotate"))
        }
        new => panic!("what does {new} leave in the audit log?"),
    }
}

/// A new WireGuard public key.
fn public_key() -> String {
    WireguardKey(NodePrivate::generate().unwrap().public()).to_string()
}

async fn log(coordinator: &Coordinator, query: &str) -> Vec<Value> {
    let page = coordinator.ok(Method::GET, &format!("/log?{query}"), Value::Null).await;
    page["entries"].as_array().unwrap().clone()
}

fn actions(entries: &[Value]) -> Vec<(&str, &str)> {
    let words = |it| (word(it, "actor"), word(it, "action"));
    entries.iter().map(words).collect()
}

fn word<'a>(entry: &'a Value, key: &str) -> &'a str {
    entry[key].as_str().unwrap()
}

#[tokio::test]
async fn every_endpoint_that_changes_something_leaves_one_entry_of_its_actor() {
    let house = TestNetwork::new().await;
    let actor = Actor::Uid { uid: rustix::process::geteuid().as_raw() }.to_string();
    for endpoint in ENDPOINTS.iter().filter(|endpoint| endpoint.method != Declared::GET) {
        let (path, body, action) = house.question(&endpoint.to_string());
        let method = endpoint.method.name().parse().unwrap();
        let before = house.log(0).await.last().unwrap()["id"].as_u64().unwrap();

        house.coordinator.ok(method, &path, body).await;

        let expected: Vec<_> = action.map(|action| (actor.as_str(), action)).into_iter().collect();
        assert_eq!(actions(&house.log(before).await), expected, "{endpoint}");
    }
}

#[tokio::test]
async fn devices_that_come_by_a_key_are_logged_with_it_and_strangers_cannot_fill_the_log() {
    let coordinator = Coordinator::start().await;
    let key = coordinator.key(json!({ "user": "alice", "pre_approved": true })).await;
    let stranger = Device::new("stranger");
    let mut channel = stranger.connect(coordinator.address).await;
    assert!(!channel.register(&stranger.request()).await.auth_url.is_empty());

    Device::new("laptop").join(&coordinator, &key).await;

    let entries = log(&coordinator, "").await;
    let actions = actions(&entries);
    assert_eq!(actions.len(), 3, "{entries:?}");
    assert!(actions[2].0.starts_with("key:") && actions[2].1 == "device.join", "{actions:?}");
    let text = Value::from(entries).to_string();
    assert!(
        text.contains("laptop") && !text.contains(&key) && !text.contains("stranger"),
        "{text}"
    );
}

#[tokio::test]
async fn the_log_is_read_in_pages_and_by_actor() {
    let coordinator = Coordinator::start().await;
    for user in ["a", "b", "c"] {
        coordinator.ok(Method::POST, "/users", json!({ "name": user })).await;
    }
    let page = coordinator.ok(Method::GET, "/log?limit=2&last_s=3600", Value::Null).await;
    assert_eq!(page["entries"].as_array().unwrap().len(), 2);
    let next = page["next"].as_u64().unwrap();
    let rest = log(&coordinator, &format!("limit=2&after={next}")).await;
    assert_eq!((rest.len(), rest[0]["target"].as_str()), (1, Some("c")));

    assert!(log(&coordinator, "actor=system").await.is_empty());
    for wrong in ["limit=x", "later=1", "after=-1"] {
        let (status, problem) =
            coordinator.admin(Method::GET, &format!("/log?{wrong}"), Value::Null).await;
        assert_eq!(status, 400, "{problem}");
    }
}
