use proptest::prelude::*;

use super::*;
use crate::{
    Aead,
    aead::NONCE,
    fixture::{any_cuts, pieces},
};

const LIMITS: Limits = Limits { chunk: 100, total: 10_000 };

fn sealer() -> ChunkSealer {
    let sealer = Sealer::new(Aead::Aes128Gcm, &[1; 16], &[2; NONCE]).unwrap();
    ChunkSealer::new(sealer, Vec::new(), 10)
}

fn read(limits: Limits, pieces: &[&[u8]]) -> (Plaintext, Result<(), Unopenable>) {
    let opener = Opener::new(Aead::Aes128Gcm, &[1; 16], &[2; NONCE]).unwrap();
    let (mut chunks, mut opened) = (ChunkOpener::new(opener, limits), Plaintext::default());
    for piece in pieces {
        if let Err(error) = chunks.push(piece, &mut opened) {
            assert_eq!(chunks.push(b"", &mut opened), Err(error), "failed for good");
            return (opened, Err(error));
        }
    }
    let end = chunks.finish(&mut opened);
    (opened, end)
}

/// Two chunks, and a last one.
fn message() -> (Vec<u8>, [usize; 2]) {
    let mut sealer = sealer();
    let mut sealed = sealer.write(b"first").unwrap();
    let one = sealed.len();
    sealed.extend(sealer.write(b"then").unwrap());
    let two = sealed.len();
    sealed.extend(sealer.finish(b"last").unwrap());
    (sealed, [one, two])
}

#[test]
fn a_message_cut_anywhere_is_not_whole_and_gives_only_whole_chunks() {
    let (sealed, [one, two]) = message();
    for end in 0..sealed.len() {
        let (opened, result) = read(LIMITS, &[&sealed[..end]]);

        assert_eq!(result, Err(Unopenable), "{end}");
        let chunks = usize::from(end >= one) * 5 + usize::from(end >= two) * 4;
        assert_eq!(&opened[..], &b"firstthen"[..chunks], "{end}");
    }
    let (opened, result) = read(LIMITS, &[&sealed]);
    assert_eq!((&opened[..], result), (&b"firstthenlast"[..], Ok(())));
}

#[test]
fn a_message_without_its_last_chunk_is_not_whole() {
    let (sealed, [_, two]) = message();

    assert_eq!(read(LIMITS, &[&sealed[..two]]).1, Err(Unopenable));
}

#[test]
fn a_message_cut_before_a_chunk_that_poses_as_the_last_is_not_whole() {
    let (sealed, [one, two]) = message();
    let (then, last) = (&sealed[one + 1..two], &sealed[two + 1..]);

    // The second chunk, whose counter is right, as the last one.
    let (opened, result) = read(LIMITS, &[&sealed[..one], &[0], then]);
    assert_eq!((&opened[..], result), (&b"first"[..], Err(Unopenable)));
    // The last one as one in the middle.
    let length = [u8::try_from(last.len()).unwrap()];
    let (opened, result) = read(LIMITS, &[&sealed[..two], &length, last, &[0], last]);
    assert_eq!((&opened[..], result), (&b"firstthen"[..], Err(Unopenable)));
}

#[test]
fn chunks_swapped_repeated_or_left_out_do_not_open() {
    let (sealed, [one, two]) = message();
    let (first, then, last) = (&sealed[..one], &sealed[one..two], &sealed[two..]);

    for (order, genuine) in [
        ([then, first, last], ""),
        ([first, first, last], "first"),
        ([first, &sealed[..0], last], "first"),
        ([&sealed[..0], then, last], ""),
    ] {
        let (opened, result) = read(LIMITS, &order);
        assert_eq!((&opened[..], result), (genuine.as_bytes(), Err(Unopenable)));
    }
}

#[test]
fn what_is_larger_than_the_limits_does_not_open() {
    let (sealed, _) = message();
    let total = sealed.len() as u64;

    assert_eq!(read(Limits { chunk: 5, total }, &[&sealed]).1, Ok(()));
    assert_eq!(read(Limits { chunk: 4, total }, &[&sealed]).1, Err(Unopenable));
    assert_eq!(read(Limits { chunk: 5, total: total - 1 }, &[&sealed]).1, Err(Unopenable));
    // Refused by its length alone, before it arrives.
    assert_eq!(read(LIMITS, &[&[0xff; 8]]).1, Err(Unopenable));
    // Shorter than a tag.
    assert_eq!(read(LIMITS, &[&[15; 16]]).1, Err(Unopenable));
    // A last chunk that goes on.
    assert_eq!(read(LIMITS, &[&[0], &[1; 117]]).1, Err(Unopenable));
}

proptest! {
    #[test]
    fn what_is_written_in_any_pieces_is_read_in_any_pieces(
        text in prop::collection::vec(any::<u8>(), 0..200),
        written in any_cuts(), arriving in any_cuts(), ends_with_nothing in any::<bool>(),
    ) {
        let (mut sealer, mut sealed) = (sealer(), Vec::new());
        let mut parts = pieces(&written, &text);
        let last: &[u8] = if ends_with_nothing { &[] } else { parts.pop().unwrap_or_default() };
        for part in parts {
            sealed.extend(sealer.write(part).unwrap());
        }
        sealed.extend(sealer.finish(last).unwrap());

        let (opened, result) = read(LIMITS, &pieces(&arriving, &sealed));

        prop_assert_eq!((&opened[..], result), (&text[..], Ok(())));
    }

    #[test]
    fn a_changed_message_gives_the_same_however_it_arrives(
        at in any::<prop::sample::Index>(), with in 1..=u8::MAX, cuts in any_cuts(),
    ) {
        let (mut sealed, _) = message();
        let at = at.index(sealed.len());
        sealed[at] ^= with;

        let (opened, result) = read(LIMITS, &pieces(&cuts, &sealed));

        prop_assert_eq!(result, Err(Unopenable));
        prop_assert!(b"firstthen".starts_with(&opened));
        prop_assert_eq!(opened, read(LIMITS, &[&sealed]).0);
    }

    #[test]
    fn arbitrary_bytes_never_open(bytes in any::<Vec<u8>>(), cuts in any_cuts()) {
        prop_assert_eq!(read(LIMITS, &pieces(&cuts, &bytes)).1, Err(Unopenable));
    }
}
