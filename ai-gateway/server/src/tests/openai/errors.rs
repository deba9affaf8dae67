//! Errors on `/v1` have OpenAI's format.

use axum::{
    body::Body,
    http::{self, Method, header},
};
use serde_json::{Value, json};
use testkit::http::request;

use super::super::{
    ada, backend::Script, client::try_send, gateway, gateway_with, gateway_without_fallback,
};
use super::{complete, events, parse};

/// What an error of OpenAI's says.
fn check(error: &Value, code: &str) {
    let error = &error["error"];
    assert_eq!(error["code"], code, "{error}");
    assert_eq!(error["type"], "invalid_request_error", "{error}");
    assert!(error["message"].as_str().is_some_and(|text| text.len() > 10), "{error}");
    assert!(error.get("param").is_some(), "{error}");
}

#[tokio::test]
async fn wrong_requests_get_openais_errors() {
    let gateway = gateway_with(|config| config.limits.max_plain_body_bytes = 2000);
    for (extra, status, code, param) in [
        (json!({"model": "gpt-4"}), 404, "model_not_found", json!("model")),
        (json!({"messages": []}), 400, "body", Value::Null),
        (json!({"messages": "hi"}), 400, "invalid_value", json!("messages")),
        (json!({"n": 2}), 400, "invalid_value", json!("n")),
        (json!({"guided_regex": "x"}), 400, "unknown_parameter", json!("guided_regex")),
        (
            json!({"messages": [{"role": "user", "content": "x".repeat(3000)}]}),
            413,
            "too-large",
            Value::Null,
        ),
    ] {
        let answer = complete(&gateway, extra).await;
        assert_eq!(answer.status, status);
        let error = answer.json().await;
        check(&error, code);
        assert_eq!(error["error"]["param"], param);
    }
    assert!(gateway.one.requests().is_empty(), "no model was asked");
}

#[tokio::test]
async fn a_refusal_contains_the_backends_message() {
    let gateway = gateway();
    for (words, code) in [
        ("too much text", "body"),
        (
            "the request (9 tokens) exceeds the available context size (8 tokens)",
            "context_length_exceeded",
        ),
        ("This model's maximum context length is 8 tokens.", "context_length_exceeded"),
        ("smollm2 does not support tools", "unsupported_parameter"),
    ] {
        gateway.one.script(Script::Refuse(words));
        for stream in [true, false] {
            let answer = complete(&gateway, json!({"stream": stream})).await;
            assert_eq!(answer.status, 400);
            let error = answer.json().await;
            check(&error, code);
            let message = error["error"]["message"].as_str().unwrap().to_lowercase();
            assert!(message.contains(&words.to_lowercase()), "{message}");
        }
    }
}

