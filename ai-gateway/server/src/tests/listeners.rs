//! Who may come in by which listener, and how often.

use std::{
    fs::Permissions,
    io::{Read as _, Write as _},
    num::NonZeroU32,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::Arc,
};

use ai_gateway_api::{
    endpoints::USAGE,
    sealed::{Devices, path},
};
use axum::{
    body::Body,
    http::{self, Method, header},
};
use hpke_envelope::{Suite, device};
use serde_json::json;
use testkit::http::request;

use super::{
    ada, bob,
    client::{chat, try_send},
    gateway, gateway_with, member, own_uid,
};
use crate::{Access, Socket, now_ms, routes};

#[tokio::test]
async fn other_processes_and_connections_without_a_header_are_refused() {
    let gateway = gateway_with(|config| {
        config.agent_uid = own_uid() + 1;
        config.telmeet_uid = own_uid() + 2;
    });
    let ask = |host| request(Method::GET, path::KEYS, host, None);
    let header = ada().header;
    assert!(try_send(&gateway.agent_socket(), Some(&header), ask("100.64.0.1")).await.is_none());
    assert!(
        try_send(&gateway.plugin_socket(), Some(&header), ask("gateway.plugin")).await.is_none()
    );

    let gateway = super::gateway();
    assert!(try_send(&gateway.agent_socket(), None, ask("100.64.0.1")).await.is_none());
    assert!(try_send(&gateway.plugin_socket(), None, ask("gateway.plugin")).await.is_none());
    assert!(try_send(&gateway.agent_socket(), Some(&header), ask("100.64.0.1")).await.is_some());
}

#[tokio::test]
async fn a_website_can_neither_send_nor_read() {
    let gateway = gateway();
    let send = async |change: fn(&mut http::Request<Body>)| {
        let body = json!({"messages": [{"role": "user", "content": "hi"}], "stream": true});
        let mut request =
            request(Method::POST, "/v1/chat/completions", "chat.maru.home.arpa", Some(&body));
        change(&mut request);
        try_send(&gateway.agent_socket(), Some(&ada().header), request).await.unwrap()
    };
    send(|request| {
        request.headers_mut().insert(header::ORIGIN, "https://evil.example".parse().unwrap());
    })
    .await
    .openai_error(403, "origin")
    .await;
    send(|request| {
        drop(request.headers_mut().insert(header::HOST, "evil.example".parse().unwrap()))
    })
    .await
    .openai_error(421, "host")
    .await;
    send(|request| {
        request.headers_mut().insert(header::CONTENT_TYPE, "text/plain".parse().unwrap());
    })
    .await
    .openai_error(415, "content-type")
    .await;
    assert!(gateway.one.requests().is_empty());
    // The gateway has no page: of its own origin is what a Wi-Fi put there before the agent was up.
    send(|request| {
        request
            .headers_mut()
            .insert(header::ORIGIN, "http://chat.maru.home.arpa:18789".parse().unwrap());
    })
    .await
    .openai_error(403, "origin")
    .await;
    assert!(gateway.one.requests().is_empty());
    assert_eq!(send(|_| ()).await.status, 200, "a program may");
}

