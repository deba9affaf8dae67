//! Pieces of a reply's text as model servers send them: a piece may end within a character.
//!
//! A server that counts text in UTF-16, as JavaScript programs do, may send the first surrogate of an emoji as an
//! escape at the end of one piece (`"\ud83d"`) and the second at the beginning of the next. [`PieceJoiner`] joins them;
//! a lone surrogate becomes U+FFFD.

use std::fmt;

use common::{foreign::REPLACED, surrogate};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Visitor},
};

/// Bytes of a surrogate in WTF-8.
const SURROGATE: usize = 3;

/// A piece of text: UTF-8 that may contain lone surrogates (WTF-8).
pub(crate) struct TextPiece(Vec<u8>);

/// Joins the pieces of one text.
#[derive(Debug, Default)]
pub(crate) struct PieceJoiner {
    /// The first surrogate of a character, at the end of the last piece.
    half: Option<[u8; SURROGATE]>,
}

impl PieceJoiner {
    /// The text that the next piece adds; `is_last` if none follows.
    pub(crate) fn join(&mut self, piece: Option<TextPiece>, is_last: bool) -> String {
        let piece = piece.map(|TextPiece(bytes)| bytes).unwrap_or_default();
        let mut bytes = match self.half {
            Some(_) if piece.is_empty() && !is_last => return String::new(),
            Some(half) => [&half[..], &piece].concat(),
            None => piece,
        };
        self.half = None;
        if !is_last
            && let Some((_, last)) = bytes.split_last_chunk::<SURROGATE>()
            && unit(last).is_some_and(is_first)
        {
            self.half = Some(*last);
            bytes.truncate(bytes.len() - SURROGATE);
        }
        String::from_utf8(bytes).unwrap_or_else(|error| read(error.as_bytes()))
    }
}

/// Parses JSON of a model server; a lone surrogate outside of a [`TextPiece`] is read as U+FFFD.
pub(crate) fn json<T: DeserializeOwned>(text: &str) -> serde_json::Result<T> {
    serde_json::from_str(text)
        .or_else(|_| serde_json::from_str(&surrogate::replace_lone_in(text.to_owned())))
}

/// The text of these bytes, with U+FFFD for each lone surrogate.
fn read(mut bytes: &[u8]) -> String {
    let mut text = String::new();
    while let Some(chunk) = bytes.utf8_chunks().next() {
        text.push_str(chunk.valid());
        bytes = bytes.get(chunk.valid().len()..).unwrap_or_default();
        let (first, second) = (unit(bytes), bytes.get(SURROGATE..).and_then(unit));
        let (c, length) = match (first, second) {
            (Some(first), Some(second)) if is_first(first) && !is_first(second) => {
                let c = char::decode_utf16([first, second]).next().and_then(Result::ok);
                (c, 2 * SURROGATE)
            }
            (Some(_), _) => (None, SURROGATE),
            (None, _) => (None, chunk.invalid().len()),
        };
        if !bytes.is_empty() {
            text.push(c.unwrap_or(REPLACED));
        }
        bytes = bytes.get(length..).unwrap_or_default();
    }
    text
}

/// The surrogate at the beginning of these bytes, as a UTF-16 unit.
fn unit(bytes: &[u8]) -> Option<u16> {
    let &[0xed, middle @ 0xa0..=0xbf, last @ 0x80..=0xbf, ..] = bytes else {
        return None;
    };
    Some(0xd000 | u16::from(middle & 0x3f) << 6 | u16::from(last & 0x3f))
}

/// Whether it is a first surrogate.
fn is_first(unit: u16) -> bool {
    unit < 0xdc00
}

/// From a JSON string's bytes, because a `String` cannot contain surrogates.
impl<'de> Deserialize<'de> for TextPiece {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = TextPiece;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<TextPiece, E> {
                Ok(TextPiece(bytes.to_vec()))
            }
        }
        from.deserialize_bytes(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn piece(units: &[u16]) -> Option<TextPiece> {
        let escapes: String = units.iter().map(|unit| format!(r"\u{unit:04x}")).collect();
        serde_json::from_str(&format!("\"{escapes}\"")).unwrap()
    }

    #[test]
    fn only_a_string_is_a_piece() {
        for json in ["7", "[104]", "{}", "true"] {
            assert!(serde_json::from_str::<Option<TextPiece>>(json).is_err(), "{json}");
        }
    }

    proptest! {
        /// A text that is cut anywhere, also between surrogates, is joined to the same text.
        #[test]
        fn pieces_are_joined_to_the_text_that_was_cut(
            parts in prop::collection::vec(
                prop_oneof![
                    any::<char>().prop_map(|c| c.encode_utf16(&mut [0; 2]).to_vec()),
                    (0xd800_u16..=0xdfff).prop_map(|unit| vec![unit]),
                    Just(vec![0x41]),
                ],
                0..16,
            ),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let units = parts.concat();
            let mut at: Vec<_> = cuts.iter().map(|cut| cut.index(units.len() + 1)).collect();
            at.extend([0, units.len()]);
            at.sort_unstable();
            let mut pieces = PieceJoiner::default();
            let mut text: String =
                at.windows(2).map(|cut| pieces.join(piece(&units[cut[0]..cut[1]]), false)).collect();
            text.push_str(&pieces.join(None, true));
            prop_assert_eq!(text, String::from_utf16_lossy(&units));
        }
    }
}