/// The code and field of a backend's error, and the code, field and hint that the client gets.
type ErrorRow =
    (&'static str, Option<&'static str>, &'static str, Option<&'static str>, &'static str);
const TOLD: &[ErrorRow] = &[
    (
        "unsupported_parameter",
        Some("top_k"),
        "unsupported_parameter",
        Some("top_k"),
        "Choose another model",
    ),
    ("unsupported_parameter", None, "unsupported_parameter", None, "Choose another model"),
    (
        "unsupported_value",
        Some("temperature"),
        "unsupported_value",
        Some("temperature"),
        "Choose another value",
    ),
    (
        "unknown_parameter",
        Some("min_p"),
        "unknown_parameter",
        Some("min_p"),
        "Choose another model",
    ),
    (
        "invalid_value",
        Some("seed"),
        "invalid_value",
        Some("seed"),
        "Correct what the message names",
    ),
    ("invalid_type", Some("stop"), "invalid_type", Some("stop"), "Correct what the message names"),
    (
        "context_length_exceeded",
        Some("messages"),
        "context_length_exceeded",
        Some("messages"),
        "Shorten it",
    ),
    ("context_length_exceeded", None, "context_length_exceeded", Some("messages"), "Shorten it"),
    ("a_word_of_its_own", Some("seed"), "body", Some("seed"), "Correct what the message names"),
    ("a_word_of_its_own", Some(""), "body", None, "Correct what the message names"),
];

/// Whoever speaks OpenAI's API goes by its codes.
#[tokio::test]
async fn a_backends_code_and_field_are_passed_on_if_clients_know_the_code() {
    let gateway = gateway();
    for &(said, param, code, told, hint) in TOLD {
        gateway.one.script(Script::Code(said, param));
        for stream in [true, false] {
            let answer = complete(&gateway, json!({"stream": stream})).await;
            assert_eq!(answer.status, 400, "{said}");
            let error = answer.json().await;
            check(&error, code);
            assert_eq!(error["error"]["param"].as_str(), told, "{said}");
            let message = error["error"]["message"].as_str().unwrap();
            let words = format!("the words of {said}");
            assert!(message.to_lowercase().contains(&words) && message.contains(hint), "{message}");
        }
    }
    assert!(gateway.two.requests().is_empty(), "it is the request, whoever is asked");
}

/// The key is the gateway's and not the client's: another model may answer, and no error asks the client for a key.
#[tokio::test]
async fn a_backend_that_rejects_the_gateways_key_does_not_blame_the_client() {
    let gateway = gateway();
    gateway.one.script(Script::Code("invalid_api_key", None));
    assert_eq!(complete(&gateway, json!({})).await.status, 200);
    assert_eq!(gateway.two.requests().len(), 1);

    let gateway = gateway_without_fallback(|_| ());
    gateway.one.script(Script::Code("invalid_api_key", None));
    let answer = complete(&gateway, json!({})).await;
    assert_eq!(answer.status, 502);
    let error = answer.json().await;
    assert_eq!(
        (&error["error"]["code"], &error["error"]["param"]),
        (&json!("model"), &Value::Null)
    );
    let message = error["error"]["message"].as_str().unwrap();
    assert!(message.contains("maru doctor") && !message.contains("the words of"), "{message}");
}

#[tokio::test]
async fn refusals_of_the_listener_and_unknown_paths_have_openais_format() {
    let gateway = gateway();
    let send = async |method: Method, path: &str, change: fn(&mut http::Request<Body>)| {
        let body = json!({"messages": []});
        let mut request = request(method, path, "chat.maru.home.arpa", Some(&body));
        change(&mut request);
        try_send(&gateway.agent_socket(), Some(&ada().header), request).await.unwrap()
    };
    let host: fn(&mut http::Request<Body>) = |request| {
        drop(request.headers_mut().insert(header::HOST, "evil.example".parse().unwrap()));
    };
    let text: fn(&mut http::Request<Body>) = |request| {
        drop(request.headers_mut().insert(header::CONTENT_TYPE, "text/plain".parse().unwrap()));
    };
    for (method, path, change, status, code) in [
        (Method::POST, "/v1/chat/completions", host, 421, "host"),
        (Method::POST, "/v1/chat/completions", text, 415, "content-type"),
        (Method::POST, "/v1/responses", |_| (), 404, "not-found"),
        (Method::GET, "/v1", |_| (), 404, "not-found"),
        (Method::DELETE, "/v1/models", |_| (), 405, "not-found"),
    ] {
        let answer = send(method, path, change).await;
        assert_eq!(answer.status, status, "{path}");
        check(&answer.json().await, code);
    }
    let own = send(Method::POST, "/maru/v1/chat", text).await;
    own.problem(415, "content-type").await;
}

/// The mesh says who asks; a key that a client insists on sending is neither needed nor looked at.
#[tokio::test]
async fn an_authorization_header_changes_nothing() {
    let gateway = gateway();
    let body = json!({"messages": [{"role": "user", "content": "hi"}]});
    let mut request =
        request(Method::POST, "/v1/chat/completions", "chat.maru.home.arpa", Some(&body));
    request.headers_mut().insert(header::AUTHORIZATION, "Bearer sk-anything".parse().unwrap());
    let answer = try_send(&gateway.agent_socket(), Some(&ada().header), request).await.unwrap();
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_cut_reply_is_reported_as_cut() {
    let gateway = gateway();
    gateway.one.script(Script::Cut);
    let events = events(complete(&gateway, json!({"stream": true})).await).await;
    assert!(events.iter().all(|event| event != "[DONE]"), "{events:?}");
    let error = parse(events.last().unwrap());
    assert!(error["error"]["message"].as_str().unwrap().contains("cut"), "{error}");

    let whole = complete(&gateway, json!({})).await;
    assert_eq!(whole.status, 502);
    assert_eq!(whole.json().await["error"]["type"], "server_error");
}
