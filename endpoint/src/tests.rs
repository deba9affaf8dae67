#![expect(unreachable_pub, reason = "declared endpoints are public")]

use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::*;

#[derive(ToSchema)]
#[expect(dead_code, reason = "only its shape is looked at")]
pub struct User {
    name: String,
}

#[derive(IntoParams)]
#[expect(dead_code, reason = "only its shape is looked at")]
pub struct Find {
    /// A name.
    name: Option<String>,
}

declare! {
    /// A small API.
    ALL for Root, below "/v1";

    /// Lists the people.
    LIST: GET "/users" => [User];
    /// Finds people.
    FIND: GET "/find" (Query<Find>) => [User], callers(Callers::User);
    /// Adds a person.
    CREATE: POST "/users" (User) => User, created;
    /// Says what a person
    /// would be called.
    TRY: POST "/users/{name}/devices/{device}" (User) => User, read_only;
    /// Removes a person.
    REMOVE: DELETE "/users/{name}";
}

#[test]
fn a_declaration_says_what_follows_from_it() {
    let shown: Vec<_> = ALL.iter().map(ToString::to_string).collect();
    let expected = ["GET /v1/users", "GET /v1/find", "POST /v1/users"];
    assert_eq!(shown[..3], expected);
    let status: Vec<_> = ALL.iter().map(|it| (it.status, it.changes)).collect();
    assert_eq!(status, [(200, false), (200, false), (201, true), (200, false), (204, true)]);
    let callers: Vec<_> = ALL.iter().map(|it| it.callers).collect();
    assert_eq!(callers[..2], [Callers::Root, Callers::User]);
}

#[test]
fn a_parameter_is_one_segment_whatever_is_in_it() {
    assert_eq!(TRY.path(&["../a?b c", "가"]), "/v1/users/..%2Fa%3Fb%20c/devices/%EA%B0%80");
    assert_eq!(REMOVE.path(&[".."]), "/v1/users/%2E%2E");
    assert_eq!(REMOVE.path(&["alice@home"]), "/v1/users/alice@home");
    assert_eq!(REMOVE.path(&[]), "/v1/users/{name}");
    assert_eq!(LIST.path(&["more"]), "/v1/users");
}

#[test]
fn the_document_describes_every_declaration() {
    let about = openapi::About { title: "Small", version: "1", description: "For tests." };
    let document: Value = serde_json::from_str(&openapi::text(&about, ALL)).unwrap();
    let described = document["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().keys();
        methods.map(move |method| format!("{} {path}", method.to_ascii_uppercase()))
    });
    let mut described: Vec<_> = described.collect();
    let mut declared: Vec<_> = ALL.iter().map(ToString::to_string).collect();
    described.sort();
    declared.sort();
    assert_eq!(described, declared);

    let of = |path: &str, method: &str| document["paths"][path][method].clone();
    assert_eq!(of("/v1/users", "post")["summary"], "Adds a person.");
    assert_eq!(of("/v1/find", "get")["parameters"][0]["in"], "query");
    let tried = of("/v1/users/{name}/devices/{device}", "post");
    assert_eq!(tried["summary"], "Says what a person would be called.");
    assert_eq!(tried["parameters"].as_array().unwrap().len(), 2);
    assert!(tried["requestBody"].is_object() && tried["responses"]["200"].is_object());
    assert!(document["components"]["schemas"]["User"].is_object());
}
