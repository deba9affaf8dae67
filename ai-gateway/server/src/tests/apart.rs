//! What another member's device attempts at a person's conversations.
//!
//! | Way | Where it is tried |
//! |---|---|
//! | sealed chat, `/v1`, `/api`, telmeet's socket, paths of the workspace | below |
//! | keys of apps and of devices | [`app_keys`] |
//! | asking the model | [`asked`] |
//! | backup and restore, a node with another owner | [`moved`], below |
//! | WebSocket | [`websocket`], `tests::operator` and `tests::operator::bounds` |
//! | memory | `tests::memory` |
//! | recovery codes | `tests::recovery` |
//! | filling the disk, and other sizes | `tests::conversations`, `tests::operations` |

mod app_keys;
mod asked;
mod moved;
mod websocket;

use ai_gateway_api::sealed::{
    Branch, Event, Export, ExportFormat, History, Operation, Rename, Search, path,
};
use axum::http::{Method, header::HeaderName};
use hpke_envelope::Suite;
use serde_json::json;
use testkit::http::request;

use super::{
    Member, TestGateway, ada, bob,
    client::{Stream, chat, history, try_send},
    gateway, tagged,
};

/// Two members; Ada has a session with two turns, and a file.
async fn household() -> TestGateway {
    let gateway = gateway();
    gateway.bind(&ada()).await;
    gateway.bind(&bob()).await;
    let private = gateway.root.path().join("var/lib/maru/gateway/workspace/people/user-11");
    std::fs::create_dir_all(&private).unwrap();
    std::fs::write(private.join("MEMORY.md"), "collects stamps").unwrap();
    gateway.say(&ada(), "journal", "ada's secret").await;
    gateway.say(&ada(), "journal", "ada's plan").await;
    gateway
}

async fn is_untouched(gateway: &TestGateway) {
    let history = gateway.history(&ada(), "journal").await;
    assert_eq!(history, ["ada's secret", "Hello there", "ada's plan", "Hello there"]);
}

/// Every operation that names a session.
fn operations(session: &str) -> Vec<Operation> {
    let name = || session.parse().unwrap();
    vec![
        history(session),
        Operation::History(History { session: name(), before: Some(2), limit: Some(1) }),
        Operation::Rename(Rename { session: name(), to: "mine".parse().unwrap() }),
        Operation::Branch(Branch { session: name(), before: 2, to: "mine".parse().unwrap() }),
        Operation::Delete(name()),
        Operation::Export(Export { session: Some(name()), format: ExportFormat::Json }),
        Operation::Export(Export { session: Some(name()), format: ExportFormat::Markdown }),
    ]
}

/// The events of a reply, and how many bytes of it whoever carries it sees.
async fn measured(
    gateway: &TestGateway,
    who: &Member,
    operation: &Operation,
) -> (Vec<Event>, usize) {
    let (request, _) = gateway.seal(who, operation, Suite::X25519).await;
    let carried = gateway.send(who, &request).await.text().await.len();
    (gateway.sealed(who, operation).await, carried)
}

#[tokio::test]
async fn the_name_of_anothers_session_is_answered_as_one_that_nobody_has() {
    let gateway = household().await;
    for (taken, free) in operations("journal").iter().zip(&operations("nowhere")) {
        let answers =
            [measured(&gateway, &bob(), taken).await, measured(&gateway, &bob(), free).await];
        assert_eq!(answers[0], answers[1], "{taken:?}");
    }
    is_untouched(&gateway).await;
}

#[tokio::test]
async fn what_has_no_name_has_nothing_of_another_in_it() {
    let gateway = household().await;
    for operation in [
        Operation::List,
        Operation::Search(Search { text: "ada".to_owned() }),
        Operation::Search(Search { text: "journal".to_owned() }),
    ] {
        assert_eq!(gateway.sealed(&bob(), &operation).await, [], "{operation:?}");
    }
    for format in [ExportFormat::Json, ExportFormat::Markdown] {
        let export = Operation::Export(Export { session: None, format });
        let exported = format!("{:?}", gateway.sealed(&bob(), &export).await);
        assert!(!exported.contains("ada's") && !exported.contains("journal"), "{exported}");
    }
    is_untouched(&gateway).await;
}

#[tokio::test]
async fn whoever_chats_in_a_session_of_the_same_name_has_their_own() {
    let gateway = household().await;
    gateway.say(&bob(), "journal", "bob's").await;
    let sent = gateway.one.requests().pop().unwrap()["messages"].to_string();
    assert!(!sent.contains("ada's") && !sent.contains("stamps"), "{sent}");
    for command in ["/new", "/reset", "/status", "/export", "/help"] {
        let said = gateway.say(&bob(), "journal", command).await;
        assert!(!said.contains("ada's") && !said.contains("stamps"), "{command}: {said}");
    }
    let delete = Operation::Delete("journal".parse().unwrap());
    gateway.sealed(&bob(), &delete).await;
    is_untouched(&gateway).await;
}

