//! Tests of the reply: only what the gateway sent, in its order, to its end.

use ai_gateway_api::{
    memory::OwnMemory,
    sealed::{Chunk, Final, ReplyPart, Start},
    wire::{Fixed, Version},
};
use proptest::{prelude::*, sample::Index};

use super::*;
use crate::{
    Suite,
    fixture::{NOW, ring, seal},
    reply::ReplySealer,
};

/// A request's two ends.
fn ends(suite: Suite) -> (ReplySealer, Reply) {
    let mut ring = ring();
    let (request, reply) = seal(&mut ring, suite, 1, b"hello", NOW);
    (ring.open(&request, NOW, OwnMemory).unwrap().reply, reply)
}

/// Seals all texts, the last one as the last.
fn seal_all(mut sealer: ReplySealer, texts: &[Vec<u8>]) -> Vec<ReplyPart> {
    let (last, middle) = texts.split_last().unwrap();
    let mut parts = vec![ReplyPart::Start(sealer.start())];
    parts.extend(middle.iter().map(|text| ReplyPart::Chunk(sealer.chunk(text).unwrap())));
    parts.push(ReplyPart::Final(sealer.finish(last).unwrap()));
    parts
}

/// Reads parts until one is refused or the stream ends.
fn read(mut reply: Reply, parts: &[ReplyPart]) -> (Vec<Vec<u8>>, Result<(), ReplyError>) {
    let mut texts = Vec::new();
    for part in parts {
        match reply.handle(part) {
            Ok(text) => texts.extend(text.map(|text| text.to_vec())),
            Err(error) => {
                assert_eq!(reply.end(), Err(error), "a refusal is final");
                return (texts, Err(error));
            }
        }
    }
    (texts, reply.end())
}

#[test]
fn a_stream_that_ends_early_is_cut() {
    let (sealer, _) = ends(Suite::XWing);
    let parts = seal_all(sealer, &[b"a".to_vec(), b"b".to_vec()]);

    for length in 0..parts.len() {
        // Opened anew each time: a reply is read once.
        let (sealer, reply) = ends(Suite::XWing);
        let parts = seal_all(sealer, &[b"a".to_vec(), b"b".to_vec()]);

        assert_eq!(read(reply, &parts[..length]).1, Err(ReplyError::Cut), "{length}");
    }
}

#[test]
fn a_sealed_chunk_does_not_pass_as_the_last() {
    let (mut sealer, mut reply) = ends(Suite::X25519);
    reply.handle(&ReplyPart::Start(sealer.start())).unwrap();
    let Chunk { data, .. } = sealer.chunk(b"a").unwrap();

    assert_eq!(reply.handle(&ReplyPart::Final(Final { data })), Err(ReplyError::Broken));
}

#[test]
fn chunks_of_one_bucket_look_alike() {
    let (mut sealer, _) = ends(Suite::X25519);

    let sizes: Vec<_> =
        [0, 1, 124].map(|length| sealer.chunk(&vec![b'x'; length]).unwrap().data.0.len()).into();

    assert_eq!(sizes, [144, 144, 144]);
    assert_eq!(sealer.chunk(&[b'x'; 125]).unwrap().data.0.len(), 272);
}

#[test]
fn a_chunk_that_is_too_long_is_refused_and_the_reply_continues() {
    let (mut sealer, mut reply) = ends(Suite::X25519);
    reply.handle(&ReplyPart::Start(sealer.start())).unwrap();

    assert!(sealer.chunk(&vec![b'x'; crate::MAX_TEXT + 1]).is_err());

    let part = ReplyPart::Final(sealer.finish(b"end").unwrap());
    assert_eq!(reply.handle(&part).unwrap().unwrap().as_slice(), b"end");
}

/// What happens to a reply on its way.
#[derive(Clone, Debug)]
enum Tampering {
    Truncate(Index),
    Drop(Index),
    Double(Index, Index),
    Swap(Index, Index),
    /// Swaps the sealed bytes only, and leaves the numbers in order.
    SwapData(Index, Index),
    Flip(Index, Index),
    Renumber(Index, u64),
    /// Takes a part of another reply.
    Foreign(Index),
    /// Appends a part after the last one.
    Append(Index),
}

