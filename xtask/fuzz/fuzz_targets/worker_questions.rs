//! An opened request from an unknown client, as a node's worker checks it.
#![no_main]

use std::sync::LazyLock;

use common::wire::Fixed;
use confidential_api::{
    badge::Badge,
    names::{header, host},
    settings::compute::Settings,
};
use confidential_envelope::bhttp::{self, RequestHead, Scheme};
use ed25519_dalek::SigningKey;
use fuzz::Input;
use http::{HeaderMap, HeaderValue, Method, header::CONTENT_TYPE};
use libfuzzer_sys::fuzz_target;
use maru_compute::worker::request;
use serde_json::Value;

/// The models of the node, of which the badge allows the first.
const MODELS: [&str; 2] = ["smollm2", "a"];

/// A node without badges, the same with, and the only badge that was ever given.
static HELD: LazyLock<([Settings; 2], String)> = LazyLock::new(|| {
    let key = SigningKey::from_bytes(&[7; 32]);
    let models = MODELS.map(str::to_owned).to_vec();
    let open = Settings { models, ..Settings::default() };
    let badge_key = Some(Fixed(key.verifying_key().to_bytes()));
    let closed = Settings { badge_key, ..open.clone() };
    let badge = Badge::sign(vec![MODELS[0].to_owned()], &key).expect("a name");
    ([open, closed], badge.encode_text())
});

/// A message of which an input says what is not as it should be: its parts, its badge, its content, and then any bytes.
fn made(mut input: Input<'_>) -> Vec<u8> {
    let mut headers = HeaderMap::new();
    let kind = input.pick(&["application/json", "Application/JSON;a", "text/plain", ""]);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    let mut badge = HELD.1.clone().into_bytes();
    fuzz::edit(&mut badge, input.bytes());
    if let Ok(badge) = HeaderValue::from_bytes(&badge) {
        headers.insert(header::BADGE, badge);
    }
    let method = input.pick(&[Method::POST, Method::POST, Method::GET, Method::CONNECT]).clone();
    let paths = ["/v1/chat/completions", "/v1/chat/completions?", "/v1/models", "/"];
    let head = RequestHead {
        method,
        scheme: Scheme::Https,
        authority: input.pick(&[host::WORKER, "", "a.example"]).to_string(),
        path: input.pick(&paths).parse().expect("a path"),
        headers,
    };
    let script = input.bytes();
    let mut message = bhttp::encode(&head, input.rest(), 1).to_vec();
    fuzz::edit(&mut message, script);
    message
}

/// A forwarded request is the client's, and is allowed.
fn judge(question: &[u8], settings: &Settings) {
    let body = match request::read(question, settings) {
        Ok(body) => body,
        Err(refused) => return assert!(refused.status.is_client_error(), "{refused:?}"),
    };
    let (head, content) = bhttp::decode::<RequestHead>(question, u64::MAX).expect("it was read");
    assert!(*body == content[..], "the engine is asked otherwise");
    assert_eq!((head.method, head.path.as_str()), (Method::POST, "/v1/chat/completions"));
    assert!(head.authority.is_empty() || head.authority == host::WORKER);
    // Numbers and nesting that are passed over may be too much for this second reading.
    if let Ok(asked) = serde_json::from_slice::<Value>(&body) {
        let model = asked.as_object().and_then(|asked| asked["model"].as_str()).expect("a model");
        assert!(MODELS.contains(&model), "{model}");
        assert!(settings.badge_key.is_none() || model == MODELS[0], "no badge allows {model}");
    }
    if settings.badge_key.is_some() {
        let shown = head.headers.get(header::BADGE).expect("a badge");
        let shown = Badge::decode_text(shown.as_bytes()).expect("a badge");
        assert_eq!(shown.encode_text(), HELD.1, "it was never given");
    }
}

fuzz_target!(|bytes: &[u8]| {
    let made = made(Input::new(bytes));
    for settings in &HELD.0 {
        judge(bytes, settings);
        judge(&made, settings);
    }
});
