//! Frames of a WebSocket on which only the server sends messages (RFC 6455, section 5).

/// Largest payload of a frame that a client sends, in bytes: that of a control frame (section 5.5).
const PAYLOAD_MAX: usize = 125;
/// Bytes of a client's frame besides its payload: two bytes of header, and the mask.
const HEAD: usize = 6;
/// Largest frame that a client sends, in bytes.
pub const FRAME_MAX: usize = HEAD + PAYLOAD_MAX;

/// A frame that a client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// To be answered by [`pong`] with these bytes.
    Ping(Vec<u8>),
    /// The response to a ping, or data, which nobody waits for.
    Ignored,
    /// The client closes the connection.
    Close,
}

/// A frame that breaks the protocol, or is larger than any that a client of a silent endpoint needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the frame is malformed or too large")]
pub struct Malformed;

/// Decodes the first frame of `bytes`, with its length; nothing while it is incomplete.
///
/// # Errors
///
/// [`Malformed`] if it has no mask (section 5.1), a reserved bit or operation, or more than 125 bytes.
pub fn decode(bytes: &[u8]) -> Result<Option<(Frame, usize)>, Malformed> {
    let [first, second, rest @ ..] = bytes else {
        return Ok(None);
    };
    let (operation, length) = (first & 0x0f, usize::from(second & 0x7f));
    let is_control = operation & 0x08 != 0;
    let is_whole = first & 0x80 != 0;
    if first & 0x70 != 0 || second & 0x80 == 0 || length > PAYLOAD_MAX || is_control && !is_whole {
        return Err(Malformed);
    }
    let Some((mask, rest)) = rest.split_first_chunk::<4>() else {
        return Ok(None);
    };
    let Some(masked) = rest.get(..length) else {
        return Ok(None);
    };
    let frame = match operation {
        0x0..=0x2 | 0xa => Frame::Ignored,
        0x8 => Frame::Close,
        0x9 => Frame::Ping(masked.iter().zip(mask.iter().cycle()).map(|(a, b)| a ^ b).collect()),
        _ => return Err(Malformed),
    };
    Ok(Some((frame, HEAD + length)))
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

/// A whole frame without a mask, as servers send it.
fn frame(operation: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | operation];
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn examples_of_the_specification_are_read_and_written() {
        // Section 5.7: "Hello" in a masked frame, then as a ping.
        let hello = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        assert_eq!(decode(&hello), Ok(Some((Frame::Ignored, 11))));
        let mut ping = hello;
        ping[0] = 0x89;
        assert_eq!(decode(&ping), Ok(Some((Frame::Ping(b"Hello".to_vec()), 11))));
        assert_eq!(text("Hello"), [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);
        assert_eq!(pong(b"Hello"), [0x8a, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);
        assert_eq!(text(&"x".repeat(256))[..4], [0x81, 0x7e, 0x01, 0x00]);
        assert_eq!(text(&"x".repeat(65_536))[..10], [0x81, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn what_breaks_the_protocol_is_refused_before_its_payload_comes() {
        for (bytes, why) in [
            ([0x81, 0x05], "no mask"),
            ([0xc1, 0x85], "a reserved bit"),
            ([0x81, 0xfe], "a long message"),
            ([0x09, 0x80], "a control frame in parts"),
        ] {
            assert_eq!(decode(&bytes), Err(Malformed), "{why}");
        }
        assert_eq!(decode(&[0x83, 0x80, 0, 0, 0, 0]), Err(Malformed), "a reserved operation");
        assert_eq!(decode(&[0x88, 0x80, 0, 0, 0, 0, 9]), Ok(Some((Frame::Close, 6))));
    }

    proptest! {
        /// Whatever a client sends, a frame lies within the bytes, and one that never ends is refused.
        #[test]
        fn a_frame_is_within_the_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            match decode(&bytes) {
                Ok(Some((frame, length))) => {
                    prop_assert!(length <= bytes.len() && length <= FRAME_MAX);
                    if let Frame::Ping(payload) = frame {
                        prop_assert_eq!(payload.len(), length - HEAD);
                    }
                }
                Ok(None) => prop_assert!(bytes.len() < FRAME_MAX),
                Err(Malformed) => {}
            }
        }
    }
}
