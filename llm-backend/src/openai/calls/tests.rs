use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// What a reply's deltas, as JSON, come to: each call's id, name and arguments.
fn read(deltas: &[impl ToString]) -> Vec<(String, String, String)> {
    let (mut calls, mut found) = (Calls::default(), Vec::new());
    let mut add = |piece: ToolCallDelta| {
        let at = usize::try_from(piece.index).unwrap();
        assert!(at <= found.len(), "numbers follow each other");
        if at == found.len() {
            found.push(<(String, String, String)>::default());
        }
        found[at].0.push_str(&piece.id.unwrap_or_default());
        found[at].1.push_str(&piece.name.unwrap_or_default());
        found[at].2.push_str(&piece.arguments);
    };
    for delta in deltas {
        let pieces = serde_json::from_str(&delta.to_string()).unwrap();
        calls.number(pieces).unwrap().into_iter().for_each(&mut add);
    }
    calls.finish().for_each(&mut add);
    assert_eq!(calls.finish().count(), 0, "nothing is said twice");
    found
}

fn piece(index: Option<u32>, id: Option<&str>, name: Option<&str>, arguments: &str) -> Value {
    json!({ "index": index, "id": id, "type": "function",
        "function": { "name": name, "arguments": arguments } })
}

fn call(id: &str, name: &str, arguments: &str) -> (String, String, String) {
    (id.to_owned(), name.to_owned(), arguments.to_owned())
}

