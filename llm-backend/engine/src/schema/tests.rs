use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;

mod counted;
mod gbnf;

fn fits(schema: &Value, document: &str) -> bool {
    let grammar = grammar(&schema.to_string()).unwrap_or_else(|error| panic!("{error}"));
    gbnf::matches(&grammar, document)
}

fn refusal(schema: &Value) -> String {
    grammar(&schema.to_string()).unwrap_err().to_string()
}

#[test]
fn replies_follow_what_clients_use() {
    // As a text: the order of properties is that of the reply.
    let person = r##"{
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Person",
        "type": "object",
        "properties": {
            "name": { "type": "string", "description": "in full" },
            "age": { "anyOf": [{ "type": "integer" }, { "type": "null" }], "default": null },
            "home": { "$ref": "#/$defs/Place" },
            "work": { "$ref": "#/$defs/Place" },
            "colours": { "type": "array", "items": { "enum": ["red", "\"blue\"", 3, null] } }
        },
        "required": ["name", "home"],
        "additionalProperties": false,
        "$defs": { "Place": { "type": ["string", "boolean"] } }
    }"##;
    let person = grammar(person).unwrap();
    for (document, is_valid) in [
        (r#"{"name":"Ada","home":"Seoul"}"#, true),
        (
            r#"{ "name": "Ada", "age": -36, "home": true, "work": "학교", "colours": ["red", "\"blue\"",3 ,null] }"#,
            false,
        ),
        (
            "{\n  \"name\": \"Ada\\u00e9\\n\",\n  \"age\": null,\n  \"home\": false,\n  \"colours\": []\n}",
            true,
        ),
        (r#"{"name":"Ada","home":"x","colours":["red","\"blue\"",3,null]}"#, true),
        (r#"{"name":"Ada","home":"x","colours":["green"]}"#, false),
        (r#"{"name":"Ada","home":3}"#, false),
        (r#"{"name":"Ada"}"#, false),
        (r#"{"home":"x"}"#, false),
        (r#"{"name":"Ada","home":"x","more":1}"#, false),
        (r#"{"name":"Ada","home":"x"}}"#, false),
        (r#"{"name":"Ada","home":"\ud83d"}"#, false),
        ("{\"name\":\"Ada\",\"home\":\"\n\"}", false),
        (r#"{"name":"Ada","age":036,"home":"x"}"#, false),
        ("", false),
    ] {
        assert_eq!(gbnf::matches(&person, document), is_valid, "{document}");
    }
}

#[test]
fn an_open_schema_takes_any_json_and_nothing_else() {
    for schema in [json!({}), json!({ "items": true })] {
        assert!(fits(&schema, r#"[1.5e-9, {"a": [true, null]}, "x", {}, []]"#));
        assert!(!fits(&schema, "[1, 2") && !fits(&schema, "[01]") && !fits(&schema, "[nul]"));
    }
    let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    assert!(fits(&json!({}), &nested(16)) && !fits(&json!({}), &nested(17)));
    assert!(gbnf::matches(&any_object(), r#"{"a": {}}"#) && !gbnf::matches(&any_object(), "[]"));
    let map = json!({ "type": "object", "additionalProperties": { "type": "integer" } });
    assert!(fits(&map, "{}") && fits(&map, r#"{"a": 1, "b": -2}"#) && !fits(&map, r#"{"a":"b"}"#));
    let empty = json!({ "type": "object", "additionalProperties": false });
    assert!(fits(&empty, "{}") && fits(&empty, "{ }") && !fits(&empty, r#"{"a": 1}"#));
    let one = json!({ "const": "a\\\"b\u{7f}한\n" });
    assert!(fits(&one, &json!("a\\\"b\u{7f}한\n").to_string()) && !fits(&one, r#""a""#));
}

/// llama.cpp's own translation takes these for the same definition.
#[test]
fn similar_names_are_told_apart() {
    let schema = json!({
        "properties": { "": { "$ref": "#/$defs/a b" }, "root": { "$ref": "#/$defs/a~1b" } },
        "required": ["", "root"],
        "$defs": { "a b": { "type": "string" }, "a/b": { "type": "integer" } },
    });
    assert!(fits(&schema, r#"{"":"x","root":1}"#));
    assert!(!fits(&schema, r#"{"":1,"root":1}"#) && !fits(&schema, r#"{"":"x","root":"x"}"#));
}

#[test]
fn what_is_not_supported_is_refused_by_path() {
    let within =
        |schema: Value| json!({ "type": "object", "properties": { "a": { "items": schema } } });
    for (schema, path) in [
        (json!([]), ""),
        (json!(false), ""),
        (json!({ "type": "text" }), ".type"),
        (json!({ "type": [] }), ".type"),
        (json!({ "type": ["null", "null"] }), ".type"),
        (json!({ "type": "string", "pattern": "a+" }), ".pattern"),
        (json!({ "type": "string", "properties": {} }), ".properties"),
        (json!({ "oneOf": [] }), ".oneOf"),
        (json!({ "allOf": [{}, {}] }), ".allOf"),
        (json!({ "not": {} }), ".not"),
        (json!({ "anyOf": [] }), ".anyOf"),
        (json!({ "anyOf": [{}, 3] }), ".anyOf[1]"),
        (json!({ "anyOf": [{}], "type": "null" }), ".type"),
        (json!({ "enum": [] }), ".enum"),
        (json!({ "enum": ["a", {}] }), ".enum[1]"),
        (json!({ "type": "string", "enum": ["a", 1] }), ".enum[1]"),
        (json!({ "type": "integer", "const": 1.5 }), ".const"),
        (json!({ "$ref": "#/$defs/none" }), ".$ref"),
        (json!({ "$ref": "https://example.com" }), ".$ref"),
        (json!({ "properties": [] }), ".properties"),
        (json!({ "properties": { "x": {} }, "required": ["x", "y"] }), ".required[1]"),
        (json!({ "properties": {}, "additionalProperties": true }), ".additionalProperties"),
        (json!({ "items": [{}] }), ".items"),
        (json!({ "type": "array", "minItems": -1 }), ".minItems"),
        (json!({ "prefixItems": [{}], "minItems": 2 }), ".prefixItems"),
        (json!({ "prefixItems": [{}], "items": {} }), ".items"),
        (json!({ "type": "array", "maxItems": 2001 }), ".maxItems"),
        (json!({ "type": "array", "minItems": 2, "maxItems": 1 }), ".maxItems"),
        (json!({ "type": "array", "uniqueItems": true }), ".uniqueItems"),
        (json!({ "type": "string", "maxLength": "1" }), ".maxLength"),
        (json!({ "type": "string", "minLength": 1.5 }), ".minLength"),
        (json!({ "type": "string", "format": "email" }), ".format"),
        (json!({ "type": "string", "format": "date", "minLength": 1 }), ".minLength"),
        (json!({ "type": "string", "minimum": 1 }), ".minimum"),
        (json!({ "type": "integer", "minimum": 0.5 }), ".minimum"),
        (json!({ "type": "integer", "minimum": 3, "exclusiveMaximum": 3 }), ""),
        (json!({ "type": "integer", "minimum": 1e30 }), ""),
        (json!({ "type": "integer", "multipleOf": 2 }), ".multipleOf"),
        (json!({ "type": "number", "exclusiveMinimum": 1e10 }), ".exclusiveMinimum"),
        (json!({ "minimum": 1 }), ".minimum"),
        (json!({ "type": "object", "propertyNames": { "maxLength": 1 } }), ".propertyNames"),
    ] {
        let error = refusal(&within(schema));
        let path = format!("response_format: `schema.properties.a.items{path}` ");
        assert!(error.starts_with(&path), "{error}");
    }
    let twice = grammar(r#"{"properties":{"a":{},"a":{}}}"#).unwrap_err().to_string();
    assert!(twice.contains("`schema.properties`"), "{twice}");
    let itself =
        json!({ "$defs": { "a": { "items": { "$ref": "#/$defs/a" } } }, "$ref": "#/$defs/a" });
    assert!(refusal(&itself).contains("`schema.$defs.a` contains itself"));
    let steers = refusal(&json!({ "properties": { "\u{1b}`\n": { "not": {} } } }));
    assert!(steers.contains("`schema.properties.\u{fffd}' .not`"), "{steers}");
}

#[test]
fn schemas_that_cost_much_are_refused() {
    // Each definition twice in the next: 4096 alternatives.
    let mut defs = Map::new();
    for level in 0..12 {
        let next = json!({ "$ref": format!("#/$defs/{}", level + 1) });
        defs.insert(level.to_string(), json!({ "anyOf": [next, next] }));
    }
    defs.insert("12".to_owned(), json!({ "type": "null" }));
    let doubled = json!({ "$defs": defs, "$ref": "#/$defs/0" });
    assert!(refusal(&doubled).contains("too many alternatives"));

    let deep = |levels: usize| (0..levels).fold(json!({}), |inner, _| json!({ "items": inner }));
    assert!(grammar(&deep(31).to_string()).is_ok());
    assert!(refusal(&deep(32)).contains("deeper than 32 levels"));
    let mut chain = Map::new();
    for level in 0..1000 {
        chain.insert(level.to_string(), json!({ "$ref": format!("#/$defs/{}", level + 1) }));
    }
    let chain = json!({ "$defs": chain, "$ref": "#/$defs/0" });
    assert!(refusal(&chain).contains("deeper than 32 levels"));

    let values = |n: usize| json!({ "enum": (0..n).collect::<Vec<_>>() });
    assert!(grammar(&values(256).to_string()).is_ok());
    assert!(refusal(&values(257)).contains("too many alternatives"));
    let many: Map<_, _> = (0..2000).map(|n| (n.to_string(), json!({}))).collect();
    assert!(refusal(&json!({ "properties": many, "required": [] })).contains("at most 2000"));
    assert!(refusal(&json!({ "enum": vec![1; 20_000] })).contains("at most 2000"));
    let optional: Map<_, _> = (0..256).map(|n| (n.to_string(), json!({}))).collect();
    assert!(refusal(&json!({ "properties": optional })).contains("too many alternatives"));
    assert!(refusal(&json!({ "title": "x".repeat(SCHEMA_MAX) })).contains("65536 bytes"));
    let texts =
        |n: usize| json!({ "anyOf": vec![json!({ "type": "string", "maxLength": 2000 }); n] });
    assert!(grammar(&texts(9).to_string()).is_ok());
    assert!(refusal(&texts(10)).contains("`schema.anyOf[9]` is too much"));
    let odd = json!({ "type": "integer", "minimum": -3_456_789_012_345_678_i64, "maximum": 3_456_789_012_345_678_i64 });
    let names: Vec<_> = (0..700).map(|n| n.to_string()).collect();
    let ranges: Map<_, _> = names.iter().map(|name| (name.clone(), odd.clone())).collect();
    let ranges = json!({ "properties": ranges, "required": names });
    assert!(refusal(&ranges).contains("is too much"));
}

/// A document, as models write one.
fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-1000_i64..1000).prop_map(Value::from),
        (-1000_i32..1000).prop_map(|number| json!(f64::from(number) / 8.0)),
        "[a-c\"\\\\\n한é/ ]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-c\" 한]{0,3}", inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// A schema that a document follows; `chosen` decides which.
fn schema_of(document: &Value, chosen: &mut impl Iterator<Item = u8>) -> Value {
    let turn = chosen.next().unwrap_or_default();
    match document {
        Value::Object(fields) => {
            let mut properties: Map<_, _> = fields
                .iter()
                .map(|(name, value)| (name.clone(), schema_of(value, chosen)))
                .collect();
            let required: Vec<_> = fields.keys().filter(|_| !turn.is_multiple_of(3)).collect();
            let required = json!(required);
            if !turn.is_multiple_of(2) {
                properties.insert("optional".to_owned(), json!({}));
            }
            json!({ "type": "object", "properties": properties, "required": required })
        }
        Value::Array(entries) => {
            let any_of: Vec<_> = entries.iter().map(|entry| schema_of(entry, chosen)).collect();
            if any_of.is_empty() {
                json!({ "type": "array" })
            } else {
                json!({ "items": { "anyOf": any_of } })
            }
        }
        value if turn.is_multiple_of(4) => json!({ "const": value }),
        value if turn % 4 == 1 => json!({ "enum": ["other", value] }),
        Value::Null => json!({ "type": ["null", "string"] }),
        Value::Bool(_) => json!({ "type": "boolean" }),
        Value::Number(number) if number.is_i64() => json!({ "type": "integer" }),
        Value::Number(_) => json!({ "type": "number" }),
        Value::String(_) => json!({ "type": "string" }),
    }
}

proptest! {
    /// A document that follows a schema is taken, compact and in lines; one with a property too many is not.
    #[test]
    fn documents_follow_their_schemas(
        document in document(),
        chosen in prop::collection::vec(any::<u8>(), 40),
    ) {
        let schema = schema_of(&document, &mut chosen.into_iter());
        prop_assert!(fits(&schema, &document.to_string()), "{schema}");
        prop_assert!(fits(&schema, &serde_json::to_string_pretty(&document).unwrap()), "{schema}");
        if let Value::Object(mut fields) = document {
            fields.insert("unknown".to_owned(), Value::Null);
            prop_assert!(!fits(&schema, &Value::Object(fields).to_string()), "{schema}");
        }
    }

    /// Whatever is sent, there is a grammar all of whose rules are there, or one line.
    #[test]
    fn any_schema_is_survived(
        words in prop::collection::vec("type|object|array|items|properties|anyOf|enum|const|required|\\$ref|#/\\$defs/a|\\$defs|[{}\\[\\],:\"a1]", 0..40),
        document in document(),
    ) {
        for text in [words.concat(), document.to_string()] {
            match grammar(&text) {
                Ok(grammar) => prop_assert!(gbnf::is_closed(&grammar), "{grammar}"),
                Err(error) => prop_assert_eq!(error.to_string().lines().count(), 1),
            }
        }
    }
}
