//! Every endpoint of the homeserver, asked without an access token, with another node's, with one that is void, with two, and
//! with one in the query.

use axum::{
    body::Body,
    http::{Method, Request, StatusCode},
};
use serde_json::Value;
use tower::ServiceExt as _;

use crate::{api, testing::TestServer};

/// What needs no token: discovery, the ways to sign in, and what is refused whoever asks. Each judges something else: a code, a
/// password, the person's position in the mesh.
const WITHOUT_TOKEN: &[&str] = &[
    "/.well-known/matrix/client",
    "/_matrix/client/*/account/3pid",
    "/_matrix/client/*/account/password",
    "/_matrix/client/*/auth_metadata",
    "/_matrix/client/*/login",
    "/_matrix/client/*/register",
    "/_matrix/client/unstable/org.matrix.msc2965/auth_metadata",
    "/_matrix/client/versions",
    "/_matrix/push/v1/notify",
    "/maru/v1/rooms/export",
    "/maru/v1/rooms/login",
    "/sign-in",
    "/{topic}",
];

/// Whether a path is on the list, or below one that is.
fn needs_no_token(path: &str) -> bool {
    let path = ["r0", "v1", "v3"].iter().fold(path.to_owned(), |path, version| {
        path.replacen(&format!("/client/{version}/"), "/client/*/", 1)
    });
    let is_below = |known: &&&str| {
        path.strip_prefix(**known).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    WITHOUT_TOKEN.iter().find(is_below).is_some()
}

async fn asked(server: &TestServer, request: Request<Body>) -> (StatusCode, Value) {
    let response = server.router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = chassis::body::whole(response.into_body(), 1 << 20, testkit::PATIENCE).await;
    (status, serde_json::from_slice(&body.unwrap()).unwrap_or_default())
}

/// Where apps send no token, but a website needs one. With the path of a request that is answered to an app.
const WITHOUT_WEBSITE: &[(&str, &str)] = &[
    ("directory/list/room/room_id", "directory/list/room/!a:maru.test"),
    ("directory/room/room_alias", "directory/room/%23home:maru.test"),
    ("profile/user_id", "profile/@alice:maru.test"),
    ("profile/user_id/field", "profile/@alice:maru.test/displayname"),
    ("publicRooms", "publicRooms"),
];

#[tokio::test]
async fn every_endpoint_wants_a_token_that_is_its_nodes_own() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.member("alice", "PHONE").await, server.member("bob", "PHONE").await);
    let mut stolen = alice.clone();
    stolen.header = bob.header.clone();
    let removed = server.member("alice", "OLD").await;
    removed.post("/_matrix/client/v3/logout", serde_json::json!({})).await;
    let mut wrong = Vec::new();
    for route in api::routes() {
        let path = route.path.replace(['{', '}', '*'], "");
        if needs_no_token(route.path) {
            continue;
        }
        let is_for_apps = route.method == Method::GET
            && WITHOUT_WEBSITE.iter().any(|(end, _)| path.ends_with(end));
        let ask = async |query: &str, tokens: &[&str]| {
            let mut request = Request::builder()
                .method(route.method.clone())
                .uri(format!("{path}{query}"))
                .header("host", "rooms.maru.test")
                .header("content-type", "application/json")
                .extension(alice.header.clone());
            for token in tokens {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            if is_for_apps {
                request = request.header("origin", "https://evil.example");
            }
            asked(&server, request.body(Body::from("{}")).unwrap()).await
        };
        let in_query = format!("?access_token={}", alice.token);
        let void = removed.call(route.method.clone(), &path, serde_json::json!({})).await;
        let of_another_node = stolen.call(route.method.clone(), &path, serde_json::json!({})).await;
        for ((status, body), code) in [
            (ask("", &[]).await, "M_MISSING_TOKEN"),
            (ask(&in_query, &[]).await, "M_MISSING_TOKEN"),
            (ask("", &[&alice.token, &bob.token]).await, "M_MISSING_TOKEN"),
            (ask("", &[&bob.token, &alice.token]).await, "M_MISSING_TOKEN"),
            (ask("", &[&bob.token]).await, "M_UNKNOWN_TOKEN"),
            (void, "M_UNKNOWN_TOKEN"),
            (of_another_node, "M_UNKNOWN_TOKEN"),
        ] {
            if (status, &body["errcode"]) != (StatusCode::UNAUTHORIZED, &Value::from(code)) {
                wrong.push(format!("{} {path}: {status} {body}, not {code}", route.method));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[tokio::test]
async fn apps_read_rooms_and_profiles_without_a_token_and_websites_do_not() {
    let server = TestServer::start().await;
    let alice = server.member("alice", "PHONE").await;
    for (_, path) in WITHOUT_WEBSITE {
        let request = || {
            let request = Request::builder().uri(format!("/_matrix/client/v3/{path}"));
            request.header("host", "rooms.maru.test").extension(alice.header.clone())
        };
        let app = asked(&server, request().body(Body::empty()).unwrap()).await;
        assert!([StatusCode::OK, StatusCode::NOT_FOUND].contains(&app.0), "{path}: {app:?}");
        let website = request().header("origin", "https://evil.example");
        let website = asked(&server, website.body(Body::empty()).unwrap()).await;
        assert_eq!(website.0, StatusCode::UNAUTHORIZED, "{path}");
    }
}
