//! Clients that are older than our maps, and clients that are newer than we know.

use control_protocol::{MIN_CAPABILITY_VERSION, map, register};
use hyper::StatusCode;
use serde_json::json;

use crate::{
    device::Device,
    harness::{Coordinator, whole},
};

#[tokio::test]
async fn old_clients_are_refused_with_a_sentence_and_newer_ones_than_we_know_are_let_in() {
    let coordinator = Coordinator::start().await;
    let key = json!({ "user": "alice", "pre_approved": true, "reusable": true });
    let key = coordinator.key(key).await;

    let old = Device::new("old");
    let mut channel = old.connect(coordinator.address).await;
    let request = |version| register::RegisterRequest { version, ..old.with_key(&key) };
    for version in [0, 1, MIN_CAPABILITY_VERSION - 1] {
        let map = map::MapRequest { version, ..channel.map_request() };
        for (path, body) in [
            (register::PATH, serde_json::to_vec(&request(version)).unwrap()),
            (map::PATH, serde_json::to_vec(&map).unwrap()),
        ] {
            let answer = channel.post(path, body.into()).await;
            assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{path} {version}");
            let said = whole(answer).await.unwrap();
            let said = String::from_utf8(said.to_vec()).unwrap();
            assert!(said.contains("too old") && said.contains("update the client"), "{said}");
        }
    }
    assert_eq!(coordinator.devices().await, Vec::<serde_json::Value>::new(), "nobody joined");

    for (name, version) in
        [("oldest", MIN_CAPABILITY_VERSION), ("newer", 1_000), ("newest", u32::MAX)]
    {
        let device = Device::new(name);
        let mut channel = device.connect(coordinator.address).await;
        let request = register::RegisterRequest { version, ..device.with_key(&key) };
        assert!(channel.register(&request).await.machine_authorized, "{version}");
        let update = map::MapRequest { version, ..channel.map_request() };
        assert_eq!(channel.try_update(update).await, Some(StatusCode::OK), "{version}");
        let mut stream = channel.stream().await;
        let held = stream.until(|held| held.node.is_some()).await;
        // Where Go's `int` has 32 bits, a larger number spoils the whole map.
        assert_eq!(held.node.as_ref().unwrap().cap, version.min(i32::MAX.unsigned_abs()));
    }
}
