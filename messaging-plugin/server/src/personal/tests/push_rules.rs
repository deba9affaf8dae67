use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{code, contents, refused, sync};
use crate::testing::TestServer;

const RULES: &str = "/_matrix/client/v3/pushrules";

#[tokio::test]
async fn the_defaults_are_there_and_changes_are_shown_in_syncs() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    let all = kim.get(&format!("{RULES}/")).await;
    assert_eq!(all["global"]["override"][0]["rule_id"], ".m.rule.master");
    assert_eq!(kim.get(RULES).await, all);
    assert_eq!(kim.get(&format!("{RULES}/global/")).await, all["global"]);
    let first = sync(&kim, None).await;
    assert_eq!(contents(&first["account_data"]["events"], "m.push_rules"), [&all]);

    let path = format!("{RULES}/global/room/!room:maru.test");
    kim.put(&path, json!({"actions": []})).await;
    kim.put(
        &format!("{RULES}/global/override/.m.rule.suppress_notices/enabled"),
        json!({"enabled": false}),
    )
    .await;
    kim.put(&format!("{RULES}/global/underride/.m.rule.message/actions"), json!({"actions": []}))
        .await;
    let second = sync(&kim, Some(&first)).await;
    let shown = contents(&second["account_data"]["events"], "m.push_rules");
    assert_eq!(shown.len(), 1);
    assert_eq!(shown[0], &kim.get(&format!("{RULES}/")).await);
    assert_eq!(shown[0]["global"]["room"][0]["rule_id"], "!room:maru.test");
    let stored = format!("/_matrix/client/v3/user/{}/account_data/m.push_rules", kim.user);
    assert_eq!(&kim.get(&stored).await, shown[0]);
    assert_eq!(kim.get(&format!("{path}/actions")).await, json!({"actions": []}));
    let notices = format!("{RULES}/global/override/.m.rule.suppress_notices");
    assert_eq!(kim.get(&format!("{notices}/enabled")).await, json!({"enabled": false}));
    assert_eq!(kim.get(&notices).await["default"], true);
    kim.ok(Method::DELETE, &path, Value::Null).await;
    assert!(kim.get(&format!("{RULES}/")).await["global"]["room"].is_null());
}

#[tokio::test]
async fn rules_that_do_not_exist_or_cannot_be_changed_are_refused() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    let not_found = code(StatusCode::NOT_FOUND, "M_NOT_FOUND");
    let invalid = code(StatusCode::BAD_REQUEST, "M_INVALID_PARAM");
    for (method, path, body, expected) in [
        (Method::GET, "room/!none:maru.test", Value::Null, &not_found),
        (Method::GET, "nonsense/x", Value::Null, &not_found),
        (Method::PUT, "room/!none:maru.test/enabled", json!({"enabled": true}), &not_found),
        (Method::PUT, "room/!none:maru.test/actions", json!({"actions": []}), &not_found),
        (Method::DELETE, "room/!none:maru.test", Value::Null, &not_found),
        (Method::DELETE, "override/.m.rule.master", Value::Null, &invalid),
        (Method::PUT, "override/.mine", json!({"actions": [], "conditions": []}), &invalid),
        (
            Method::PUT,
            "override/a?before=none",
            json!({"actions": [], "conditions": []}),
            &not_found,
        ),
    ] {
        let path = format!("{RULES}/global/{path}");
        assert_eq!(&refused(&kim, method, &path, body).await, expected, "{path}");
    }
}
