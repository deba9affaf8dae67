use std::io;

use confidential_api::names::{header, host};
use proptest::prelude::*;
use serde_json::Value;

use super::{
    names::{DEK, DEK_AAD, KEY_ID},
    *,
};
use crate::{
    Decapsulate, DecapsulateError, Kem, Plaintext, PrivateKey, ResponseSealer, SharedSecret,
    Unopenable,
    aead::{NONCE, TAG},
    bhttp,
    fixture::{
        FixedRng, TestCandidate, any_cuts, bytes, chunk_lengths, key, pieces, seal_as, shared,
    },
    kem::Encapsulation,
    schedule,
};

/// A question to one node of each kind, and what opens the answer of the second.
fn asked(question: &[u8]) -> (Sealed<u8>, [PrivateKey; 2]) {
    let keys = [key(Kem::P256, 1), key(Kem::XWing, 2)];
    let recipients = [(1, &keys[0]), (2, &keys[1])]
        .map(|(id, key)| Recipient::new(&TestCandidate::new(id, key)).unwrap());
    (seal(recipients.into(), &question.to_vec().into()).unwrap(), keys)
}

/// Opens a question in chunks that arrives in these pieces.
fn stream(
    sealed_key: &[u8],
    pieces: &[&[u8]],
    key: &PrivateKey,
) -> Result<(Plaintext, ResponseSealer), Unopenable> {
    let request = RequestStream::new(sealed_key, key, REQUEST_LIMITS);
    let mut request = request.map_err(|error| {
        assert!(matches!(error, OpenError::Unopenable(_)));
        Unopenable
    })?;
    let mut opened = Plaintext::default();
    for piece in pieces {
        request.push(piece, &mut opened)?;
    }
    let response = request.finish(&mut opened)?;
    Ok((opened, response))
}

fn refused<T>(result: Result<T, OpenError>) -> bool {
    matches!(result, Err(OpenError::Unopenable(Unopenable)))
}

/// The nodes of a case, and a question that is about to be sealed to them with the case's own secrets.
fn given(case: &Value, label: &str) -> (Vec<PrivateKey>, Vec<Recipient<u8>>, FixedRng) {
    let (mut keys, mut recipients, mut dek) = (Vec::new(), Vec::new(), Vec::new());
    for (id, candidate) in (0..).zip(case["Candidates"].as_array().unwrap()) {
        let key = PrivateKey::from_bytes(Kem::P256, &bytes(&candidate["SkR"])).unwrap();
        assert_eq!(key.public().to_bytes(), bytes(&candidate["PkR"]));
        let sealed = bytes(&candidate["EncapsulatedKey"]);
        let (header, rest) = sealed.split_first_chunk::<{ schedule::HEADER }>().unwrap();
        let encapsulated_key = rest[..Kem::P256.encapsulated_len()].to_vec();
        let secret = key.decapsulate(&encapsulated_key).unwrap();
        let info = schedule::info(label, header);
        let mut opener = schedule::receiver(Kem::P256, crate::Aead::Aes128Gcm, &secret, &info);
        dek = rest[encapsulated_key.len()..].to_vec();
        opener.0.open(&mut dek, DEK_AAD).unwrap();
        recipients
            .push(Recipient::given(id, Encapsulation { kem: Kem::P256, encapsulated_key, secret }));
        keys.push(key);
    }
    dek.extend(&bytes(&case["ReqCiphertext"])[..NONCE]);
    (keys, recipients, FixedRng(dek))
}

#[test]
fn the_three_cases_of_openpcc_without_chunks_are_made_and_opened_byte_for_byte() {
    let case = &shared("openpcc-twoway-go.json")["multi"][0];
    assert_eq!(case["ReqMediaType"], REQUEST);
    let candidates = case["Candidates"].as_array().unwrap();
    for (id, candidate) in candidates.iter().enumerate() {
        let (keys, recipients, mut rng) = given(case, REQUEST);
        let question = Plaintext::from(bytes(&case["ReqBhttp"]));

        let sealed = client::seal_with(recipients, &question, &mut rng).unwrap();

        assert_eq!(sealed.body, bytes(&case["ReqCiphertext"]));
        assert_eq!(sealed.keys[id].bytes, bytes(&candidate["EncapsulatedKey"]));
        let opened = open(&sealed.keys[id].bytes, &sealed.body, &keys[id]).unwrap();
        assert_eq!(opened.plaintext, question);
        let (head, content) =
            bhttp::decode::<bhttp::RequestHead>(&opened.plaintext, 1 << 20).unwrap();
        assert_eq!(
            (&head.authority[..], &head.headers[header::BADGE]),
            (host::WORKER, &"AAAA".parse::<http::HeaderValue>().unwrap())
        );
        assert_eq!(bhttp::encode(&head, &content, PADDING), question);

        let (expected, answer) =
            (bytes(&candidate["RespCiphertext"]), bytes(&candidate["RespBhttp"]));
        assert_eq!(opened.response.seal_with(&expected[..16], &answer).unwrap(), expected);
        let opener = sealed.answers.of(&u8::try_from(id).unwrap()).unwrap();
        let opened = opener.open(&expected).unwrap();
        assert_eq!(&opened[..], answer);
        let (head, content) = bhttp::decode::<bhttp::ResponseHead>(&opened, 1 << 20).unwrap();
        assert_eq!(bhttp::encode(&head, &content, PADDING), opened);
    }
    assert_eq!(candidates.len(), 3);
}

