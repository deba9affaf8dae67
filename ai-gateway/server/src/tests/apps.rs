//! Programs of this machine, over the agent's connections without an identity; and web pages of listed origins.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use ai_gateway_api::sealed::path;
use axum::http::{HeaderName, HeaderValue, Method, header};
use mesh_identity::LOCAL;
use serde_json::{Value, json};
use testkit::http::{Response, request};

use super::{
    TestGateway, ada,
    backend::Script,
    client::{chat, send_after, try_send},
    gateway, gateway_with, own_uid,
};
use crate::{Access, Socket, now_ms, routes};

const PAGE: &str = "https://webui.example";
const CHAT: &str = "/v1/chat/completions";

fn hello() -> Value {
    json!({"messages": [{"role": "user", "content": "hi"}]})
}

fn streamed() -> Value {
    json!({"messages": [{"role": "user", "content": "hi"}], "stream": true})
}

impl TestGateway {
    /// Adds an app; its key.
    fn app(&self, name: &str) -> String {
        self.app.apps.add(name, now_ms()).unwrap().key.reveal().to_owned()
    }

    /// Asks as a program of this machine, with this in `Authorization`; `None` if it is cut before there is an answer.
    async fn try_here(
        &self,
        authorization: Option<&str>,
        (method, path): (Method, &str),
        body: Option<&Value>,
    ) -> Option<Response> {
        let mut request = request(method, path, "127.0.0.1:18789", body);
        if let Some(text) = authorization {
            request.headers_mut().insert(header::AUTHORIZATION, text.parse().unwrap());
        }
        send_after(&self.agent_socket(), &LOCAL, request).await
    }

    async fn here(&self, key: &str, method: Method, path: &str, body: Option<&Value>) -> Response {
        let bearer = format!("Bearer {key}");
        self.try_here(Some(&bearer), (method, path), body).await.expect("an answer")
    }

    async fn chat_here(&self, key: &str) -> u16 {
        self.here(key, Method::POST, CHAT, Some(&hello())).await.status.as_u16()
    }
}

