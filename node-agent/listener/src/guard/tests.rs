use axum::http::Request;
use proptest::prelude::*;

use super::*;

const HERE: &str = "100.64.0.1:80";

fn guard() -> Guard {
    Guard::new(["chat.maru.internal"]).allow_origin("/maru/v1/devices", "chat.maru.internal")
}

/// Judges a request made of `METHOD path` and headers, sent to `to`.
fn judge(to: &str, method: &str, path: &str, headers: &[(&str, &str)]) -> Result<(), Refusal> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    guard().check(&request.body(()).unwrap(), to.parse().unwrap())
}

fn get(to: &str, host: &str) -> Result<(), Refusal> {
    judge(to, "GET", "/", &[("host", host)])
}

#[test]
fn answers_to_its_names_and_its_address() {
    for host in
        ["chat.maru.internal", "Chat.Maru.Internal.", "chat.maru.internal:80", "100.64.0.1", HERE]
    {
        assert_eq!(get(HERE, host), Ok(()), "{host}");
    }
    assert_eq!(get("[fd7a:115c:a1e0::1]:18789", "[fd7a:115c:a1e0::1]:18789"), Ok(()));
    assert_eq!(get("[fd7a:115c:a1e0::1]:18789", "[FD7A:115c:a1e0:0::1]"), Ok(()));
}

#[test]
fn a_name_bound_to_our_address_by_someone_else_is_refused() {
    for host in [
        "evil.example",
        "chat.maru.internal.evil.example",
        "chat.maru.internal:8080",
        "chat.maru.internal:",
        "100.64.0.2",
        "127.0.0.1",
        "localhost",
        "me@chat.maru.internal",
        "",
    ] {
        assert_eq!(get(HERE, host), Err(Refusal::Host), "{host}");
    }
    assert_eq!(judge(HERE, "GET", "/", &[]), Err(Refusal::Host), "no Host");
    let twice = [("host", "100.64.0.1"), ("host", "100.64.0.1")];
    assert_eq!(judge(HERE, "GET", "/", &twice), Err(Refusal::Host), "two Hosts");
    let absolute = judge(HERE, "GET", "http://evil.example/", &[("host", "100.64.0.1")]);
    assert_eq!(absolute, Err(Refusal::Host), "the request line names another");
}

fn with_origin(path: &str, to: &str, origin: &str) -> Result<(), Refusal> {
    let headers =
        [("host", "chat.maru.internal"), ("content-type", "application/json"), ("origin", origin)];
    judge(to, "POST", path, &headers)
}

#[test]
fn only_its_own_pages_may_speak() {
    assert_eq!(with_origin("/", HERE, "http://chat.maru.internal"), Ok(()));
    assert_eq!(with_origin("/", HERE, "http://100.64.0.1"), Ok(()));
    for origin in [
        "null",
        "https://evil.example",
        "https://chat.maru.internal",
        "http://chat.maru.internal:8080",
        "http://chat.maru.internal.evil.example",
        "http://chat.maru.internal@evil.example",
        "http://100.64.0.2",
        "file://",
        "",
    ] {
        assert_eq!(with_origin("/", HERE, origin), Err(Refusal::Origin), "{origin}");
    }
}

#[test]
fn a_page_of_the_chat_may_bind_a_device_at_the_gateway_and_nothing_else() {
    let gateway = "100.64.0.1:18789";
    let page = "https://chat.maru.internal";
    assert_eq!(with_origin("/maru/v1/devices", gateway, page), Ok(()));
    assert_eq!(with_origin("/maru/v1/devices", gateway, "http://chat.maru.internal"), Ok(()));
    assert_eq!(with_origin("/v1/chat/completions", gateway, page), Err(Refusal::Origin));
    let other_port = "http://chat.maru.internal:8000";
    assert_eq!(with_origin("/maru/v1/devices", gateway, other_port), Err(Refusal::Origin));
}

#[test]
fn an_image_or_script_of_another_site_gets_nothing() {
    let fetch = |site, mode| {
        let headers = [("host", "100.64.0.1"), ("sec-fetch-site", site), ("sec-fetch-mode", mode)];
        judge(HERE, "GET", "/v1/models", &headers)
    };
    assert_eq!(fetch("cross-site", "no-cors"), Err(Refusal::Origin));
    assert_eq!(fetch("same-site", "cors"), Err(Refusal::Origin));
    assert_eq!(fetch("cross-site", "navigate"), Ok(()), "a person followed a link");
    assert_eq!(fetch("same-origin", "cors"), Ok(()));
    assert_eq!(fetch("none", "navigate"), Ok(()));
}

fn body(method: &str, headers: &[(&str, &str)]) -> Result<(), Refusal> {
    let mut all = vec![("host", "100.64.0.1")];
    all.extend_from_slice(headers);
    judge(HERE, method, "/", &all)
}

#[test]
fn bodies_come_as_json_only() {
    assert_eq!(body("POST", &[("content-type", "application/json")]), Ok(()));
    assert_eq!(body("POST", &[("content-type", "Application/JSON; charset=utf-8")]), Ok(()));
    assert_eq!(body("DELETE", &[]), Ok(()), "no page may send DELETE without asking");
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain; application/json",
        "application/jsonp",
        "",
    ] {
        assert_eq!(body("POST", &[("content-type", kind)]), Err(Refusal::ContentType), "{kind}");
    }
    assert_eq!(body("POST", &[]), Err(Refusal::ContentType), "nothing declared");
    assert_eq!(body("GET", &[("content-length", "2")]), Err(Refusal::ContentType));
    assert_eq!(body("GET", &[("transfer-encoding", "chunked")]), Err(Refusal::ContentType));
    let two = [("content-type", "application/json"), ("content-type", "text/plain")];
    assert_eq!(body("POST", &two), Err(Refusal::ContentType));
}

proptest! {
    /// Whatever a page puts into Host or Origin, only what names this service passes.
    #[test]
    fn no_header_text_passes_but_our_own(text in "\\PC{0,40}") {
        let names_us = text.to_ascii_lowercase().contains("chat.maru.internal")
            || text.contains("100.64.0.1") || text.contains("64.");
        prop_assume!(!names_us);
        let request = Request::builder().uri("/").header("host", &text);
        if let Ok(request) = request.body(()) {
            prop_assert!(guard().check(&request, HERE.parse().unwrap()).is_err());
        }
        let request = Request::builder().uri("/").header("host", "100.64.0.1").header("origin", &text);
        if let Ok(request) = request.body(()) {
            prop_assert!(guard().check(&request, HERE.parse().unwrap()).is_err());
        }
    }
}
