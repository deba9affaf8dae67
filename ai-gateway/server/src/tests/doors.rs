//! Who may come in by which door, and how often.

use std::num::NonZeroU32;

use ai_gateway_api::sealed::{Devices, path};
use axum::{
    body::Body,
    http::{self, Method, header},
};
use hpke_envelope::{Suite, device};
use serde_json::{Value, json};

use super::{
    ada, bob,
    client::{chat, request, try_send},
    house, house_with, own_uid,
};
use crate::now_ms;

#[tokio::test]
async fn other_processes_and_connections_without_a_header_are_refused() {
    let house = house_with(|config| {
        config.agent_uid = own_uid() + 1;
        config.telmeet_uid = own_uid() + 2;
    });
    let ask = |host| request(Method::GET, path::KEYS, host, None);
    let header = ada().header;
    assert!(try_send(&house.agent_socket(), Some(&header), ask("100.64.0.1")).await.is_none());
    assert!(try_send(&house.plugin_socket(), Some(&header), ask("gateway.plugin")).await.is_none());

    let house = super::house();
    assert!(try_send(&house.agent_socket(), None, ask("100.64.0.1")).await.is_none());
    assert!(try_send(&house.plugin_socket(), None, ask("gateway.plugin")).await.is_none());
    assert!(try_send(&house.agent_socket(), Some(&header), ask("100.64.0.1")).await.is_some());
}

#[tokio::test]
async fn a_foreign_website_can_neither_send_nor_read() {
    let house = house();
    let send = async |change: fn(&mut http::Request<Body>)| {
        let body = json!({"messages": [{"role": "user", "content": "hi"}], "stream": true});
        let mut request =
            request(Method::POST, "/v1/chat/completions", "chat.maru.internal", Some(&body));
        change(&mut request);
        try_send(&house.agent_socket(), Some(&ada().header), request).await.unwrap()
    };
    send(|request| {
        request.headers_mut().insert(header::ORIGIN, "https://evil.example".parse().unwrap());
    })
    .await
    .problem(403, "origin")
    .await;
    send(|request| {
        drop(request.headers_mut().insert(header::HOST, "evil.example".parse().unwrap()))
    })
    .await
    .problem(421, "host")
    .await;
    send(|request| {
        request.headers_mut().insert(header::CONTENT_TYPE, "text/plain".parse().unwrap());
    })
    .await
    .problem(415, "content-type")
    .await;
    assert!(house.one.requests().is_empty());
    let answer = send(|request| {
        request
            .headers_mut()
            .insert(header::ORIGIN, "http://chat.maru.internal:18789".parse().unwrap());
    });
    assert_eq!(answer.await.status, 200, "its own page may");
}

#[tokio::test]
async fn the_page_of_the_chat_may_bind_a_device_and_read_the_answer() {
    let house = house();
    let origin = "http://chat.maru.internal";
    let ask = async |method: Method, path: &str, body: Option<&Value>| {
        let mut request = request(method, path, "chat.maru.internal:18789", body);
        request.headers_mut().insert(header::ORIGIN, origin.parse().unwrap());
        try_send(&house.agent_socket(), Some(&ada().header), request).await.unwrap()
    };
    let answer = ask(Method::OPTIONS, path::DEVICES, None).await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.headers["access-control-allow-origin"], origin);
    assert_eq!(answer.headers["access-control-allow-headers"], "content-type");
    let proof = device::prove(&ada().key, house.app.identity(), "browser", now_ms());
    let answer =
        ask(Method::POST, path::DEVICES, Some(&serde_json::to_value(proof).unwrap())).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["access-control-allow-origin"], origin);

    ask(Method::GET, "/v1/models", None).await.problem(403, "origin").await;
    ask(Method::OPTIONS, "/v1/chat/completions", None).await.problem(403, "origin").await;
}

