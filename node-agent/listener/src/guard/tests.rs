use axum::http::Request;
use proptest::prelude::*;

use super::*;

const HERE: &str = "100.64.0.1:80";

const LISTED: [&str; 3] = ["https://app.example", "http://localhost:3000", "app://notes"];

fn guard() -> Guard {
    Guard::new(["chat.maru.home.arpa", "host.containers.internal", "10.0.2.2"])
        .close_to_browsers("/maru/v1/devices")
        .list_origins(LISTED, &["/v1", "/api"])
}

/// Judges a request of a program of this machine.
fn judge_here(path: &str, headers: &[(&str, &str)]) -> Result<(), Refusal> {
    let mut request = Request::post(path).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    guard().check_local(&request.body(()).unwrap())
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
    for host in [
        "chat.maru.home.arpa",
        "Chat.Maru.Home.Arpa.",
        "chat.maru.home.arpa:80",
        "100.64.0.1",
        HERE,
    ] {
        assert_eq!(get(HERE, host), Ok(()), "{host}");
    }
    assert_eq!(get("[fd7a:115c:a1e0::1]:18789", "[fd7a:115c:a1e0::1]:18789"), Ok(()));
    assert_eq!(get("[fd7a:115c:a1e0::1]:18789", "[FD7A:115c:a1e0:0::1]"), Ok(()));
}

