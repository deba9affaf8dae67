//! Databases of each version of telmeet's tables that was ever on `main`, in `tests/versions`.
//!
//! Fails if a migration is changed, if one has no dump of its version, or if anything below is lost on the way. Version 1 has
//! the rows of version 2 in the columns of then. Media, which are files, are not in it.

use std::path::Path;

use ruma::RoomId;
use serde_json::{Value, json};
use store::Database;

use crate::testing::{TestClient, TestServer, signer::device_keys};

const MESSAGES: [&str; 3] = ["the heron", "has landed", "on the roof"];

async fn start(file: &Path) -> TestServer {
    TestServer::start_on(Database::Sqlite(file.to_owned())).await
}

fn path_of(room: &RoomId) -> String {
    format!("/_matrix/client/v3/rooms/{}", TestClient::room(room))
}

fn account_data(alice: &TestClient) -> String {
    format!("/_matrix/client/v3/user/{}/account_data/test.heron", alice.user)
}

fn keys(bob: &TestClient) -> Value {
    device_keys(3, bob)
}

/// A room of two people with messages, a name, data of an account, keys of a device and a message to it.
async fn fill(file: &Path) {
    let server = start(file).await;
    let (alice, bob) =
        (server.member("alice", "PHONE").await, server.member("bob", "LAPTOP").await);
    let room = server.room_of(&alice, &[&bob]).await;
    server.state(&alice, &room, ("m.room.name", ""), json!({ "name": "roof" })).await;
    for text in MESSAGES {
        server.say(&bob, &room, text).await;
    }
    alice.put(&account_data(&alice), json!({ "secret": "heron" })).await;
    bob.post("/_matrix/client/v3/keys/upload", json!({ "device_keys": keys(&bob) })).await;
    let sent =
        json!({ "messages": { bob.user.as_str(): { bob.device.as_str(): { "to": "bob" } } } });
    alice.put("/_matrix/client/v3/sendToDevice/test.direct/1", sent).await;
    server.homeserver.close().await;
}

/// Everything is there, for the apps that were signed in, and the room goes on.
async fn assert_whole(file: &Path) {
    let server = start(file).await;
    let (alice, bob) = (server.app("alice", "PHONE"), server.app("bob", "LAPTOP"));
    let rooms = alice.get("/_matrix/client/v3/joined_rooms").await;
    let room = RoomId::parse(rooms["joined_rooms"][0].as_str().unwrap()).unwrap();
    let read = async |client: &TestClient| -> Vec<String> {
        let page = client.get(&format!("{}/messages?dir=b&limit=100", path_of(&room))).await;
        let events = page["chunk"].as_array().unwrap().iter().rev();
        let bodies = events.filter_map(|event| event["content"]["body"].as_str());
        bodies.map(str::to_owned).collect()
    };
    assert_eq!(read(&alice).await, MESSAGES);
    let name = bob.get(&format!("{}/state/m.room.name", path_of(&room))).await;
    assert_eq!(name["name"], "roof");
    assert_eq!(alice.get(&account_data(&alice)).await, json!({ "secret": "heron" }));
    let asked = json!({ "device_keys": { bob.user.as_str(): [] } });
    let known = alice.post("/_matrix/client/v3/keys/query", asked).await;
    assert_eq!(known["device_keys"][bob.user.as_str()]["LAPTOP"]["keys"], keys(&bob)["keys"]);
    let sync = bob.get("/_matrix/client/v3/sync").await;
    assert_eq!(sync["to_device"]["events"][0]["content"], json!({ "to": "bob" }));

    server.say(&alice, &room, "and is gone").await;

    assert_eq!(read(&bob).await.last().map(String::as_str), Some("and is gone"));
    server.homeserver.close().await;
}

#[tokio::test]
async fn each_version_is_migrated_whole() {
    let dumps = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/versions");
    let open = async |file: &Path| start(file).await.homeserver.close().await;
    for database in store_testkit::migrated(&dumps, fill, open).await {
        assert_whole(database.path()).await;
    }
}
