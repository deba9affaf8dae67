//! Frames of a WebSocket as a server reads and writes them (RFC 6455, section 5).

/// Largest payload of a control frame, in bytes (section 5.5).
pub const CONTROL_MAX: usize = 125;
/// Bytes before a client's payload at most: two bytes, a length of eight, a mask of four (section 5.2).
const HEAD_MAX: usize = 14;

/// What a client sent: a message, or a control frame.
#[derive(Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A message of text.
    Text(String),
    /// A message of bytes.
    Binary(Vec<u8>),
    /// To be answered by [`pong`] with these bytes.
    Ping(Vec<u8>),
    /// The response to a ping.
    Pong,
    /// The client closes the connection.
    Close,
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Text(_) => "Text([redacted])",
            Self::Binary(_) => "Binary([redacted])",
            Self::Ping(_) => "Ping",
            Self::Pong => "Pong",
            Self::Close => "Close",
        })
    }
}

/// Why the connection has to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A frame has no mask (section 5.1), a reserved bit or operation, or does not continue the message.
    #[error("a frame breaks the protocol")]
    Malformed,
    /// A message is larger than this endpoint reads.
    #[error("a message is too large")]
    TooLarge,
    /// A message of text is not UTF-8 (section 8.1).
    #[error("a message of text is not UTF-8")]
    Text,
}

impl FrameError {
    /// The status to close with (section 7.4.1).
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Malformed => 1002,
            Self::TooLarge => 1009,
            Self::Text => 1007,
        }
    }
}

/// Decodes what a client sends. It holds one message and one frame at most, each of the largest size that is read.
///
/// Call [`Self::decode`] after each [`Self::push`] until it returns nothing.
#[derive(Debug)]
pub struct Decoder {
    received: Vec<u8>,
    message: Option<Message>,
    message_max: usize,
}

/// A message of which frames are missing.
#[derive(Debug)]
struct Message {
    is_text: bool,
    payload: Vec<u8>,
}

/// A frame's head.
struct Head {
    is_last: bool,
    operation: u8,
    length: usize,
    mask: [u8; 4],
    /// Bytes of the head.
    size: usize,
}

impl Decoder {
    /// Reads messages of at most so many bytes.
    #[must_use]
    pub fn new(message_max: usize) -> Self {
        Self { received: Vec::new(), message: None, message_max }
    }

    /// Reads messages of at most so many bytes from now on.
    pub fn set_message_max(&mut self, message_max: usize) {
        self.message_max = message_max;
    }

    /// Bytes that are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.received.len() + self.message.as_ref().map_or(0, |message| message.payload.len())
    }

    /// Adds bytes that were received.
    pub fn push(&mut self, bytes: &[u8]) {
        self.received.extend_from_slice(bytes);
    }

    /// The next message or control frame; nothing while it is incomplete.
    ///
    /// # Errors
    ///
    /// See [`FrameError`]. The connection has to be closed.
    pub fn decode(&mut self) -> Result<Option<Incoming>, FrameError> {
        loop {
            let Some(head) = self.head()? else { return Ok(None) };
            let end = head.size + head.length;
            let Some(payload) = self.received.get(head.size..end) else { return Ok(None) };
            let payload =
                payload.iter().zip(head.mask.iter().cycle()).map(|(a, b)| a ^ b).collect();
            self.received.drain(..end);
            if self.received.is_empty() {
                // An idle connection holds no memory of its largest message.
                self.received = Vec::new();
            }
            if let Some(incoming) = self.take(&head, payload)? {
                return Ok(Some(incoming));
            }
        }
    }

    /// The head of the next frame. A frame that is too large is refused before its payload comes.
    fn head(&self) -> Result<Option<Head>, FrameError> {
        let [first, second, rest @ ..] = &self.received[..] else { return Ok(None) };
        let (operation, is_last) = (first & 0x0f, first & 0x80 != 0);
        let is_control = operation & 0x08 != 0;
        let short = usize::from(second & 0x7f);
        let is_known = matches!(operation, 0x0..=0x2 | 0x8..=0xa);
        let is_wrong_control = is_control && (!is_last || short > CONTROL_MAX);
        if first & 0x70 != 0 || second & 0x80 == 0 || !is_known || is_wrong_control {
            return Err(FrameError::Malformed);
        }
        let is_continued = self.message.is_some();
        if !is_control && (operation == 0) != is_continued {
            return Err(FrameError::Malformed);
        }
        let (length, rest, extended) = match short {
            126 => match rest.split_first_chunk() {
                Some((length, rest)) => (u64::from(u16::from_be_bytes(*length)), rest, 2),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk() {
                Some((length, rest)) => (u64::from_be_bytes(*length), rest, 8),
                None => return Ok(None),
            },
            _ => (short as u64, rest, 0),
        };
        let before = self.message.as_ref().filter(|_| !is_control);
        let before = before.map_or(0, |message| message.payload.len());
        let length = usize::try_from(length).map_err(|_| FrameError::TooLarge)?;
        let is_too_large = before.saturating_add(length) > self.message_max;
        if !is_control && is_too_large {
            return Err(FrameError::TooLarge);
        }
        let Some(mask) = rest.first_chunk() else { return Ok(None) };
        Ok(Some(Head { is_last, operation, length, mask: *mask, size: 6 + extended }))
    }

    fn take(&mut self, head: &Head, payload: Vec<u8>) -> Result<Option<Incoming>, FrameError> {
        let mut message = match head.operation {
            0x8 => return Ok(Some(Incoming::Close)),
            0x9 => return Ok(Some(Incoming::Ping(payload))),
            0xa => return Ok(Some(Incoming::Pong)),
            0x0 => self.message.take().ok_or(FrameError::Malformed)?,
            operation => Message { is_text: operation == 0x1, payload: Vec::new() },
        };
        if message.payload.is_empty() {
            message.payload = payload;
        } else {
            message.payload.extend(payload);
        }
        if !head.is_last {
            self.message = Some(message);
            return Ok(None);
        }
        if !message.is_text {
            return Ok(Some(Incoming::Binary(message.payload)));
        }
        String::from_utf8(message.payload)
            .map_or(Err(FrameError::Text), |text| Ok(Some(Incoming::Text(text))))
    }
}

/// A message of text.
#[must_use]
pub fn text(text: &str) -> Vec<u8> {
    frame(0x1, text.as_bytes())
}

/// A ping without bytes.
#[must_use]
pub fn ping() -> Vec<u8> {
    frame(0x9, &[])
}

/// The response to a ping.
#[must_use]
pub fn pong(payload: &[u8]) -> Vec<u8> {
    frame(0xa, payload)
}

/// The last frame, without a reason.
#[must_use]
pub fn close() -> Vec<u8> {
    frame(0x8, &[])
}

/// The last frame, with a status (section 7.4.1) and a reason, which is cut to what a control frame holds.
#[must_use]
pub fn close_with(status: u16, reason: &str) -> Vec<u8> {
    let reason = &reason[..reason.floor_char_boundary(CONTROL_MAX - 2)];
    frame(0x8, &[&status.to_be_bytes()[..], reason.as_bytes()].concat())
}

/// A whole frame without a mask, as servers send it.
fn frame(operation: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(payload.len() + HEAD_MAX);
    frame.push(0x80 | operation);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ ..=125), _) => frame.push(length),
        (_, Ok(length)) => {
            frame.push(126);
            frame.extend(length.to_be_bytes());
        }
        _ => {
            frame.push(127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend(payload);
    frame
}

#[cfg(test)]
mod tests;
