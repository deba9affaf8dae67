use std::sync::Arc;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::{
    Aead, Kem, Plaintext, PrivateKey, ResponseOpener, ResponseSealer, Unopenable,
    fixture::{any_cuts, bytes, chunk_lengths, key, pieces, seal_as, shared},
    kem::{Decapsulate as _, Encapsulation},
    schedule::HEADER,
};

const AEADS: [Aead; 2] = [Aead::Aes128Gcm, Aead::ChaCha20Poly1305];

fn keys(kem: Kem, aead: Aead) -> Vec<Arc<GatewayKey>> {
    vec![Arc::new(GatewayKey::new(7, key(kem, 1), vec![aead]).unwrap())]
}

/// Opens a request in chunks that arrives in these pieces.
fn stream(
    keys: &[Arc<GatewayKey>],
    pieces: &[&[u8]],
) -> Result<(Plaintext, ResponseSealer), OpenError> {
    let mut request = RequestStream::new(keys.to_vec(), REQUEST_LIMITS);
    let mut opened = Plaintext::default();
    for piece in pieces {
        if let Err(error) = request.push(piece, &mut opened) {
            assert_eq!(request.push(b"more", &mut opened), Err(error), "failed for good");
            return Err(error);
        }
    }
    let response = request.finish(&mut opened)?;
    Ok((opened, response))
}

fn read(opener: ResponseOpener, pieces: &[&[u8]]) -> (Plaintext, Result<(), Unopenable>) {
    let (mut response, mut opened) = (opener.chunked(RESPONSE_LIMITS), Plaintext::default());
    for piece in pieces {
        if let Err(error) = response.push(piece, &mut opened) {
            return (opened, Err(error));
        }
    }
    let end = response.finish(&mut opened);
    (opened, end)
}

/// The request of an example, about to be sealed with the example's own secret.
fn given(example: &Value) -> (Arc<GatewayKey>, Request) {
    let private = PrivateKey::from_bytes(Kem::X25519, &bytes(&example["sk_r"])).unwrap();
    let config = KeyConfig::decode(&bytes(&example["key_config"])).unwrap();
    assert_eq!(*config.public(), private.public());
    let encapsulated_key = bytes(&example["pk_e"]);
    let secret = private.decapsulate(&encapsulated_key).unwrap();
    let encapsulation = Encapsulation { kem: Kem::X25519, encapsulated_key, secret };
    let key = GatewayKey::new(1, private, config.aeads().to_vec()).unwrap();
    (Arc::new(key), Request::given(&config, encapsulation))
}

#[test]
fn the_example_of_rfc_9458_is_made_and_opened_byte_for_byte() {
    let example = &shared("ohttp-rfc-examples.json")["rfc9458_appendix_a"];
    let (key, request) = given(example);
    let question = Plaintext::from(bytes(&example["bhttp_request"]));

    let (sealed, opener) = request.seal(&question).unwrap();

    assert_eq!(sealed, bytes(&example["encapsulated_request"]));
    let opened = open(&[key], &sealed).unwrap();
    assert_eq!(opened.plaintext, question);
    let (response, answer) =
        (bytes(&example["encapsulated_response"]), bytes(&example["bhttp_response"]));
    assert_eq!(opened.response.seal_with(&response[..16], &answer).unwrap(), response);
    assert_eq!(&opener.open(&response).unwrap()[..], answer);
}

#[test]
fn the_example_of_the_chunked_draft_is_made_and_opened_byte_for_byte() {
    let example = &shared("ohttp-rfc-examples.json")["chunked_draft08_example"];
    let (key, request) = given(example);
    let (question, expected) =
        (bytes(&example["bhttp_request"]), bytes(&example["encapsulated_request"]));

    let (sealer, opener) = request.chunked().unwrap();
    let sealed = seal_as(sealer, &question, &chunk_lengths(&expected[HEADER + 32..]));

    assert_eq!(sealed, expected);
    let (opened, response) = stream(&[key], &[&sealed]).unwrap();
    assert_eq!(&opened[..], question);
    let (expected, answer) =
        (bytes(&example["encapsulated_response"]), bytes(&example["bhttp_response"]));
    let sealer = response.chunked_with(&expected[..16]).unwrap();
    assert_eq!(seal_as(sealer, &answer, &chunk_lengths(&expected[16..])), expected);
    let (opened, end) = read(opener, &[&expected]);
    assert_eq!((&opened[..], end), (&answer[..], Ok(())));
}

#[test]
fn every_suite_goes_there_and_back_whole_and_in_chunks() {
    for (kem, aead) in [Kem::XWing, Kem::X25519, Kem::P256]
        .into_iter()
        .flat_map(|kem| AEADS.map(|aead| (kem, aead)))
    {
        let keys = keys(kem, aead);
        let (sealed, opener) =
            Request::new(keys[0].config()).unwrap().seal(&b"question".to_vec().into()).unwrap();
        let opened = open(&keys, &sealed).unwrap();
        assert_eq!(&opened.plaintext[..], b"question");
        let answer = opened.response.seal(b"answer").unwrap();
        assert_eq!(&opener.open(&answer).unwrap()[..], b"answer");

        let (mut sealer, opener) = Request::new(keys[0].config()).unwrap().chunked().unwrap();
        let sealed =
            [sealer.head(), sealer.write(b"ques").unwrap(), sealer.finish(b"tion").unwrap()]
                .concat();
        let (opened, response) = stream(&keys, &[&sealed]).unwrap();
        assert_eq!(&opened[..], b"question");
        let mut sealer = response.chunked().unwrap();
        let answer = [sealer.write(b"ans").unwrap(), sealer.finish(b"wer").unwrap()].concat();
        let (opened, end) = read(opener, &[&answer]);
        assert_eq!((&opened[..], end), (&b"answer"[..], Ok(())));
    }
}

