//! Every endpoint, asked with the ids of another person's things: the answer is that for ids that nothing has, and nothing of
//! the other person's changes. An endpoint that is not in the tables below fails these tests.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    api,
    testing::{TestClient, TestServer},
};

/// Parameters of paths that are ids of somebody's things.
const IDS: [&str; 10] = [
    "device_id",
    "event_id",
    "filter_id",
    "media_id",
    "room_alias",
    "room_id",
    "room_id_or_alias",
    "topic",
    "user_id",
    "version",
];

/// Endpoints whose answer differs for what another person has, and why.
const KNOWN_TO_ALL: &[(&str, &str)] = &[
    ("/profile/{user_id}", "everybody of the network sees everybody's name"),
    ("/presence/{user_id}/status", "the network's people are known"),
    ("/directory/room/{room_alias}", "an alias is a public name; who has no right is refused"),
    ("/media/download/", "the id of a file is a secret of 131 bits, which its message holds"),
    ("/media/thumbnail/", "as for the file"),
    ("/{topic}", "a topic is a secret of the phone that chose it; nobody else can use it"),
];

/// Endpoints that answer with success, whether there is such a thing or not.
const TELLS_NOTHING: &[&str] =
    &["/users/{user_id}/report", "/devices/{device_id}", "/directory/list/room/{room_id}"];

/// Endpoints without ids in their path, which speak of the caller's own things, or take ids elsewhere (`ELSEWHERE`).
const WITHOUT_IDS: &[&str] = &[
    "/.well-known/matrix/client",
    "/_matrix/media/",
    "/_matrix/push/v1/notify",
    "/account/",
    "/auth_metadata",
    "/capabilities",
    "/createRoom",
    "/delete_devices",
    "/devices",
    "/joined_rooms",
    "/keys/",
    "/login",
    "/logout",
    "/maru/v1/rooms/",
    "/media/config",
    "/notifications",
    "/publicRooms",
    "/pushers",
    "/pushrules",
    "/register",
    "/room_keys/keys",
    "/room_keys/version",
    "/search",
    "/sendToDevice/{event_type}/{txn_id}",
    "/sign-in/",
    "/sync",
    "/user_directory/search",
    "/versions",
];

/// Endpoints that take ids in their query or body.
const ELSEWHERE: &[(Method, &str, &str)] = &[
    (Method::GET, "sync?filter={filter_id}", ""),
    (Method::POST, "delete_devices", r#"{"devices": ["{device_id}"]}"#),
    (
        Method::PUT,
        "sendToDevice/m.secret/{txn}",
        r#"{"messages": {"{user_id}": {"{device_id}": {"text": "x"}}}}"#,
    ),
    (
        Method::POST,
        "search",
        r#"{"search_categories": {"room_events": {"search_term": "secre",
            "filter": {"rooms": ["{room_id}"]}}}}"#,
    ),
    (
        Method::POST,
        "pushers/set",
        r#"{"pushkey": "https://rooms.maru.test/{topic}?up=1", "app_id": "x", "kind": null}"#,
    ),
    (Method::PUT, "room_keys/keys?version={version}", r#"{"rooms": {}}"#),
    (Method::GET, "room_keys/keys?version={version}", ""),
    (Method::DELETE, "room_keys/keys?version={version}", ""),
];

