use axum::http::{Method, StatusCode};
use futures_util::FutureExt as _;
use mesh_identity::{User, members::MemberNode};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::eventually;

use super::*;
use crate::testing::{TestClient, TestServer};

/// A server, and the list that it follows.
struct Network {
    server: TestServer,
    folder: TempDir,
}

/// Somebody with an app on each of these nodes.
fn nodes_of(client: &TestClient) -> MemberNode {
    let owner = client.header.identity.user.as_ref().map(|user| user.id);
    MemberNode { node: client.header.identity.node.clone(), owner }
}

fn person(client: &TestClient) -> User {
    client.header.identity.user.clone().unwrap()
}

impl Network {
    async fn new() -> Self {
        Self { server: TestServer::start().await, folder: TempDir::new().unwrap() }
    }

    fn list(&self) -> Arc<MemberList> {
        Arc::new(MemberList::open(self.path()).unwrap())
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join(Members::FILE)
    }

    fn write(&self, people: &[User], nodes: &[MemberNode]) {
        let members = Members { people: people.to_vec(), nodes: nodes.to_vec() };
        FORMAT.write(&self.path(), &members).unwrap();
    }

    async fn apply(&self, people: &[User], nodes: &[MemberNode]) {
        self.write(people, nodes);
        apply(&self.server.homeserver, &self.list()).await.unwrap();
    }

    async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(self.server.homeserver.pool()).await.unwrap()
    }
}

async fn is_signed_in(client: &TestClient) -> bool {
    let (status, body) =
        client.call(Method::GET, "/_matrix/client/v3/account/whoami", Value::Null).await;
    assert!(status.is_success() || body["errcode"] == "M_UNKNOWN_TOKEN", "{status} {body}");
    status.is_success()
}

async fn membership(of: &TestClient, in_room_of: &TestClient, room: &str) -> Value {
    let path = format!("/_matrix/client/v3/rooms/{room}/state/m.room.member/{}", of.user);
    in_room_of.get(&path).await["membership"].clone()
}

#[tokio::test]
async fn a_node_that_is_gone_is_signed_out_and_the_persons_others_are_not() {
    let network = Network::new().await;
    let (phone, laptop) =
        (network.server.member("kim", "PHONE").await, network.server.member("kim", "LAPTOP").await);
    for sql in [
        "INSERT INTO pushers VALUES ('@kim:maru.test', 'a', 'b', 'PHONE', '{}')",
        "INSERT INTO device_keys VALUES ('@kim:maru.test', 'PHONE', '{}')",
        "INSERT INTO one_time_keys VALUES ('@kim:maru.test', 'PHONE', 'a', 'k', '{}', 1, 0)",
    ] {
        sqlx::query(sql).execute(network.server.homeserver.pool()).await.unwrap();
    }
    let message = json!({"messages": {"@kim:maru.test": {"PHONE": {}}}});
    laptop.put("/_matrix/client/v3/sendToDevice/m.x/1", message).await;
    let since = phone.get("/_matrix/client/v3/sync").await["next_batch"].clone();
    let path = format!("/_matrix/client/v3/sync?timeout=600000&since={}", since.as_str().unwrap());
    let waiting = tokio::spawn({
        let phone = phone.clone();
        async move { phone.call(Method::GET, &path, Value::Null).await }
    });
    tokio::task::yield_now().await;
    assert!(is_signed_in(&phone).await);

    network.apply(&[person(&phone)], &[nodes_of(&laptop)]).await;
    assert!(!is_signed_in(&phone).await && is_signed_in(&laptop).await);
    // The sync that waits ends, with what it had or with the error.
    waiting.await.unwrap();
    for query in [
        "SELECT COUNT(*) FROM pushers",
        "SELECT COUNT(*) FROM device_keys",
        "SELECT COUNT(*) FROM one_time_keys",
        "SELECT COUNT(*) FROM to_device",
    ] {
        assert_eq!(network.count(query).await, 0, "{query}");
    }
}

#[tokio::test]
async fn a_node_that_was_given_to_somebody_else_or_tagged_is_signed_out() {
    let network = Network::new().await;
    let (kim, min) =
        (network.server.member("kim", "PHONE").await, network.server.member("min", "PHONE").await);
    let people = [person(&kim), person(&min)];
    let given = MemberNode { owner: Some(people[1].id), ..nodes_of(&kim) };
    let tagged = MemberNode { owner: None, ..nodes_of(&min) };
    network.apply(&people, &[given, tagged]).await;
    assert!(!is_signed_in(&kim).await && !is_signed_in(&min).await);
}

