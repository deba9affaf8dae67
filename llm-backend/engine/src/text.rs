//! Turns the bytes of tokens into the text of a reply.

use std::mem;

/// Joins the bytes of tokens. A delta contains only complete characters, and no part of a stop text.
///
/// A token may end in the middle of a character (in small models most Korean ones take two or three tokens), and in the
/// middle of a stop text; undecided text is held back.
#[derive(Debug, Default)]
pub struct TextDecoder {
    stops: Vec<String>,
    /// The first bytes of an incomplete character.
    bytes: Vec<u8>,
    /// Text that may be the beginning of a stop text.
    held: String,
    stopped: bool,
}

impl TextDecoder {
    /// Starts a text that ends before the first of `stops`; empty ones are ignored.
    #[must_use]
    pub fn new(stops: Vec<String>) -> Self {
        let stops = stops.into_iter().filter(|stop| !stop.is_empty()).collect();
        Self { stops, ..Self::default() }
    }

    /// Takes the bytes of one token and returns what can be sent now, perhaps nothing.
    ///
    /// Bytes that are not UTF-8 become U+FFFD. After a stop text it returns nothing.
    pub fn push(&mut self, piece: &[u8]) -> String {
        if self.stopped {
            return String::new();
        }
        self.bytes.extend_from_slice(piece);
        self.complete();
        if let Some(start) = first_stop(&self.held, &self.stops) {
            self.stopped = true;
            self.held.truncate(start);
            return mem::take(&mut self.held);
        }
        let undecided = self.held.split_off(self.undecided());
        mem::replace(&mut self.held, undecided)
    }

    /// Whether a stop text was found.
    #[must_use]
    pub const fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Ends the text and returns the text that was held back; an incomplete character is dropped.
    #[must_use]
    pub fn finish(&mut self) -> String {
        self.bytes.clear();
        mem::take(&mut self.held)
    }

    /// Moves complete characters from `bytes` to `held`.
    fn complete(&mut self) {
        let mut rest = self.bytes.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    self.held.push_str(text);
                    rest = &[];
                    break;
                }
                Err(error) => {
                    let (valid, invalid) = rest.split_at(error.valid_up_to());
                    self.held.push_str(&String::from_utf8_lossy(valid));
                    rest = invalid;
                    let Some(length) = error.error_len() else { break };
                    self.held.push(char::REPLACEMENT_CHARACTER);
                    rest = &rest[length..];
                }
            }
        }
        self.bytes = rest.to_vec();
    }

    /// The position in `held` at which a stop text may begin.
    fn undecided(&self) -> usize {
        let starts = self.held.char_indices().map(|(at, _)| at);
        let mut open =
            starts.filter(|&at| self.stops.iter().any(|stop| stop.starts_with(&self.held[at..])));
        open.next().unwrap_or(self.held.len())
    }
}

/// The beginning of the stop text that ends first; of several that end at the same position, the longest.
fn first_stop(text: &str, stops: &[String]) -> Option<usize> {
    let found =
        stops.iter().filter_map(|stop| text.find(stop).map(|start| (start + stop.len(), start)));
    found.min().map(|(_, start)| start)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The expected text, computed from all bytes at once.
    fn reference(all: &[u8], stops: &[String]) -> String {
        // A character that is cut off at the end is dropped, anything else that is no UTF-8 is replaced.
        let complete = match all.utf8_chunks().last() {
            Some(last)
                if std::str::from_utf8(last.invalid())
                    .is_err_and(|error| error.error_len().is_none()) =>
            {
                &all[..all.len() - last.invalid().len()]
            }
            _ => all,
        };
        let text = String::from_utf8_lossy(complete).into_owned();
        // Character by character, as a reader who waits for a stop text would.
        for (at, character) in text.char_indices() {
            let read = &text[..at + character.len_utf8()];
            let met = stops.iter().filter(|stop| !stop.is_empty() && read.ends_with(stop.as_str()));
            if let Some(longest) = met.map(String::len).max() {
                return read[..read.len() - longest].to_owned();
            }
        }
        text
    }

    fn deltas(pieces: &[Vec<u8>], stops: &[String]) -> (Vec<String>, bool) {
        let mut text = TextDecoder::new(stops.to_vec());
        let mut deltas: Vec<_> = pieces.iter().map(|piece| text.push(piece)).collect();
        let stopped = text.is_stopped();
        deltas.push(text.finish());
        (deltas, stopped)
    }

    proptest! {
        /// The text does not depend on how tokens split the bytes.
        #[test]
        fn cuts_do_not_matter(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..5), 0..40),
        ) {
            let (out, stopped) = deltas(&pieces, &[]);
            prop_assert_eq!(out.concat(), reference(&pieces.concat(), &[]));
            prop_assert!(!stopped);
        }

        /// The text contains no stop text, however tokens split the bytes.
        #[test]
        fn stop_texts_are_never_sent(
            text in "[ab안녕]{0,60}",
            stops in prop::collection::vec("[ab안녕]{0,4}", 0..4),
            sizes in prop::collection::vec(1..5_usize, 1..60),
        ) {
            let mut pieces = Vec::new();
            let mut rest = text.as_bytes();
            for size in sizes.into_iter().cycle() {
                if rest.is_empty() { break; }
                let (piece, more) = rest.split_at(size.min(rest.len()));
                pieces.push(piece.to_vec());
                rest = more;
            }
            let (out, stopped) = deltas(&pieces, &stops);
            prop_assert_eq!(out.concat(), reference(text.as_bytes(), &stops));
            prop_assert_eq!(stopped, stops.iter().any(|stop| !stop.is_empty() && text.contains(stop.as_str())));
        }
    }

    #[test]
    fn text_is_sent_as_soon_as_it_is_decided() {
        let mut text = TextDecoder::new(vec!["END".to_owned()]);
        assert_eq!(text.push(b"a"), "a");
        assert_eq!(text.push(b"bE"), "b");
        assert_eq!(text.push(b"N"), "");
        assert_eq!(text.push(b"x"), "ENx");
        assert_eq!(text.push("한".as_bytes()), "한");
        assert_eq!(text.push(&"글".as_bytes()[..2]), "");
        assert_eq!(text.push(&"글".as_bytes()[2..]), "글");
    }
}
