use common::wire::Fixed;
use confidential_envelope::{Plaintext, bhttp::Scheme};
use ed25519_dalek::SigningKey;
use http::HeaderValue;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const BODY: &[u8] = br#"{"model":"smollm2","messages":[]}"#;

fn settings() -> Settings {
    Settings { models: vec!["smollm2".to_owned()], ..Settings::default() }
}

fn head() -> RequestHead {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    RequestHead {
        method: Method::POST,
        scheme: Scheme::Https,
        authority: host::WORKER.to_owned(),
        path: PATH.parse().unwrap(),
        headers,
    }
}

fn question(head: &RequestHead, body: &[u8]) -> Plaintext {
    bhttp::encode(head, body, 514)
}

fn status(head: &RequestHead, body: &[u8], settings: &Settings) -> u16 {
    read(&question(head, body), settings).map_or_else(|it| it.status.as_u16(), |_| 200)
}

#[test]
fn chat_completions_of_a_model_of_this_node_alone_are_taken() {
    let read = read(&question(&head(), BODY), &settings()).unwrap();
    assert_eq!(&read[..], BODY, "the engine is asked as the client asked");

    let with = |change: fn(&mut RequestHead)| {
        let mut head = head();
        change(&mut head);
        status(&head, BODY, &settings())
    };
    assert_eq!(with(|_| {}), 200);
    assert_eq!(with(|head| head.path = "/v1/models".parse().unwrap()), 404);
    assert_eq!(with(|head| head.path = "/v1/chat/completions?x=1".parse().unwrap()), 404);
    assert_eq!(with(|head| head.path = "/slots".parse().unwrap()), 404);
    assert_eq!(with(|head| head.method = Method::GET), 405);
    assert_eq!(with(|head| head.authority = "other.example".to_owned()), 421);
    assert_eq!(with(|head| head.headers.clear()), 415);
    for body in [
        b"".as_slice(),
        b"[]",
        br#"{"model":1}"#,
        br#"{"model":"a","model":"b"}"#,
        br#"["smollm2"]"#,
    ] {
        assert_eq!(status(&head(), body, &settings()), 400);
    }
    assert_eq!(status(&head(), br#"{"model":"other"}"#, &settings()), 404);
    assert_eq!(super::read(b"garbage", &settings()).unwrap_err().status, 400);
}

#[test]
fn where_badges_are_asked_for_one_that_is_signed_and_allows_the_model_is_needed() {
    let key = SigningKey::from_bytes(&[7; 32]);
    let other = SigningKey::from_bytes(&[8; 32]);
    let public = Fixed(key.verifying_key().to_bytes());
    let settings = Settings { badge_key: Some(public), ..settings() };
    let with = |key: &SigningKey, model: &str| {
        let badge = Badge::sign(vec![model.to_owned()], key).unwrap().encode_text();
        let mut head = head();
        head.headers.insert(header::BADGE, badge.parse().unwrap());
        status(&head, BODY, &settings)
    };
    assert_eq!(with(&key, "smollm2"), 200, "the control");
    assert_eq!(with(&other, "smollm2"), 401);
    assert_eq!(with(&key, "other"), 401);
    assert_eq!(status(&head(), BODY, &settings), 401);
}

/// A head of which each part is as it should be, or is not.
fn any_head() -> impl Strategy<Value = RequestHead> {
    let method = prop_oneof![3 => Just("POST"), 1 => Just("GET"), 1 => Just("post")];
    let authority =
        prop_oneof![2 => Just(host::WORKER), 1 => Just(""), 1 => Just("confsec.invalid.example")];
    let others = vec!["/v1/chat/completions/", "/v1/chat/completions?", "/v1/models", "/"];
    let path = prop_oneof![3 => Just(PATH), 2 => prop::sample::select(others)];
    let kind = prop_oneof![
        3 => Just(Some("application/json")),
        1 => Just(Some("Application/JSON ; charset=utf-8")),
        1 => Just(Some("application/jsonx")),
        1 => Just(None),
    ];
    (method, authority, path, kind).prop_map(|(method, authority, path, kind)| {
        let mut headers = HeaderMap::new();
        headers.extend(kind.map(|kind| (CONTENT_TYPE, HeaderValue::from_static(kind))));
        let (method, path) = (method.parse().unwrap(), path.parse().unwrap());
        RequestHead { method, authority: authority.to_owned(), path, headers, ..head() }
    })
}

/// A body, and the model that it asks for; none if it is no chat request.
fn any_body() -> impl Strategy<Value = (Vec<u8>, Option<String>)> {
    let model = prop_oneof![2 => Just("smollm2".to_owned()), 1 => any::<String>()];
    let written = model.prop_flat_map(|model| {
        let body = json!({ "messages": [], "model": model }).to_string();
        let spaced = format!(" \r\n\t{body}\n");
        let asks = Some(model.clone());
        let name = Value::from(model);
        prop_oneof![
            3 => Just((body.clone(), asks.clone())),
            1 => Just((spaced, asks)),
            1 => Just((json!([&name]).to_string(), None)),
            1 => Just((name.to_string(), None)),
            1 => Just((json!({ "model": [&name] }).to_string(), None)),
            1 => Just((json!({ "Model": &name }).to_string(), None)),
            1 => Just((format!("{{\"model\":{name},\"model\":{name}}}"), None)),
            1 => Just((format!("{body}{body}"), None)),
            1 => Just((body[1..].to_owned(), None)),
        ]
    });
    written.prop_map(|(body, model)| (body.into_bytes(), model))
}

proptest! {
    #[test]
    fn what_is_taken_is_a_chat_request_for_a_model_of_this_node_and_is_passed_on_as_it_is(
        head in any_head(),
        (body, model) in any_body(),
    ) {
        let kind = head.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        let json = [&b"application/json"[..], b"Application/JSON ; charset=utf-8"].contains(&kind);
        let here = ["", host::WORKER].contains(&&*head.authority);
        let fits = json && here && head.method == "POST" && head.path == PATH;

        let read = read(&question(&head, &body), &settings());

        prop_assert_eq!(read.is_ok(), fits && model.as_deref() == Some("smollm2"), "{:?}", read);
        match read {
            Ok(passed) => prop_assert_eq!(&*passed, &body),
            Err(refused) => prop_assert!(refused.status.is_client_error()),
        }
    }

    #[test]
    fn a_question_of_any_bytes_is_read_or_refused(
        at in any::<prop::sample::Index>(),
        with in prop::collection::vec(any::<u8>(), 0..8),
        cut in any::<bool>(),
    ) {
        let mut bytes = question(&head(), BODY).to_vec();
        let at = at.index(bytes.len());
        let end = if cut { bytes.len() } else { (at + with.len()).min(bytes.len()) };
        bytes.splice(at..end, with);
        match read(&bytes, &settings()) {
            Ok(body) => {
                let body: Value = serde_json::from_slice(&body).unwrap();
                prop_assert_eq!(&body["model"], "smollm2");
            }
            Err(refused) => prop_assert!(refused.status.is_client_error()),
        }
    }
}
