//! The outer layer of the confidential chain with real keys: requests and answers that were changed on their way, however
//! they arrive.
#![no_main]

use std::sync::{Arc, LazyLock};

use confidential_envelope::{
    Aead, Kem, Limits, Plaintext, PrivateKey, ResponseSealer,
    ohttp::{self, GatewayKey, OpenError, REQUEST_LIMITS, RESPONSE_LIMITS, Request, RequestStream},
};
use fuzz::{
    Input,
    sealed::{joined, reply, texts},
};
use libfuzzer_sys::fuzz_target;

static KEYS: LazyLock<Vec<Arc<GatewayKey>>> = LazyLock::new(keys);
/// Keys to which nothing is ever sealed. The fuzzer sees what this program compares, sealed requests among it, and puts it
/// into inputs.
static UNUSED_KEYS: LazyLock<Vec<Arc<GatewayKey>>> = LazyLock::new(keys);

fn keys() -> Vec<Arc<GatewayKey>> {
    [(1, Kem::X25519, Aead::Aes128Gcm), (2, Kem::XWing, Aead::ChaCha20Poly1305)]
        .map(|(id, kem, aead)| {
            let key = PrivateKey::generate(kem).unwrap();
            Arc::new(GatewayKey::new(id, key, vec![aead]).unwrap())
        })
        .to_vec()
}

/// What was opened of a request that arrives in these pieces, and what came of it.
fn stream(
    keys: &[Arc<GatewayKey>],
    pieces: &[&[u8]],
    limits: Limits,
) -> (Plaintext, Result<ResponseSealer, OpenError>) {
    let (mut stream, mut opened) =
        (RequestStream::new(keys.to_vec(), limits), Plaintext::default());
    for piece in pieces {
        if let Err(error) = stream.push(piece, &mut opened) {
            assert_eq!(stream.push(b"", &mut Plaintext::default()), Err(error), "it goes on");
            return (opened, Err(error));
        }
    }
    let end = stream.finish(&mut opened);
    (opened, end)
}

/// Bytes that were not sealed do not open, in either form.
fn nobodys(input: Input<'_>) {
    let (cuts, bytes) = fuzz::cuts(input.rest());
    assert!(ohttp::open(&UNUSED_KEYS, bytes).is_err());
    let (opened, end) = stream(&UNUSED_KEYS, &fuzz::pieces(cuts, bytes), REQUEST_LIMITS);
    assert!(opened.is_empty() && end.is_err());
}

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let what = input.byte();
    if what & 0x80 != 0 {
        return nobodys(input);
    }
    let (config, chunked) = (KEYS[usize::from(what & 1)].config(), what & 2 != 0);
    let texts = texts(&mut input);
    let asked = texts.concat();
    let request = Request::new(config).unwrap();
    let (genuine, opener) = if chunked {
        let (sealer, opener) = request.chunked().unwrap();
        (joined(sealer, &texts), opener)
    } else {
        request.seal(&asked.clone().into()).unwrap()
    };
    let mut sent = genuine.clone();
    fuzz::edit(&mut sent, input.bytes());
    let pieces = fuzz::pieces(input.bytes(), &sent);

    let limits = Limits { total: genuine.len() as u64, ..REQUEST_LIMITS };
    let (opened, end) = stream(&KEYS, &pieces, limits);
    let (same, other) = stream(&KEYS, &[&sent], limits);
    assert!(asked.starts_with(&opened), "bytes that were not sealed were opened");
    assert!(end.is_err() || opened[..] == asked, "whole without all of it");
    assert!(asked.starts_with(&same) && end.is_ok() == other.is_ok(), "it depends on the cuts");
    assert_eq!(end.is_ok(), chunked && sent == genuine);
    if let (Err(OpenError::UnknownKey), Some(id)) = (&end, sent.first()) {
        assert!(KEYS.iter().all(|key| key.config().key_id() != *id));
    }
    // One byte fewer than the chunks have.
    let head = 7 + config.public().kem().encapsulated_len();
    let tight = Limits { total: (genuine.len() - head - 1) as u64, ..limits };
    assert!(stream(&KEYS, &[&genuine], tight).1.is_err(), "longer than it may be");
    let whole = ohttp::open(&KEYS, &sent);
    assert_eq!(whole.is_ok(), !chunked && sent == genuine);
    let response = match whole {
        Ok(whole) => {
            assert_eq!(whole.plaintext[..], asked);
            whole.response
        }
        Err(_) => match end {
            Ok(response) => response,
            Err(_) => return,
        },
    };
    reply(response, opener, what & 4 != 0, RESPONSE_LIMITS, &mut input);
});