#[test]
fn two_calls_are_two_however_a_server_numbers_them() {
    let (one, two) = (r#"{"a":"}"}"#, r#"{"a":2}"#);
    let expected = [call("c1", "f", one), call("c2", "f", two)];
    for (what, indexes) in
        [("right", [Some(0), Some(1)]), ("alike", [Some(0); 2]), ("none", [None; 2])]
    {
        let whole = [
            json!([piece(indexes[0], Some("c1"), Some("f"), one)]),
            json!([piece(indexes[1], Some("c2"), Some("f"), two)]),
        ];
        assert_eq!(read(&whole), expected, "{what}, whole");
        let together = json!([whole[0][0], whole[1][0]]);
        assert_eq!(read(&[together]), expected, "{what}, together");
        let in_pieces = [
            json!([piece(indexes[0], Some("c1"), Some("f"), "")]),
            json!([piece(indexes[0], None, None, &one[..4])]),
            json!([piece(indexes[0], Some(""), Some(""), &one[4..])]),
            json!([piece(indexes[1], Some("c2"), Some("f"), "")]),
            json!([piece(indexes[1], None, None, two)]),
        ];
        assert_eq!(read(&in_pieces), expected, "{what}, in pieces");
        let repeated = [
            json!([piece(indexes[0], Some("c1"), Some("f"), &one[..4])]),
            json!([piece(indexes[0], Some("c1"), Some("f"), &one[4..])]),
            json!([piece(indexes[1], Some("c2"), Some("f"), two)]),
        ];
        assert_eq!(read(&repeated), expected, "{what}, id and name in every piece");
        let made_up = [
            json!([piece(indexes[0], Some("c1"), Some("f"), "")]),
            json!([piece(indexes[0], Some("x1"), None, &one[..4])]),
            json!([piece(indexes[0], Some("x2"), None, &one[4..])]),
            json!([piece(indexes[1], Some("c2"), Some("f"), "")]),
            json!([piece(indexes[1], Some("x3"), None, two)]),
        ];
        assert_eq!(read(&made_up), expected, "{what}, an id for each piece");
    }
}

#[test]
fn calls_without_ids_are_distinguished_by_name_and_end() {
    let expected = [call("", "f", "{}"), call("", "f", "{}"), call("", "g", "")];
    let named = |index, name| piece(index, None, Some(name), "{}");
    for index in [None, Some(0)] {
        let one_by_one = [
            json!([named(index, "f")]),
            json!([named(index, "f")]),
            json!([piece(index, None, Some("g"), "")]),
        ];
        assert_eq!(read(&one_by_one), expected);
        let repeated = [
            json!([piece(index, None, Some("f"), "{")]),
            json!([piece(index, None, Some("f"), "}")]),
        ];
        assert_eq!(read(&repeated), [call("", "f", "{}")]);
    }
    let together = json!([named(None, "f"), named(None, "f"), piece(None, None, Some("g"), "")]);
    assert_eq!(read(&[together]), expected);
    let later = [
        json!([piece(None, None, Some("f"), ""), piece(None, None, Some("f"), "")]),
        json!([piece(None, None, None, "{}"), piece(None, None, None, "[]")]),
    ];
    assert_eq!(read(&later), [call("", "f", "{}"), call("", "f", "[]")]);
}

#[test]
fn a_name_may_come_after_its_id() {
    let deltas = [
        json!([piece(Some(0), Some("c1"), None, "")]),
        json!([piece(Some(0), None, Some("f"), "{}")]),
    ];
    assert_eq!(read(&deltas), [call("c1", "f", "{}")]);
}

#[test]
fn too_many_calls_are_not_taken() {
    let many = |count: usize| -> Vec<CallPiece> {
        let pieces: Vec<_> =
            (0..count).map(|at| piece(None, Some(&at.to_string()), Some("f"), "{}")).collect();
        serde_json::from_str(&json!(pieces).to_string()).unwrap()
    };
    assert_eq!(Calls::default().number(many(CALLS_MAX)).unwrap().len(), CALLS_MAX);
    assert!(Calls::default().number(many(CALLS_MAX + 1)).is_none());
}

/// A piece of arguments as a server writes it that counts text in UTF-16.
fn in_units(index: usize, units: &[u16]) -> String {
    let escapes: String = units.iter().map(|unit| format!(r"\u{unit:04x}")).collect();
    format!(r#"[{{"index":{index},"function":{{"arguments":"{escapes}"}}}}]"#)
}

#[test]
fn half_a_character_of_one_call_is_not_joined_with_another_calls() {
    let [high, low] = [0xd83d, 0xde00];
    let begun = |at| json!([piece(Some(at), Some(&format!("c{at}")), Some("f"), "")]).to_string();
    let deltas = [
        begun(0),
        begun(1),
        in_units(0, &[high]),
        in_units(1, &[low, high]),
        in_units(0, &[]),
        in_units(0, &[low, high]),
        in_units(0, &[high, low]),
        in_units(1, &[high]),
    ];
    let expected = [
        call("c0", "f", "\u{1f600}\u{fffd}\u{1f600}"),
        call("c1", "f", "\u{fffd}\u{fffd}\u{fffd}"),
    ];
    assert_eq!(read(&deltas), expected);
}

proptest! {
    /// However the arguments of several calls are cut, between the halves of a character or of its escape too, and
    /// whichever call goes on next, the same arguments come.
    #[test]
    fn arguments_are_those_that_were_cut(
        texts in prop::collection::vec(
            prop::collection::vec(
                prop_oneof![
                    Just(r"\ud83d\ude00".to_owned()),
                    Just("\u{1f600}".to_owned()),
                    any::<char>().prop_map(String::from),
                ],
                0..8,
            ),
            1..4,
        ),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..24),
    ) {
        let texts: Vec<String> =
            texts.iter().map(|parts| format!(r#"{{"a":"{}"}}"#, parts.concat())).collect();
        let mut left: Vec<Vec<u16>> =
            texts.iter().map(|text| text.encode_utf16().collect()).collect();
        let id = |at: usize| format!("c{at}");
        let mut deltas: Vec<String> = (0..texts.len())
            .map(|at| json!([piece(u32::try_from(at).ok(), Some(&id(at)), Some("f"), "")]).to_string())
            .collect();
        for cut in cuts {
            let at = cut.index(left.len());
            let end = cut.index(left[at].len() + 1);
            let rest = left[at].split_off(end);
            deltas.push(in_units(at, &std::mem::replace(&mut left[at], rest)));
        }
        deltas.extend(left.iter().enumerate().map(|(at, rest)| in_units(at, rest)));
        let expected: Vec<_> =
            texts.iter().enumerate().map(|(at, text)| call(&id(at), "f", text)).collect();
        prop_assert_eq!(read(&deltas), expected);
    }

    /// As the protocol says: pieces of several calls in any order, told apart by their indexes.
    #[test]
    fn calls_of_the_protocol_come_back_whole(
        texts in prop::collection::vec("[a-z\"{}\\\\]{0,12}", 1..5),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let arguments: Vec<String> = texts.iter().map(|text| json!({ "a": text }).to_string()).collect();
        let id = |at: usize| format!("c{at}");
        let mut sent = vec![0; arguments.len()];
        let mut deltas: Vec<Value> = (0..arguments.len())
            .map(|at| json!([piece(u32::try_from(at).ok(), Some(&id(at)), Some("f"), "")]))
            .collect();
        let rest = (0..arguments.len()).flat_map(|at| vec![at; arguments[at].len()]);
        for at in order.iter().map(|index| index.index(arguments.len())).chain(rest) {
            if let Some(one) = arguments[at].get(sent[at]..=sent[at]) {
                sent[at] += 1;
                deltas.push(json!([piece(u32::try_from(at).ok(), None, None, one)]));
            }
        }
        let expected: Vec<_> =
            arguments.iter().enumerate().map(|(at, text)| call(&id(at), "f", text)).collect();
        prop_assert_eq!(read(&deltas), expected);
    }

    /// Nothing of the arguments is lost, and there are never more calls than are taken.
    #[test]
    fn any_pieces_are_numbered(
        pieces in prop::collection::vec(
            (prop::option::of(0_u32..3), prop::option::of("[ab]?"), prop::option::of("[fg]?"), "[{}\"a]{0,3}"),
            0..60,
        ),
    ) {
        let deltas: Vec<Value> = pieces
            .iter()
            .map(|(index, id, name, text)| json!([piece(*index, id.as_deref(), name.as_deref(), text)]))
            .collect();
        let found = read(&deltas);
        prop_assert!(found.len() <= CALLS_MAX);
        let length: usize = found.iter().map(|call| call.2.len()).sum();
        prop_assert_eq!(length, pieces.iter().map(|piece| piece.3.len()).sum::<usize>());
    }
}
