//! Discovery, one-time passwords, access tokens.

use axum::http::Method;
use serde_json::json;

use super::{code, with_password};
use crate::testing::TestServer;

#[tokio::test]
async fn apps_find_the_server_and_what_it_can_do() {
    let server = TestServer::start().await;
    let node = server.node(1, "kim", "n1");
    let found = node.get("/.well-known/matrix/client").await.json();
    assert_eq!(found["m.homeserver"]["base_url"], "http://rooms.maru.test");
    let versions = node.get("/_matrix/client/versions").await.json();
    assert!(versions["versions"].as_array().unwrap().contains(&json!("v1.11")));
    assert_eq!(versions["unstable_features"]["org.matrix.simplified_msc3575"], true);
    let flows = node.get("/_matrix/client/v3/login").await.json();
    let flows: Vec<_> = flows["flows"].as_array().unwrap().iter().map(|it| &it["type"]).collect();
    assert_eq!(flows, ["m.login.sso", "m.login.token", "m.login.password"]);
    let token = node.app("PHONE").await;
    let path = "/_matrix/client/v3/capabilities";
    let capabilities = node.call(Method::GET, path, "", Some(&token)).await.json();
    let capabilities = &capabilities["capabilities"];
    assert_eq!(capabilities["m.change_password"]["enabled"], false);
    assert_eq!(capabilities["m.room_versions"]["default"], "11");
    // Apps that find OAuth offer nothing else.
    let metadata = node.get("/_matrix/client/v1/auth_metadata").await;
    assert_eq!(code(&metadata), (404, "M_UNRECOGNIZED".to_owned()));
}

#[tokio::test]
async fn a_password_works_once_from_the_persons_nodes() {
    let server = TestServer::start().await;
    let (kim, min) = (server.node(1, "kim@example.org", "n1"), server.node(2, "min", "n2"));
    let (user, password) = kim.password().await;
    assert_eq!(user, "@kim:maru.test");
    for wrong in [
        with_password(&user, "0000-0000-0000-0000", "PHONE"),
        with_password("min", &password, "PHONE"),
        with_password("@kim:other.test", &password, "PHONE"),
        json!({"type": "m.login.token", "token": password}),
    ] {
        assert_eq!(code(&kim.log_in(&wrong).await), (403, "M_FORBIDDEN".to_owned()), "{wrong}");
    }
    let other = min.log_in(&with_password(&user, &password, "PHONE")).await;
    assert_eq!(code(&other), (403, "M_FORBIDDEN".to_owned()));

    let second_node = server.node(1, "kim@example.org", "n3");
    let mut login = with_password("kim", &password.to_lowercase(), "PHONE");
    login["initial_device_display_name"] = json!("Element X");
    login["refresh_token"] = json!(true);
    let body = second_node.log_in(&login).await.json();
    assert_eq!((&body["user_id"], &body["device_id"]), (&json!(user), &json!("PHONE")));
    assert!(body.get("refresh_token").is_none() && body.get("expires_in_ms").is_none(), "{body}");
    let token = body["access_token"].as_str().unwrap();
    assert_eq!(token.len(), 43, "256 bits");
    let me = second_node.who_am_i(token).await.json();
    assert_eq!(me, json!({"user_id": user, "device_id": "PHONE"}));
    assert_eq!(code(&kim.log_in(&login).await), (403, "M_FORBIDDEN".to_owned()), "used");
}

#[tokio::test]
async fn a_login_that_is_malformed_is_refused() {
    let server = TestServer::start().await;
    let node = server.node(1, "kim", "n1");
    let (user, password) = node.password().await;
    for (body, error) in [
        (json!({}), "M_BAD_JSON"),
        (json!([]), "M_BAD_JSON"),
        (json!({"type": 1}), "M_BAD_JSON"),
        (json!({"type": "m.login.password"}), "M_BAD_JSON"),
        (json!({"type": "m.login.password", "password": password}), "M_BAD_JSON"),
        (json!({"type": "m.login.token"}), "M_BAD_JSON"),
        (json!({"type": "m.login.dummy"}), "M_UNKNOWN"),
    ] {
        assert_eq!(code(&node.log_in(&body).await), (400, error.to_owned()), "{body}");
    }
    for device in ["", "a b", "\u{e9}", &"a".repeat(65)] {
        let (_, password) = node.password().await;
        let answer = node.log_in(&with_password(&user, &password, device)).await;
        assert_eq!(code(&answer), (400, "M_INVALID_PARAM".to_owned()), "{device}");
    }
}