#[test]
fn a_name_bound_to_our_address_by_someone_else_is_refused() {
    for host in [
        "evil.example",
        "chat.maru.home.arpa.evil.example",
        "chat.maru.home.arpa:8080",
        "chat.maru.home.arpa:",
        "100.64.0.2",
        "127.0.0.1",
        "localhost",
        "me@chat.maru.home.arpa",
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
        [("host", "chat.maru.home.arpa"), ("content-type", "application/json"), ("origin", origin)];
    judge(to, "POST", path, &headers)
}

/// It serves no page: one that has its origin was put there by somebody else, such as the Wi-Fi that answered for its
/// name before the agent was up.
#[test]
fn no_page_may_speak_not_even_of_its_own_origin() {
    for origin in [
        "http://chat.maru.home.arpa",
        "http://100.64.0.1",
        "null",
        "https://evil.example",
        "https://chat.maru.home.arpa",
        "http://chat.maru.home.arpa:8080",
        "http://chat.maru.home.arpa.evil.example",
        "http://chat.maru.home.arpa@evil.example",
        "http://100.64.0.2",
        "file://",
        "",
    ] {
        assert_eq!(with_origin("/", HERE, origin), Err(Refusal::Origin), "{origin}");
    }
    let here = [("host", "localhost:18789"), ("origin", "http://localhost:18789")];
    assert_eq!(judge_here("/v1/models", &here), Err(Refusal::Origin), "on this machine");
}

/// A browser's marks are refused where credentials are made, listed and revoked, also those that pass elsewhere.
#[test]
fn what_is_closed_to_browsers_takes_no_mark_of_one() {
    let ask = |method, path, mark: Option<(&str, &str)>| {
        let mut headers =
            vec![("host", "chat.maru.home.arpa"), ("content-type", "application/json")];
        headers.extend(mark);
        judge(HERE, method, path, &headers)
    };
    let (closed, below) = ("/maru/v1/devices", "/maru/v1/devices/abc");
    let marks = [
        ("origin", "http://chat.maru.home.arpa"),
        ("origin", "null"),
        ("origin", LISTED[0]),
        ("sec-fetch-site", "none"),
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-mode", "cors"),
        ("sec-fetch-dest", "empty"),
        ("sec-fetch-user", "?1"),
    ];
    for (method, path) in
        [("POST", closed), ("GET", closed), ("OPTIONS", closed), ("DELETE", below)]
    {
        assert_eq!(ask(method, path, None), Ok(()), "{method}: a program");
        for mark in marks {
            assert_eq!(ask(method, path, Some(mark)), Err(Refusal::Origin), "{method} {mark:?}");
        }
    }
    let here = [("host", "localhost:18789"), ("sec-fetch-site", "none")];
    assert_eq!(judge_here(closed, &here), Err(Refusal::Origin), "on this machine");
    // Elsewhere a client that is no browser may say so much (Node's fetch).
    for path in ["/v1/models", "/maru/v1/devices2"] {
        assert_eq!(ask("GET", path, Some(("sec-fetch-mode", "cors"))), Ok(()), "{path}");
    }
}

#[test]
fn a_listed_origin_may_call_below_the_listed_paths_and_is_compared_exactly() {
    let gateway = "100.64.0.1:18789";
    for origin in LISTED {
        for path in ["/v1/chat/completions", "/api/chat"] {
            assert_eq!(with_origin(path, gateway, origin), Ok(()), "{origin}");
            let here = [("host", "127.0.0.1:18789"), ("origin", origin)];
            assert_eq!(judge_here(path, &here), Ok(()), "{origin}");
        }
        for path in ["/", "/v1", "/v10/x", "/maru/v1/devices", "/maru/v1/chat", "//v1/models"] {
            assert_eq!(with_origin(path, gateway, origin), Err(Refusal::Origin), "{path}");
            let here = [("host", "127.0.0.1:18789"), ("origin", origin)];
            assert_eq!(judge_here(path, &here), Err(Refusal::Origin), "{path}");
        }
    }
    for origin in [
        "http://app.example",
        "https://app.example:8443",
        "https://app.example/",
        "https://app.example.evil.example",
        "https://evil.app.example",
        "https://APP.example",
        "http://localhost",
        "http://localhost:3001",
        "null",
        "*",
        "",
    ] {
        let refused = Err(Refusal::Origin);
        assert_eq!(with_origin("/v1/models", gateway, origin), refused, "{origin}");
        let here = [("host", "127.0.0.1:18789"), ("origin", origin)];
        assert_eq!(judge_here("/v1/models", &here), refused, "{origin}");
    }
    let two = [("host", "localhost"), ("origin", LISTED[0]), ("origin", LISTED[0])];
    assert_eq!(judge_here("/v1/models", &two), Err(Refusal::Origin), "two");
}

#[test]
fn on_this_machine_it_is_a_loopback_address_or_one_of_its_names_at_any_port() {
    for host in [
        "127.0.0.1:18789",
        "127.0.0.1:11434",
        "127.3.2.1",
        "[::1]:18789",
        "localhost:18789",
        "LocalHost.",
        "host.containers.internal:18789",
        "10.0.2.2:18789",
        "chat.maru.home.arpa:18789",
    ] {
        assert_eq!(judge_here("/v1/models", &[("host", host)]), Ok(()), "{host}");
    }
    for host in [
        "evil.example:18789",
        "localhost.evil.example",
        "127.0.0.1.evil.example:18789",
        "0.0.0.0:18789",
        "[::]:18789",
        "192.168.1.7:18789",
        "100.64.0.1:18789",
        "me@localhost",
        "localhost:",
        "",
    ] {
        assert_eq!(judge_here("/v1/models", &[("host", host)]), Err(Refusal::Host), "{host}");
    }
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
    assert_eq!(fetch("same-origin", "cors"), Err(Refusal::Origin), "there is no page of ours");
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
    /// Whatever a page puts into Host or Origin, no Host passes but what names this service, and no Origin but a listed one.
    #[test]
    fn no_header_text_passes_but_our_own(text in "\\PC{0,40}") {
        let origin = |request: axum::http::request::Builder| request.header("origin", &text).body(());
        if let Ok(request) = origin(Request::builder().uri("/v1/models").header("host", "localhost:1")) {
            let listed = LISTED.contains(&text.as_str());
            prop_assert_eq!(guard().check_local(&request).is_ok(), listed);
        }
        if let Ok(request) = origin(Request::builder().uri("/").header("host", "100.64.0.1")) {
            prop_assert!(guard().check(&request, HERE.parse().unwrap()).is_err());
        }
        let names_us = text.to_ascii_lowercase().contains("chat.maru.home.arpa")
            || text.contains("100.64.0.1") || text.contains("64.")
            || ["local", "127.", "::1", "10.0", "host"].iter().any(|own| text.to_ascii_lowercase().contains(own));
        prop_assume!(!names_us);
        if let Ok(request) = Request::builder().uri("/").header("host", &text).body(()) {
            prop_assert!(guard().check(&request, HERE.parse().unwrap()).is_err());
            prop_assert!(guard().check_local(&request).is_err());
        }
    }
}

#[test]
fn an_upload_is_for_its_own_path_and_method() {
    endpoint::declare! {
        /// Uploads.
        UPLOADS for Member;
        /// Below a name.
        ONE: PUT "/v1/files/{name}" (endpoint::Bytes<9>);
        /// At any depth.
        DEEP: POST "/v1/tree/{*rest}" (endpoint::Bytes<9>), media(&["image/png"]);
    }
    let judge = |method: &str, path: &str, kind: &str| {
        let request = Request::builder().method(method).uri(path).header("content-type", kind);
        let request = request.header("host", HERE).header("content-length", "1").body(()).unwrap();
        guard().declare(UPLOADS).check(&request, HERE.parse().unwrap())
    };
    let bytes = "application/octet-stream";
    assert_eq!(judge("PUT", "/v1/files/a", bytes), Ok(()));
    assert_eq!(judge("PUT", "/v1/files/a", "application/json"), Err(Refusal::MediaType));
    assert_eq!(judge("POST", "/v1/tree/a/b", "image/png"), Ok(()));
    for (method, path) in [
        ("POST", "/v1/files/a"),
        ("PUT", "/v1/files/a/b"),
        ("PUT", "/v1/files/"),
        ("PUT", "/v1/files"),
        ("POST", "/v1/tree"),
    ] {
        assert_eq!(judge(method, path, bytes), Err(Refusal::ContentType), "{method} {path}");
        assert_eq!(judge(method, path, "application/json"), Ok(()), "{method} {path}");
    }
}