#[tokio::test]
async fn a_program_of_this_machine_uses_both_apis_with_a_key_and_neither_without() {
    let gateway = gateway();
    let key = gateway.app("webui");
    let plain =
        json!({"model": "maru", "messages": [{"role": "user", "content": "hi"}], "stream": false});
    let embed = json!({"model": "maru", "input": "hi"});
    let asked: [(Method, &str, Option<&Value>); 8] = [
        (Method::POST, CHAT, Some(&plain)),
        (Method::GET, "/v1/models", None),
        (Method::GET, "/v1/models/maru", None),
        (Method::POST, "/v1/embeddings", Some(&embed)),
        (Method::POST, "/api/chat", Some(&plain)),
        (Method::GET, "/api/tags", None),
        (Method::GET, "/api/version", None),
        (Method::GET, "/", None),
    ];
    for (method, path, body) in asked {
        let answer = gateway.here(&key, method.clone(), path, body).await;
        let status = answer.status;
        assert_eq!(status, 200, "{method} {path}: {}", answer.text().await);
        for wrong in [
            None,
            Some("Bearer maru-app-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned()),
            Some(format!("Basic {key}")),
            Some(key.clone()),
        ] {
            let answer =
                gateway.try_here(wrong.as_deref(), (method.clone(), path), body).await.unwrap();
            assert_eq!(answer.status, 401, "{method} {path} with {wrong:?}");
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
        }
    }
    let unknown = gateway.try_here(None, (Method::POST, CHAT), Some(&plain)).await.unwrap();
    unknown.openai_error(401, "invalid_api_key").await;
    let unknown =
        gateway.try_here(None, (Method::GET, "/api/tags"), None).await.unwrap().json().await;
    assert!(unknown["error"].as_str().unwrap().contains("`maru app add NAME`"), "{unknown}");

    let mut other = request(Method::GET, "/v1/models", "127.0.0.1:18789", None);
    other.headers_mut().insert("x-api-key", key.parse().unwrap());
    assert_eq!(send_after(&gateway.agent_socket(), &LOCAL, other).await.unwrap().status, 401);
}

#[tokio::test]
async fn a_key_opens_nothing_that_is_a_members() {
    let gateway = gateway();
    let key = gateway.app("webui");
    gateway.bind(&ada()).await;
    let (sealed, _) = gateway.seal(&ada(), &chat(None, "hi"), hpke_envelope::Suite::X25519).await;
    let sealed = serde_json::to_value(&sealed).unwrap();
    let proof = gateway.proof(&ada());
    for (method, path, body) in [
        (Method::GET, path::KEYS, None),
        (Method::POST, path::CHAT, Some(&sealed)),
        (Method::GET, path::DEVICES, None),
        (Method::POST, path::DEVICES, Some(&proof)),
        (Method::DELETE, "/maru/v1/devices/x", None),
        (Method::GET, "/metrics", None),
        (Method::GET, "/maru/v1/apps", None),
        (Method::GET, "/no/such/path", None),
    ] {
        gateway.here(&key, method, path, body).await.problem(403, "identity").await;
    }
    gateway
        .here(&key, Method::GET, "/v1/no-such-path", None)
        .await
        .openai_error(404, "not-found")
        .await;
    // It needs none for what it got before there were keys.
    let health = gateway.try_here(None, (Method::GET, "/healthz"), None).await.unwrap();
    assert_eq!(health.status, 200);
    assert_eq!(gateway.get(&ada(), path::KEYS).await.status, 200, "the control: a member");
}

#[tokio::test]
async fn members_need_no_key_and_theirs_is_not_looked_at() {
    let gateway = gateway();
    let key = gateway.app("webui");
    for text in ["Bearer any-word".to_owned(), format!("Bearer {key}")] {
        let mut request = request(Method::GET, "/v1/models", "chat.maru.home.arpa:18789", None);
        request.headers_mut().insert(header::AUTHORIZATION, text.parse().unwrap());
        let answer = try_send(&gateway.agent_socket(), Some(&ada().header), request).await.unwrap();
        assert_eq!(answer.status, 200);
    }
    assert_eq!(gateway.app.apps.list()[0].last_used, None, "no app has asked");
}

#[tokio::test]
async fn an_app_gets_shared_files_and_nothing_of_a_member() {
    let gateway = gateway();
    let key = gateway.app("user-11");
    let folder = gateway.root.path().join(&gateway.config.state).join("workspace/people/user-11");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("MEMORY.md"), "Ada likes tea").unwrap();
    assert_eq!(gateway.chat_here(&key).await, 200);
    assert_eq!(gateway.post(&ada(), CHAT, &hello()).await.status, 200);
    let prompts =
        gateway.one.requests().into_iter().map(|it| it["messages"][0]["content"].to_string());
    let prompts: Vec<_> = prompts.collect();
    assert!(prompts[0].contains("SOUL.md") && !prompts[0].contains("Ada likes tea"), "{prompts:?}");
    assert!(prompts[1].contains("Ada likes tea"), "the control: {prompts:?}");
}

#[tokio::test]
async fn an_app_has_limits_of_its_own() {
    let gateway = gateway_with(|config| {
        config.limits.burst = NonZeroU32::new(2).unwrap();
        config.limits.chats_per_minute = NonZeroU32::MIN;
    });
    let (webui, home) = (gateway.app("webui"), gateway.app("home"));
    assert_eq!([gateway.chat_here(&webui).await, gateway.chat_here(&webui).await], [200, 200]);
    let answer = gateway.here(&webui, Method::POST, CHAT, Some(&hello())).await;
    assert!(answer.headers.contains_key("retry-after"));
    answer.openai_error(429, "rate_limit_exceeded").await;
    assert_eq!(gateway.here(&webui, Method::GET, "/v1/models", None).await.status, 200, "apart");
    assert_eq!(gateway.chat_here(&home).await, 200, "another app");
    assert_eq!(gateway.post(&ada(), CHAT, &hello()).await.status, 200, "a member");
}

