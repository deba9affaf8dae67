//! Decodes server-sent events of limited size from a byte stream (HTML, section 9.2.6).
//!
//! Lines end with a line feed, a carriage return or both. A line that ends with only a carriage return is complete once
//! a later line feed arrives, because until then a line feed may follow the carriage return. No known server ends its
//! lines this way.
//!
//! A test compares it with the crate `eventsource-stream` 0.2. That crate is not used because it panics at a byte order
//! mark, which any server may send.

use std::{mem, str};

/// A stream of events that cannot be decoded further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// An event is larger than the limit.
    #[error("the stream contains an event that is too large")]
    TooLong,
    /// A line is not UTF-8.
    #[error("the stream is not UTF-8")]
    NotUtf8,
}

/// Collects bytes until an event is complete.
#[derive(Debug)]
pub struct Decoder {
    /// Largest line, and largest event, in bytes.
    max: usize,
    /// The line so far.
    partial: Vec<u8>,
    /// Bytes of complete lines since the last empty one.
    lines: usize,
    event: Event,
}

/// An event so far.
#[derive(Debug, Default)]
struct Event {
    /// Whether a line was read before.
    begun: bool,
    name: String,
    /// Its data, with a line feed after each line.
    data: String,
}

impl Decoder {
    /// A decoder for lines and events of at most `max` bytes.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { max, partial: Vec::new(), lines: 0, event: Event::default() }
    }

    /// Takes the next bytes and calls `complete` with the name (empty if there is none) and data of each event that
    /// they complete.
    ///
    /// # Errors
    ///
    /// [`Malformed`], after the events before it. Do not use the decoder any further.
    pub fn push(
        &mut self,
        bytes: &[u8],
        mut complete: impl FnMut(&str, &str),
    ) -> Result<(), Malformed> {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            if self.lines + self.partial.len() + piece.len() > self.max {
                return Err(Malformed::TooLong);
            }
            if piece.last() != Some(&b'\n') {
                self.partial.extend_from_slice(piece);
                return Ok(());
            }
            // Most lines arrive in one piece.
            let partial = mem::take(&mut self.partial);
            if partial.is_empty() {
                self.take(piece, &mut complete)?;
            } else {
                self.take(&[partial.as_slice(), piece].concat(), &mut complete)?;
            }
        }
        Ok(())
    }

    /// Takes a line that ends with a line feed. It may contain several lines that end with carriage returns.
    fn take(
        &mut self,
        line: &[u8],
        complete: &mut impl FnMut(&str, &str),
    ) -> Result<(), Malformed> {
        let text = str::from_utf8(line).map_err(|_| Malformed::NotUtf8)?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        self.lines = if text.is_empty() { 0 } else { self.lines + line.len() };
        for line in text.split('\r') {
            self.event.take(line, complete);
        }
        Ok(())
    }
}