#[tokio::test]
async fn a_person_who_is_gone_leaves_every_room_and_nobody_gets_the_id() {
    let network = Network::new().await;
    let (kim, min) =
        (network.server.member("kim", "PHONE").await, network.server.member("min", "PHONE").await);
    let invite = json!({"invite": [kim.user], "preset": "private_chat"});
    let mut rooms = Vec::new();
    for _ in 0..2 {
        let room = min.post("/_matrix/client/v3/createRoom", invite.clone()).await;
        rooms.push(room["room_id"].as_str().unwrap().replace('!', "%21").replace(':', "%3A"));
    }
    kim.post(&format!("/_matrix/client/v3/join/{}", rooms[0]), json!({})).await;
    let data = format!("/_matrix/client/v3/user/{}/account_data/m.x", kim.user);
    kim.put(&data, json!({"a": 1})).await;

    network.apply(&[person(&min)], &[nodes_of(&min)]).await;
    for room in &rooms {
        assert_eq!(membership(&kim, &min, room).await, "leave");
    }
    assert!(!is_signed_in(&kim).await);
    let data = "SELECT COUNT(*) FROM account_data WHERE user_id = '@kim:maru.test'";
    assert_eq!(network.count(data).await, 0);
    let gone = format!("/_matrix/client/v3/profile/{}", kim.user);
    assert_eq!(min.call(Method::GET, &gone, Value::Null).await.0, StatusCode::NOT_FOUND);

    // Another person with the same login.
    let again = User { id: person(&kim).id + 1, ..person(&kim) };
    network.apply(&[person(&min), again], &[nodes_of(&min)]).await;
    let search = json!({"search_term": "kim"});
    let found = min.post("/_matrix/client/v3/user_directory/search", search).await;
    assert_eq!(found["results"].as_array().unwrap().len(), 1, "{found}");
    assert_eq!(found["results"][0]["user_id"], "@kim-2:maru.test");
}

#[tokio::test]
async fn somebody_who_has_not_signed_in_is_found_and_invited_and_visits_home_at_the_first_sign_in()
{
    let network = Network::new().await;
    let min = network.server.member("min", "PHONE").await;
    let kim = User { id: 77, login: "kim".to_owned() };
    network.apply(&[person(&min), kim.clone()], &[nodes_of(&min)]).await;
    let search = json!({"search_term": "ki"});
    let found = min.post("/_matrix/client/v3/user_directory/search", search).await;
    let id = found["results"][0]["user_id"].as_str().unwrap().to_owned();
    let room = json!({"invite": [id], "preset": "private_chat"});
    min.post("/_matrix/client/v3/createRoom", room).await;

    let memberships = "SELECT COUNT(*) FROM memberships WHERE user_id = '@kim:maru.test'";
    assert_eq!(network.count(memberships).await, 1, "the invitation");
    // A rename reaches those who are not there.
    let renamed = User { login: "kimberley".to_owned(), ..kim };
    network.apply(&[person(&min), renamed.clone()], &[nodes_of(&min)]).await;
    let profile = min.get(&format!("/_matrix/client/v3/profile/{id}")).await;
    assert_eq!(profile["displayname"], "kimberley");
    for _ in 0..2 {
        let homeserver = &network.server.homeserver;
        assert_eq!(people::entered(homeserver, renamed.clone()).await.unwrap(), id);
        assert_eq!(network.count(memberships).await, 2, "and Home");
    }
}

#[tokio::test]
async fn a_list_that_is_missing_damaged_or_without_nodes_takes_nobody_away() {
    let network = Network::new().await;
    let kim = network.server.member("kim", "PHONE").await;
    let list = network.list();
    let homeserver = &network.server.homeserver;
    assert_eq!(apply(homeserver, &list).await.unwrap(), None);
    network.write(&[], &[]);
    assert_eq!(apply(homeserver, &list).await.unwrap(), None, "a coordinator that begins");
    network.write(&[person(&kim)], &[nodes_of(&kim)]);
    assert!(apply(homeserver, &list).await.unwrap().is_some());
    std::fs::write(network.path(), "{").unwrap();
    assert!(apply(homeserver, &list).await.unwrap().is_some(), "the one before");
    std::fs::remove_file(network.path()).unwrap();
    assert_eq!(apply(homeserver, &list).await.unwrap(), None);
    assert!(is_signed_in(&kim).await);
}

#[tokio::test]
async fn each_new_list_is_applied() {
    let network = Network::new().await;
    let (kim, min) =
        (network.server.member("kim", "PHONE").await, network.server.member("min", "PHONE").await);
    let list = MemberList::open(network.path()).unwrap();
    let homeserver = Arc::clone(&network.server.homeserver);
    let following = tokio::spawn(async move { follow(&homeserver, list).await });
    let people = [person(&kim), person(&min)];
    for (nodes, left) in [
        (vec![nodes_of(&kim), nodes_of(&min)], 2),
        (vec![nodes_of(&min)], 1),
        (vec![MemberNode { owner: None, ..nodes_of(&min) }], 0),
    ] {
        network.write(&people, &nodes);
        eventually("the list is applied", || {
            network.count("SELECT COUNT(*) FROM devices").map(|count| (count == left).then_some(()))
        })
        .await;
    }
    following.abort();
}
