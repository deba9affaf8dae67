//! Lone surrogates in JSON text.
//!
//! JSON can escape one half of a UTF-16 pair (`"\ud83d"`, RFC 8259, section 8.2), and JavaScript programs do when they cut an
//! emoji. Parsers refuse it. U+FFFD replaces it in place before the text is parsed: both escapes have the same length.

/// Length of an escape such as `\ud83d`.
const ESCAPE: usize = 6;

/// Which half of a UTF-16 pair an escape writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    /// The first, `\ud800` to `\udbff`.
    High,
    /// The second, `\udc00` to `\udfff`.
    Low,
}

/// Replaces lone surrogates by U+FFFD. All other bytes stay, also if they are not JSON.
pub fn replace_lone(json: &mut [u8]) {
    let mut at = 0;
    while let Some(found) = next_lone(json, at) {
        at = found + ESCAPE;
        if let Some(digits) = json.get_mut(found + 2..at) {
            digits.copy_from_slice(b"fffd");
        }
    }
}

/// Whether JSON text contains a lone surrogate.
#[must_use]
pub fn has_lone(json: &str) -> bool {
    next_lone(json.as_bytes(), 0).is_some()
}

/// Replaces lone surrogates in a string, such as the arguments of a tool call.
#[must_use]
pub fn replace_lone_in(json: String) -> String {
    let mut bytes = json.into_bytes();
    replace_lone(&mut bytes);
    // ASCII took the place of ASCII.
    String::from_utf8(bytes).unwrap_or_default()
}

/// Finds the next lone surrogate; `at` must not be inside an escape.
fn next_lone(json: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += json.get(at..)?.iter().position(|&byte| byte == b'\\')?;
        at += match half(json, at) {
            // Another escape: of `\\ud83d` the second backslash begins none.
            None => 2,
            Some(Half::High) if half(json, at + ESCAPE) == Some(Half::Low) => 2 * ESCAPE,
            Some(Half::High | Half::Low) => return Some(at),
        };
    }
}

/// The surrogate that is escaped at this position, if any.
fn half(json: &[u8], at: usize) -> Option<Half> {
    let [b'\\', b'u', b'd' | b'D', kind, rest @ ..] = json.get(at..at + ESCAPE)? else {
        return None;
    };
    if !rest.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    match kind {
        b'8' | b'9' | b'a' | b'b' | b'A' | b'B' => Some(Half::High),
        b'c'..=b'f' | b'C'..=b'F' => Some(Half::Low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn halves_become_the_replacement_character_and_all_else_stays() {
        for (written, mended) in [
            (r#""cut \ud83d\u2026""#, r#""cut \ufffd\u2026""#),
            (r#""\uD83D""#, r#""\ufffd""#),
            (r#""\ude00 \ude00""#, r#""\ufffd \ufffd""#),
            (r#""\ud83d\ud83d\ude00\ude00""#, r#""\ufffd\ud83d\ude00\ufffd""#),
            (r#""\ud83d\\\ude00""#, r#""\ufffd\\\ufffd""#),
            (r#""\\ud83d \\\\ude00""#, r#""\\ud83d \\\\ude00""#),
            (r#""\\\ud83d""#, r#""\\\ufffd""#),
            (r#"{"\udc00":["\ud83dude00"]}"#, r#"{"\ufffd":["\ufffdude00"]}"#),
            (r#""\ud7ff\ue000\ud83D\uDE00""#, r#""\ud7ff\ue000\ud83D\uDE00""#),
            (r"\ud8", r"\ud8"),
            (r"\ud8zz\", r"\ud8zz\"),
        ] {
            assert_eq!(replace_lone_in(written.to_owned()), mended, "{written}");
            assert_eq!(has_lone(written), written != mended, "{written}");
            assert!(!has_lone(mended), "{mended}");
        }
    }

    /// Pieces of a JSON string as they are written, and the UTF-16 that is read of each.
    fn piece() -> impl Strategy<Value = (String, Vec<u16>)> {
        let text = |text: &str| (text.to_owned(), text.encode_utf16().collect());
        prop_oneof![
            any::<u16>().prop_map(|unit| (format!(r"\u{unit:04x}"), vec![unit])),
            (0xd800_u16..=0xdfff).prop_map(|unit| (format!(r"\u{unit:04X}"), vec![unit])),
            (0xd800_u16..=0xdfff).prop_map(|unit| (format!(r"\\u{unit:04x}"), {
                format!(r"\u{unit:04x}").encode_utf16().collect()
            })),
            Just((r"\\".to_owned(), vec![u16::from(b'\\')])),
            "[ud8-9a-f가😀]{0,6}".prop_map(move |it| text(&it)),
        ]
    }

    proptest! {
        #[test]
        fn what_is_mended_parses_and_has_its_length_and_whatever_was_whole(
            pieces in prop::collection::vec(piece(), 0..24),
        ) {
            let text: String = pieces.iter().map(|(written, _)| written.as_str()).collect();
            let units: Vec<u16> = pieces.into_iter().flat_map(|(_, units)| units).collect();
            let read = String::from_utf16_lossy(&units);
            let json = format!(r#"{{"{text}":["{text}"]}}"#);

            let mended = replace_lone_in(json.clone());

            prop_assert_eq!(mended.len(), json.len());
            let value: Value = serde_json::from_str(&mended).unwrap();
            prop_assert_eq!(value, json!({ read.as_str(): [read.as_str()] }));
            if String::from_utf16(&units).is_ok() {
                prop_assert_eq!(mended, json);
            }
        }

        #[test]
        fn any_bytes_keep_their_length(mut bytes in "[\\\\ud8cD0-9a-f]{0,64}".prop_map(String::into_bytes)) {
            let length = bytes.len();
            replace_lone(&mut bytes);
            prop_assert_eq!(bytes.len(), length);
        }
    }
}
