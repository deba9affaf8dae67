use proptest::prelude::*;

use super::*;

fn pair() -> (Transport, Transport) {
    (Transport::new(&[1; 32], &[2; 32]), Transport::new(&[2; 32], &[1; 32]))
}

proptest! {
    /// What one side seals the other opens, in order, in both directions.
    #[test]
    fn records_arrive_as_sent(
        texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..=MAX_PLAINTEXT_LEN), 0..6),
    ) {
        let (mut left, mut right) = pair();
        for text in texts {
            let mut frame = Vec::new();
            left.seal(&text, &mut frame).unwrap();
            prop_assert!(frame.len() <= MAX_FRAME_LEN);
            prop_assert_eq!(&right.open(&frame).unwrap(), &text);
            frame.clear();
            right.seal(&text, &mut frame).unwrap();
            prop_assert_eq!(&left.open(&frame).unwrap(), &text);
        }
    }

    /// One changed bit anywhere is noticed, and ends the channel.
    #[test]
    fn a_changed_bit_is_noticed(
        text in prop::collection::vec(any::<u8>(), 0..200),
        at in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let (mut left, mut right) = pair();
        let (mut frame, mut next) = (Vec::new(), Vec::new());
        left.seal(&text, &mut frame).unwrap();
        left.seal(&text, &mut next).unwrap();
        let at = at.index(frame.len());
        frame[at] ^= 1 << bit;

        prop_assert!(right.open(&frame).is_err());
        prop_assert_eq!(right.open(&next), Err(NoiseError::Tampered));
    }

    /// Any bytes are refused without a panic.
    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..80), header in any::<[u8; HEADER_LEN]>()) {
        let (_, mut right) = pair();
        prop_assert!(right.open(&bytes).is_err());
        if let Ok(len) = frame_len(header) {
            prop_assert!((HEADER_LEN + TAG_LEN..=MAX_FRAME_LEN).contains(&len));
        }
    }
}

#[test]
fn a_repeated_or_left_out_record_is_noticed() {
    let frames = |left: &mut Transport| {
        [(); 2].map(|()| {
            let mut frame = Vec::new();
            left.seal(b"x", &mut frame).unwrap();
            frame
        })
    };

    let (mut left, mut right) = pair();
    let [first, _] = frames(&mut left);
    right.open(&first).unwrap();
    assert_eq!(right.open(&first), Err(NoiseError::Tampered), "repeated");

    let (mut left, mut right) = pair();
    let [_, second] = frames(&mut left);
    assert_eq!(right.open(&second), Err(NoiseError::Tampered), "left out");
}

#[test]
fn after_a_record_that_was_altered_nothing_is_opened() {
    let (mut left, mut right) = pair();
    let mut frame = Vec::new();
    left.seal(b"x", &mut frame).unwrap();
    let mut altered = frame.clone();
    altered[3] ^= 1;

    assert_eq!(right.open(&altered), Err(NoiseError::Tampered));
    assert_eq!(right.open(&frame), Err(NoiseError::Tampered));
}

#[test]
fn the_counter_is_big_endian_after_four_zero_bytes() {
    assert_eq!(nonce(0x0102_0304_0506_0708).as_slice(), [0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn the_last_nonce_is_never_used() {
    let (mut left, mut right) = pair();
    left.sealer.counter = u64::MAX - 1;
    right.opener.counter = u64::MAX - 1;
    let mut frame = Vec::new();

    left.seal(b"last", &mut frame).unwrap();
    assert_eq!(right.open(&frame).unwrap(), b"last");

    let mut more = Vec::new();
    assert_eq!(left.seal(b"one more", &mut more), Err(NoiseError::Exhausted));
    assert!(more.is_empty());
    assert_eq!(right.open(&frame), Err(NoiseError::Exhausted));
}

#[test]
fn a_text_too_long_for_one_record_is_refused() {
    let (mut left, _) = pair();
    let mut frame = Vec::new();

    assert_eq!(left.seal(&[0; MAX_PLAINTEXT_LEN + 1], &mut frame), Err(NoiseError::TooLong));
    assert!(frame.is_empty());
}

#[test]
fn debug_output_has_no_key() {
    let (left, _) = pair();

    assert_eq!(
        format!("{left:?}"),
        "Transport { sealer: Sealer { counter: 0, .. }, opener: Opener { counter: 0, .. } }"
    );
}