/// Values for the parameters of a request.
struct Ids(Vec<(&'static str, String)>);

impl Ids {
    fn fill(&self, text: &str) -> String {
        let fill = |text: String, (name, value): &(&str, String)| {
            text.replace(&format!("{{{name}}}"), value)
        };
        self.0.iter().fold(text.to_owned(), fill)
    }

    /// An answer without the ids that it repeats.
    fn hide(&self, (status, body): (StatusCode, Value)) -> (StatusCode, String) {
        let text = self.0.iter().fold(body.to_string(), |text, (name, value)| {
            if IDS.contains(name) && value.len() > 3 {
                text.replace(value.as_str(), name)
            } else {
                text
            }
        });
        (status, text)
    }
}

/// What Alice has.
async fn things(alice: &TestClient) -> Ids {
    let api = |path: &str| format!("/_matrix/client/v3/{path}");
    let alias = json!({"name": "secret", "room_alias_name": "secret"});
    let room = alice.post(&api("createRoom"), alias).await["room_id"].clone();
    let room = room.as_str().unwrap().to_owned();
    let message = json!({"msgtype": "m.text", "body": "secret"});
    let event = alice.put(&api(&format!("rooms/{room}/send/m.room.message/1")), message).await;
    let user = format!("user/{}", alice.user);
    let secret = json!({"text": "secret"});
    alice.put(&api(&format!("{user}/account_data/m.secret")), secret.clone()).await;
    alice.put(&api(&format!("{user}/rooms/{room}/account_data/m.secret")), secret).await;
    alice.put(&api(&format!("{user}/rooms/{room}/tags/u.x")), json!({})).await;
    let filter = alice.post(&api(&format!("{user}/filter")), json!({})).await;
    let upload = alice.post("/_matrix/media/v3/upload", json!({"text": "secret"})).await;
    let backup = json!({
        "algorithm": "m.megolm_backup.v1.curve25519-aes-sha2",
        "auth_data": {"public_key": "k", "signatures": {}},
    });
    let version = alice.post(&api("room_keys/version"), backup).await;
    alice.get("/upSecret/auth").await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let media = text(&upload["content_uri"]).rsplit('/').next().unwrap().to_owned();
    let event = text(&event["event_id"]);
    Ids::new([
        alice.user.as_str(),
        "PHONE",
        &event,
        &text(&filter["filter_id"]),
        &media,
        "%23secret:maru.test",
        &room,
        "upSecret",
        &text(&version["version"]),
    ])
}

/// Ids that nothing has.
fn nothing() -> Ids {
    Ids::new([
        "@nobody:maru.test",
        "NONE",
        "$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "987654",
        "AAAAAAAAAAAAAAAAAAAAAA",
        "%23none:maru.test",
        "!AAAAAAAAAAAAAAAAAAAAAA:maru.test",
        "upNone",
        "987654",
    ])
}

impl Ids {
    fn new([user, device, event, filter, media, alias, room, topic, version]: [&str; 9]) -> Self {
        let fields = [
            ("user_id", user),
            ("device_id", device),
            ("event_id", event),
            ("filter_id", filter),
            ("media_id", media),
            ("room_alias", alias),
            ("room_id", room),
            ("room_id_or_alias", room),
            ("topic", topic),
            ("version", version),
            ("field", "displayname"),
            ("filename", "x"),
            ("kind", "override"),
            ("receipt_type", "m.read"),
            ("rel_type", "m.thread"),
            ("rule_id", "x"),
            ("server_name", "maru.test"),
            ("session_id", "x"),
            ("state_key", ""),
            ("tag", "u.x"),
        ];
        Self(fields.map(|(name, value)| (name, value.to_owned())).into())
    }
}

/// The event type of a path: it is that of the thing which Alice has.
fn event_type(path: &str) -> &'static str {
    if path.contains("/user/") {
        "m.secret"
    } else if path.contains("/send/") {
        "m.room.message"
    } else {
        "m.room.name"
    }
}

/// Everything that an endpoint may read of its body.
fn body(method: &Method, path: &str, ids: &Ids) -> Value {
    if *method == Method::GET || *method == Method::DELETE {
        return Value::Null;
    }
    let session = json!({
        "first_message_index": 0, "forwarded_count": 0, "is_verified": false,
        "session_data": {"ciphertext": "x", "ephemeral": "e", "mac": "m"},
    });
    if path.contains("/presence/") {
        return json!({"presence": "online"});
    } else if path.contains("/room_keys/version/") {
        return json!({"algorithm": "m.megolm_backup.v1.curve25519-aes-sha2", "auth_data": {"public_key": "x"}});
    } else if path.ends_with("/{session_id}") {
        return session;
    } else if path.contains("/room_keys/keys/") {
        return json!({"sessions": {"x": session}});
    }
    let user = ids.fill("{user_id}");
    json!({
        "user_id": user, "reason": "x", "name": "mine", "body": "x", "msgtype": "m.text", "typing": true,
        "timeout": 1_000, "new_version": "11", "visibility": "public", "displayname": "x",
        "m.fully_read": ids.fill("{event_id}"), "display_name": "mine",
    })
}

/// Removes what changes with the time, and with positions, which messages between devices have, too.
fn remove_times(value: &mut Value) {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|name, _| {
            !["age", "end", "last_seen_ts", "prev_batch", "start"].contains(&&**name)
        });
        fields.values_mut().for_each(remove_times);
    } else if let Some(values) = value.as_array_mut() {
        values.iter_mut().for_each(remove_times);
    }
}

