//! The key of an app of this machine: it is nobody's, whatever the app is called and whatever it names.

use ai_gateway_api::sealed::{Operation, path};
use axum::http::{HeaderName, Method, StatusCode, header};
use hpke_envelope::Suite;
use mesh_identity::LOCAL;
use serde_json::{Value, json};
use testkit::http::{Response, request};

use super::{
    super::{TestGateway, ada, bob, client::send_after},
    household, is_untouched, operations,
};
use crate::now_ms;

/// Sends a request with a key, after this preface, to this socket; `None` if it is cut.
async fn with_key(
    socket: &std::path::Path,
    preface: &[u8],
    key: &str,
    (method, path, host): (Method, &str, &str),
    body: Option<&Value>,
) -> Option<Response> {
    let mut request = request(method, path, host, body);
    let bearer = format!("Bearer {key}").parse().unwrap();
    request.headers_mut().insert(header::AUTHORIZATION, bearer);
    send_after(socket, preface, request).await
}

fn key_of(gateway: &TestGateway, name: &str) -> String {
    gateway.app.apps.add(name, now_ms()).unwrap().key.reveal().to_owned()
}

#[tokio::test]
async fn it_reads_lists_resumes_and_keeps_nothing_of_a_person() {
    let gateway = household().await;
    // Named as the folder and as the device of a person.
    for name in ["user-11", "n11"] {
        let key = key_of(&gateway, name);
        for (path, body) in [
            (
                "/v1/chat/completions",
                json!({"user": "user:11", "store": true, "metadata": {"session": "journal"},
                "prompt_cache_key": "journal", "messages": [{"role": "user", "content": "What did I say?"}]}),
            ),
            ("/v1/completions", json!({"prompt": "What did I say?", "user": "user:11"})),
            (
                "/v1/embeddings",
                json!({"model": "maru", "input": "What did I say?", "user": "user:11"}),
            ),
            (
                "/api/chat",
                json!({"model": "maru", "stream": false, "messages": [{"role": "user", "content": "journal"}]}),
            ),
        ] {
            let mut asked = request(Method::POST, path, "127.0.0.1:18789", Some(&body));
            asked
                .headers_mut()
                .insert(header::AUTHORIZATION, format!("Bearer {key}").parse().unwrap());
            for (name, value) in
                [("x-openclaw-session-key", "agent:main:journal"), ("x-session-id", "journal")]
            {
                asked.headers_mut().insert(HeaderName::from_static(name), value.parse().unwrap());
            }
            let answer = send_after(&gateway.agent_socket(), &LOCAL, asked).await.unwrap();
            assert_eq!(answer.status, StatusCode::OK, "{path}");
            let sent = gateway.one.requests().pop().unwrap().to_string();
            assert!(!sent.contains("ada's") && !sent.contains("stamps"), "{path}: {sent}");
        }
    }
    assert_eq!(gateway.sealed(&bob(), &Operation::List).await, []);
    is_untouched(&gateway).await;
}

/// A program that stole the key of a person's device has the key alone, not the person's node.
#[tokio::test]
async fn it_opens_no_session_also_with_the_stolen_key_of_a_device() {
    let gateway = household().await;
    let key = key_of(&gateway, "user-11");
    let (agent, plugin) = (gateway.agent_socket(), gateway.plugin_socket());
    for operation in operations("journal").into_iter().chain([Operation::List]) {
        let (stolen, _) = gateway.seal(&ada(), &operation, Suite::X25519).await;
        let body = serde_json::to_value(&stolen).unwrap();
        let chat = (Method::POST, path::CHAT, "127.0.0.1:18789");
        let answer = with_key(&agent, &LOCAL, &key, chat, Some(&body)).await.unwrap();
        answer.problem(403, "identity").await;
    }
    // telmeet's socket is for members, and the participant's for the participant: a key is looked at by neither.
    let chat = || (Method::POST, "/v1/chat/completions", telmeet_api::plugin::HOST);
    let hello = json!({"messages": [{"role": "user", "content": "hi"}]});
    let answer = with_key(&plugin, &LOCAL, &key, chat(), Some(&hello)).await;
    assert!(answer.is_none_or(|it| it.status == 403), "telmeet's");
    let answer = with_key(&gateway.participant_socket(), b"", &key, chat(), Some(&hello)).await;
    answer.unwrap().problem(404, "not-found").await;
    is_untouched(&gateway).await;
}

/// Neither a proof that was made for one node nor a key that is bound to one counts at another.
#[tokio::test]
async fn the_key_of_a_persons_device_is_refused_at_another_persons_node() {
    let gateway = household().await;
    let replayed = gateway.post(&bob(), path::DEVICES, &gateway.proof(&ada())).await;
    assert!(replayed.status.is_client_error(), "{}", replayed.status);
    let listed = gateway.get(&bob(), path::DEVICES).await.json().await;
    assert_eq!(listed["devices"].as_array().unwrap().len(), 1, "{listed}");
    // With the stolen key Bob binds it to his node, where it is one of Bob's.
    let mut thief = bob();
    thief.key = ada().key;
    gateway.bind(&thief).await;
    for operation in operations("journal").into_iter().chain([Operation::List]) {
        let (request, _) = gateway.seal(&thief, &operation, Suite::X25519).await;
        let answer = gateway.send(&thief, &request).await;
        if answer.status == 200 {
            let events = format!("{:?}", gateway.sealed(&thief, &operation).await);
            assert!(!events.contains("ada's"), "{events}");
        } else {
            answer.problem(403, "device").await;
        }
    }
    is_untouched(&gateway).await;
}