#[tokio::test]
async fn wrong_keys_are_slowed_down_and_the_right_one_is_not() {
    let gateway = gateway();
    let key = gateway.app("webui");
    let wrong = "maru-app-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let mut said = Vec::new();
    for _ in 0..100 {
        let answer = gateway.here(wrong, Method::GET, "/v1/models", None).await;
        let has_wait = answer.headers.contains_key("retry-after");
        said.push((answer.status.as_u16(), has_wait));
    }
    assert_eq!(said[0], (401, false));
    assert_eq!(said[99], (429, true));
    assert_eq!(gateway.here(&key, Method::GET, "/v1/models", None).await.status, 200);
}

#[tokio::test]
async fn a_removed_apps_reply_is_cut_at_once_and_others_continue() {
    let three = std::num::NonZeroU16::new(3).unwrap();
    let gateway = super::gateway_with(|config| config.line.slots = three);
    let (webui, home) = (gateway.app("webui"), gateway.app("home"));
    gateway.one.script(Script::Endless);
    let ask = async |key: &str| {
        let mut answer = gateway.here(key, Method::POST, CHAT, Some(&streamed())).await;
        assert_eq!(answer.status, 200);
        answer.piece().await.unwrap().unwrap();
        answer
    };
    let (mut read, _unread, mut other) = (ask(&webui).await, ask(&webui).await, ask(&home).await);
    gateway.one.until_open(3).await;

    gateway.app.apps.remove("webui").unwrap();

    // Whether or not somebody reads.
    gateway.one.until_open(1).await;
    let mut end = read.piece().await;
    while let Some(Ok(_)) = end {
        end = read.piece().await;
    }
    assert!(end.is_some_and(|end| end.is_err()), "a cut reply must not look whole");
    assert_eq!(gateway.here(&webui, Method::GET, "/v1/models", None).await.status, 401);
    let more = tokio::time::timeout(Duration::from_millis(100), other.piece()).await;
    assert!(more.is_err() || more.unwrap().unwrap().is_ok(), "the other app's is cut");
    assert_eq!(gateway.one.open(), 1);
}

#[tokio::test]
async fn a_removed_app_that_waits_for_its_reply_is_cut() {
    let gateway = gateway();
    let key = gateway.app("webui");
    gateway.one.script(Script::Silent);
    let bearer = format!("Bearer {key}");
    let body = hello();
    let waiting = gateway.try_here(Some(&bearer), (Method::POST, CHAT), Some(&body));
    let removed = async {
        gateway.one.until_open(1).await;
        gateway.app.apps.remove("webui").unwrap();
    };
    let (answer, ()) = tokio::join!(waiting, removed);
    assert!(answer.is_none());
    gateway.one.until_open(0).await;
}

#[tokio::test]
async fn keys_hold_after_a_restart() {
    let mut gateway = gateway();
    let key = gateway.app("webui");
    gateway.restart().await;
    assert_eq!(gateway.chat_here(&key).await, 200);
}

