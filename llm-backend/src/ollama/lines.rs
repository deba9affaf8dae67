//! Splits a byte stream into lines of limited length, so that a character is never split between pieces.

use std::mem;

/// Longest line, in bytes. A token takes a few hundred; a tool call is one line with all its arguments.
pub(super) const LINE_MAX: usize = 1 << 20;

/// A line has more than [`LINE_MAX`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a line is too long")]
pub(super) struct TooLong;

/// Collects bytes until a line is complete.
#[derive(Debug, Default)]
pub(super) struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Takes the next bytes and returns the lines that they complete, without their line feeds.
    ///
    /// If a line is too long, the lines before it are returned beside the error, so that the result does not depend on
    /// how the network splits the bytes. Do not call it after an error.
    pub(super) fn push(&mut self, bytes: &[u8]) -> (Vec<Vec<u8>>, Result<(), TooLong>) {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let (piece, whole) = piece.strip_suffix(b"\n").map_or((piece, false), |it| (it, true));
            if self.partial.len() + piece.len() > LINE_MAX {
                return (lines, Err(TooLong));
            }
            self.partial.extend_from_slice(piece);
            if whole {
                lines.push(mem::take(&mut self.partial));
            }
        }
        (lines, Ok(()))
    }

    /// The bytes after the last line feed.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        mem::take(&mut self.partial)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The lines do not depend on how the bytes are split, and only the last, incomplete one is kept.
        #[test]
        fn splits_do_not_matter(bytes in prop::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..200), size in 1..32_usize) {
            let mut lines = Lines::default();
            let mut out = Vec::new();
            for piece in bytes.chunks(size) {
                out.extend(lines.push(piece).0);
            }
            out.push(lines.finish());
            let expected: Vec<_> = bytes.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
            prop_assert_eq!(out, expected);
        }
    }

    #[test]
    fn an_endless_line_is_refused_and_those_before_it_are_not_lost() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(&vec![b'x'; LINE_MAX]), (Vec::new(), Ok(())));
        assert_eq!(lines.push(b"x"), (Vec::new(), Err(TooLong)));

        let long = [b"one\n".as_slice(), &vec![b'x'; LINE_MAX + 1]].concat();
        assert_eq!(Lines::default().push(&long), (vec![b"one".to_vec()], Err(TooLong)));
    }
}