#[tokio::test]
async fn no_other_api_reads_or_writes_a_session() {
    let gateway = household().await;
    let user = |user: &str| json!({"model": "maru", "user": user, "messages": [{"role": "user", "content": "hi"}]});
    let ollama =
        json!({"model": "maru", "stream": false, "messages": [{"role": "user", "content": "hi"}]});
    for (path, body) in [
        ("/v1/chat/completions", user("journal")),
        ("/v1/chat/completions", user("user:11")),
        ("/api/chat", ollama),
    ] {
        for name in ["x-openclaw-session-key", "x-openclaw-agent-id", "x-session-id"] {
            for value in ["journal", "user:11", "agent:main:user:11:journal"] {
                let host = "chat.maru.home.arpa:18789";
                let mut asked = request(Method::POST, path, host, Some(&body));
                asked.headers_mut().insert(HeaderName::from_static(name), value.parse().unwrap());
                let answer = try_send(&gateway.agent_socket(), Some(&bob().header), asked).await;
                assert_eq!(answer.unwrap().status, 200, "{path} {name}");
                let sent = gateway.one.requests().pop().unwrap()["messages"].to_string();
                assert!(!sent.contains("ada's") && !sent.contains("stamps"), "{sent}");
            }
        }
    }
    assert_eq!(gateway.sealed(&bob(), &Operation::List).await, [], "nothing is kept");
    is_untouched(&gateway).await;
}

#[tokio::test]
async fn telmeet_and_a_member_together_reach_no_session_of_another() {
    let gateway = household().await;
    let crossed = Member { header: ada().header, key: bob().key };
    let claimed = Member { header: bob().header, key: ada().key };
    let all = operations("journal").into_iter();
    for operation in all.chain([Operation::List, chat(Some("journal"), "injected")]) {
        for liar in [&crossed, &claimed] {
            let (request, _) = gateway.seal(liar, &operation, Suite::X25519).await;
            gateway.send(liar, &request).await.problem(403, "device").await;
            let body = serde_json::to_value(&request).unwrap();
            gateway.post(liar, path::CHAT, &body).await.problem(403, "device").await;
        }
    }
    is_untouched(&gateway).await;
}

#[tokio::test]
async fn a_reply_opens_for_the_device_that_asked_alone() {
    let gateway = household().await;
    let (asked, _) = gateway.seal(&ada(), &history("journal"), Suite::X25519).await;
    let (_, bobs) = gateway.seal(&bob(), &history("journal"), Suite::X25519).await;
    let carried = gateway.send(&ada(), &asked).await;
    let opened = std::panic::AssertUnwindSafe(async {
        let mut stream = Stream::new(carried, bobs);
        while stream.next().await.is_some() {}
    });
    assert!(futures_util::FutureExt::catch_unwind(opened).await.is_err(), "it is broken for Bob");
}

#[tokio::test]
async fn a_node_with_another_owner_has_lost_the_former_owners_conversations() {
    let gateway = household().await;
    let mut after = ada();
    after.header.identity.user = bob().header.identity.user;
    gateway.bind(&after).await;
    assert_eq!(gateway.sealed(&after, &Operation::List).await, []);
    for (taken, free) in operations("journal").iter().zip(&operations("nowhere")) {
        let answers = [gateway.sealed(&after, taken).await, gateway.sealed(&after, free).await];
        assert_eq!(answers[0], answers[1], "{taken:?}");
    }
    // Ada has them at another device.
    let mut other = ada();
    other.header.identity.node = "n44".to_owned();
    other.key = ed25519_dalek::SigningKey::from_bytes(&[44; 32]);
    gateway.bind(&other).await;
    let history = gateway.history(&other, "journal").await;
    assert_eq!(history, ["ada's secret", "Hello there", "ada's plan", "Hello there"]);
}

#[tokio::test]
async fn the_id_of_a_node_is_no_path_to_anothers_files_and_no_other_person() {
    let gateway = household().await;
    let ids = ["../user-11", "x/../../people/user-11", "user:11", "user-11", "11"];
    for (id, key) in ids.into_iter().zip(50..) {
        let mut node = tagged(id);
        node.key = ed25519_dalek::SigningKey::from_bytes(&[key; 32]);
        gateway.bind(&node).await;
        gateway.say(&node, "journal", "hi").await;
        let sent = gateway.one.requests().pop().unwrap()["messages"].to_string();
        assert!(!sent.contains("ada's") && !sent.contains("stamps"), "{id}: {sent}");
        assert_eq!(gateway.history(&node, "journal").await, ["hi", "Hello there"], "{id}");
        gateway.sealed(&node, &Operation::Delete("journal".parse().unwrap())).await;
    }
    is_untouched(&gateway).await;
}