/// What Alice's apps see, and what is stored of her.
async fn seen(server: &TestServer, alice: &TestClient, ids: &Ids) -> Vec<String> {
    let mut seen = Vec::new();
    for path in [
        "sync",
        "devices",
        "pushers",
        "room_keys/version",
        "rooms/{room_id}/state",
        "rooms/{room_id}/messages?dir=b",
        "user/{user_id}/account_data/m.secret",
        "user/{user_id}/rooms/{room_id}/account_data/m.secret",
        "user/{user_id}/rooms/{room_id}/tags",
        "user/{user_id}/filter/{filter_id}",
        "directory/room/{room_alias}",
        "directory/list/room/{room_id}",
        "profile/{user_id}",
    ] {
        let mut body = alice.get(&format!("/_matrix/client/v3/{}", ids.fill(path))).await;
        if path == "sync" {
            // A message between devices came, as it may.
            body = json!([body["rooms"], body["account_data"], body["device_lists"]]);
        }
        remove_times(&mut body);
        seen.push(format!("{path}: {body}"));
    }
    let rows = "SELECT (SELECT COUNT(*) FROM events) || ' ' || (SELECT COUNT(*) FROM memberships) || ' ' \
         || (SELECT COUNT(*) FROM account_data) || ' ' || (SELECT COUNT(*) FROM receipts) || ' ' \
         || (SELECT COUNT(*) FROM media) || ' ' || (SELECT COUNT(*) FROM rooms)";
    let pool = server.homeserver.pool();
    seen.push(sqlx::query_scalar::<_, String>(rows).fetch_one(pool).await.unwrap());
    seen
}

fn is_known_to_all(path: &str) -> bool {
    KNOWN_TO_ALL.iter().any(|(known, _)| match *known {
        "/{topic}" => path.starts_with(known),
        known => path.contains(known),
    })
}

