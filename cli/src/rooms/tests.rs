use axum::{Router, http::HeaderMap, routing::post};
use serde_json::json;

use super::*;

fn status(node: &str) -> Status {
    serde_json::from_value(json!({
        "version": "0", "state": "running", "network": "maru.home.arpa",
        "node": {"name": "laptop", "stable_id": node, "addresses": [], "node_key": "nodekey:00"},
        "coordinator": {"url": "http://home", "noise_public_key": "mkey:01", "connected": true},
        "gateway": {"node": "n1", "identity": "AQ", "host": "chat.maru.home.arpa",
                    "addresses": ["127.0.0.1"]},
    }))
    .unwrap()
}

#[test]
fn the_server_is_at_home() {
    let target = Target::of(status("n2")).unwrap();
    assert_eq!(target.host, "rooms.maru.home.arpa");
    assert_eq!(target.addresses, [IpAddr::from([127, 0, 0, 1])]);
    let here = Target::of(status("n1")).unwrap_err().to_string();
    assert!(here.contains("a device of yours"), "{here}");
}

/// A server that answers so. Returns its address.
async fn server(status: u16, body: &'static str) -> String {
    let answer = async move |headers: HeaderMap| {
        assert_eq!(headers["content-type"], "application/json");
        (axum::http::StatusCode::from_u16(status).unwrap(), body)
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = Router::new().route("/maru/v1/rooms/login", post(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://rooms.maru.home.arpa:{port}")
}

#[tokio::test]
async fn the_password_is_the_servers() {
    let target = Target::of(status("n2")).unwrap();
    let good =
        r#"{"user_id":"@kim:maru.home.arpa","password":"AAAA-BBBB-CCCC-DDDD","expires_in":600}"#;
    let password = target.password(&server(200, good).await).await.unwrap();
    assert_eq!((&*password.user_id, password.expires_in), ("@kim:maru.home.arpa", 600));
    assert_eq!(password.password, "AAAA-BBBB-CCCC-DDDD");
    for (code, body, what) in [
        (403, r#"{"errcode":"M_FORBIDDEN"}"#, "belongs to no person"),
        (404, "{}", "HTTP status 404"),
        (302, "{}", "HTTP status 302"),
        (200, "{}", "HTTP status 200"),
        (502, good, "cannot answer now (HTTP status 502)"),
        (503, "{}", "telmeet.log"),
    ] {
        let error = target.password(&server(code, body).await).await.unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    }
    let error = target.password("http://rooms.maru.home.arpa:1").await.unwrap_err();
    assert!(error.to_string().contains("cannot be reached"), "{error}");
}

#[tokio::test]
async fn the_status_says_whether_the_server_answers() {
    let here = [IpAddr::from([127, 0, 0, 1])];
    let ask = async |url: &str| answers(url, "rooms.maru.home.arpa", &here).await;
    // It has no such path, but it is there.
    assert!(ask(&server(200, "{}").await).await.unwrap());
    assert!(ask("http://rooms.maru.home.arpa:1").await.is_err());
    let state = RoomsState { server: "http://rooms.maru.home.arpa".to_owned(), answers: false };
    assert!(state.to_string().contains("does not answer"), "{state}");
}
