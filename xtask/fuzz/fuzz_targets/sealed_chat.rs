//! The formats of sealed chat, what is under the seal, and the events that a reply comes in.
//!
//! `sealed_keys` opens and verifies them.
#![no_main]

use libfuzzer_sys::fuzz_target;

use ai_gateway_api::{
    memory::OwnMemory,
    sealed::{self, BindDevice, Devices, Operation, ReplyPart, Request},
};
use common::{problem::Problem, surrogate};

/// However a stream is cut, the same events come; each is a part of a reply or refused.
fn events(cuts: &[u8], body: &[u8]) {
    let read = |pieces: Vec<&[u8]>| {
        let (mut decoder, mut events) = (sealed::event_decoder(), Vec::new());
        let mut take = |name: &str, data: &str| events.push((name.to_owned(), data.to_owned()));
        let ended = pieces.into_iter().try_for_each(|piece| decoder.push(piece, &mut take));
        (events, ended)
    };
    let whole = read(vec![body]);
    assert_eq!(read(fuzz::pieces(cuts, body)), whole);
    assert_eq!(read(body.chunks(1).collect()), whole);
    for (name, data) in whole.0 {
        drop(ReplyPart::decode(&name, data.as_bytes()));
    }
}

/// What is understood is understood again after it was written.
fn formats(body: &[u8]) {
    if let Ok(request) = Request::decode(body) {
        assert_eq!(fuzz::json(body), Some(request));
    }
    let mut mended = body.to_vec();
    surrogate::replace_lone(&mut mended);
    if let Ok(bind) = BindDevice::decode(body) {
        assert_eq!(fuzz::json(&mended), Some(bind));
    }
    if let Ok(document) = sealed::decode_keys(body) {
        assert_eq!(fuzz::json(body), Some(document));
    }
    if let Ok(operation) = Operation::decode(&mut body.to_vec(), OwnMemory) {
        assert_eq!(Operation::decode(&mut operation.encode(), OwnMemory).unwrap(), operation);
    }
    if let Ok(events) = sealed::decode_events(body) {
        assert_eq!(sealed::decode_events(&sealed::encode_events(&events)).unwrap(), events);
    }
    for name in ["start", "chunk", "final", "error"] {
        drop(ReplyPart::decode(name, body));
    }
    fuzz::json::<Devices>(body);
    fuzz::json::<Problem>(body);
    if let Ok(request) = chat_vocabulary::decode(body) {
        assert_eq!(fuzz::json(&mended), Some(request));
    }
}

fuzz_target!(|input: &[u8]| {
    let (cuts, body) = fuzz::cuts(input);
    events(cuts, body);
    formats(body);
});