/// A page that a hostile telmeet serves, and one that a Wi-Fi served under any of our names before the agent was up.
#[tokio::test]
async fn no_page_binds_lists_or_revokes_a_device_key_whatever_its_origin() {
    const OWN: &str = "chat.maru.home.arpa:18789";
    let gateway =
        gateway_with(|config| config.origins = vec!["https://webui.example".parse().unwrap()]);
    let proof = gateway.proof(&ada());
    let ask = async |method: Method, path: &str, mark: Option<(&'static str, &str)>| {
        let body = (method == Method::POST).then_some(&proof);
        let mut request = request(method, path, OWN, body);
        if let Some((name, value)) = mark {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        try_send(&gateway.agent_socket(), Some(&ada().header), request).await.unwrap()
    };
    let below = format!("{}/{}", path::DEVICES, proof["device_pubkey"].as_str().unwrap());
    let bound = async || -> Devices {
        serde_json::from_value(gateway.get(&ada(), path::DEVICES).await.json().await).unwrap()
    };
    let asks = [
        (Method::POST, path::DEVICES),
        (Method::GET, path::DEVICES),
        (Method::OPTIONS, path::DEVICES),
        (Method::DELETE, &below),
    ];
    let marks = [
        ("origin", "http://chat.maru.home.arpa"),
        ("origin", "https://chat.maru.home.arpa"),
        ("origin", "http://chat.maru.home.arpa:18789"),
        ("origin", "https://webui.example"),
        ("origin", "null"),
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-site", "none"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
    ];
    let refused = async || {
        for (method, path) in &asks {
            for mark in marks {
                let answer = ask(method.clone(), path, Some(mark)).await;
                let shares =
                    |name: &header::HeaderName| name.as_str().starts_with("access-control");
                assert!(!answer.headers.keys().any(shares), "{method} {mark:?}");
                answer.problem(403, "origin").await;
            }
        }
    };
    refused().await;
    assert_eq!(bound().await.devices, [], "something was bound");
    assert_eq!(ask(Method::POST, path::DEVICES, None).await.status, 200, "the member's own app");
    refused().await;
    assert_eq!(bound().await.devices.len(), 1, "something was revoked");
}

#[tokio::test]
async fn device_keys_are_bound_listed_and_revoked_by_their_node_alone() {
    let gateway = gateway();
    let list = async |who: &super::Member| -> Devices {
        serde_json::from_value(gateway.get(who, path::DEVICES).await.json().await).unwrap()
    };
    let bound = gateway.bind(&ada()).await.json().await;
    assert_eq!(gateway.bind(&ada()).await.json().await, bound, "binding again changes nothing");
    assert_eq!((list(&ada()).await.node, list(&ada()).await.devices.len()), ("n11".to_owned(), 1));
    assert_eq!(list(&bob()).await.devices, []);

    let thief = super::Member { header: bob().header, key: ada().key };
    gateway.bind(&thief).await.problem(409, "device-bound").await;
    let key = bound["device_pubkey"].as_str().unwrap();
    let of_ada = format!("{}/{key}", path::DEVICES);
    gateway.ask(&bob(), Method::DELETE, &of_ada, None).await.problem(404, "not-found").await;

    assert_eq!(gateway.ask(&ada(), Method::DELETE, &of_ada, None).await.status, 204);
    assert_eq!(list(&ada()).await.devices, []);
    let (sealed, _) = gateway.seal(&ada(), &chat(None, "hi"), Suite::XWing).await;
    gateway.send(&ada(), &sealed).await.problem(403, "device").await;
}

#[tokio::test]
async fn a_key_is_bound_only_by_who_holds_it_now_for_this_gateway_and_from_this_node() {
    let gateway = gateway();
    let send = async |proof| {
        gateway.post(&ada(), path::DEVICES, &serde_json::to_value(proof).unwrap()).await
    };
    let (key, identity) = (&ada().key, gateway.app.identity());
    let elsewhere = ai_gateway_api::wire::Fixed([1; 32]);
    let late = now_ms() - 120_000;
    send(device::prove(key, elsewhere, "n11", now_ms())).await.problem(400, "sealed").await;
    send(device::prove(key, identity, "n11", late)).await.problem(400, "sealed").await;
    // What Ada's app made for another node, and what somebody else got hold of.
    send(device::prove(key, identity, "n22", now_ms())).await.problem(400, "sealed").await;
    let stolen = gateway.proof(&ada());
    gateway.post(&bob(), path::DEVICES, &stolen).await.problem(400, "sealed").await;
    let mut other = device::prove(key, identity, "n11", now_ms());
    other.device_pubkey = ai_gateway_api::wire::Fixed(bob().key.verifying_key().to_bytes());
    send(other).await.problem(400, "sealed").await;
    let mut first_version = gateway.proof(&ada());
    first_version["version"] = 1.into();
    gateway.post(&ada(), path::DEVICES, &first_version).await.problem(400, "version").await;
    let mut named = device::prove(key, identity, "n11", now_ms());
    named.name = "a\nb".to_owned();
    assert_eq!(send(named).await.json().await["name"], "ab");
}

/// Some clients send a body after its head: the answer to the head alone would end the connection, and be lost.
#[tokio::test]
async fn a_caller_above_the_rate_gets_429_even_while_still_sending() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let gateway = gateway_with(|config| {
        config.limits.burst = NonZeroU32::MIN;
        config.limits.chats_per_minute = NonZeroU32::MIN;
    });
    let body = json!({"messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(gateway.post(&ada(), "/v1/chat/completions", &body).await.status, 200);
    let app = &gateway.app;
    let refused = async || app.counters().await;
    let count = |times: usize| format!("refused_total{{reason=\"rate\"}} {times}\n");

    let mut stream = tokio::net::UnixStream::connect(gateway.agent_socket()).await.unwrap();
    stream.write_all(&ada().header.encode().unwrap()).await.unwrap();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: 100.64.0.1:18789\r\n\
        content-type: application/json\r\ncontent-length: 2\r\n\r\n";
    for times in [1, 2] {
        stream.write_all(head.as_bytes()).await.unwrap();
        testkit::eventually("it is counted", async || refused().await.contains(&count(times)))
            .await;
        stream.write_all(b"{}").await.unwrap();
    }
    let mut said = String::new();
    while said.matches("HTTP/1.1 429 ").count() < 2 {
        let mut bytes = [0; 1024];
        let read = stream.read(&mut bytes).await.unwrap();
        assert!(read > 0, "closed after {said}");
        said.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
    }
}

#[tokio::test]
async fn a_caller_above_the_rate_gets_retry_after() {
    let gateway = gateway_with(|config| {
        config.limits.burst = NonZeroU32::new(2).unwrap();
        config.limits.chats_per_minute = NonZeroU32::MIN;
    });
    let body = json!({"messages": [{"role": "user", "content": "hi"}]});
    for _ in 0..2 {
        assert_eq!(gateway.post(&ada(), "/v1/chat/completions", &body).await.status, 200);
    }
    let answer = gateway.post(&ada(), "/v1/chat/completions", &body).await;
    assert_eq!(answer.status, 429);
    assert!(answer.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() > 0);
    assert_eq!(answer.json().await["error"]["code"], "rate_limit_exceeded");
    gateway.post(&ada(), path::CHAT, &json!({})).await.problem(429, "rate").await;

    assert_eq!(gateway.post(&bob(), "/v1/chat/completions", &body).await.status, 200);
    assert_eq!(gateway.get(&ada(), "/v1/models").await.status, 200, "reading is counted apart");
    assert_eq!(gateway.get(&ada(), "/healthz").await.status, 200);
}

#[tokio::test]
async fn false_claims_of_telmeet_count_against_no_person() {
    let gateway = gateway_with(|config| {
        config.limits.burst = NonZeroU32::new(4).unwrap();
        config.limits.chats_per_minute = NonZeroU32::MIN;
    });
    gateway.bind(&ada()).await;
    let (request, _) = gateway.seal(&ada(), &chat(None, "hi"), Suite::X25519).await;
    let relayed = serde_json::to_value(&request).unwrap();
    let mut refused = Vec::new();
    for body in [json!({}), relayed.clone(), relayed.clone(), relayed.clone(), json!({})] {
        refused.push(
            gateway.relay(&ada(), Method::POST, path::CHAT, Some(&body)).await.status.as_u16(),
        );
    }
    assert_eq!(refused, [400, 200, 400, 400, 429], "telmeet's own claims are bounded");

    // Ada has bound a key and asked once: two of her four are left, whatever telmeet said in her name.
    let body = json!({"messages": [{"role": "user", "content": "hi"}]});
    for status in [200, 200, 429] {
        assert_eq!(gateway.post(&ada(), "/v1/chat/completions", &body).await.status, status);
    }
    // What Bob did ask is not counted against the address that telmeet names.
    gateway.bind(&bob()).await;
    let carol = member(33);
    let mut lent = bob();
    lent.header.source = carol.header.source;
    for _ in 0..3 {
        let (request, _) = gateway.seal(&lent, &chat(None, "hi"), Suite::X25519).await;
        assert_eq!(gateway.send(&lent, &request).await.text().await.matches("final").count(), 1);
    }
    for status in [200, 200, 200, 200, 429] {
        assert_eq!(gateway.post(&carol, "/v1/chat/completions", &body).await.status, status);
    }
}

#[tokio::test]
async fn no_listener_has_the_counters() {
    let gateway = gateway();
    for path in ["/metrics", USAGE.declaration.path] {
        gateway.get(&ada(), path).await.problem(404, "not-found").await;
        gateway.relay(&ada(), Method::GET, path, None).await.problem(404, "not-found").await;
    }
    assert_eq!(gateway.get(&ada(), "/healthz").await.status, 200, "it would have been seen");
}

#[tokio::test]
#[ignore = "needs: root"]
async fn the_counters_are_the_superusers() {
    let gateway = gateway();
    let path = gateway.root.path().join(&gateway.config.metrics_socket);
    let socket = Socket::bind(&path, Access::Group).unwrap();
    let app = Arc::clone(&gateway.app);
    let never = std::future::pending();
    let task = tokio::spawn(async move { routes::metrics::serve(socket, &app, never).await });
    // Anyone may enter and connect, so that the listener has to tell.
    for path in [gateway.root.path(), path.parent().unwrap(), &path] {
        std::fs::set_permissions(path, Permissions::from_mode(0o777)).unwrap();
    }
    let ask = async |uid: u32, what: &'static str| {
        let path = path.clone();
        tokio::task::spawn_blocking(move || ask_as(uid, &path, what)).await.unwrap()
    };

    for (what, holds) in [("/metrics", "maru_gateway_"), (USAGE.declaration.path, "{\"days\":{}}")]
    {
        let answer = ask(0, what).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(holds), "{answer}");
        for uid in [61002, 61003, 61005, 65534] {
            assert_eq!(ask(uid, what).await, "", "user {uid}");
        }
    }
    task.abort();
}

