//! Messages under the seals of the confidential chain: what both layers share.

use confidential_envelope::{
    ChunkSealer, Limits, Plaintext, ResponseOpener, ResponseSealer, Unopenable,
};

use crate::Input;

/// What is said, in one to four pieces.
pub fn texts<'a>(input: &mut Input<'a>) -> Vec<&'a [u8]> {
    (0..=input.below(4)).map(|_| input.bytes()).collect()
}

/// Seals each piece as it comes, the last one as the end.
#[must_use]
pub fn joined(mut sealer: ChunkSealer, texts: &[&[u8]]) -> Vec<u8> {
    let Some((last, before)) = texts.split_last() else { return Vec::new() };
    let mut sealed = Vec::new();
    for text in before {
        sealed.extend(sealer.write(text).unwrap());
    }
    sealed.extend(sealer.finish(last).unwrap());
    sealed
}

/// What a client opens of an answer in chunks that arrives in these pieces.
fn read(
    opener: ResponseOpener,
    pieces: &[&[u8]],
    limits: Limits,
) -> (Plaintext, Result<(), Unopenable>) {
    let (mut stream, mut opened) = (opener.chunked(limits), Plaintext::default());
    for piece in pieces {
        if let Err(error) = stream.push(piece, &mut opened) {
            assert!(stream.push(b"", &mut Plaintext::default()).is_err(), "it goes on");
            return (opened, Err(error));
        }
    }
    let end = stream.finish(&mut opened);
    (opened, end)
}

/// An answer that is changed on its way: what is opened is how it begins, and it is whole only if all of it came.
///
/// # Panics
///
/// That is not so.
pub fn reply(
    sealer: ResponseSealer,
    opener: ResponseOpener,
    chunked: bool,
    limits: Limits,
    input: &mut Input<'_>,
) {
    let texts = texts(input);
    let said = texts.concat();
    let genuine = match chunked {
        true => joined(sealer.chunked().unwrap(), &texts),
        false => sealer.seal(&said).unwrap(),
    };
    let mut sent = genuine.clone();
    crate::edit(&mut sent, input.bytes());
    let is_same = sent == genuine;
    // Now and then it is read as the other form.
    let as_chunks = chunked ^ (input.byte() == 0xff);
    if !as_chunks {
        let opened = opener.open(&sent);
        assert_eq!(opened.is_ok(), is_same && !chunked);
        return assert!(opened.is_err() || opened.unwrap()[..] == said);
    }
    let limits = Limits { total: limits.total.min(genuine.len() as u64), ..limits };
    let (opened, end) = read(opener, &crate::pieces(input.bytes(), &sent), limits);
    assert!(said.starts_with(&opened), "bytes that were not sealed were opened");
    assert!(chunked || opened.is_empty(), "of the other form");
    assert_eq!(end.is_ok(), is_same && chunked);
    assert!(end.is_err() || opened[..] == said, "whole without all of it");
}