#[tokio::test]
async fn the_ids_of_others_answer_as_ids_that_nothing_has() {
    let server = TestServer::start().await;
    let (alice, bob) =
        (server.member("alice", "PHONE").await, server.member("bob", "LAPTOP").await);
    let (theirs, none) = (things(&alice).await, nothing());
    let before = seen(&server, &alice, &theirs).await;
    let refused = [StatusCode::FORBIDDEN, StatusCode::NOT_FOUND];
    let mut wrong = Vec::new();
    for (number, route) in api::routes().iter().enumerate() {
        let is_named = |id: &&str| route.path.contains(&format!("{{{id}}}"));
        if !IDS.iter().any(is_named) || is_known_to_all(route.path) {
            continue;
        }
        let path = route.path.replace("{event_type}", event_type(route.path));
        let mut path = path.replace("{txn_id}", &format!("t{number}"));
        if path.contains("/room_keys/keys") {
            path.push_str("?version={version}");
        } else if path.ends_with("/messages") {
            path.push_str("?dir=b");
        } else if path.ends_with("/timestamp_to_event") {
            path.push_str("?dir=f&ts=1");
        }
        let mut answers = Vec::new();
        for ids in [&theirs, &none] {
            let body = body(&route.method, route.path, ids);
            let answer = bob.call(route.method.clone(), &ids.fill(&path), body).await;
            answers.push(ids.hide(answer));
        }
        let may_succeed = TELLS_NOTHING.iter().any(|it| route.path.ends_with(it));
        let is_refused = refused.contains(&answers[0].0) || may_succeed;
        if answers[0] != answers[1] || !is_refused {
            wrong.push(format!("{} {path}: {:?}, and {:?}", route.method, answers[0], answers[1]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(seen(&server, &alice, &theirs).await, before);
}

#[tokio::test]
async fn ids_of_others_in_a_query_or_body_answer_as_ids_that_nothing_has() {
    let server = TestServer::start().await;
    let (alice, bob) =
        (server.member("alice", "PHONE").await, server.member("bob", "LAPTOP").await);
    let (theirs, none) = (things(&alice).await, nothing());
    let before = seen(&server, &alice, &theirs).await;
    for (method, path, body) in ELSEWHERE {
        let mut answers = Vec::new();
        for (ids, txn) in [(&theirs, "a"), (&none, "b")] {
            let path = ids.fill(&format!("/_matrix/client/v3/{path}")).replace("{txn}", txn);
            let body = serde_json::from_str(&ids.fill(body)).unwrap_or_default();
            answers.push(ids.hide(bob.call(method.clone(), &path, body).await));
        }
        assert_eq!(answers[0], answers[1], "{method} {path}");
        assert!(!answers[0].1.contains("secret"), "{method} {path}: {answers:?}");
    }
    assert_eq!(seen(&server, &alice, &theirs).await, before);
}

#[tokio::test]
async fn what_is_known_to_all_is_not_changed_by_others() {
    let server = TestServer::start().await;
    let (alice, bob) =
        (server.member("alice", "PHONE").await, server.member("bob", "LAPTOP").await);
    let theirs = things(&alice).await;
    let before = seen(&server, &alice, &theirs).await;
    let own = json!({"room_id": "!AAAAAAAAAAAAAAAAAAAAAA:maru.test"});
    for (method, path, body) in [
        (
            Method::PUT,
            "/_matrix/client/v3/profile/{user_id}/displayname",
            json!({"displayname": "x"}),
        ),
        (Method::DELETE, "/_matrix/client/v3/profile/{user_id}/displayname", Value::Null),
        (
            Method::PUT,
            "/_matrix/client/v3/presence/{user_id}/status",
            json!({"presence": "online"}),
        ),
        (Method::PUT, "/_matrix/client/v3/directory/room/{room_alias}", own),
        (Method::DELETE, "/_matrix/client/v3/directory/room/{room_alias}", Value::Null),
        (Method::PUT, "/_matrix/media/v3/upload/maru.test/{media_id}", json!({"text": "x"})),
        (Method::GET, "/{topic}/auth", Value::Null),
        (Method::GET, "/{topic}/json?poll=1", Value::Null),
        (Method::GET, "/{topic}/ws", Value::Null),
        (Method::PUT, "/{topic}", json!({"text": "x"})),
        (Method::POST, "/{topic}", json!({"text": "x"})),
    ] {
        let (status, body) = bob.call(method.clone(), &theirs.fill(path), body).await;
        assert!(status.is_client_error(), "{method} {path}: {status} {body}");
    }
    assert_eq!(seen(&server, &alice, &theirs).await, before);
    let kept = alice.call(Method::GET, "/upSecret/json?poll=1", Value::Null).await;
    assert_eq!(kept, (StatusCode::OK, Value::Null), "nobody published");
}

/// So that a new endpoint is in one of the tables.
#[test]
fn every_endpoint_is_in_a_table() {
    let unknown: Vec<_> = api::routes()
        .iter()
        .map(|route| route.path)
        .filter(|path| !IDS.iter().any(|id| path.contains(&format!("{{{id}}}"))))
        .filter(|path| !WITHOUT_IDS.iter().any(|known| path.contains(known)))
        .collect();
    assert_eq!(unknown, [""; 0]);
}
