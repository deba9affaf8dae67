//! Who learns of a change of keys.

use axum::http::Method;
use serde_json::json;
use telmeet_core::token::Since;

use super::{CROSS_SIGNING, device, lists, member, now, refused, room};
use crate::testing::{TestServer, signer::identity};

const NOBODY: [&str; 0] = [];

#[tokio::test]
async fn a_change_reaches_those_who_share_a_room_and_the_own_devices() {
    let server = TestServer::start().await;
    let [kim, min, mo] = [("kim", 1), ("min", 2), ("mo", 3)].map(|(name, seed)| (name, seed));
    let kim = device(&server, kim.0, "PHONE", kim.1).await;
    let min = device(&server, min.0, "PHONE", min.1).await;
    let mo = device(&server, mo.0, "PHONE", mo.1).await;
    let room = room(&server, &kim).await;
    member(&server, &room, (&min, &min), "join").await;
    let since = now(&server);
    let mut waiting = server.homeserver.watch(&min.user);
    device(&server, "kim", "LAPTOP", 4).await;
    assert!(waiting.has_changed().unwrap(), "a waiting sync is woken");
    for (client, changed) in [(&kim, &["kim"][..]), (&min, &["kim"]), (&mo, &[])] {
        assert_eq!(lists(&server, client, since).await.0, changed);
    }
    assert_eq!(lists(&server, &min, now(&server)).await.0, NOBODY);
    waiting.mark_unchanged();
    kim.post(CROSS_SIGNING, identity(&kim, 10)).await;
    assert!(waiting.has_changed().unwrap());
    assert_eq!(lists(&server, &min, since).await.0, ["kim"]);
}

#[tokio::test]
async fn people_who_begin_to_share_a_room_learn_of_each_other() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    let min = server.member("min", "PHONE").await;
    let mo = server.member("mo", "PHONE").await;
    let first = room(&server, &kim).await;
    member(&server, &first, (&mo, &mo), "join").await;
    let since = now(&server);
    member(&server, &first, (&min, &min), "join").await;
    assert_eq!(lists(&server, &kim, since).await.0, ["min"]);
    assert_eq!(lists(&server, &mo, since).await.0, ["min"]);
    assert_eq!(lists(&server, &min, since).await.0, ["kim", "mo"]);
    // A second room changes nothing, nor does a new name.
    let since = now(&server);
    let second = room(&server, &min).await;
    member(&server, &second, (&kim, &kim), "join").await;
    member(&server, &first, (&min, &min), "join").await;
    for client in [&kim, &min, &mo] {
        assert_eq!(lists(&server, client, since).await, (vec![], vec![]), "{}", client.user);
    }
}

#[tokio::test]
async fn people_who_share_no_room_any_more_are_told_so() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    let min = server.member("min", "PHONE").await;
    let (first, second) = (room(&server, &kim).await, room(&server, &kim).await);
    for room in [&first, &second] {
        member(&server, room, (&min, &min), "join").await;
    }
    let since = now(&server);
    member(&server, &first, (&min, &min), "leave").await;
    assert_eq!(lists(&server, &kim, since).await, (vec![], vec![]), "one room is left");
    member(&server, &second, (&kim, &min), "ban").await;
    assert_eq!(lists(&server, &kim, since).await.1, ["min"]);
    assert_eq!(lists(&server, &min, since).await.1, ["kim"]);
    // What happens afterwards is nothing to them.
    let later = now(&server);
    device(&server, "kim", "LAPTOP", 1).await;
    assert_eq!(lists(&server, &min, later).await, (vec![], vec![]));
    // Who comes back may have missed changes.
    member(&server, &first, (&min, &min), "join").await;
    assert_eq!(lists(&server, &min, later).await, (vec!["kim".to_owned()], vec![]));
    assert_eq!(lists(&server, &kim, later).await.0, ["kim", "min"]);
}

#[tokio::test]
async fn an_invitation_tells_nothing_of_the_members() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    let min = server.member("min", "PHONE").await;
    let room = room(&server, &kim).await;
    let since = now(&server);
    for membership in ["invite", "leave"] {
        let by = if membership == "invite" { &kim } else { &min };
        member(&server, &room, (by, &min), membership).await;
        for client in [&kim, &min] {
            assert_eq!(lists(&server, client, since).await, (vec![], vec![]), "{membership}");
        }
    }
}

#[tokio::test]
async fn without_a_position_everybody_is_named() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    let min = server.member("min", "PHONE").await;
    server.member("mo", "PHONE").await;
    let room = room(&server, &kim).await;
    member(&server, &room, (&min, &min), "join").await;
    assert_eq!(lists(&server, &kim, Since::Start).await.0, ["kim", "min"]);
}

#[tokio::test]
async fn changes_are_read_between_two_positions() {
    let server = TestServer::start().await;
    let kim = device(&server, "kim", "PHONE", 1).await;
    let clock = server.homeserver.clock();
    let from = clock.sync_token(clock.latest);
    device(&server, "kim", "LAPTOP", 2).await;
    let clock = server.homeserver.clock();
    let to = clock.sync_token(clock.latest);
    let path = format!("/_matrix/client/v3/keys/changes?from={from}&to={to}");
    assert_eq!(kim.get(&path).await, json!({"changed": [kim.user], "left": []}));
    let path = format!("/_matrix/client/v3/keys/changes?from={to}&to={to}");
    assert_eq!(kim.get(&path).await, json!({"changed": [], "left": []}));
    let path = "/_matrix/client/v3/keys/changes";
    refused(&kim, (Method::GET, path, json!(null)), (400, "M_MISSING_PARAM")).await;
}
