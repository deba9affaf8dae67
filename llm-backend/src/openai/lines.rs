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
    ///
    /// Where something is wrong, the lines before it are returned beside the error, so that it does not matter
    /// where the network cuts. Nothing may follow an error.
    pub(super) fn push(&mut self, bytes: &[u8]) -> (String, Result<(), Malformed>) {
        let mut lines = String::new();
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.partial.extend_from_slice(piece);
            if let Err(malformed) = self.complete(&mut lines) {
                return (lines, Err(malformed));
            }
        }
        (lines, Ok(()))
    }

    /// Moves the line to those that are whole, if it is.
    fn complete(&mut self, lines: &mut String) -> Result<(), Malformed> {
        self.check(self.partial.len())?;
        if self.partial.last() != Some(&b'\n') {
            return Ok(());
        }
        let line =
            String::from_utf8(mem::take(&mut self.partial)).map_err(|_| Malformed::NotUtf8)?;
        let empty = matches!(line.as_str(), "\n" | "\r\n");
        self.event = if empty { 0 } else { self.event + line.len() };
        lines.push_str(&line);
        Ok(())
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
                out.push_str(&lines.push(&bytes[pair[0]..pair[1]]).0);
            }

            let whole = text.rfind('\n').map_or(0, |last| last + 1);
            prop_assert_eq!(&out, &text[..whole]);
            prop_assert_eq!(&lines.partial[..], &bytes[whole..]);
        }
    }

    #[test]
    fn endless_lines_and_endless_events_are_refused() {
        let mut line = Lines::default();
        assert_eq!(line.push(&vec![b'x'; EVENT_MAX]), (String::new(), Ok(())));
        assert_eq!(line.push(b"x").1, Err(Malformed::TooLong));

        let mut event = Lines::default();
        let taken = (0..EVENT_MAX).take_while(|_| event.push(b"data: x\n").1.is_ok()).count();
        assert_eq!(taken, EVENT_MAX / 8);

        let mut events = Lines::default();
        assert!((0..EVENT_MAX).all(|_| events.push(b"data: x\n\n").1.is_ok()));
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        let (before, ended) = Lines::default().push(b"data: x\n\ndata: \xff\n");

        assert_eq!((before.as_str(), ended), ("data: x\n\n", Err(Malformed::NotUtf8)));
    }
}
