//! Server-sent events, with a bound: the relay in between is not trusted with this device's memory.

/// Largest event, in bytes: the largest sealed chunk as base64url, and its frame.
const MAX_EVENT: usize = 1_500_000;

/// Why a stream of events is not read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// An event is larger than any of ours.
    #[error("the stream holds an event that is too large")]
    TooLarge,
    /// The stream is not UTF-8.
    #[error("the stream is not text")]
    NotText,
}

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerEvent {
    /// Its name; empty if it has none.
    pub name: String,
    /// Its data.
    pub data: String,
}

/// Takes bytes as they come, gives events as they are complete.
#[derive(Debug, Default)]
pub struct Decoder {
    /// The line that is not complete yet.
    line: Vec<u8>,
    event: ServerEvent,
    has_data: bool,
}

impl Decoder {
    /// Takes the next bytes; appends the events that they complete.
    ///
    /// # Errors
    ///
    /// See [`EventError`]; the stream is of no further use.
    pub fn feed(
        &mut self,
        mut bytes: &[u8],
        events: &mut Vec<ServerEvent>,
    ) -> Result<(), EventError> {
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            self.grow(&bytes[..end])?;
            let mut line = std::mem::take(&mut self.line);
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            self.take(&line, events)?;
            bytes = &bytes[end + 1..];
        }
        self.grow(bytes)
    }

    fn grow(&mut self, bytes: &[u8]) -> Result<(), EventError> {
        if self.line.len() + self.event.data.len() + bytes.len() > MAX_EVENT {
            return Err(EventError::TooLarge);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn take(&mut self, line: &[u8], events: &mut Vec<ServerEvent>) -> Result<(), EventError> {
        let Ok(line) = std::str::from_utf8(line) else {
            return Err(EventError::NotText);
        };
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            if std::mem::take(&mut self.has_data) {
                events.push(event);
            }
            return Ok(());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.name),
            "data" => {
                if self.has_data {
                    self.event.data.push('\n');
                }
                self.has_data = true;
                self.event.data.push_str(value);
            }
            // Comments (an empty field), and fields that this protocol does not use.
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(parts: &[&[u8]]) -> Result<Vec<(String, String)>, EventError> {
        let (mut decoder, mut events) = (Decoder::default(), Vec::new());
        for part in parts {
            decoder.feed(part, &mut events)?;
        }
        Ok(events.into_iter().map(|event| (event.name, event.data)).collect())
    }

    #[test]
    fn events_are_read_wherever_the_bytes_are_split() {
        let text = "event: start\ndata: {\"a\":1}\n\n: ping\n\ndata:x\r\ndata: 안녕\r\n\r\nevent: cut\ndata: y\n";
        let whole = [("start", "{\"a\":1}"), ("", "x\n안녕")]
            .map(|(name, data)| (name.to_owned(), data.to_owned()));

        for split in 0..=text.len() {
            let (head, tail) = text.as_bytes().split_at(split);

            assert_eq!(decode(&[head, tail]).unwrap(), whole, "{split}");
        }
    }

    #[test]
    fn an_event_without_end_is_refused() {
        let line = vec![b'x'; 100_000];
        let short = [b"data: ".as_slice(), &line[..50_000], b"\n"].concat();

        assert!(decode(&vec![line.as_slice(); 16]).is_err());
        assert!(decode(&vec![short.as_slice(); 32]).is_err());
    }

    #[test]
    fn what_is_not_text_is_refused() {
        assert!(decode(&[b"data: \xff\n"]).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_however_split(parts in prop::collection::vec(any::<Vec<u8>>(), 0..8)) {
            let split: Vec<_> = parts.iter().map(Vec::as_slice).collect();

            prop_assert_eq!(decode(&split).ok(), decode(&[&parts.concat()]).ok());
        }

        #[test]
        fn lines_of_a_stream_are_read_the_same_however_split(
            lines in prop::collection::vec("(event|data|id|)?:? ?[a-z안]{0,3}\r?\n", 0..12),
            at in any::<prop::sample::Index>(),
        ) {
            let text = lines.concat().into_bytes();
            let (head, tail) = text.split_at(at.index(text.len() + 1));

            prop_assert_eq!(decode(&[head, tail]), decode(&[&text]));
        }
    }
}