#[test]
fn only_an_unknown_key_is_told_apart() {
    let keys = keys(Kem::X25519, Aead::Aes128Gcm);
    let question = Plaintext::from(b"question".to_vec());
    let (sealed, _) = Request::new(keys[0].config()).unwrap().seal(&question).unwrap();
    let (chunked, _) = Request::new(keys[0].config()).unwrap().chunked().unwrap();
    let chunked = chunked.finish(b"question").unwrap();
    let whole = |bytes: &[u8]| open(&keys, bytes).map(drop);
    let in_chunks = |bytes: &[u8]| stream(&keys, &[bytes]).map(drop);
    assert_eq!((whole(&sealed), in_chunks(&chunked)), (Ok(()), Ok(())));

    for (attempt, sealed) in [(&whole as &dyn Fn(&[u8]) -> _, &sealed), (&in_chunks, &chunked)] {
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            // Key id; then KEM, KDF and AEAD: another suite; then keys and ciphertext.
            let expected =
                if at == 0 { OpenError::UnknownKey } else { OpenError::Unopenable(Unopenable) };
            assert_eq!(attempt(&changed), Err(expected), "{at}");
            assert_eq!(attempt(&sealed[..at]), Err(OpenError::Unopenable(Unopenable)), "{at}");
        }
    }
    // A request of one form is none of the other.
    assert_eq!(whole(&chunked), Err(OpenError::Unopenable(Unopenable)));
    assert_eq!(in_chunks(&sealed), Err(OpenError::Unopenable(Unopenable)));
    assert_eq!(open(&[], &sealed).map(drop), Err(OpenError::UnknownKey));
}

#[test]
fn a_suite_that_the_key_does_not_have_does_not_open() {
    let key = key(Kem::X25519, 1);
    let both = GatewayKey::new(7, key.clone(), AEADS.to_vec()).unwrap();
    let one = [Arc::new(GatewayKey::new(7, key, vec![Aead::ChaCha20Poly1305]).unwrap())];
    let question = Plaintext::from(b"question".to_vec());
    let (sealed, _) = Request::new(both.config()).unwrap().seal(&question).unwrap();

    assert!(open(&[Arc::new(both)], &sealed).is_ok());
    assert_eq!(open(&one, &sealed).map(drop), Err(OpenError::Unopenable(Unopenable)));
}

#[test]
fn a_response_that_is_cut_changed_or_of_another_request_does_not_open() {
    let keys = keys(Kem::X25519, Aead::ChaCha20Poly1305);
    let ask = || {
        let question = Plaintext::from(b"question".to_vec());
        let (sealed, opener) = Request::new(keys[0].config()).unwrap().seal(&question).unwrap();
        (open(&keys, &sealed).unwrap().response, opener)
    };
    let sealed = [0, 1].map(|_| ask().0.seal(b"answer").unwrap());
    assert_eq!(sealed[0].len(), 32 + 6 + 16);
    for end in 0..sealed[0].len() {
        let (response, opener) = ask();
        let sealed = response.seal(b"answer").unwrap();
        assert_eq!(opener.open(&sealed[..end]), Err(Unopenable), "{end}");
        let (response, opener) = ask();
        let mut sealed = response.chunked().unwrap().finish(b"answer").unwrap();
        assert_eq!(read(opener, &[&sealed[..end]]).1, Err(Unopenable), "{end}");
        let (_, opener) = ask();
        sealed[end] ^= 1;
        assert_eq!(opener.open(&sealed), Err(Unopenable), "{end}");
    }
    assert_eq!(ask().1.open(&sealed[1]), Err(Unopenable));
    // What was never sealed.
    assert_eq!(ask().1.open(&[b'x'; 200]), Err(Unopenable));
    // A response of one form is none of the other.
    let (response, opener) = ask();
    let chunked = response.chunked().unwrap().finish(b"answer").unwrap();
    assert_eq!(opener.open(&chunked), Err(Unopenable));
    let (response, opener) = ask();
    assert_eq!(read(opener, &[&response.seal(b"answer").unwrap()]).1, Err(Unopenable));
}

proptest! {
    #[test]
    fn a_request_and_its_response_are_the_same_however_they_arrive(
        text in prop::collection::vec(any::<u8>(), 0..300), cuts in any_cuts(),
    ) {
        let keys = keys(Kem::X25519, Aead::Aes128Gcm);
        let (mut sealer, opener) = Request::new(keys[0].config()).unwrap().chunked().unwrap();
        let head = sealer.head();
        let sealed = [head, sealer.write(&text).unwrap(), sealer.finish(&text).unwrap()].concat();

        let (opened, response) = stream(&keys, &pieces(&cuts, &sealed)).unwrap();

        prop_assert_eq!(&opened[..], [&text[..], &text].concat());
        let sealed = response.chunked().unwrap().finish(&text).unwrap();
        let (opened, end) = read(opener, &pieces(&cuts, &sealed));
        prop_assert_eq!((&opened[..], end), (&text[..], Ok(())));
    }

    #[test]
    fn arbitrary_bytes_never_open(bytes in any::<Vec<u8>>(), named in any::<bool>(), cuts in any_cuts()) {
        let keys = keys(Kem::X25519, Aead::Aes128Gcm);
        let bytes = if named { [&[7, 0, 0x20, 0, 1, 0, 1][..], &bytes].concat() } else { bytes };

        prop_assert!(open(&keys, &bytes).is_err());
        prop_assert!(stream(&keys, &pieces(&cuts, &bytes)).is_err());
    }
}
