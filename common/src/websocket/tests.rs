use proptest::prelude::*;

use super::*;

/// Of the specification's example (section 5.7).
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A client's frame: the first byte, and the payload to mask.
fn client(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = frame(first & 0x0f, payload);
    bytes[0] = first;
    bytes[1] |= 0x80;
    let at = bytes.len() - payload.len();
    let masked: Vec<u8> = payload.iter().zip(MASK.iter().cycle()).map(|(a, b)| a ^ b).collect();
    bytes.truncate(at);
    [bytes, MASK.to_vec(), masked].concat()
}

fn all(max: usize, bytes: &[u8]) -> Result<Vec<Incoming>, FrameError> {
    let mut decoder = Decoder::new(max);
    decoder.push(bytes);
    let mut found = Vec::new();
    while let Some(incoming) = decoder.decode()? {
        found.push(incoming);
    }
    Ok(found)
}

fn hello() -> Incoming {
    Incoming::Text("Hello".to_owned())
}

#[test]
fn examples_of_the_specification_are_read_and_written() {
    // Section 5.7: "Hello" in a masked frame, as a ping, and in two frames with a ping between them.
    let masked = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(masked.to_vec(), client(0x81, b"Hello"));
    assert_eq!(all(5, &masked), Ok(vec![hello()]));
    assert_eq!(all(0, &client(0x89, b"Hello")), Ok(vec![Incoming::Ping(b"Hello".to_vec())]));
    let parts = [client(0x01, b"Hel"), client(0x89, b""), client(0x80, b"lo")].concat();
    assert_eq!(all(5, &parts), Ok(vec![Incoming::Ping(Vec::new()), hello()]));
    assert_eq!(all(5, &client(0x82, b"Hello")), Ok(vec![Incoming::Binary(b"Hello".to_vec())]));
    assert_eq!(text("Hello"), [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);
    assert_eq!(pong(b"Hello"), [0x8a, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);
    assert_eq!(close_with(1009, "too large")[..4], [0x88, 11, 0x03, 0xf1]);
    assert_eq!(close_with(1009, &"é".repeat(99)).len(), 2 + 2 + 122);
    assert_eq!(text(&"x".repeat(256))[..4], [0x81, 0x7e, 0x01, 0x00]);
    assert_eq!(text(&"x".repeat(65_536))[..10], [0x81, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
}

#[test]
fn what_breaks_the_protocol_is_refused_before_its_payload_comes() {
    for (bytes, why) in [
        (&[0x81, 0x05][..], "no mask"),
        (&[0xc1, 0x85], "a reserved bit"),
        (&[0x09, 0x80], "a control frame in parts"),
        (&[0x89, 0xfe, 0, 126], "a long control frame"),
        (&[0x83, 0x80], "a reserved operation"),
        (&[0x80, 0x80], "a continuation of nothing"),
    ] {
        assert_eq!(all(1000, bytes), Err(FrameError::Malformed), "{why}");
    }
    let twice = [client(0x01, b"a"), client(0x81, b"b")].concat();
    assert_eq!(all(1000, &twice), Err(FrameError::Malformed), "a message within a message");
    assert_eq!(all(1000, &client(0x81, &[0xff])), Err(FrameError::Text));
}

#[test]
fn a_message_that_is_too_large_is_refused_by_its_announced_length() {
    assert_eq!(all(65_536, &[0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 1]), Err(FrameError::TooLarge));
    assert_eq!(
        all(65_536, &[0x81, 0xff, 255, 255, 255, 255, 255, 255, 255, 255]),
        Err(FrameError::TooLarge)
    );
    assert_eq!(all(65_536, &client(0x81, &[b'x'; 65_536])).map(|all| all.len()), Ok(1));
    let parts = [client(0x01, b"Hel"), client(0x80, b"lo!")].concat();
    assert_eq!(all(5, &parts), Err(FrameError::TooLarge), "in parts");
}

proptest! {
    /// Whatever a client sends and however it is split, the same is read, and little is held.
    #[test]
    fn a_split_changes_nothing_and_memory_is_bounded(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        at in any::<prop::sample::Index>(),
    ) {
        let whole = all(50, &bytes);
        let mut decoder = Decoder::new(50);
        let mut found = Vec::new();
        let (first, second) = bytes.split_at(at.index(bytes.len() + 1));
        let mut failed = None;
        'parts: for part in [first, second] {
            decoder.push(part);
            loop {
                match decoder.decode() {
                    Ok(Some(incoming)) => found.push(incoming),
                    Ok(None) => break,
                    Err(error) => {
                        failed = Some(error);
                        break 'parts;
                    }
                }
            }
            prop_assert!(decoder.held() <= 50 + HEAD_MAX + CONTROL_MAX);
        }
        prop_assert_eq!(failed.map_or(Ok(found), Err), whole);
    }

    /// What a client writes is read.
    #[test]
    fn messages_are_read_as_they_were_written(texts in prop::collection::vec(".{0,300}", 0..5)) {
        let bytes: Vec<u8> = texts.iter().flat_map(|text| client(0x81, text.as_bytes())).collect();
        let read: Vec<_> = texts.iter().cloned().map(Incoming::Text).collect();
        prop_assert_eq!(all(1200, &bytes), Ok(read));
    }
}