impl Event {
    fn take(&mut self, line: &str, complete: &mut impl FnMut(&str, &str)) {
        let begins = !mem::replace(&mut self.begun, true);
        let line = line.strip_prefix('\u{feff}').filter(|_| begins).unwrap_or(line);
        if line.is_empty() {
            if let Some(data) = self.data.strip_suffix('\n') {
                complete(&self.name, data);
            }
            self.name.clear();
            return self.data.clear();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        if field == "event" {
            value.clone_into(&mut self.name);
        } else if field == "data" {
            self.data.push_str(value);
            self.data.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use eventsource_stream::Eventsource as _;
    use futures_util::{FutureExt as _, StreamExt as _, stream};
    use proptest::prelude::*;

    use super::*;

    const MAX: usize = 256 * 1024;

    /// The data of each event, and how it ended.
    fn read<'a>(
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> (Vec<String>, Result<(), Malformed>) {
        let (mut events, mut all) = (Decoder::new(MAX), Vec::new());
        let take = |piece| events.push(piece, |_, data| all.push(data.to_owned()));
        let ended = pieces.into_iter().try_for_each(take);
        (all, ended)
    }

    /// What crate `eventsource-stream` makes of it.
    fn peer(text: &str) -> Vec<String> {
        let bytes = stream::iter([Ok::<_, std::convert::Infallible>(text.as_bytes().to_vec())]);
        let events = bytes.eventsource().map(|event| event.unwrap().data);
        events.collect::<Vec<_>>().now_or_never().unwrap()
    }

    /// Lines as servers send them, and others.
    fn lines() -> impl Strategy<Value = String> {
        let line = prop_oneof![
            Just("data: {\"a\": 1}".to_owned()),
            Just("data:한국어".to_owned()),
            Just("data".to_owned()),
            Just(String::new()),
            Just(": ping".to_owned()),
            Just("event: x".to_owned()),
            "[a-z: ]{0,8}",
        ];
        let end = prop_oneof![4 => Just("\n"), 2 => Just("\r\n"), 1 => Just("\r")];
        let line = (line, end).prop_map(|(line, end)| line + end);
        prop::collection::vec(line, 0..12).prop_map(|lines| lines.concat())
    }

    proptest! {
        /// However the bytes are split, the same events come out.
        #[test]
        fn splits_do_not_matter(text in lines(), size in 1..16_usize) {
            prop_assert_eq!(read(text.as_bytes().chunks(size)), read([text.as_bytes()]));
        }

        /// Nothing is held but the last, unfinished line.
        #[test]
        fn only_what_is_unfinished_is_held(text in "(?s).{0,200}") {
            let mut events = Decoder::new(MAX);
            prop_assert_eq!(events.push(text.as_bytes(), |_, _| {}), Ok(()));
            let whole = text.rfind('\n').map_or(0, |last| last + 1);
            prop_assert_eq!(&events.partial[..], &text.as_bytes()[whole..]);
        }

        #[test]
        fn a_library_finds_the_same_events(text in lines()) {
            // Which end of line a last carriage return is, nobody knows yet.
            let text = text + "\n";
            prop_assert_eq!(read([text.as_bytes()]).0, peer(&text));
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read([bytes.as_slice()]);
        }
    }

    #[test]
    fn a_byte_order_mark_counts_at_the_beginning_only() {
        let marked = "\u{feff}data: x\n\n";
        assert_eq!(read([marked.repeat(2).as_bytes()]), (vec!["x".to_owned()], Ok(())));
    }

    #[test]
    fn endless_lines_and_endless_events_are_refused() {
        let mut line = Decoder::new(MAX);
        assert_eq!(line.push(&vec![b'x'; MAX], |_, _| {}), Ok(()));
        assert_eq!(line.push(b"x", |_, _| {}), Err(Malformed::TooLong));

        let mut event = Decoder::new(MAX);
        let taken = (0..MAX).take_while(|_| event.push(b"data: x\n", |_, _| {}).is_ok()).count();
        assert_eq!(taken, MAX / 8);

        let mut events = Decoder::new(MAX);
        assert!((0..MAX).all(|_| events.push(b"data: x\n\n", |_, _| {}).is_ok()));
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        let (before, ended) = read([b"data: x\n\ndata: \xff\n".as_slice()]);
        assert_eq!(
            (before.as_slice(), ended),
            ([String::from("x")].as_slice(), Err(Malformed::NotUtf8))
        );
    }

    #[test]
    fn names_are_read_wherever_the_bytes_are_split() {
        let text = "event: start\ndata: {\"a\":1}\n\n: ping\n\ndata:x\r\ndata: 안녕\r\n\r\nevent: cut\ndata: y\n";
        let whole = [("start", "{\"a\":1}"), ("", "x\n안녕")]
            .map(|(name, data)| (name.to_owned(), data.to_owned()));
        for split in 0..=text.len() {
            let (head, tail) = text.as_bytes().split_at(split);
            let (mut decoder, mut all) = (Decoder::new(MAX), Vec::new());
            for piece in [head, tail] {
                let take = |name: &str, data: &str| all.push((name.to_owned(), data.to_owned()));
                decoder.push(piece, take).unwrap();
            }
            assert_eq!(all, whole, "{split}");
        }
    }
}
