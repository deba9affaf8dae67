//! Cuts a byte stream into whole lines, bounded.
//!
//! The event parser behind it keeps what is unfinished and reads it again with each piece that arrives. Given whole
//! lines of valid UTF-8, it never holds more than one event, and a character split between two pieces (Korean has
//! three bytes each) is whole before it gets there.

use std::mem;

/// Longest line, and longest event, in bytes. A token is a few; the longest real chunk carries timings.
pub(super) const EVENT_MAX: usize = 256 * 1024;

/// What a stream of events may not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    /// More than [`EVENT_MAX`] bytes without an empty line.
    #[error("an event is longer than is taken")]
    TooLong,
    /// A line is not UTF-8.
    #[error("it is not UTF-8")]
    NotUtf8,
}

/// Collects bytes until a line is whole.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The line so far.
    partial: Vec<u8>,
    /// Bytes of whole lines since the last empty one.
    event: usize,
}

impl Lines {
    /// Takes the next bytes and returns the lines that they complete, each with its line feed.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<String, Malformed> {
        let Some(last) = bytes.iter().rposition(|&byte| byte == b'\n') else {
            self.partial.extend_from_slice(bytes);
            self.check(self.partial.len())?;
            return Ok(String::new());
        };
        let mut whole = mem::take(&mut self.partial);
        whole.extend_from_slice(&bytes[..=last]);
        self.partial.extend_from_slice(&bytes[last + 1..]);
        for line in whole.split_inclusive(|&byte| byte == b'\n') {
            self.check(line.len())?;
            let empty = matches!(line, b"\n" | b"\r\n");
            self.event = if empty { 0 } else { self.event + line.len() };
        }
        self.check(self.partial.len())?;
        String::from_utf8(whole).map_err(|_| Malformed::NotUtf8)
    }

    fn check(&self, more: usize) -> Result<(), Malformed> {
        if self.event + more > EVENT_MAX { Err(Malformed::TooLong) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However the bytes are split, the same lines come out, and nothing is held but the last, unfinished one.
        #[test]
        fn splits_do_not_matter(text in "(?s).{0,200}", cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8)) {
            let bytes = text.as_bytes();
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            at.extend([0, bytes.len()]);
            at.sort_unstable();

            let mut lines = Lines::default();
            let mut out = String::new();
            for pair in at.windows(2) {
                out.push_str(&lines.push(&bytes[pair[0]..pair[1]]).unwrap());
            }

            let whole = text.rfind('\n').map_or(0, |last| last + 1);
            prop_assert_eq!(&out, &text[..whole]);
            prop_assert_eq!(&lines.partial[..], &bytes[whole..]);
        }
    }

    #[test]
    fn endless_lines_and_endless_events_are_refused() {
        let mut line = Lines::default();
        assert_eq!(line.push(&vec![b'x'; EVENT_MAX]), Ok(String::new()));
        assert_eq!(line.push(b"x"), Err(Malformed::TooLong));

        let mut event = Lines::default();
        let results: Vec<_> = (0..EVENT_MAX).map_while(|_| event.push(b"data: x\n").ok()).collect();
        assert_eq!(results.len(), EVENT_MAX / 8);

        let mut events = Lines::default();
        assert!((0..EVENT_MAX).all(|_| events.push(b"data: x\n\n").is_ok()));
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        assert_eq!(Lines::default().push(b"data: \xff\n"), Err(Malformed::NotUtf8));
    }
}