/// Asks on that socket on a thread that is this user's alone.
fn ask_as(uid: u32, path: &Path, what: &str) -> String {
    let asked = std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let id = rustix::process::Uid::from_raw(uid);
            rustix::thread::set_thread_res_uid(id, id, id).unwrap();
            let mut io = std::os::unix::net::UnixStream::connect(path).unwrap();
            let sent = write!(io, "GET {what} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            let mut answer = String::new();
            // A connection that is refused may be gone before the question is written.
            let _ = sent.and_then(|()| io.read_to_string(&mut answer));
            answer
        });
        asking.join()
    });
    asked.unwrap()
}

#[tokio::test]
async fn telmeets_listener_has_sealed_chat_and_nothing_else() {
    let gateway = gateway();
    for (method, path) in [
        (Method::GET, "/v1/models"),
        (Method::GET, path::DEVICES),
        (Method::GET, path::CHAT_ALIAS),
        (Method::GET, "/maru/v2/keys"),
    ] {
        gateway.relay(&ada(), method, path, None).await.problem(404, "not-found").await;
    }
    assert_eq!(gateway.relay(&ada(), Method::GET, path::KEYS, None).await.status, 200);
    // That path is Ollama's on the agent's.
    assert_eq!(gateway.get(&ada(), path::CHAT_ALIAS).await.status, 405);
}