#[tokio::test]
async fn device_keys_are_bound_listed_and_revoked_by_their_node_alone() {
    let house = house();
    let list = async |who: &super::Member| -> Devices {
        serde_json::from_value(house.get(who, path::DEVICES).await.json().await).unwrap()
    };
    let bound = house.bind(&ada()).await.json().await;
    assert_eq!(house.bind(&ada()).await.json().await, bound, "binding again changes nothing");
    assert_eq!(list(&ada()).await.devices.len(), 1);
    assert_eq!(list(&bob()).await.devices, []);

    let thief = super::Member { header: bob().header, key: ada().key };
    house.bind(&thief).await.problem(409, "device-bound").await;
    let key = bound["device_pubkey"].as_str().unwrap();
    let of_ada = format!("{}/{key}", path::DEVICES);
    house.ask(&bob(), Method::DELETE, &of_ada, None).await.problem(404, "not-found").await;

    assert_eq!(house.ask(&ada(), Method::DELETE, &of_ada, None).await.status, 204);
    assert_eq!(list(&ada()).await.devices, []);
    let (sealed, _) = house.seal(&ada(), &chat(None, "hi"), Suite::XWing).await;
    house.send(&ada(), &sealed).await.problem(403, "device").await;
}

#[tokio::test]
async fn a_key_is_bound_only_by_who_holds_it_now_and_for_this_gateway() {
    let house = house();
    let send = async |proof| {
        house.post(&ada(), path::DEVICES, &serde_json::to_value(proof).unwrap()).await
    };
    let (key, identity) = (&ada().key, house.app.identity());
    let elsewhere = ai_gateway_api::wire::Fixed([1; 32]);
    send(device::prove(key, elsewhere, "", now_ms())).await.problem(400, "sealed").await;
    send(device::prove(key, identity, "", now_ms() - 120_000)).await.problem(400, "sealed").await;
    let mut other = device::prove(key, identity, "", now_ms());
    other.device_pubkey = ai_gateway_api::wire::Fixed(bob().key.verifying_key().to_bytes());
    send(other).await.problem(400, "sealed").await;
    assert_eq!(
        send(device::prove(key, identity, "a\nb", now_ms())).await.json().await["name"],
        "ab"
    );
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_back() {
    let house = house_with(|config| {
        config.limits.burst = NonZeroU32::new(2).unwrap();
        config.limits.chats_per_minute = NonZeroU32::MIN;
    });
    let body = json!({"messages": [{"role": "user", "content": "hi"}]});
    for _ in 0..2 {
        assert_eq!(house.post(&ada(), "/v1/chat/completions", &body).await.status, 200);
    }
    let answer = house.post(&ada(), "/v1/chat/completions", &body).await;
    assert_eq!(answer.status, 429);
    assert!(answer.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() > 0);
    assert_eq!(answer.json().await["error"]["code"], "rate_limit_exceeded");
    house.post(&ada(), path::CHAT, &json!({})).await.problem(429, "rate").await;

    assert_eq!(house.post(&bob(), "/v1/chat/completions", &body).await.status, 200);
    assert_eq!(house.get(&ada(), "/v1/models").await.status, 200, "reading is counted apart");
    assert_eq!(house.get(&ada(), "/healthz").await.status, 200);
}

#[tokio::test]
async fn telmeets_door_has_sealed_chat_and_nothing_else() {
    let house = house();
    for (method, path) in [
        (Method::GET, "/v1/models"),
        (Method::GET, path::DEVICES),
        (Method::GET, path::CHAT_ALIAS),
        (Method::GET, "/maru/v2/keys"),
    ] {
        house.relay(&ada(), method, path, None).await.problem(404, "not-found").await;
    }
    assert_eq!(house.relay(&ada(), Method::GET, path::KEYS, None).await.status, 200);
    house.get(&ada(), path::CHAT_ALIAS).await.problem(404, "not-found").await;
}

#[tokio::test]
async fn readiness_is_the_models() {
    let mut house = house();
    assert_eq!(house.get(&ada(), "/readyz").await.status, 200);
    house.one.kill().await;
    assert_eq!(house.get(&ada(), "/readyz").await.status, 200, "one is enough");
    house.two.kill().await;
    house.get(&ada(), "/readyz").await.problem(503, "model").await;
    assert_eq!(house.get(&ada(), "/healthz").await.status, 200);
}