#[tokio::test]
async fn a_token_is_bound_to_node_and_person() {
    let server = TestServer::start().await;
    let node = server.node(1, "kim", "n1");
    let token = node.app("PHONE").await;
    assert_eq!(node.who_am_i(&token).await.status, 200);
    for (other, what) in [
        (server.node(1, "kim", "n2"), "another node of the person"),
        (server.node(2, "min", "n1"), "the node has another owner now"),
    ] {
        let refused = other.who_am_i(&token).await;
        assert_eq!(code(&refused), (401, "M_UNKNOWN_TOKEN".to_owned()), "{what}");
        assert_ne!(refused.json()["soft_logout"], true, "{what}");
    }
    assert_eq!(code(&node.who_am_i("other").await), (401, "M_UNKNOWN_TOKEN".to_owned()));
    let none = node.get("/_matrix/client/v3/account/whoami").await;
    assert_eq!(code(&none), (401, "M_MISSING_TOKEN".to_owned()));

    // A token is known after a restart, and stored as a hash.
    let hashes = sqlx::query_scalar::<_, Vec<u8>>("SELECT token_hash FROM devices");
    let hashes = hashes.fetch_all(server.homeserver.pool()).await.unwrap();
    assert_eq!(hashes, [crate::session::token_hash(&token).to_vec()]);
    let header = node.header;
    let server = server.restart().await;
    let node = super::Node { server: &server, header };
    assert_eq!(node.who_am_i(&token).await.status, 200);
}

#[tokio::test]
async fn a_node_without_a_person_is_refused() {
    let server = TestServer::start().await;
    let mut node = server.node(1, "kim", "n1");
    let token = node.app("PHONE").await;
    node.header.identity.user = None;
    node.header.identity.tags = vec!["tag:printer".to_owned()];
    for path in
        ["/_matrix/client/versions", "/_matrix/client/v3/login", "/sign-in/account", "/nothing"]
    {
        assert_eq!(code(&node.get(path).await), (403, "M_FORBIDDEN".to_owned()), "{path}");
    }
    for path in ["/_matrix/client/v3/login", "/maru/v1/rooms/login"] {
        assert_eq!(code(&node.post(path, "{}").await), (403, "M_FORBIDDEN".to_owned()), "{path}");
    }
    assert_eq!(code(&node.who_am_i(&token).await), (403, "M_FORBIDDEN".to_owned()));
}

#[tokio::test]
async fn an_id_is_never_given_to_anybody_else() {
    let server = TestServer::start().await;
    let id = async |person, login| server.node(person, login, "n").password().await.0;
    assert_eq!(id(1, "kim").await, "@kim:maru.test");
    assert_eq!(id(2, "Kim@other").await, "@kim-2:maru.test");
    assert_eq!(id(1, "kimberley").await, "@kim:maru.test", "a rename changes no id");
    assert_eq!(id(3, "kimberley").await, "@kimberley:maru.test");
    assert_eq!(id(4, "maru").await, "@person-maru:maru.test");
    let remove = "UPDATE people SET removed_at = 1 WHERE mesh_user = 1";
    sqlx::query(remove).execute(server.homeserver.pool()).await.unwrap();
    assert_eq!(id(5, "kim").await, "@kim-3:maru.test", "the id of a person who was removed");
    assert_eq!(id(1, "kim").await, "@kim:maru.test", "who comes back has the old id");
}

#[tokio::test]
async fn a_name_follows_the_login_until_the_person_chooses_one() {
    let server = TestServer::start().await;
    let mut node = server.node(1, "kim\u{202e}", "n");
    let token = node.app("PHONE").await;
    let room = node.call(Method::POST, "/_matrix/client/v3/createRoom", "{}", Some(&token)).await;
    let room = room.json()["room_id"].as_str().unwrap().to_owned();
    let members = format!("/_matrix/client/v3/rooms/{room}/joined_members");
    // The name is changed by a job that begins with the request.
    let mut name = async |login: &str| {
        node.header.identity.user.as_mut().unwrap().login = login.to_owned();
        node.who_am_i(&token).await;
        tokio::task::yield_now().await;
        server.homeserver.write(|_| Box::pin(async { Ok(()) })).await.unwrap();
        let members = node.call(Method::GET, &members, "", Some(&token)).await.json();
        members["joined"]["@kim:maru.test"]["display_name"].as_str().unwrap().to_owned()
    };
    assert_eq!(name("kim\u{202e}").await, "kim");
    assert_eq!(name("kimberley").await, "kimberley");
    let choose = "UPDATE people SET display_name = 'Kim K'";
    sqlx::query(choose).execute(server.homeserver.pool()).await.unwrap();
    assert_eq!(name("kimba").await, "kimberley", "the chosen name stays; no room was told of it");
    let chosen = sqlx::query_scalar::<_, Option<String>>("SELECT display_name FROM people");
    let chosen = chosen.fetch_one(server.homeserver.pool()).await.unwrap();
    assert_eq!(chosen.as_deref(), Some("Kim K"));
}

#[tokio::test]
async fn accounts_are_the_meshs() {
    let server = TestServer::start().await;
    let node = server.node(1, "kim", "n1");
    let token = node.app("PHONE").await;
    for path in ["register", "account/password", "account/3pid/add"] {
        let path = format!("/_matrix/client/v3/{path}");
        for token in [None, Some(&*token)] {
            let answer = node.call(Method::POST, &path, "{}", token).await;
            assert_eq!(code(&answer), (403, "M_FORBIDDEN".to_owned()), "{path}");
        }
    }
    let refresh = node.post("/_matrix/client/v3/refresh", "{}").await;
    assert_eq!(code(&refresh), (404, "M_UNRECOGNIZED".to_owned()));
    let ids = node.call(Method::GET, "/_matrix/client/v3/account/3pid", "", Some(&token)).await;
    assert_eq!(ids.json(), json!({"threepids": []}));
}