#[tokio::test]
async fn readiness_is_the_models() {
    let mut gateway = gateway();
    assert_eq!(gateway.get(&ada(), "/readyz").await.status, 200);
    gateway.one.kill().await;
    assert_eq!(gateway.get(&ada(), "/readyz").await.status, 200, "one is enough");
    gateway.two.kill().await;
    gateway.get(&ada(), "/readyz").await.problem(503, "model").await;
    assert_eq!(gateway.get(&ada(), "/healthz").await.status, 200);
}

/// One member's many large bodies must not take the gateway's memory, nor hold up another's.
#[tokio::test]
async fn a_large_request_waits_for_room_that_its_own_sender_has() {
    use tokio::io::AsyncWriteExt as _;

    const PATH: &str = "/v1/chat/completions";
    let gateway = gateway_with(|config| {
        config.limits.plain_bodies_bytes = 4 << 20;
        config.limits.plain_bodies_bytes_per_person = 1 << 20;
    });
    let large = json!({"messages": [{"role": "user", "content": "x".repeat(100_000)}]});
    let free = gateway.app.bodies.free();
    let mut half = tokio::net::UnixStream::connect(gateway.agent_socket()).await.unwrap();
    half.write_all(&ada().header.encode().unwrap()).await.unwrap();
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nhost: 100.64.0.1:18789\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{{",
        1 << 20
    );
    half.write_all(head.as_bytes()).await.unwrap();
    testkit::eventually("it takes room", async || gateway.app.bodies.free() != free).await;

    let (ada, bob) = (ada(), bob());
    let mut waiting = Box::pin(gateway.post(&ada, PATH, &large));
    let answered = tokio::select! {
        _ = &mut waiting => panic!("there was room for more than one may have"),
        answer = gateway.post(&bob, PATH, &large) => answer.status,
    };
    assert_ne!(answered, 503, "whoever else asks finds room");
    drop(half);
    assert_eq!(waiting.await.status, answered);
}