#[test]
fn the_three_cases_of_openpcc_in_chunks_are_made_and_opened_byte_for_byte() {
    let case = &shared("openpcc-twoway-go.json")["multi"][1];
    assert_eq!(case["ReqMediaType"], CHUNKED_REQUEST);
    let candidates = case["Candidates"].as_array().unwrap();
    for (id, candidate) in candidates.iter().enumerate() {
        let (keys, recipients, mut rng) = given(case, CHUNKED_REQUEST);
        let (question, expected) = (bytes(&case["ReqBhttp"]), bytes(&case["ReqCiphertext"]));

        let (sealer, sealed_keys, answers) =
            client::seal_chunked_with(recipients, &mut rng).unwrap();
        let body = seal_as(sealer, &question, &chunk_lengths(&expected[NONCE..]));

        assert_eq!(body, expected);
        assert_eq!(sealed_keys[id].bytes, bytes(&candidate["EncapsulatedKey"]));
        let (opened, response) = stream(&sealed_keys[id].bytes, &[&body], &keys[id]).unwrap();
        assert_eq!(&opened[..], question);
        assert!(bhttp::decode::<bhttp::RequestHead>(&opened, 1 << 20).is_ok());

        let (expected, answer) =
            (bytes(&candidate["RespCiphertext"]), bytes(&candidate["RespBhttp"]));
        let sealer = response.chunked_with(&expected[..16]).unwrap();
        assert_eq!(seal_as(sealer, &answer, &chunk_lengths(&expected[16..])), expected);
        let opener = answers.of(&u8::try_from(id).unwrap()).unwrap();
        let (mut reply, mut opened) = (opener.chunked(RESPONSE_LIMITS), Plaintext::default());
        reply.push(&expected, &mut opened).unwrap();
        reply.finish(&mut opened).unwrap();
        assert_eq!(&opened[..], answer);
        assert!(bhttp::decode::<bhttp::ResponseHead>(&opened, 1 << 20).is_ok());
    }
    assert_eq!(candidates.len(), 3);
}

#[test]
fn either_kind_of_node_opens_and_answers() {
    for node in 0..2 {
        let (sealed, keys) = asked(b"question");
        assert_eq!(sealed.keys[node].bytes.len(), [120, 1175][node]);
        let opened = open(&sealed.keys[node].bytes, &sealed.body, &keys[node]).unwrap();

        assert_eq!(&opened.plaintext[..], b"question");
        let answer = opened.response.seal(b"answer").unwrap();
        let opener = sealed.answers.of(&sealed.keys[node].id).unwrap();
        assert_eq!(&opener.open(&answer).unwrap()[..], b"answer");
    }
}

#[test]
fn an_answer_of_another_node_does_not_open() {
    let (sealed, keys) = asked(b"question");
    let opened = open(&sealed.keys[0].bytes, &sealed.body, &keys[0]).unwrap();
    let answer = opened.response.seal(b"answer").unwrap();

    assert_eq!(sealed.answers.of(&2).unwrap().open(&answer), Err(Unopenable));
    // Of a node that was not offered.
    assert_eq!(asked(b"question").0.answers.of(&3).map(drop), Err(Unopenable));
}

#[test]
fn a_question_that_is_changed_cut_or_of_another_node_does_not_open() {
    let (sealed, keys) = asked(b"question");
    let (key, body) = (&sealed.keys[0].bytes, &sealed.body);
    assert!(refused(open(key, body, &keys[1])));
    assert!(refused(open(&sealed.keys[1].bytes, body, &keys[0])));
    for at in 0..key.len() {
        let mut changed = key.clone();
        changed[at] ^= 1;
        assert!(refused(open(&changed, body, &keys[0])), "{at}");
        assert!(refused(open(&key[..at], body, &keys[0])), "{at}");
    }
    assert!(refused(open(&[&key[..], &[0]].concat(), body, &keys[0])));
    for at in 0..body.len() {
        let mut changed = body.clone();
        changed[at] ^= 1;
        assert!(refused(open(key, &changed, &keys[0])), "{at}");
        assert!(refused(open(key, &body[..at], &keys[0])), "{at}");
    }
    assert_eq!(stream(key, &[body], &keys[0]).map(drop), Err(Unopenable));
}

