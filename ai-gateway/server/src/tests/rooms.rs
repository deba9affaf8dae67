//! Rooms: the participant's own socket.

use std::fs;

use ai_gateway_api::rooms::path;
use axum::http::Method;
use serde_json::{Value, json};
use telmeet_api::plugin::HOST;
use testkit::http::{Response, request};

use super::{TestGateway, client::try_send, gateway, gateway_with, own_uid};

impl TestGateway {
    /// As the participant does.
    async fn participate(&self, method: Method, path: &str, body: Option<&Value>) -> Response {
        let request = request(method, path, HOST, body);
        try_send(&self.participant_socket(), None, request).await.expect("an answer")
    }

    async fn room_settings(&self) -> Value {
        self.participate(Method::GET, path::SETTINGS, None).await.json().await
    }
}

#[tokio::test]
async fn only_the_participant_is_answered_and_only_under_the_sockets_name() {
    let gateway = gateway_with(|config| config.participant_uid = own_uid() + 1);
    let ask = |host| request(Method::GET, path::SETTINGS, host, None);
    assert!(try_send(&gateway.participant_socket(), None, ask(HOST)).await.is_none());

    let gateway = super::gateway();
    for host in ["localhost", "chat.maru.internal", "gateway.plugin:80", ""] {
        let answer = try_send(&gateway.participant_socket(), None, ask(host)).await.unwrap();
        answer.problem(421, "host").await;
    }
    assert_eq!(gateway.participate(Method::GET, path::SETTINGS, None).await.status, 200);
    for other in ["/maru/v1/keys", "/v1/models", "/metrics"] {
        gateway.participate(Method::GET, other, None).await.problem(404, "not-found").await;
    }
}

#[tokio::test]
async fn the_settings_follow_the_file() {
    let gateway = gateway();
    let usual = json!({
        "version": 1, "directPolicy": "open", "groupPolicy": "open", "groups": {}, "assistantName": "Maru",
    });
    assert_eq!(gateway.room_settings().await, usual);

    let file = gateway.root.path().join(&gateway.config.openclaw);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let text = r#"{models: {providers: {llamacpp: {baseUrl: "unix:///run/maru/inference/llm.sock", models: [{id: "smollm2"}]}}},
        channels: {matrix: {dmPolicy: "disabled", groups: {"*": {requireMention: false}}}}}"#;
    fs::write(file, text).unwrap();
    gateway.app.follow_settings();

    let changed = gateway.room_settings().await;
    assert_eq!(changed["directPolicy"], "disabled");
    assert_eq!(changed["groups"], json!({"*": {"requireMention": false}}));
}
