use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{code, refused};
use crate::testing::TestServer;

const SET: &str = "/_matrix/client/v3/pushers/set";
const LIST: &str = "/_matrix/client/v3/pushers";

fn pusher(url: &str, append: bool) -> Value {
    json!({
        "pushkey": "https://rooms.maru.test/upAAAA?up=1", "app_id": "io.element.android.x", "kind": "http",
        "append": append, "lang": "en", "profile_tag": "mobile_1", "app_display_name": "Element X",
        "device_display_name": "Phone",
        "data": {"url": url, "format": "event_id_only", "default_payload": {"cs": "secret"}},
    })
}

#[tokio::test]
async fn a_pusher_of_the_own_gateway_is_stored() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let own = "https://rooms.maru.test/_matrix/push/v1/notify";
    kim.post(SET, pusher(own, false)).await;
    kim.post(SET, pusher(own, false)).await;
    let list = kim.get(LIST).await;
    assert_eq!(list["pushers"].as_array().unwrap().len(), 1);
    assert_eq!(list["pushers"][0]["data"]["default_payload"], json!({"cs": "secret"}));
    assert_eq!(min.get(LIST).await, json!({"pushers": []}));
    let refusal = refused(&min, Method::POST, SET, pusher(own, true)).await;
    assert_eq!(refusal, code(StatusCode::BAD_REQUEST, "M_INVALID_PARAM"), "the topic is kim's");
    let remove = json!({"pushkey": "https://rooms.maru.test/upAAAA?up=1", "app_id": "io.element.android.x", "kind": null});
    min.post(SET, remove.clone()).await;
    assert_eq!(kim.get(LIST).await["pushers"].as_array().unwrap().len(), 1, "it is not min's");
    kim.post(SET, remove).await;
    assert_eq!(kim.get(LIST).await, json!({"pushers": []}));
}

#[tokio::test]
async fn a_pusher_of_another_gateway_is_refused() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    for url in [
        "https://matrix.gateway.unifiedpush.org/_matrix/push/v1/notify",
        "https://rooms.maru.test.example.org/_matrix/push/v1/notify",
        "https://rooms.maru.test@example.org/",
        "https://kim@rooms.maru.test/",
        "ftp://rooms.maru.test/",
        "rooms.maru.test",
        "",
    ] {
        let refusal = refused(&kim, Method::POST, SET, pusher(url, false)).await;
        assert_eq!(refusal, code(StatusCode::BAD_REQUEST, "M_INVALID_PARAM"), "{url}");
    }
    let own = "https://rooms.maru.test/_matrix/push/v1/notify";
    for (field, value) in [("kind", "email"), ("pushkey", "https://ntfy.sh/upAAAA?up=1")] {
        let mut wrong = pusher(own, false);
        wrong[field] = json!(value);
        let refusal = refused(&kim, Method::POST, SET, wrong).await;
        assert_eq!(refusal, code(StatusCode::BAD_REQUEST, "M_INVALID_PARAM"), "{field}");
    }
    assert_eq!(kim.get(LIST).await, json!({"pushers": []}));
}