#[test]
fn a_question_in_chunks_cut_anywhere_is_none() {
    let key = key(Kem::XWing, 1);
    let recipient = Recipient::new(&TestCandidate::new(1, &key)).unwrap();
    let (mut sealer, keys, _) = seal_chunked(vec![recipient]).unwrap();
    let head = sealer.head();
    let body = [head, sealer.write(b"ques").unwrap(), sealer.finish(b"tion").unwrap()].concat();

    for end in 0..body.len() {
        assert_eq!(stream(&keys[0].bytes, &[&body[..end]], &key).map(drop), Err(Unopenable));
    }
    assert_eq!(&stream(&keys[0].bytes, &[&body], &key).unwrap().0[..], b"question");
    assert!(refused(open(&keys[0].bytes, &body, &key)));
}

#[test]
fn a_chunk_has_at_most_514_bytes() {
    let key = key(Kem::P256, 1);
    let recipient = Recipient::new(&TestCandidate::new(1, &key)).unwrap();
    let (mut sealer, ..) = seal_chunked(vec![recipient]).unwrap();
    let _ = sealer.head();

    let sealed = sealer.finish(&[1; 2 * PADDING + 1]).unwrap();

    assert_eq!(chunk_lengths(&sealed), [PADDING, PADDING, 1]);
}

#[test]
fn a_request_is_named_by_its_encapsulated_key() {
    let (sealed, _) = asked(b"question");
    let [p256, x_wing] = [&sealed.keys[0].bytes, &sealed.keys[1].bytes];

    let id = replay_id(p256, Kem::P256).unwrap();
    let mut other = p256.clone();
    *other.last_mut().unwrap() ^= 1;
    assert_eq!(replay_id(&other, Kem::P256), Ok(id), "no change makes it another one");
    assert_ne!(replay_id(x_wing, Kem::XWing), Ok(id));
    assert_eq!(replay_id(x_wing, Kem::P256), Err(Unopenable));
}

#[test]
fn a_question_goes_to_one_to_eight_nodes_each_once() {
    let key = key(Kem::P256, 1);
    let to = |ids: &[u8]| {
        let recipient = |id| Recipient::new(&TestCandidate::new(id, &key)).unwrap();
        let recipients = ids.iter().copied().map(recipient).collect();
        seal(recipients, &Plaintext::default()).map(|sealed| sealed.keys.len())
    };
    assert_eq!(to(&[]), Err(crate::SealError::Candidates));
    assert_eq!(to(&[1, 2, 1]), Err(crate::SealError::Candidates));
    assert_eq!(to(&[1, 2, 3, 4, 5, 6, 7, 8]), Ok(8));
    assert_eq!(to(&[1, 2, 3, 4, 5, 6, 7, 8, 9]), Err(crate::SealError::Candidates));
    assert!(Rek::from_bytes(Kem::X25519, &[9; 32]).is_err());
}

/// A key in another process that is gone.
struct UnreachableKey;

impl Decapsulate for UnreachableKey {
    fn kem(&self) -> Kem {
        Kem::P256
    }

    fn decapsulate(&self, _: &[u8]) -> Result<SharedSecret, DecapsulateError> {
        Err(DecapsulateError::Holder(io::Error::other("gone").into()))
    }
}

#[test]
fn a_holder_that_does_not_answer_is_this_nodes_fault() {
    let (sealed, _) = asked(b"question");

    let opened = open(&sealed.keys[0].bytes, &sealed.body, &UnreachableKey);

    assert!(matches!(opened, Err(OpenError::Holder(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_question_is_the_same_however_it_arrives(
        text in prop::collection::vec(any::<u8>(), 0..300), cuts in any_cuts(),
    ) {
        let key = key(Kem::XWing, 1);
        let recipient = Recipient::new(&TestCandidate::new(1, &key)).unwrap();
        let (mut sealer, keys, _) = seal_chunked(vec![recipient]).unwrap();
        let head = sealer.head();
        let body = [head, sealer.write(&text).unwrap(), sealer.finish(&text).unwrap()].concat();

        let opened = stream(&keys[0].bytes, &pieces(&cuts, &body), &key).unwrap().0;

        prop_assert_eq!(&opened[..], [&text[..], &text].concat());
    }

    #[test]
    fn arbitrary_bytes_never_open(sealed_key in any::<Vec<u8>>(), body in any::<Vec<u8>>()) {
        let key = key(Kem::XWing, 1);
        let mut long = schedule::header(KEY_ID, Kem::XWing, crate::Aead::Aes128Gcm).to_vec();
        long.extend(&sealed_key);
        long.resize(schedule::HEADER + Kem::XWing.encapsulated_len() + DEK + TAG, 7);

        prop_assert!(refused(open(&sealed_key, &body, &key)));
        prop_assert!(refused(open(&long, &body, &key)));
        prop_assert!(stream(&long, &[&body], &key).is_err());
    }
}