/// Asks as a page of `origin` in a browser does, on the mesh or on this machine.
async fn of_page(
    gateway: &TestGateway,
    here: bool,
    origin: &str,
    method: Method,
    headers: &[(&'static str, &str)],
) -> Response {
    let host = if here { "127.0.0.1:18789" } else { "chat.maru.home.arpa:18789" };
    let body = (method == Method::POST).then(hello);
    let mut request = request(method, CHAT, host, body.as_ref());
    request.headers_mut().insert(header::ORIGIN, origin.parse().unwrap());
    request.headers_mut().insert("sec-fetch-site", HeaderValue::from_static("cross-site"));
    for (name, value) in headers {
        request.headers_mut().insert(HeaderName::from_static(name), value.parse().unwrap());
    }
    let preface = if here { LOCAL.to_vec() } else { ada().header.encode().unwrap() };
    send_after(&gateway.agent_socket(), &preface, request).await.unwrap()
}

#[tokio::test]
async fn a_page_of_a_listed_origin_is_let_in_as_who_asks_and_any_other_is_not() {
    let gateway = gateway_with(|config| config.origins = vec![PAGE.parse().unwrap()]);
    let bearer = format!("Bearer {}", gateway.app("webui"));
    let asks = [
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization,content-type,x-stainless-os"),
    ];
    for here in [false, true] {
        let with_key: &[_] = if here { &[("authorization", bearer.as_str())] } else { &[] };
        let answer = of_page(&gateway, here, PAGE, Method::OPTIONS, &asks).await;
        assert_eq!(answer.status, 204, "asked before there is a key");
        assert_eq!(answer.headers["access-control-allow-origin"], PAGE);
        assert_eq!(answer.headers["access-control-allow-methods"], "GET, POST");
        assert_eq!(answer.headers["access-control-allow-headers"], asks[1].1);
        assert!(!answer.headers.contains_key("access-control-allow-credentials"));
        let answer = of_page(&gateway, here, PAGE, Method::POST, with_key).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.headers["access-control-allow-origin"], PAGE);
        assert_eq!(answer.headers["vary"], "Origin");
        for other in
            ["https://evil.example", "http://webui.example", "https://webui.example:8443", "null"]
        {
            for method in [Method::OPTIONS, Method::POST] {
                let headers = [&asks[..], with_key].concat();
                let answer = of_page(&gateway, here, other, method, &headers).await;
                assert!(!answer.headers.contains_key("access-control-allow-origin"), "{other}");
                answer.openai_error(403, "origin").await;
            }
        }
    }
    // Still with a key, and the page may read what is wrong.
    let answer = of_page(&gateway, true, PAGE, Method::POST, &[]).await;
    assert_eq!(answer.headers["access-control-allow-origin"], PAGE);
    answer.openai_error(401, "invalid_api_key").await;
    // Not a browser's question.
    let answer = of_page(&gateway, true, PAGE, Method::OPTIONS, &[]).await;
    assert_eq!(answer.status, 405);
    // Device keys and sealed chat are no page's.
    let mut request = request(Method::GET, path::DEVICES, "chat.maru.home.arpa:18789", None);
    request.headers_mut().insert(header::ORIGIN, PAGE.parse().unwrap());
    let answer = try_send(&gateway.agent_socket(), Some(&ada().header), request).await.unwrap();
    answer.problem(403, "origin").await;
}

#[tokio::test]
async fn without_a_list_no_foreign_page_is_let_in() {
    let gateway = gateway();
    for here in [false, true] {
        let asks = [("access-control-request-method", "POST")];
        of_page(&gateway, here, PAGE, Method::OPTIONS, &asks)
            .await
            .openai_error(403, "origin")
            .await;
    }
}

#[tokio::test]
#[ignore = "needs: root"]
async fn the_superuser_adds_lists_and_removes_apps() {
    assert_eq!(own_uid(), 0);
    let gateway = gateway();
    let path = gateway.root.path().join(&gateway.config.metrics_socket);
    let socket = Socket::bind(&path, Access::Group).unwrap();
    let app = Arc::clone(&gateway.app);
    let task = tokio::spawn(async move {
        routes::metrics::serve(socket, &app, std::future::pending()).await;
    });
    let ask = async |method: Method, below: &str, body: Option<Value>| {
        let target = format!("{}{below}", ai_gateway_api::endpoints::LIST_APPS.path(&[]));
        let request = request(method, &target, "localhost", body.as_ref());
        send_after(&path, b"", request).await.expect("an answer")
    };
    let name = |name: &str| Some(json!({ "name": name }));

    let answer = ask(Method::POST, "", name("webui")).await;
    assert_eq!(answer.headers["cache-control"], "no-store");
    let added = answer.json().await;
    let key = added["key"].as_str().unwrap();
    assert_eq!(gateway.chat_here(key).await, 200);
    let listed = ask(Method::GET, "", None).await.json().await;
    assert_eq!(listed[0]["name"], "webui");
    assert!(listed[0].get("key").is_none(), "{listed}");

    ask(Method::POST, "", name("webui")).await.problem(409, "taken").await;
    ask(Method::POST, "", name("Web UI")).await.problem(400, "body").await;
    ask(Method::POST, "", Some(json!({"nmae": "x"}))).await.problem(400, "body").await;
    ask(Method::DELETE, "/other", None).await.problem(404, "not-found").await;
    let removed = ask(Method::DELETE, "/webui", None).await;
    assert_eq!(removed.json().await["name"], "webui");
    assert_eq!(gateway.here(key, Method::GET, "/v1/models", None).await.status, 401);
    assert_eq!(ask(Method::GET, "", None).await.json().await, json!([]));
    task.abort();
}
