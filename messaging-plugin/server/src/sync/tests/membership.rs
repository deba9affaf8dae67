use axum::http::Method;
use serde_json::{Value, json};

use super::{keys, texts};
use crate::testing::{TestClient, TestServer};

const SYNC: &str = "/_matrix/client/v3/sync";

async fn next(client: &TestClient, last: &Value) -> Value {
    client.get(&format!("{SYNC}?since={}", last["next_batch"].as_str().unwrap())).await
}

#[tokio::test]
async fn an_event_says_what_the_reader_was_in_the_room() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let room = server.room(&kim, |_| {}).await;
    let rules = json!({"history_visibility": "shared"});
    server.state(&kim, &room, ("m.room.history_visibility", ""), rules).await;
    server.say(&kim, &room, "before").await;
    server.membership(&kim, &room, &min, "invite").await;
    server.say(&kim, &room, "between").await;
    server.membership(&min, &room, &min, "join").await;
    server.say(&kim, &room, "after").await;
    let memberships = |events: &Value| -> Vec<(Value, Value)> {
        let of = |event: &Value| (event["type"].clone(), event["unsigned"]["membership"].clone());
        events.as_array().unwrap().iter().map(of).collect()
    };
    let expected = [
        ("m.room.message", "leave"),
        ("m.room.member", "invite"),
        ("m.room.message", "invite"),
        ("m.room.member", "join"),
        ("m.room.message", "join"),
    ];
    let expected = expected.map(|(kind, membership)| (json!(kind), json!(membership)));
    let synced = min.get(SYNC).await;
    let events = &synced["rooms"]["join"][room.as_str()]["timeline"]["events"];
    assert!(memberships(events).ends_with(&expected), "{events}");
    let path =
        format!("/_matrix/client/v3/rooms/{}/messages?dir=b&limit=5", TestClient::room(&room));
    let mut page = memberships(&min.get(&path).await["chunk"]);
    page.reverse();
    assert_eq!(page, expected);
}

#[tokio::test]
async fn the_whole_state_is_sent_again_to_who_asks_for_it() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    let room = server.room(&kim, |request| request.name = Some("Garden".to_owned())).await;
    let first = kim.get(SYNC).await;
    let since = first["next_batch"].as_str().unwrap();
    assert_eq!(next(&kim, &first).await["rooms"], json!({}));
    let path = format!("{SYNC}?timeout=60000&full_state=true&since={since}");
    let whole = kim.get(&path).await;
    let shown = &whole["rooms"]["join"][room.as_str()];
    for (kind, key) in [("m.room.name", ""), ("m.room.member", kim.user.as_str())] {
        assert_eq!(keys(&shown["state"]["events"], kind), [key]);
    }
    assert_eq!(texts(&shown["timeline"]["events"]), Vec::<&str>::new());
    server.say(&kim, &room, "new").await;
    let shown = &kim.get(&path).await["rooms"]["join"][room.as_str()].clone();
    assert_eq!(texts(&shown["timeline"]["events"]), ["new"], "the timeline is that since then");
    assert_eq!(keys(&shown["state"]["events"], "m.room.name"), [""]);
}

#[tokio::test]
async fn the_end_of_an_invitation_or_a_knock_is_shown_though_the_room_is_not() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let seo = server.member("seo", "PHONE").await;
    let room = server.room(&kim, |_| {}).await;
    let rules = json!({"history_visibility": "joined"});
    server.state(&kim, &room, ("m.room.history_visibility", ""), rules).await;
    server.state(&kim, &room, ("m.room.join_rules", ""), json!({"join_rule": "knock"})).await;
    server.membership(&kim, &room, &min, "invite").await;
    server.membership(&seo, &room, &seo, "knock").await;
    for client in [min, seo] {
        let first = client.get(SYNC).await;
        server.membership(&client, &room, &client, "leave").await;
        let second = next(&client, &first).await;
        let left = &second["rooms"]["leave"][room.as_str()];
        assert_eq!(keys(&left["timeline"]["events"], "m.room.member"), [client.user.as_str()]);
        assert_eq!(left["timeline"]["events"].as_array().unwrap().len(), 1);
        assert!(left["state"].is_null(), "{left}");
    }
}

#[tokio::test]
async fn a_persons_other_app_sees_that_a_forgotten_room_was_left() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let room = server.room_of(&kim, &[&min]).await;
    let first = min.get(SYNC).await;
    server.say(&kim, &room, "last").await;
    server.membership(&min, &room, &min, "leave").await;
    let path = format!("/_matrix/client/v3/rooms/{}/forget", TestClient::room(&room));
    min.ok(Method::POST, &path, json!({})).await;
    let second = next(&min, &first).await;
    let left = &second["rooms"]["leave"][room.as_str()];
    assert_eq!(keys(&left["timeline"]["events"], "m.room.member"), [min.user.as_str()]);
    assert_eq!(texts(&left["timeline"]["events"]), Vec::<&str>::new(), "it is forgotten");
    assert_eq!(next(&min, &second).await["rooms"], json!({}));
    let all = "filter=%7B%22room%22:%7B%22include_leave%22:true%7D%7D";
    assert_eq!(min.get(&format!("{SYNC}?{all}")).await["rooms"], json!({}));
}
