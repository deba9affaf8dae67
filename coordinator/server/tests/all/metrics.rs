//! The counters: who reads them, what moves them, and that they name nobody.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    process::{Command, Output},
};

use control_protocol::{
    key_response::KeyResponse,
    register::{RegisterRequest, RegisterResponse},
};
use coordinator_api::settings::Settings;
use hyper::Method;
use serde_json::json;
use testkit::http::exchange;

use crate::{
    device::Device,
    harness::{Coordinator, settings},
    http::raw,
    tls::{self, Authority},
};

/// Somebody who is neither root nor a service.
const NOBODY: u32 = 65534;

/// A coordinator behind TLS whose counters are on loopback.
struct Setup {
    authority: Authority,
    coordinator: Coordinator,
    counters: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Setup {
    async fn new() -> Self {
        let authority = Authority::new();
        // Nobody else uses this address, so that a port that was free stays so.
        let counters = TcpListener::bind("127.0.9.4:0").unwrap().local_addr().unwrap();
        let settings = Settings { metrics_listen: Some(counters), ..settings() };
        let (folder, coordinator) = tls::start_with(&authority, settings).await;
        Self { authority, coordinator, counters, _folder: folder }
    }

    async fn ask(&self, head: &str) -> (u16, String) {
        let request = format!("GET /metrics HTTP/1.1\n{head}Connection: close\n\n");
        raw(self.counters, &request).await
    }

    async fn text(&self) -> String {
        let (status, text) = self.ask("Host: localhost\n").await;
        assert_eq!(status, 200, "{text}");
        text
    }

    async fn value(&self, counter: &str) -> u64 {
        value(&self.text().await, counter)
    }

    /// A device that asks to become a node, with a key or without.
    async fn register(&self, device: &Device, key: Option<&str>) {
        let request = key.map_or_else(|| device.request(), |key| device.with_key(key));
        let answer = self.ask_to_register(device, &request).await;
        assert_eq!(answer.machine_authorized, key.is_some(), "{answer:?}");
    }

    /// A device that asks with a key which does not approve it.
    async fn waits_with(&self, device: &Device, key: &str) {
        let answer = self.ask_to_register(device, &device.with_key(key)).await;
        assert!(!answer.auth_url.is_empty(), "{answer:?}");
    }

    async fn ask_to_register(
        &self,
        device: &Device,
        request: &RegisterRequest,
    ) -> RegisterResponse {
        let mut first = self.authority.open(self.coordinator.address).await.unwrap();
        let answer = tls::ask(&mut first, "/key?v=130").await;
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let server = serde_json::from_str::<KeyResponse>(body).unwrap().public_key;
        let stream = self.authority.open(self.coordinator.address).await.unwrap();
        let mut channel = device.connect_over(stream, server).await.expect("a channel opens");
        channel.register(request).await
    }

    /// Somebody who shows this API key over HTTPS.
    async fn show(&self, key: &str) -> String {
        let stream = self.authority.open(self.coordinator.address).await.unwrap();
        let request = format!(
            "GET /api/v1/users HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
             Authorization: Bearer {key}\r\n\r\n",
            tls::NAME
        );
        exchange(stream, request.as_bytes()).await
    }
}

/// The value of a counter, such as `nodes{state="online"}`; 0 if nothing was counted yet.
fn value(text: &str, counter: &str) -> u64 {
    let line = format!("maru_coordinator_{counter} ");
    let value = text.lines().find_map(|it| it.strip_prefix(&line));
    value.map_or(0, |value| value.parse().unwrap())
}

#[tokio::test]
async fn counters_move_with_what_happens() {
    let setup = Setup::new().await;
    let nodes = "registrations_total{result=\"node\"}";
    let wrong = "refused_total{limit=\"api_keys\"}";
    assert_eq!(setup.value("users").await, 0);
    assert_eq!(setup.value(nodes).await, 0);
    assert_eq!(setup.value(wrong).await, 0);

    let before = setup.value("changes_total").await;
    setup.coordinator.ok(Method::POST, "/users", json!({ "name": "bob" })).await;
    assert_eq!(setup.value("changes_total").await, before + 1);
    assert_eq!(setup.value("users").await, 1);

    let key = setup.coordinator.key(json!({ "user": "alice", "pre_approved": true })).await;
    setup.register(&Device::new("laptop"), Some(&key)).await;
    setup.register(&Device::new("tablet"), None).await;
    let text = setup.text().await;
    assert_eq!(value(&text, nodes), 1, "{text}");
    assert_eq!(value(&text, "registrations_total{result=\"waiting\"}"), 1, "{text}");
    assert_eq!(value(&text, "nodes{state=\"offline\"}"), 1, "{text}");
    assert_eq!(value(&text, "waiting_devices"), 1, "{text}");

    for number in 1..=2 {
        let answer = setup.show(&format!("maru-api-{number:064x}")).await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    }
    let text = setup.text().await;
    assert_eq!(value(&text, wrong), 2, "{text}");
    assert_eq!(value(&text, "answers_total{status=\"401\"}"), 2, "{text}");
    assert!(value(&text, "connections_total") >= 6, "{text}");
}

#[tokio::test]
async fn a_device_that_waits_and_asks_again_takes_no_turn_to_change_the_network() {
    let setup = Setup::new().await;
    let by_key = setup.coordinator.key(json!({ "user": "alice" })).await;
    let (stranger, member) = (Device::new("stranger"), Device::new("member"));
    let turns = "change_wait_seconds_count";
    let ask = async || {
        setup.register(&stranger, None).await;
        setup.waits_with(&member, &by_key).await;
    };

    let before = setup.value(turns).await;
    ask().await;
    assert_eq!(setup.value(turns).await, before + 2, "each begins to wait");
    for _ in 0..20 {
        ask().await;
    }

    // Each may have been written once more that it asked again, if this took a minute.
    let taken = setup.value(turns).await - before - 2;
    assert!(taken <= 2, "{taken} turns for 40 questions");
    assert_eq!(setup.value("waiting_devices").await, 2);
}

#[tokio::test]
async fn no_counter_names_a_person_a_device_an_address_or_a_key() {
    let setup = Setup::new().await;
    let key = json!({ "user": "canary-person", "pre_approved": true });
    let key = setup.coordinator.key(key).await;
    let (node, waiting) = (Device::new("canary-node"), Device::new("canary-waits"));
    setup.register(&node, Some(&key)).await;
    setup.register(&waiting, None).await;
    let wanted = json!({ "name": "canary-api", "access": "admin" });
    let made = setup.coordinator.ok(Method::POST, "/api-keys", wanted).await;
    let api_key = made["key"].as_str().unwrap();
    assert!(setup.show(api_key).await.starts_with("HTTP/1.1 200 "));
    let wrong = format!("maru-api-{}", "b0d4".repeat(16));
    setup.show(&wrong).await;
    let devices = setup.coordinator.devices().await;
    let device = devices.iter().find(|it| it["name"] == "canary-node").unwrap();

    let text = setup.text().await;

    assert!(text.contains("maru_coordinator_registrations_total{result=\"node\"} 1\n"), "{text}");
    let public = [&node, &waiting].map(|it| it.key().to_string());
    let hex = |key: &str| key.rsplit([':', '-']).next().unwrap()[..16].to_owned();
    let keys = [&key, api_key, &wrong, &public[0], &public[1]].map(hex);
    let mesh = device["addresses"][0].as_str().unwrap();
    for named in ["canary", "127.0.", mesh, tls::NAME] {
        assert!(!text.contains(named), "{named} is in {text}");
    }
    for key in &keys {
        assert!(!text.contains(key), "{key} is in {text}");
    }
}

#[tokio::test]
async fn on_loopback_the_machines_own_names_alone_are_answered() {
    let setup = Setup::new().await;
    let port = setup.counters.port();

    for own in ["localhost".to_owned(), setup.counters.to_string(), format!("[::1]:{port}")] {
        assert_eq!(setup.ask(&format!("Host: {own}\n")).await.0, 200, "{own}");
    }
    for head in [
        "",
        "Host: evil.example\n",
        "Host: coordinator.test\n",
        "Host: localhost\nOrigin: https://evil.example\n",
    ] {
        let (status, body) = setup.ask(head).await;
        assert!(status >= 400 && !body.contains("maru_"), "{head:?}: {status} {body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs: root"]
async fn on_the_socket_root_alone_is_answered() {
    let coordinator = Coordinator::start().await;
    let socket = coordinator.root.path().join("run/maru/coordinator/metrics.sock");
    // No folder keeps anybody out, so that the listener has to.
    for (path, mode) in socket.ancestors().zip([0o666, 0o755, 0o755, 0o755, 0o755]) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let ask = |uid: u32| -> Output {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--max-time", "20", "--unix-socket"]).arg(&socket);
        curl.arg("http://localhost/metrics").uid(uid).gid(uid).output().unwrap()
    };

    let root = ask(0);
    assert!(String::from_utf8_lossy(&root.stdout).contains("maru_coordinator_build"), "{root:?}");
    let mut writes = Command::new("test");
    let enters = writes.arg("-w").arg(&socket).uid(NOBODY).gid(NOBODY).status().unwrap();
    assert!(enters.success(), "the file system lets everybody in");

    let other = ask(NOBODY);

    assert!(!other.status.success() && other.stdout.is_empty(), "{other:?}");
}
