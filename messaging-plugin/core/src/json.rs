//! Canonical JSON of what clients send (specification, appendices, "Canonical JSON"), and its limits.

use ruma::{CanonicalJsonObject, CanonicalJsonValue, canonical_json::try_from_json_map};

use crate::Error;

/// Largest event, in bytes of canonical JSON (specification, client-server API, "Size limits").
pub const EVENT_MAX: usize = 65_536;

/// Deepest nesting of objects and arrays. The specification names none; deeper JSON only costs stack.
pub const DEPTH_MAX: usize = 64;

/// Reads the content of an event.
///
/// A key that occurs twice has its last value, and what is stored and sent is written anew from the result.
///
/// # Errors
///
/// [`Error::TooLarge`] if it cannot fit into an event; [`Error::BadJson`] if it is not an object of canonical JSON:
/// numbers are integers between −2^53 + 1 and 2^53 − 1.
pub fn content(bytes: &[u8]) -> Result<CanonicalJsonObject, Error> {
    // White space may make it longer than the event that it becomes.
    if bytes.len() > 4 * EVENT_MAX {
        return Err(Error::TooLarge { what: "the event", max: "65,536 bytes" });
    }
    let map = serde_json::from_slice(bytes)
        .map_err(|error| Error::BadJson(format!("the content is not a JSON object: {error}")))?;
    let object = try_from_json_map(map)
        .map_err(|error| Error::BadJson(format!("the content is not canonical JSON: {error}")))?;
    if object.values().any(|value| is_deeper(value, DEPTH_MAX - 1)) {
        return Err(Error::BadJson(format!(
            "the content is nested deeper than {DEPTH_MAX} levels"
        )));
    }
    Ok(object)
}

/// Whether `value` has more than `levels` levels of objects and arrays.
fn is_deeper(value: &CanonicalJsonValue, levels: usize) -> bool {
    let is_deeper = |inner: &CanonicalJsonValue| is_deeper(inner, levels - 1);
    match value {
        CanonicalJsonValue::Object(object) => levels == 0 || object.values().any(is_deeper),
        CanonicalJsonValue::Array(array) => levels == 0 || array.iter().any(is_deeper),
        CanonicalJsonValue::Null
        | CanonicalJsonValue::Bool(_)
        | CanonicalJsonValue::Integer(_)
        | CanonicalJsonValue::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::{DEPTH_MAX, EVENT_MAX, content};
    use crate::Error;

    #[test]
    fn content_is_an_object_of_integers_and_text() {
        assert!(content(br#"{"a":[1,-2,"x",null,true,{}]}"#).is_ok());
        for bad in [
            "",
            "[]",
            "1",
            "null",
            r#"{"a":1.5}"#,
            r#"{"a":1e3}"#,
            r#"{"a":9007199254740992}"#,
            r#"{"a":}"#,
        ] {
            assert!(matches!(content(bad.as_bytes()), Err(Error::BadJson(_))), "{bad}");
        }
        assert!(content(b"{\"a\":\"\xff\"}").is_err());
        let twice = content(br#"{"a":1,"a":2}"#).unwrap();
        assert_eq!(serde_json::to_value(twice).unwrap(), json!({"a": 2}));
    }

    #[test]
    fn depth_and_size_are_bounded() {
        let nested =
            |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        assert!(content(nested(DEPTH_MAX - 1).as_bytes()).is_ok());
        for levels in [DEPTH_MAX, 200, 100_000] {
            assert!(
                matches!(content(nested(levels).as_bytes()), Err(Error::BadJson(_))),
                "{levels}"
            );
        }
        let spaces = " ".repeat(4 * EVENT_MAX);
        assert!(matches!(content(format!("{{{spaces}}}").as_bytes()), Err(Error::TooLarge { .. })));
    }

    proptest! {
        #[test]
        fn any_bytes_are_content_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(object) = content(&bytes) {
                let text = serde_json::to_vec(&object).unwrap();
                prop_assert_eq!(content(&text), Ok(object));
            }
        }

        #[test]
        fn content_that_was_written_is_read_as_the_same(value in value()) {
            let text = serde_json::to_vec(&json!({ "v": value })).unwrap();
            let object = content(&text).unwrap();
            prop_assert_eq!(serde_json::to_vec(&object).unwrap(), text);
        }
    }

    /// JSON of integers and texts, which is canonical when it is written without spaces and with sorted keys.
    fn value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(|value| json!(value)),
            (-9_007_199_254_740_991_i64..=9_007_199_254_740_991).prop_map(|value| json!(value)),
            ".{0,12}".prop_map(|value| json!(value)),
        ];
        leaf.prop_recursive(6, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(|list| json!(list)),
                prop::collection::btree_map(".{0,6}", inner, 0..4).prop_map(|map| json!(map)),
            ]
        })
    }
}
