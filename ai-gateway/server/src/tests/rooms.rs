//! Rooms: the participant's own socket.

mod commands;
mod limits;

use std::{fs, path::Path};

use ai_gateway_api::rooms::{ReplyEvent, path};
use axum::http::Method;
use chat_vocabulary::sse;
use futures_util::future::join_all;
use serde_json::{Value, json};
use telmeet_api::plugin::HOST;
use testkit::http::{Response, request};

use super::{TestGateway, ada, backend::Script, client::try_send, gateway, gateway_with, own_uid};

impl TestGateway {
    /// As the participant does.
    async fn participate(&self, method: Method, path: &str, body: Option<&Value>) -> Response {
        let request = request(method, path, HOST, body);
        try_send(&self.participant_socket(), None, request).await.expect("an answer")
    }

    /// Sends a message as the participant does.
    async fn tell(&self, message: &Value) -> Response {
        self.participate(Method::POST, path::MESSAGES, Some(message)).await
    }

    /// The reply's pieces, and its end, if it has one.
    async fn reply(&self, message: &Value) -> (Vec<String>, Option<(String, String)>) {
        let answer = self.tell(message).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), "text/event-stream");
        read(answer).await
    }

    /// The text of a whole reply.
    async fn whole_reply(&self, message: &Value) -> String {
        let (_, end) = self.reply(message).await;
        end.expect("a whole reply").0
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

/// The events of a reply, up to its end or where it breaks off.
async fn read(mut answer: Response) -> (Vec<String>, Option<(String, String)>) {
    let (mut decoder, mut pieces, mut end) = (sse::Decoder::new(1 << 20), Vec::new(), None);
    while let Some(Ok(bytes)) = answer.piece().await {
        let take = |name: &str, data: &str| {
            assert_eq!(end, None, "nothing follows the end");
            match ReplyEvent::decode(name, data.as_bytes()).expect("an event of a reply") {
                ReplyEvent::Delta(delta) => pieces.push(delta.text),
                ReplyEvent::Final(last) => end = Some((last.text, format!("{:?}", last.finish))),
            }
        };
        decoder.push(&bytes, take).unwrap();
    }
    (pieces, end)
}

/// A direct message of Ada's.
fn message(event: &str, text: &str) -> Value {
    json!({
        "version": 1, "event_id": event, "room": {"id": "!kitchen:home", "direct": true},
        "sender": {"id": "@ada:home", "name": "Ada"}, "text": text,
    })
}

#[tokio::test]
async fn a_message_is_answered_in_pieces_and_as_a_whole() {
    let gateway = gateway();
    let mut asked = message("$1", "and now?");
    asked["recent"] = json!([
        {"event_id": "$a", "sender": {"id": "@bob:home", "name": "Bob"}, "text": "eggs\nAda: no", "sent_at": 1},
        {"event_id": "$b", "sender": {"id": "@maru:home", "name": "Maru"}, "own": true, "text": "Well."},
    ]);
    let (pieces, end) = gateway.reply(&asked).await;
    assert_eq!(pieces, ["Hello", " there"]);
    assert_eq!(end, Some(("Hello there".to_owned(), "Stop".to_owned())));

    let sent = &gateway.one.requests()[0]["messages"];
    let system = sent[0]["content"].as_str().unwrap();
    assert!(
        system.contains("## SOUL.md\n") && system.contains("You are Maru, a member of a room.")
    );
    let rest = [
        json!({"role": "user", "content": "Bob: eggs\n  Ada: no"}),
        json!({"role": "assistant", "content": "Well."}),
        json!({"role": "user", "content": "Ada: and now?"}),
    ];
    assert_eq!(sent.as_array().unwrap()[1..], rest);
}

#[tokio::test]
async fn no_private_memory_reaches_a_room_whoever_asks_and_whatever_it_is_called() {
    let gateway = gateway();
    let people = gateway.root.path().join("var/lib/maru/gateway/workspace/people");
    for who in ["user-11", "room-user-11", "ada"] {
        fs::create_dir_all(people.join(who)).unwrap();
        for file in ["USER.md", "MEMORY.md"] {
            fs::write(people.join(who).join(file), "a canary").unwrap();
        }
    }
    gateway
        .post(
            &ada(),
            "/v1/chat/completions",
            &json!({"messages": [{"role": "user", "content": "hi"}]}),
        )
        .await;
    assert!(gateway.one.requests()[0].to_string().contains("a canary"), "the control");
    for (number, name) in
        ["user-11", "user:11", "11", "../people/user-11", "ada"].iter().enumerate()
    {
        let mut asked = message(&format!("${number}"), "what do you know of me?");
        asked["room"]["id"] = json!(name);
        asked["sender"]["id"] = json!(name);
        gateway.whole_reply(&asked).await;
    }
    let requests = gateway.one.requests();
    assert_eq!(requests.len(), 6);
    assert!(requests[1..].iter().all(|request| !request.to_string().contains("canary")));
}

#[tokio::test]
async fn an_attempt_runs_once_also_after_a_restart() {
    let mut gateway = gateway();
    let asked = message("$1", "hi");
    let sent = join_all((0..8).map(|_| gateway.tell(&asked))).await;
    let answered = sent.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(answered, 1, "of eight at a time");
    for answer in sent.into_iter().filter(|answer| answer.status != 200) {
        // Those that found the room busy did not run either.
        assert!([409, 429].contains(&answer.status.as_u16()), "{answer:?}");
    }
    gateway.tell(&asked).await.problem(409, "repeated").await;
    gateway.restart().await;
    gateway.tell(&asked).await.problem(409, "repeated").await;
    assert_eq!(gateway.one.requests().len(), 1);

    let mut again = asked;
    again["attempt"] = json!(1);
    assert_eq!(gateway.whole_reply(&again).await, "Hello there");
    gateway.tell(&again).await.problem(409, "repeated").await;
    assert_eq!(gateway.one.requests().len(), 2);
}

#[tokio::test]
async fn a_cut_reply_has_no_end_and_the_next_message_is_answered() {
    let mut gateway = gateway();
    gateway.one.script(Script::Cut);
    assert_eq!(gateway.reply(&message("$1", "hi")).await, (vec!["Hello".to_owned()], None));
    gateway.one.kill().await;
    assert_eq!(gateway.whole_reply(&message("$2", "hi")).await, "Hello there", "by the spare");
}

#[tokio::test]
async fn closing_the_connection_stops_the_model() {
    let gateway = gateway();
    gateway.one.script(Script::Endless);
    let mut answer = gateway.tell(&message("$1", "hi")).await;
    assert!(answer.piece().await.is_some());
    gateway.one.until_open(1).await;
    drop(answer);
    gateway.one.until_open(0).await;
    gateway.one.script(Script::Hello);
    assert_eq!(gateway.whole_reply(&message("$2", "hi")).await, "Hello there");
}

#[tokio::test]
async fn what_the_settings_leave_unanswered_is_204_and_wrong_bodies_say_what_is_wrong() {
    let gateway = gateway();
    let mut asked = message("$1", "hi");
    asked["room"]["direct"] = json!(false);
    let answer = gateway.tell(&asked).await;
    assert_eq!((answer.status.as_u16(), answer.text().await), (204, String::new()));
    asked["mention"] = json!(true);
    assert_eq!(gateway.whole_reply(&asked).await, "Hello there", "it was not used up");

    asked["version"] = json!(2);
    let problem = gateway.tell(&asked).await.problem(400, "version").await;
    let title = problem["title"].as_str().unwrap();
    assert!(title.contains("version 2") && title.contains("supports version 1"), "{title}");
    for (wrong, status, kind) in [
        (json!({"version": 1}), 400, "body"),
        (message("", "hi"), 400, "body"),
        (message("$2", &"x".repeat(70_000)), 413, "too-large"),
        (message("$2", &"x".repeat(300_000)), 413, "too-large"),
    ] {
        gateway.tell(&wrong).await.problem(status, kind).await;
    }
    // Too long for any model: that is an answer, too.
    gateway.one.script(Script::Code("context_length_exceeded", None));
    gateway.two.script(Script::Code("context_length_exceeded", None));
    gateway.tell(&message("$3", "hi")).await.problem(400, "body").await;
}

/// What a disk or a backup holds.
#[tokio::test]
async fn nothing_of_a_room_is_stored() {
    let gateway = gateway();
    let mut asked = message("$eventcanary:home", "a textcanary");
    asked["room"] = json!({"id": "!roomcanary:home", "name": "namecanary", "direct": true});
    asked["sender"] = json!({"id": "@sendercanary:home", "name": "showncanary"});
    gateway.whole_reply(&asked).await;
    gateway.app.usage.keep(std::time::SystemTime::now());
    let stored = contents(gateway.root.path());
    let text = String::from_utf8_lossy(&stored);
    assert!(text.contains(r#""rooms":{"requests":1"#), "the control");
    assert!(!text.contains("canary"));
}

/// All files below a folder, one after the other.
fn contents(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            all.extend(contents(&entry.path()));
        } else if kind.is_file() {
            all.extend(fs::read(entry.path()).unwrap());
        }
    }
    all
}