fn harm() -> impl Strategy<Value = Tampering> {
    let at = any::<Index>;
    prop_oneof![
        at().prop_map(Tampering::Truncate),
        at().prop_map(Tampering::Drop),
        (at(), at()).prop_map(|(from, to)| Tampering::Double(from, to)),
        (at(), at()).prop_map(|(a, b)| Tampering::Swap(a, b)),
        (at(), at()).prop_map(|(a, b)| Tampering::SwapData(a, b)),
        (at(), at()).prop_map(|(part, bit)| Tampering::Flip(part, bit)),
        (at(), any::<u64>()).prop_map(|(part, seq)| Tampering::Renumber(part, seq)),
        at().prop_map(Tampering::Foreign),
        at().prop_map(Tampering::Append),
    ]
}

fn data(part: &mut ReplyPart) -> &mut [u8] {
    match part {
        ReplyPart::Start(Start { response_nonce, .. }) => &mut response_nonce.0,
        ReplyPart::Chunk(Chunk { data, .. }) | ReplyPart::Final(Final { data }) => &mut data.0,
    }
}

fn apply(harm: &Tampering, parts: &mut Vec<ReplyPart>, foreign: &[ReplyPart]) {
    let count = parts.len();
    match harm {
        Tampering::Truncate(at) => parts.truncate(at.index(count)),
        Tampering::Drop(at) => drop(parts.remove(at.index(count))),
        Tampering::Double(from, to) => {
            parts.insert(to.index(count), parts[from.index(count)].clone())
        }
        Tampering::Swap(a, b) => parts.swap(a.index(count), b.index(count)),
        Tampering::SwapData(a, b) => {
            let (a, b) = (a.index(count), b.index(count));
            let (first, second) = (data(&mut parts[a]).to_vec(), data(&mut parts[b]).to_vec());
            for (at, bytes) in [(a, second), (b, first)] {
                match &mut parts[at] {
                    ReplyPart::Chunk(Chunk { data, .. }) | ReplyPart::Final(Final { data }) => {
                        data.0 = bytes
                    }
                    ReplyPart::Start(start) => {
                        start.response_nonce = bytes.try_into().map_or(start.response_nonce, Fixed);
                    }
                }
            }
        }
        Tampering::Flip(part, bit) => {
            let bytes = data(&mut parts[part.index(count)]);
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        Tampering::Renumber(part, number) => {
            if let ReplyPart::Chunk(chunk) = &mut parts[part.index(count)] {
                chunk.seq = *number;
            }
        }
        Tampering::Foreign(at) => {
            let at = at.index(count.min(foreign.len()));
            parts[at] = foreign[at].clone();
        }
        Tampering::Append(from) => parts.push(parts[from.index(count)].clone()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Any truncation, reordering, repetition, exchange or flipped bit is refused, and what was read before it is a
    /// beginning of what was sent.
    #[test]
    fn a_harmed_reply_is_never_whole(
        texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..6),
        harms in prop::collection::vec(harm(), 1..3),
    ) {
        let (sealer, reply) = ends(Suite::X25519);
        let foreign = seal_all(ends(Suite::X25519).0, &texts);
        let sent = seal_all(sealer, &texts);
        let mut parts = sent.clone();
        for harm in harms {
            if !parts.is_empty() {
                apply(&harm, &mut parts, &foreign);
            }
        }
        prop_assume!(parts != sent);

        let (read, result) = read(reply, &parts);

        prop_assert!(result.is_err(), "{parts:?}");
        prop_assert!(texts.starts_with(&read));
    }

    #[test]
    fn an_unharmed_reply_is_whole(
        suite in prop::sample::select(&Suite::ALL[..]),
        texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 1..8),
    ) {
        let (sealer, reply) = ends(suite);

        let (read, result) = read(reply, &seal_all(sealer, &texts));

        prop_assert_eq!(result, Ok(()));
        prop_assert_eq!(read, texts);
    }

    #[test]
    fn arbitrary_parts_never_panic(nonce in any::<[u8; 32]>(), chunks in any::<Vec<(u64, Vec<u8>)>>()) {
        let (_, mut reply) = ends(Suite::X25519);
        let _ = reply.handle(&ReplyPart::Start(Start { version: Version, response_nonce: Fixed(nonce) }));
        for (seq, bytes) in chunks {
            let _ = reply.handle(&ReplyPart::Chunk(Chunk { seq, data: Bytes(bytes) }));
        }

        prop_assert!(!reply.is_done());
    }
}
