//! Binary HTTP, as it is found under both seals of the confidential chain.
#![no_main]

use std::fmt::Debug;

use confidential_envelope::bhttp::{
    self, Decoder, Encoder, Event, Head, MAX_FIELDS, RequestHead, ResponseHead,
};
use http::HeaderMap;
use libfuzzer_sys::fuzz_target;

/// Most bytes of content that are taken.
const MOST: u64 = 4096;

/// Head, content and trailers of a message that arrives in these pieces, if it is one.
fn read<H: Head>(pieces: &[&[u8]]) -> Option<(H, Vec<u8>, HeaderMap)> {
    let mut decoder = Decoder::<H>::new(MOST);
    let (mut head, mut content, mut trailers) = (None, Vec::new(), HeaderMap::new());
    let mut take = |events: Vec<Event<H>>| {
        assert!(events.len() <= 3, "an event costs more than its bytes");
        for event in events {
            match event {
                Event::Head(read) => assert!(head.replace(read).is_none(), "two heads"),
                Event::Content(piece) => {
                    assert!(!piece.is_empty());
                    content.extend_from_slice(&piece);
                }
                Event::Trailers(read) => trailers = read,
            }
        }
    };
    for piece in pieces {
        let mut events = Vec::new();
        let pushed = decoder.push(piece, &mut events);
        take(events);
        if pushed.is_err() {
            assert!(decoder.push(b"", &mut Vec::new()).is_err(), "it goes on after a failure");
            return None;
        }
    }
    let mut events = Vec::new();
    decoder.finish(&mut events).ok()?;
    take(events);
    assert!(content.len() as u64 <= MOST && trailers.len() <= MAX_FIELDS);
    Some((head?, content, trailers))
}

/// A message is the same however it is cut, and once it was written anew, in either form.
fn message<H: Head + PartialEq + Debug>(cuts: &[u8], bytes: &[u8], headers: fn(&H) -> &HeaderMap) {
    let whole = read::<H>(&[bytes]);
    assert_eq!(read(&fuzz::pieces(cuts, bytes)), whole);
    assert_eq!(read(&bytes.chunks(1).collect::<Vec<_>>()), whole);
    let decoded = bhttp::decode::<H>(bytes, MOST).ok();
    let Some((head, content, _)) = whole else { return assert!(decoded.is_none()) };
    let decoded = decoded.expect("read at once as in pieces");
    assert!(decoded.0 == head && decoded.1[..] == content);
    assert!(content.len() <= bytes.len() && headers(&head).len() <= MAX_FIELDS);
    for multiple in [1, 514] {
        let known = bhttp::encode(&head, &content, multiple).to_vec();
        let (mut encoder, mut streamed) = {
            let (encoder, first) = Encoder::new(&head, multiple);
            (encoder, first.to_vec())
        };
        for piece in fuzz::pieces(cuts, &content) {
            streamed.extend_from_slice(&encoder.content(piece));
        }
        streamed.extend_from_slice(&encoder.finish());
        for written in [known, streamed] {
            assert_eq!(written.len() % multiple, 0);
            // What is written has no shorter form for a head at the bound than what was read.
            if let Some((again, same, trailers)) = read::<H>(&[&written]) {
                assert!(again == head && same == content && trailers.is_empty());
            } else {
                assert!(bytes.len() > bhttp::MAX_HEAD / 2, "what was written is not read");
            }
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let (cuts, bytes) = fuzz::cuts(input);
    message::<RequestHead>(cuts, bytes, |head| &head.headers);
    message::<ResponseHead>(cuts, bytes, |head| &head.headers);
});
