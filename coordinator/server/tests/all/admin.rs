//! The admin API.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::Path,
};

use coordinator_api::settings::Settings;
use hyper::{Method, StatusCode};
use rustix::{process::Uid, thread::set_thread_res_uid};
use serde_json::{Value, json};
use testkit::http::exchange;

use crate::{
    device::{Device, server_key},
    harness::{Coordinator, configured, settings},
};

/// The policy of the documents that Maru replaces; its users do not exist.
const SEED: &str = r#"{
  "acls": [{ "action": "accept", "src": ["group:trusted"], "dst": ["*:*"] }],
  "groups": { "group:trusted": ["user1", "user2"] },
  "hosts": { "openclaw-server": "100.64.0.1", "ollama-server": "100.64.0.2" }
}"#;

async fn refused(
    coordinator: &Coordinator,
    method: Method,
    path: &str,
    body: Value,
) -> (u16, String) {
    let (status, problem) = coordinator.admin(method, path, body).await;
    assert_eq!(problem["status"], status.as_u16(), "{path}: {problem}");
    let kind = problem["type"].as_str().unwrap().strip_prefix("urn:maru:problem:").unwrap();
    (status.as_u16(), kind.to_owned())
}

#[tokio::test]
async fn the_network_is_described() {
    let coordinator = Coordinator::start().await;

    let network = coordinator.ok(Method::GET, "/network", Value::Null).await;

    assert_eq!(
        (&network["network"], &network["server_url"]),
        (&json!("maru.home.arpa"), &json!("http://coordinator.test:8443"))
    );
    assert_eq!(network["noise_public_key"], server_key(coordinator.address).await.to_string());
    assert_eq!(coordinator.ok(Method::GET, "/health", Value::Null).await["status"], "ok");
}

