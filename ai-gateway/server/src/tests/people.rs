//! What is kept of a person is deleted, over root's socket.

use std::time::SystemTime;

use ai_gateway_api::people::Forgotten;
use axum::http::Method;
use serde_json::json;
use testkit::http::Response;

use super::{TestGateway, ada, bob, client, gateway};
use crate::{Access, Socket, routes::metrics};

impl TestGateway {
    /// Has everything of a person deleted, as `maru user forget` does.
    async fn forget(&self, person: &str) -> Response {
        let path = self.root.path().join(&self.config.metrics_socket);
        let socket = Socket::bind(&path, Access::Group).unwrap();
        let app = self.app.clone();
        let serving =
            tokio::spawn(async move { metrics::serve(socket, &app, std::future::pending()).await });
        let target = format!("/maru/v1/people/{person}");
        let request = testkit::http::request(Method::DELETE, &target, "localhost", None);
        let answer = client::try_send(&path, None, request).await.expect("an answer");
        serving.abort();
        drop(serving.await);
        answer
    }

    fn is_counted(&self, person: &str) -> bool {
        let report = self.app.usage.report(SystemTime::now());
        report.days.values().any(|people| people.contains_key(person))
    }
}

#[tokio::test]
#[ignore = "needs: root"]
async fn all_of_a_person_is_deleted_and_nothing_of_another() {
    let mut gateway = gateway();
    let people = gateway.root.path().join("var/lib/maru/gateway/workspace/people");
    for (who, folder) in [(ada(), "user-11"), (bob(), "user-22")] {
        gateway.bind(&who).await;
        gateway.say(&who, "main", "a secret").await;
        gateway.say(&who, "other", "a secret").await;
        std::fs::create_dir_all(people.join(folder)).unwrap();
        std::fs::write(people.join(folder).join("notes.md"), "a secret").unwrap();
    }

    gateway.app.usage.keep(SystemTime::now());

    let answer = gateway.forget("user:11").await;

    assert_eq!(answer.status, 200);
    let forgotten: Forgotten = serde_json::from_value(answer.json().await).unwrap();
    let all = Forgotten { conversations: 2, device_keys: 1, files: true, usage_days: 1 };
    assert_eq!(forgotten, all);
    gateway.restart().await;
    assert!(!gateway.is_counted("user:11") && gateway.is_counted("user:22"));
    assert!(!people.join("user-11").exists() && people.join("user-22/notes.md").exists());
    let body = json!({"messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(gateway.post(&ada(), "/v1/chat/completions", &body).await.status, 200);
    gateway.bind(&ada()).await;
    assert_eq!(gateway.history(&ada(), "main").await, [""; 0]);
    assert_eq!(gateway.history(&bob(), "main").await, ["a secret", "Hello there"]);

    let again: Forgotten =
        serde_json::from_value(gateway.forget("user:33").await.json().await).unwrap();
    assert_eq!(again, Forgotten::default());
    assert_eq!(gateway.forget("somebody").await.status, 404);
}

#[tokio::test]
#[ignore = "needs: root"]
async fn a_link_in_the_workspace_is_deleted_and_not_followed() {
    let gateway = gateway();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("file"), "").unwrap();
    let people = gateway.root.path().join("var/lib/maru/gateway/workspace/people");
    std::fs::create_dir_all(people.join("user-11")).unwrap();
    std::os::unix::fs::symlink(outside.path(), people.join("user-11/link")).unwrap();

    assert_eq!(gateway.forget("user:11").await.status, 200);

    assert!(!people.join("user-11").exists() && outside.path().join("file").exists());
}

#[tokio::test]
#[ignore = "needs: root"]
async fn while_the_database_is_closed_nothing_is_deleted() {
    let mut gateway = gateway();
    gateway.bind(&ada()).await;
    gateway.say(&ada(), "main", "a secret").await;
    let key = gateway.root.path().join(&gateway.config.conversations.key_file);
    let bytes = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    gateway.restart().await;

    assert_eq!(gateway.forget("user:11").await.status, 503);

    assert!(!key.exists(), "the gateway makes no key");
    std::fs::write(&key, bytes).unwrap();
    gateway.restart().await;
    assert_eq!(gateway.history(&ada(), "main").await, ["a secret", "Hello there"]);
}
