//! A person's own data, through the router.

mod account_data;
mod export;
mod presence;
mod profile;
mod push_rules;
mod pushers;
mod receipts;

use axum::http::{Method, StatusCode};
use serde_json::Value;

use crate::testing::TestClient;

/// Calls an endpoint that refuses. Returns status and error code.
async fn refused(
    client: &TestClient,
    method: Method,
    path: &str,
    body: Value,
) -> (StatusCode, String) {
    let (status, body) = client.call(method, path, body).await;
    assert!(body["error"].as_str().is_some_and(|text| !text.is_empty()), "{path}: {body}");
    (status, body["errcode"].as_str().unwrap().to_owned())
}

fn code(status: StatusCode, code: &str) -> (StatusCode, String) {
    (status, code.to_owned())
}

/// Syncs without waiting, after another sync.
async fn sync(client: &TestClient, last: Option<&Value>) -> Value {
    let since = last.map(|last| format!("?since={}", last["next_batch"].as_str().unwrap()));
    client.get(&format!("/_matrix/client/v3/sync{}", since.unwrap_or_default())).await
}

/// The contents of events of a type.
fn contents<'a>(events: &'a Value, kind: &str) -> Vec<&'a Value> {
    let events = events.as_array().into_iter().flatten().filter(|event| event["type"] == kind);
    events.map(|event| &event["content"]).collect()
}
