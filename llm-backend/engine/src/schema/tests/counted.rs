//! What is counted: characters, entries, digits, days.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{fits, gbnf, grammar};

/// What Pydantic and Zod write by default.
#[test]
fn schemas_of_pydantic_and_zod_are_followed() {
    let schema = json!({
        "title": "Order",
        "type": "object",
        "properties": {
            "count": { "title": "Count", "type": "integer", "exclusiveMinimum": 0, "maximum": 99 },
            "id": { "title": "Id", "type": "string", "format": "uuid" },
            "pet": {
                "oneOf": [{ "$ref": "#/$defs/Cat" }, { "$ref": "#/$defs/Dog" }],
                "discriminator": { "propertyName": "kind", "mapping": { "cat": "#/$defs/Cat" } },
            },
            "score": { "title": "Score", "type": "number", "minimum": 0.0, "maximum": 1.0 },
            "tags": {
                "type": "array",
                "items": { "type": "string", "minLength": 1, "maxLength": 3 },
                "minItems": 1,
                "maxItems": 2,
            },
            "until": { "allOf": [{ "$ref": "#/$defs/Day" }], "default": "2026-01-01", "examples": ["2026-01-01"] },
        },
        "required": ["id", "count", "score", "tags", "pet"],
        "$defs": {
            "Cat": { "properties": { "kind": { "const": "cat", "type": "string" } }, "required": ["kind"] },
            "Dog": { "properties": { "kind": { "const": "dog", "type": "string" } }, "required": ["kind"] },
            "Day": { "type": "string", "format": "date" },
        },
    });
    let order = json!({ "count": 7, "id": "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9", "pet": { "kind": "dog" },
        "score": 0.25, "tags": ["a", "한글말"], "until": "2028-02-29" });
    assert!(fits(&schema, &order.to_string()));
    for (at, wrong) in [
        ("count", json!(0)),
        ("count", json!(100)),
        ("id", json!("x")),
        ("pet", json!({ "kind": "cow" })),
        ("score", json!(1.5)),
        ("score", json!(-0.5)),
        ("tags", json!([])),
        ("tags", json!(["a", "b", "c"])),
        ("tags", json!([""])),
        ("tags", json!(["abcd"])),
        ("until", json!("2026-02-29")),
    ] {
        let mut order = order.clone();
        order[at] = wrong;
        assert!(!fits(&schema, &order.to_string()), "{order}");
    }
    let record = json!({ "type": "object", "propertyNames": { "type": "string" },
        "additionalProperties": { "type": "integer", "minimum": -9_007_199_254_740_991_i64, "maximum": 9_007_199_254_740_991_i64 } });
    assert!(
        fits(&record, r#"{"a":-9007199254740991}"#) && !fits(&record, r#"{"a":9007199254740992}"#)
    );
}

#[test]
fn a_tuple_has_its_entries_and_no_others() {
    let entries = json!([{ "type": "integer" }, { "type": "string" }]);
    let tuple = json!({ "prefixItems": entries, "minItems": 2, "maxItems": 2 });
    assert!(fits(&tuple, r#"[1,"a"]"#) && fits(&tuple, "[\n 1, \"a\"\n]"));
    for wrong in [r#"["a",1]"#, "[1]", r#"[1,"a",1]"#, "[]"] {
        assert!(!fits(&tuple, wrong), "{wrong}");
    }
}

#[test]
fn formats_are_those_of_their_standards() {
    let is = |format: &str, text: &str| {
        fits(&json!({ "type": "string", "format": format }), &json!(text).to_string())
    };
    for (format, text, is_valid) in [
        ("time", "23:59:59Z", true),
        ("time", "00:00:00.125+09:00", true),
        ("time", "24:00:00Z", false),
        ("time", "10:00:00", false),
        ("date-time", "2026-11-27T10:00:00Z", true),
        ("date-time", "2026-11-31T10:00:00Z", false),
        ("date-time", "2026-11-27", false),
        ("uuid", "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9", true),
        ("uuid", "0f1e2d3c4b5a49788695a4b3c2d1e0f9", false),
    ] {
        assert_eq!(is(format, text), is_valid, "{format} {text}");
    }
}

/// A bound, in every order of size.
fn bound() -> impl Strategy<Value = i64> {
    prop_oneof![-30_i64..30, -2000_i64..2000, -99_999_999_i64..99_999_999, any::<i64>()]
}

/// A schema of numbers, and what it means.
fn range(kind: &str, least: Option<(i64, bool)>, most: Option<(i64, bool)>) -> Value {
    let mut schema = json!({ "type": kind });
    for (end, closed, open) in
        [(least, "minimum", "exclusiveMinimum"), (most, "maximum", "exclusiveMaximum")]
    {
        if let Some((at, is_in)) = end {
            schema[if is_in { closed } else { open }] = at.into();
        }
    }
    schema
}

/// Whether a number of this many units is in a range.
fn is_within(
    number: i128,
    unit: i128,
    least: Option<(i64, bool)>,
    most: Option<(i64, bool)>,
) -> bool {
    let from = |(at, is_in): (i64, bool)| number > i128::from(at) * unit - i128::from(is_in);
    let to = |(at, is_in): (i64, bool)| number < i128::from(at) * unit + i128::from(is_in);
    least.is_none_or(from) && most.is_none_or(to)
}

proptest! {
    /// Exactly the whole numbers of a range are taken, of those with at most 16 digits.
    #[test]
    fn whole_numbers_are_those_of_their_range(
        least in prop::option::of((bound(), any::<bool>())),
        most in prop::option::of((bound(), any::<bool>())),
        others in prop::collection::vec(bound(), 4),
    ) {
        let Ok(grammar) = grammar(&range("integer", least, most).to_string()) else {
            let from = least.map_or(0, |(at, _)| at);
            for number in [from, from.saturating_add(1)] {
                let fits = is_within(number.into(), 1, least, most);
                prop_assert!(!fits || number.unsigned_abs() >= 10_u64.pow(16), "{number}");
            }
            return Ok(());
        };
        let ends = [least, most].into_iter().flatten().map(|(at, _)| at);
        let near = ends.flat_map(|at| (-2..=2).map(move |by| at.saturating_add(by)));
        for number in near.chain(others).chain([0]).filter(|at| at.unsigned_abs() < 10_u64.pow(16)) {
            let fits = is_within(number.into(), 1, least, most);
            prop_assert_eq!(gbnf::matches(&grammar, &number.to_string()), fits, "{}\n{}", number, grammar);
        }
    }

    /// Exactly the numbers of a range are taken, of those with at most six digits behind the point, and no JSON reader
    /// rounds one to a bound that is not in it.
    #[test]
    fn numbers_are_those_of_their_range(
        least in prop::option::of((-1000_i64..1000, any::<bool>())),
        most in prop::option::of((-1000_i64..1000, any::<bool>())),
        micros in prop::collection::vec(prop_oneof![-2_000_000_i64..2_000_000, -2_000_000_000_i64..2_000_000_000], 4),
    ) {
        prop_assume!(least.is_some() || most.is_some());
        let Ok(grammar) = grammar(&range("number", least, most).to_string()) else {
            let at = least.map_or(0, |(at, _)| i128::from(at) * 1_000_000);
            let fits = |number| is_within(number, 1_000_000, least, most);
            prop_assert!(!fits(at) && !fits(at + 1));
            return Ok(());
        };
        let ends = [least, most].into_iter().flatten().map(|(at, _)| at * 1_000_000);
        let near = ends.flat_map(|at| [-1_000_000, -1, 0, 1, 500_000].map(|by| at + by));
        for number in near.chain(micros).filter(|number| *number != 0) {
            let (sign, size) = (if number < 0 { "-" } else { "" }, number.unsigned_abs());
            let text = format!("{sign}{}.{:06}", size / 1_000_000, size % 1_000_000);
            let short = text.trim_end_matches('0').trim_end_matches('.');
            let fits = is_within(number.into(), 1_000_000, least, most);
            prop_assert_eq!(gbnf::matches(&grammar, &text), fits, "{}\n{}", text, grammar);
            prop_assert_eq!(gbnf::matches(&grammar, short), fits, "{}\n{}", short, grammar);
            let read: f64 = short.parse().unwrap();
            let open = [least, most].into_iter().flatten().filter(|(_, is_in)| !is_in);
            for (at, _) in open {
                prop_assert!(!fits || read != at as f64);
            }
        }
    }

    /// A string or a list is taken if it is as long as its schema says.
    #[test]
    fn lengths_are_those_of_the_schema(
        text in "[a\"\\\\\n한\u{1f30a}]{0,8}",
        least in prop::option::of(0..6_usize),
        most in prop::option::of(0..6_usize),
    ) {
        prop_assume!(least.unwrap_or_default() <= most.unwrap_or(9));
        let length = text.chars().count();
        let fits_length = least.is_none_or(|least| length >= least) && most.is_none_or(|most| length <= most);
        let schema = |kind: &str, of: &str| {
            let mut schema = json!({ "type": kind });
            for (name, bound) in [("min", least), ("max", most)] {
                if let Some(bound) = bound {
                    schema[format!("{name}{of}")] = bound.into();
                }
            }
            schema
        };
        prop_assert_eq!(fits(&schema("string", "Length"), &json!(text).to_string()), fits_length);
        let list = Value::from(text.chars().map(String::from).collect::<Vec<_>>());
        let mut of_texts = schema("array", "Items");
        prop_assert_eq!(fits(&of_texts, &list.to_string()), fits_length);
        of_texts["items"] = json!({ "type": "string", "maxLength": 1 });
        prop_assert_eq!(fits(&of_texts, &serde_json::to_string_pretty(&list).unwrap()), fits_length);
    }

    /// A date is taken if there is such a day.
    #[test]
    fn dates_are_days(year in 1000..3000_i16, month in 0..14_i8, day in prop_oneof![0..33_i8, 28..32_i8]) {
        let text = format!("\"{year:04}-{month:02}-{day:02}\"");
        let exists = jiff::civil::Date::new(year, month, day).is_ok();
        prop_assert_eq!(fits(&json!({ "type": "string", "format": "date" }), &text), exists);
    }
}