/// What a process of this user gets to read from the admin socket; nothing if it is not answered.
fn health(socket: &Path, uid: u32) -> String {
    let ask = move |socket: &Path| {
        // Of this thread alone.
        let uid = Uid::from_raw(uid);
        set_thread_res_uid(uid, uid, uid).unwrap();
        let mut stream = UnixStream::connect(socket).unwrap();
        let mut answer = String::new();
        let request = b"GET /api/v1/health HTTP/1.1\r\nHost: maru\r\nConnection: close\r\n\r\n";
        // It may be closed already.
        let _ = stream.write_all(request).and_then(|()| stream.read_to_string(&mut answer));
        answer
    };
    std::thread::scope(|scope| scope.spawn(|| ask(socket)).join()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs: root"]
async fn another_user_of_the_machine_is_not_answered() {
    let coordinator = Coordinator::start().await;
    let root = coordinator.root.path();
    let socket = root.join("run/maru/coordinator/admin.sock");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o660);
    // Even if all doors before it stand open.
    for path in socket.ancestors().take_while(|path| path.starts_with(root)) {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    }

    assert!(health(&socket, 0).starts_with("HTTP/1.1 200"));
    assert_eq!(health(&socket, 61_003), "");
}

#[tokio::test]
async fn an_invitation_names_the_coordinators_key_and_makes_the_user() {
    let coordinator = Coordinator::start().await;
    let wanted = json!({ "user": "bob", "pre_approved": true, "force": true });

    let first = coordinator.ok(Method::POST, "/invitations", wanted.clone()).await;
    let second = coordinator.ok(Method::POST, "/invitations", wanted).await;

    assert_eq!((&first["user_created"], &second["user_created"]), (&json!(true), &json!(false)));
    // Plain HTTP: no browser may open it.
    let fragment =
        first["url"].as_str().unwrap().strip_prefix("maru://coordinator.test:8443/join#").unwrap();
    let parts: Vec<&str> = fragment.split('.').collect();
    let noise = server_key(coordinator.address).await.to_string();
    assert_eq!((parts.len(), parts[0], format!("mkey:{}", parts[1])), (3, "1", noise));
    Device::new("phone").join(&coordinator, parts[2]).await;
    assert_eq!(coordinator.devices().await[0]["user"], "bob");
}

#[tokio::test]
async fn over_plain_http_an_invitation_past_the_admin_is_made_only_by_force() {
    let coordinator = Coordinator::start().await;
    let wanted = json!({ "user": "bob", "pre_approved": true });

    let said = refused(&coordinator, Method::POST, "/invitations", wanted).await;

    assert_eq!(said, (422, "plain-http".to_owned()));
    for list in ["/users", "/keys"] {
        assert_eq!(coordinator.ok(Method::GET, list, Value::Null).await, json!([]), "{list}");
    }
    for wanted in [json!({ "user": "bob" }), json!({ "user": "bob", "force": true })] {
        coordinator.ok(Method::POST, "/invitations", wanted).await;
    }
    let keys = coordinator.ok(Method::GET, "/keys", Value::Null).await;
    let approved = keys.as_array().unwrap().iter().filter(|key| key["pre_approved"] == true);
    assert_eq!(approved.count(), 0, "force alone approves nothing");
}

#[tokio::test]
async fn over_https_an_invitation_is_a_link_and_needs_no_force() {
    let server_url = Some("https://coordinator.test".to_owned());
    let coordinator =
        Coordinator::with(configured(Settings { server_url, ..settings() }), None).await;
    let wanted = json!({ "user": "bob", "pre_approved": true });

    let made = coordinator.ok(Method::POST, "/invitations", wanted).await;

    assert!(made["url"].as_str().unwrap().starts_with("https://coordinator.test/join#1."));
}

#[tokio::test]
async fn a_key_is_shown_once_and_ends() {
    let coordinator = Coordinator::start().await;
    let key = coordinator.key(json!({ "user": "alice", "pre_approved": true })).await;

    let listed = coordinator.ok(Method::GET, "/keys", Value::Null).await;
    assert!(!listed.to_string().contains(&key));
    assert_eq!((&listed[0]["state"], &listed[0]["uses"]), (&json!("valid"), &json!(0)));
    let file =
        std::fs::read(coordinator.root.path().join("var/lib/maru/coordinator/db.sqlite")).unwrap();
    let wal = std::fs::read(coordinator.root.path().join("var/lib/maru/coordinator/db.sqlite-wal"))
        .unwrap();
    let secret = key.strip_prefix("marukey-").unwrap().as_bytes();
    assert!(
        ![file, wal].iter().any(|bytes| bytes.windows(secret.len()).any(|part| part == secret)),
        "stored hashed"
    );

    let id = listed[0]["id"].as_u64().unwrap();
    let ended = coordinator.ok(Method::POST, &format!("/keys/{id}/expire"), Value::Null).await;
    assert_eq!(ended["state"], "expired");
    let device = Device::new("late");
    let answer = device.connect(coordinator.address).await.register(&device.with_key(&key)).await;
    assert!(answer.error.contains("key"), "{answer:?}");
}

#[tokio::test]
async fn what_cannot_be_done_is_said_in_one_sentence() {
    let coordinator = Coordinator::start().await;
    let is = async |method, path: &str, body, status: u16, kind: &str| {
        assert_eq!(
            refused(&coordinator, method, path, body).await,
            (status, kind.to_owned()),
            "{path}"
        );
    };

    is(Method::POST, "/users", json!({ "name": "Bob!" }), 422, "name").await;
    is(Method::POST, "/users", json!({ "nam": "bob" }), 400, "body").await;
    is(Method::POST, "/keys", json!({}), 409, "state").await;
    is(Method::POST, "/keys", json!({ "user": "nobody" }), 404, "not-found").await;
    is(Method::POST, "/keys", json!({ "tags": ["home"] }), 422, "name").await;
    is(Method::GET, "/devices/7", Value::Null, 404, "not-found").await;
    is(Method::POST, "/devices/7/approve", json!({}), 404, "not-found").await;
    is(Method::DELETE, "/users/nobody", Value::Null, 404, "not-found").await;
    is(Method::PUT, "/records/a.b", json!({ "device": 1 }), 422, "name").await;
    is(Method::PUT, "/network", json!({}), 405, "method").await;
    is(Method::GET, "/nothing", Value::Null, 404, "path").await;
}

#[tokio::test]
async fn a_user_with_devices_is_not_deleted_and_names_are_unique() {
    let coordinator = Coordinator::start().await;
    let key =
        coordinator.key(json!({ "user": "alice", "pre_approved": true, "reusable": true })).await;
    Device::new("laptop").join(&coordinator, &key).await;
    Device::new("laptop").join(&coordinator, &key).await;

    let (status, kind) = refused(&coordinator, Method::DELETE, "/users/alice", Value::Null).await;
    assert_eq!((status, kind.as_str()), (409, "state"));
    for (name, kind) in [("laptop", "name-taken"), ("chat", "name-reserved"), ("a b", "name")] {
        let (_, got) = refused(
            &coordinator,
            Method::POST,
            "/devices/laptop-1/rename",
            json!({ "name": name }),
        )
        .await;
        assert_eq!(got, kind);
    }

    coordinator.ok(Method::DELETE, "/devices/laptop", Value::Null).await;
    coordinator.ok(Method::DELETE, "/devices/laptop-1", Value::Null).await;
    coordinator.ok(Method::DELETE, "/users/alice", Value::Null).await;
    assert_eq!(
        coordinator.ok(Method::GET, "/keys", Value::Null).await,
        json!([]),
        "its keys went with it"
    );
}

#[tokio::test]
async fn a_tagged_device_belongs_to_nobody_and_does_not_expire() {
    let coordinator = Coordinator::start().await;
    let key = coordinator.key(json!({ "user": "alice", "pre_approved": true })).await;
    Device::new("server").join(&coordinator, &key).await;
    assert!(!coordinator.devices().await[0]["key_expiry"].is_null());

    let tagged =
        coordinator.ok(Method::POST, "/devices/server/tags", json!({ "tags": ["tag:home"] })).await;

    assert_eq!(
        (&tagged["user"], &tagged["key_expiry"], &tagged["tags"]),
        (&Value::Null, &Value::Null, &json!(["tag:home"]))
    );
    let key = coordinator.key(json!({ "tags": ["tag:ci"], "pre_approved": true })).await;
    Device::new("runner").join(&coordinator, &key).await;
    let runner = coordinator.ok(Method::GET, "/devices/runner", Value::Null).await;
    assert_eq!((&runner["user"], &runner["key_expiry"]), (&Value::Null, &Value::Null));

    for (tags, kind) in [(json!([]), "name"), (json!(["home"]), "name"), (json!(["tag:"]), "name")]
    {
        let asked =
            refused(&coordinator, Method::POST, "/devices/home/tags", json!({ "tags": tags }));
        assert_eq!(asked.await, (422, kind.to_owned()));
    }
    let large = json!({ "example.org/x": ["a".repeat(8 * 1024)] });
    let asked = refused(&coordinator, Method::PUT, "/devices/home/capabilities", large);
    assert_eq!(asked.await, (400, "body".to_owned()), "every peer would be told them");
}

#[tokio::test]
async fn a_body_is_taken_as_json_only() {
    let coordinator = Coordinator::start().await;
    let socket = coordinator.root.path().join("run/maru/coordinator/admin.sock");
    let ask = |kind: &str| {
        let body = r#"{"name":"bob"}"#;
        let len = body.len();
        let request = format!(
            "POST /api/v1/users HTTP/1.1\r\nHost: maru\r\nConnection: close\r\n{kind}Content-Length: {len}\r\n\r\n{body}"
        );
        let socket = socket.clone();
        async move {
            let stream = tokio::net::UnixStream::connect(socket).await.unwrap();
            let answer = exchange(stream, request.as_bytes()).await;
            answer.split(' ').nth(1).unwrap().to_owned()
        }
    };

    for kind in ["", "Content-Type: text/plain\r\n", "Content-Type: application/jsonp\r\n"] {
        assert_eq!(ask(kind).await, "415", "{kind}");
    }
    assert_eq!(ask("Content-Type: application/json; charset=utf-8\r\n").await, "201");
}

#[tokio::test]
async fn the_policy_of_the_documents_loads_as_it_stands_and_a_typo_does_not() {
    let mut coordinator = Coordinator::start().await;
    let first = coordinator.ok(Method::GET, "/policy", Value::Null).await;
    assert!(first["policy"].as_str().unwrap().contains("tag:home:80,443,18789"));

    coordinator.ok(Method::POST, "/policy/check", json!({ "policy": SEED })).await;
    coordinator.ok(Method::PUT, "/policy", json!({ "policy": SEED })).await;
    for broken in ["{", "{ \"acls\": 7 }", "{ \"aclz\": [] }"] {
        let (status, kind) =
            refused(&coordinator, Method::PUT, "/policy", json!({ "policy": broken })).await;
        assert_eq!((status, kind.as_str()), (422, "policy"), "{broken}");
    }

    coordinator.restart().await;
    assert_eq!(coordinator.ok(Method::GET, "/policy", Value::Null).await["policy"], SEED);
}

#[tokio::test]
async fn a_policy_whose_own_tests_fail_is_refused() {
    let coordinator = Coordinator::start().await;
    let failing = r#"{ "acls": [], "groups": { "group:a": ["alice"] }, "hosts": { "home": "100.64.0.1" },
        "tests": [{ "src": "alice", "accept": ["home:80"] }] }"#;
    coordinator.ok(Method::POST, "/users", json!({ "name": "alice" })).await;

    let (status, problem) =
        coordinator.admin(Method::PUT, "/policy", json!({ "policy": failing })).await;

    assert_eq!(
        (status, &problem["type"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("urn:maru:problem:policy"))
    );
    let said = problem["detail"].as_str().unwrap();
    assert!(said.contains("test(s) failed: line 2, column "), "{said}");
}

#[tokio::test]
async fn a_policy_replaces_the_one_that_it_was_compared_with_or_none() {
    let coordinator = Coordinator::start().await;
    let shown = coordinator.ok(Method::GET, "/policy", Value::Null).await;
    let mine = json!({ "policy": "{}" });
    let compared = coordinator.ok(Method::POST, "/policy/diff", mine.clone()).await;
    assert_eq!(compared["revision"], shown["revision"]);
    let theirs = "/* another's */ { \"acls\": [] }";
    coordinator.ok(Method::PUT, "/policy", json!({ "policy": theirs })).await;

    let late = json!({ "policy": "{}", "revision": compared["revision"] });
    let (status, kind) = refused(&coordinator, Method::PUT, "/policy", late).await;

    assert_eq!((status, kind.as_str()), (409, "policy-replaced"));
    let in_force = coordinator.ok(Method::GET, "/policy", Value::Null).await;
    assert_eq!(in_force["policy"], theirs);
    let compared = coordinator.ok(Method::POST, "/policy/diff", mine).await;
    let now = json!({ "policy": "{}", "revision": compared["revision"] });
    let set = coordinator.ok(Method::PUT, "/policy", now).await;
    assert_eq!(set["revision"], compared["revision"].as_i64().unwrap() + 1);
    let in_force = coordinator.ok(Method::GET, "/policy", Value::Null).await;
    assert_eq!(in_force, json!({ "policy": "{}", "revision": set["revision"] }));
}

#[tokio::test]
async fn what_a_policy_does_not_do_is_told_and_a_wrong_question_is_refused() {
    let coordinator = Coordinator::start().await;
    let ssh = r#"{ "ssh": [{ "action": "accept", "src": ["autogroup:member"], "dst": ["autogroup:self"], "users": ["root"] }] }"#;
    for (method, path) in [(Method::POST, "/policy/check"), (Method::PUT, "/policy")] {
        let answer = coordinator.ok(method, path, json!({ "policy": ssh })).await;
        assert_eq!(answer["warnings"][0]["place"], "ssh[0]");
        assert_eq!(answer["warnings"][0]["line"], 1);
    }
    let tested = coordinator.ok(Method::POST, "/policy/test", json!({})).await;
    assert_eq!(tested, json!({ "passed": true, "tests": [] }));
    let changes =
        coordinator.ok(Method::POST, "/policy/diff", json!({ "policy": "{ \"acls\": [] }" })).await;
    assert_eq!((&changes["opens"], &changes["closes"]), (&json!([]), &json!([])));
    for (path, body, kind) in [
        ("/policy/explain", json!({ "src": "a", "dst": "b", "port": 22 }), "question"),
        ("/policy/diff", json!({ "policy": "{ \"postures\": {} }" }), "policy"),
        ("/policy/test", json!({ "policy": "{" }), "policy"),
    ] {
        let (status, said) = refused(&coordinator, Method::POST, path, body).await;
        assert_eq!((status, said.as_str()), (422, kind), "{path}");
    }
}
