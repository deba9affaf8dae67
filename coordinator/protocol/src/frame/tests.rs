use proptest::prelude::*;

use super::*;

proptest! {
    /// Bodies come out as they went in, however the stream is cut.
    #[test]
    fn bodies_survive_any_cut(
        bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8),
        piece in 1..64_usize,
    ) {
        let mut wire = Vec::new();
        for body in &bodies {
            encode(body, &mut wire).unwrap();
        }

        let mut decoder = Decoder::new(300);
        let mut read = Vec::new();
        for bytes in wire.chunks(piece) {
            decoder.handle_bytes(bytes);
            while let Some(body) = decoder.poll_body().unwrap() {
                read.push(body);
            }
        }

        prop_assert_eq!(read, bodies);
        prop_assert!(decoder.is_empty());
    }

    /// Any bytes are read or refused, and nothing beyond them is claimed.
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64), max in any::<usize>()) {
        if let Ok(Some((body, taken))) = decode(&bytes, max) {
            prop_assert!(body.len() <= max);
            prop_assert_eq!(taken, HEADER_LEN + body.len());
            prop_assert!(taken <= bytes.len());
        }
    }
}

#[test]
fn a_length_above_the_limit_is_refused_before_the_body_comes() {
    let mut decoder = Decoder::new(16);
    decoder.handle_bytes(&17_u32.to_le_bytes());

    assert_eq!(decoder.poll_body(), Err(FrameError::TooLong { len: 17, max: 16 }));
    assert_eq!(decoder.poll_body(), Err(FrameError::TooLong { len: 17, max: 16 }));
}
