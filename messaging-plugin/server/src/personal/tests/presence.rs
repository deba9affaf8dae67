use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{code, refused};
use crate::testing::{TestClient, TestServer};

/// Syncs without saying that the person is there.
async fn sync(client: &TestClient, last: Option<&Value>) -> Value {
    let since = last.map(|last| format!("&since={}", last["next_batch"].as_str().unwrap()));
    let path = format!("/_matrix/client/v3/sync?set_presence=offline{}", since.unwrap_or_default());
    client.get(&path).await
}

/// Who is shown, with the state and the person's own words.
fn shown(sync: &Value) -> Vec<(&str, &str, &str)> {
    let events = sync["presence"]["events"].as_array().into_iter().flatten();
    let shown = events.map(|event| {
        let (sender, content) = (event["sender"].as_str().unwrap(), &event["content"]);
        (
            sender,
            content["presence"].as_str().unwrap(),
            content["status_msg"].as_str().unwrap_or_default(),
        )
    });
    shown.collect()
}

fn status(of: &TestClient) -> String {
    format!("/_matrix/client/v3/presence/{}/status", of.user)
}

#[tokio::test]
async fn who_shares_a_room_sees_who_is_there() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let seo = server.member("seo", "PHONE").await;
    let room = server.room_of(&kim, &[&min]).await;
    let first = sync(&min, None).await;
    assert_eq!(shown(&first), []);
    // Any sync says that the person is there, unless it says otherwise.
    kim.get("/_matrix/client/v3/sync").await;
    let second = sync(&min, Some(&first)).await;
    assert_eq!(shown(&second), [(kim.user.as_str(), "online", "")]);
    let third = sync(&min, Some(&second)).await;
    assert_eq!(shown(&third), [], "it is shown once");
    kim.get("/_matrix/client/v3/sync?set_presence=unavailable").await;
    kim.put(&status(&kim), json!({"presence": "unavailable", "status_msg": "asleep"})).await;
    let fourth = sync(&min, Some(&third)).await;
    assert_eq!(shown(&fourth), [(kim.user.as_str(), "unavailable", "asleep")]);
    server.say(&kim, &room, "good night").await;
    assert_eq!(shown(&sync(&min, None).await), shown(&fourth));
    assert_eq!(
        shown(&sync(&min, Some(&first)).await),
        shown(&fourth),
        "from where the app was before"
    );
    assert_eq!(shown(&sync(&seo, None).await), [], "a stranger sees nothing");
    let asked = min.get(&status(&kim)).await;
    assert_eq!(
        (&asked["presence"], &asked["currently_active"]),
        (&json!("unavailable"), &json!(false))
    );
    assert_eq!(min.get(&status(&min)).await["presence"], "offline", "its syncs say so");
    kim.post("/_matrix/client/unstable/org.matrix.simplified_msc3575/sync", json!({})).await;
    assert_eq!(min.get(&status(&kim)).await["presence"], "online", "the other sync says so, too");
}

#[tokio::test]
async fn who_enters_a_room_is_shown_and_sees_who_is_there() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let room = server.room(&kim, |_| {}).await;
    server.membership(&kim, &room, &min, "invite").await;
    for client in [&kim, &min] {
        client.put(&status(client), json!({"presence": "online"})).await;
    }
    let (kims, mins) = (sync(&kim, None).await, sync(&min, None).await);
    assert_eq!((shown(&kims), shown(&mins)), (vec![], vec![]));
    min.post(&format!("/_matrix/client/v3/join/{}", TestClient::room(&room)), json!({})).await;
    // A sync from the same position says that the response to the last one was lost, so each is asked once.
    let (kims, mins) = (sync(&kim, Some(&kims)).await, sync(&min, Some(&mins)).await);
    assert_eq!(shown(&kims), [(min.user.as_str(), "online", "")]);
    assert_eq!(shown(&mins), [(kim.user.as_str(), "online", "")]);
    let ignored = format!("/_matrix/client/v3/user/{}/account_data/m.ignored_user_list", kim.user);
    kim.put(&ignored, json!({"ignored_users": {(min.user.as_str()): {}}})).await;
    assert_eq!(shown(&sync(&kim, None).await), []);
    let filter = "filter=%7B%22presence%22:%7B%22not_types%22:[%22m.presence%22]%7D%7D";
    let filtered = min.get(&format!("/_matrix/client/v3/sync?{filter}")).await;
    assert_eq!(shown(&filtered), []);
}

#[tokio::test]
async fn a_waiting_sync_shows_who_comes() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    server.room_of(&kim, &[&min]).await;
    let first = sync(&min, None).await;
    let since = first["next_batch"].as_str().unwrap();
    let path = format!("/_matrix/client/v3/sync?set_presence=offline&timeout=60000&since={since}");
    let waiting = async { min.get(&path).await };
    let coming = async { kim.get("/_matrix/client/v3/sync").await };
    let (second, _) =
        tokio::time::timeout(testkit::PATIENCE, async { tokio::join!(waiting, coming) })
            .await
            .unwrap();
    assert_eq!(shown(&second), [(kim.user.as_str(), "online", "")]);
}

#[tokio::test]
async fn presence_of_strangers_is_refused_as_that_of_nobody() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    kim.put(&status(&kim), json!({"presence": "online"})).await;
    let forbidden = code(StatusCode::FORBIDDEN, "M_FORBIDDEN");
    assert_eq!(refused(&min, Method::GET, &status(&kim), Value::Null).await, forbidden);
    let nobody = "/_matrix/client/v3/presence/@nobody:maru.test/status";
    assert_eq!(refused(&min, Method::GET, nobody, Value::Null).await, forbidden);
    let says = json!({"presence": "offline"});
    assert_eq!(refused(&min, Method::PUT, &status(&kim), says).await, forbidden);
    let long = json!({"presence": "online", "status_msg": "a".repeat(513)});
    let too_large = code(StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE");
    assert_eq!(refused(&kim, Method::PUT, &status(&kim), long).await, too_large);
}
