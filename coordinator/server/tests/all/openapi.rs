//! The `OpenAPI` document against what is answered: every success of every test's admin is looked at.

use std::sync::LazyLock;

use hyper::{Method, StatusCode};
use serde_json::{Map, Value};

use crate::harness::Coordinator;

/// The document as it is in `docs`, which another test compares with the served one.
static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/protocols/admin.openapi.json");
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
});

/// Fails if a success is not of the shape that the document says, or says more.
pub(crate) fn check(method: &Method, path: &str, status: StatusCode, answer: &Value) {
    if !status.is_success() {
        return;
    }
    let operation = operation(method, path).unwrap_or_else(|| panic!("{method} {path}"));
    let response = &operation["responses"][status.as_str()];
    assert!(response.is_object(), "{method} {path} answers {status}");
    let schema = &response["content"]["application/json"]["schema"];
    let wrong = if schema.is_null() { answer.as_null() } else { fits(answer, schema) };
    assert!(wrong.is_some(), "{method} {path} answers {answer}, which is not {schema}");
}

/// The operation whose path is this one, with something in each pair of braces.
fn operation(method: &Method, path: &str) -> Option<&'static Value> {
    let path = format!("/api/v1{}", path.split('?').next()?);
    let is_it = |template: &str| {
        let (mut a, mut b) = (template.split('/'), path.split('/'));
        a.clone().count() == b.clone().count()
            && a.all(|part| b.next().is_some_and(|it| part == it || part.starts_with('{')))
    };
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let exact = paths.get(&path);
    let item = exact.or_else(|| paths.iter().find(|(it, _)| is_it(it)).map(|(_, item)| item));
    item?.get(method.as_str().to_ascii_lowercase())
}

/// Whether a value is of the shape, as far as the document says shapes; what it has no word for fails.
fn fits(value: &Value, schema: &Value) -> Option<()> {
    let held = |is: bool| is.then_some(());
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        let name = name.rsplit('/').next()?;
        return fits(value, DOCUMENT["components"]["schemas"].get(name)?);
    }
    if let Some(choices) = schema.get("oneOf").and_then(Value::as_array) {
        return held(choices.iter().any(|choice| fits(value, choice).is_some()));
    }
    if let Some(parts) = schema.get("allOf").and_then(Value::as_array) {
        return fits_together(value.as_object()?, parts);
    }
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        return held(words.contains(value));
    }
    let kinds = match &schema["type"] {
        Value::String(kind) => vec![kind.as_str()],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        // Anything.
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return Some(()),
    };
    let is = |kind: &&str| match (*kind, value) {
        ("null", Value::Null) | ("boolean", Value::Bool(_)) | ("string", Value::String(_)) => true,
        ("integer", Value::Number(number)) => number.is_u64(),
        ("array", Value::Array(items)) => {
            items.iter().all(|item| fits(item, &schema["items"]).is_some())
        }
        ("object", Value::Object(object)) => fits_object(object, schema).is_some(),
        _ => false,
    };
    held(kinds.iter().any(is))
}

fn fits_object(object: &Map<String, Value>, schema: &Value) -> Option<()> {
    let known = schema.get("properties").and_then(Value::as_object);
    let further = schema.get("additionalProperties").filter(|it| it.is_object());
    // A shape without a word on what is in it.
    if known.is_none() && further.is_none() {
        return Some(());
    }
    for required in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
        object.get(required.as_str()?)?;
    }
    for (name, value) in object {
        fits(value, known.and_then(|known| known.get(name)).or(further)?)?;
    }
    Some(())
}

/// Whether an object is all of these together, and no more.
fn fits_together(object: &Map<String, Value>, parts: &[Value]) -> Option<()> {
    let mut left = object.clone();
    for part in parts {
        let name = part.get("$ref").and_then(Value::as_str).and_then(|it| it.rsplit('/').next());
        let part = name.map_or(part, |name| &DOCUMENT["components"]["schemas"][name]);
        let known = part.get("properties").and_then(Value::as_object)?;
        let own = left.iter().filter(|(name, _)| known.contains_key(*name));
        let own: Map<_, _> = own.map(|(name, value)| (name.clone(), value.clone())).collect();
        fits_object(&own, part)?;
        left.retain(|name, _| !known.contains_key(name));
    }
    left.is_empty().then_some(())
}

#[tokio::test]
async fn the_document_is_served_and_what_it_does_not_say_is_noticed() {
    let coordinator = Coordinator::start().await;

    assert_eq!(coordinator.ok(Method::GET, "/openapi.json", Value::Null).await, *DOCUMENT);

    let user = |extra: &str| -> Value {
        let text = format!(r#"[{{"id":1,"name":"a","created":"","devices":0{extra}}}]"#);
        serde_json::from_str(&text).unwrap()
    };
    let schema = &operation(&Method::GET, "/users").unwrap()["responses"]["200"]["content"]["application/json"]
        ["schema"];
    assert!(fits(&user(""), schema).is_some());
    assert!(fits(&user(r#","more":1"#), schema).is_none());
    assert!(fits(&serde_json::json!([{ "id": 1 }]), schema).is_none());
    assert!(fits(&serde_json::json!([{ "id": "1", "name": "a" }]), schema).is_none());
    assert!(operation(&Method::PUT, "/users").is_none());
}
