//! Makes the test vectors of `docs/protocols/vectors/confidential.json`; `tests/vectors.rs` reads them by the specification
//! alone.

use std::{path::PathBuf, sync::Arc};

use confidential_api::names::host;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header::CONTENT_TYPE, uri::PathAndQuery};
use serde_json::{Value, json};

use crate::{
    Aead, ChunkSealer, Kem, Plaintext, PrivateKey, ResponseOpener, ResponseSealer,
    bhttp::{self, Encoder, RequestHead, ResponseHead, Scheme},
    fixture::{FixedRng, TestCandidate, bytes, key},
    inner::{self, Recipient, client},
    kem::Decapsulate as _,
    ohttp::{self, GatewayKey, KeyConfig, Request},
    schedule,
};

mod documents;

/// What is asked and answered, in the pieces in which a message in chunks is written.
const ASKED: [&str; 3] =
    [r#"{"model":"smollm2","#, r#""messages":[{"role":"user","content":"안녕?"}]"#, "}"];
const ANSWERED: [&str; 3] =
    ["data: {\"choices\":[{\"delta\":{\"content\":\"안녕하세요!\"}}]}\n\n", "data: [DONE]", "\n\n"];

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocols/vectors/confidential.json")
}

/// Bytes that are easily told apart: this one, the next one, and so on.
fn counting<const N: usize>(from: u8) -> [u8; N] {
    std::array::from_fn(|at| from.wrapping_add(u8::try_from(at % 256).unwrap()))
}

/// A key of the gateway for each KEM.
fn gateway_keys() -> Vec<Arc<GatewayKey>> {
    [
        (7, Kem::XWing, vec![Aead::Aes128Gcm, Aead::ChaCha20Poly1305]),
        (8, Kem::P256, vec![Aead::ChaCha20Poly1305]),
        (9, Kem::X25519, vec![Aead::Aes128Gcm]),
    ]
    .map(|(id, kem, aeads)| Arc::new(GatewayKey::new(id, key(kem, id), aeads).unwrap()))
    .to_vec()
}

fn key_configs() -> Vec<KeyConfig> {
    gateway_keys().iter().map(|key| key.config().clone()).collect()
}

fn make() -> Value {
    let of = |key: &Arc<GatewayKey>| {
        let config = key.config();
        let aeads: Vec<_> = config.aeads().iter().map(|aead| aead.id()).collect();
        json!({
            "key_id": config.key_id(),
            "kem": config.public().kem().id(),
            "aeads": aeads,
            "seed": hex::encode([config.key_id(); 32]),
            "private_key": hex::encode(&*private(config).to_bytes()),
            "public_key": hex::encode(config.public().to_bytes()),
            "key_config": hex::encode(config.encode()),
        })
    };
    json!({
        "version": 1,
        "about": "Test vectors of docs/protocols/confidential-wire.md and confidential.md, whose sections \"Test vectors\" \
                  say what each field is. Byte strings are hexadecimal, except in signed documents, which are as on the wire.",
        "gateway_keys": gateway_keys().iter().map(of).collect::<Vec<_>>(),
        "ohttp_keys": hex::encode(KeyConfig::encode_list(&key_configs())),
        "outer": key_configs().iter().flat_map(|config| [false, true].map(|it| outer(config, it))).collect::<Vec<_>>(),
        "inner": ([false, true].map(inner)),
        "documents": documents::make(&key_configs()),
    })
}

fn private(config: &KeyConfig) -> PrivateKey {
    key(config.public().kem(), config.key_id())
}

/// What an encapsulation to a key of this KEM draws.
fn randomness(kem: Kem, from: u8) -> Vec<u8> {
    match kem {
        Kem::XWing => counting::<64>(from).to_vec(),
        Kem::X25519 | Kem::P256 => counting::<32>(from).to_vec(),
    }
}

fn headers(kind: &'static str) -> HeaderMap {
    [(CONTENT_TYPE, HeaderValue::from_static(kind))].into_iter().collect()
}

fn question(authority: &str, path: &'static str, kind: &'static str) -> RequestHead {
    RequestHead {
        method: Method::POST,
        scheme: Scheme::Https,
        authority: authority.to_owned(),
        path: PathAndQuery::from_static(path),
        headers: headers(kind),
    }
}

fn answer() -> ResponseHead {
    ResponseHead { status: StatusCode::OK, headers: headers("text/event-stream") }
}

/// A message of known length, or the pieces of one that is written as it is made.
fn written<H: bhttp::Head>(head: &H, content: [&str; 3], multiple: usize) -> Vec<Plaintext> {
    let (mut encoder, first) = Encoder::new(head, multiple);
    let [one, two, three] = content.map(|piece| encoder.content(piece.as_bytes()));
    vec![first, one, two, three, encoder.finish()]
}

/// Seals each piece as it comes, the last one as the end; says how long the chunks are.
fn seal(mut sealer: ChunkSealer, pieces: &[Plaintext], most: usize) -> (Vec<u8>, Vec<usize>) {
    let (last, before) = pieces.split_last().unwrap();
    let (mut sealed, mut lengths) = (Vec::new(), Vec::new());
    for piece in before {
        sealed.extend(sealer.write(piece).unwrap());
        lengths.extend(piece.chunks(most).map(<[u8]>::len));
    }
    lengths.extend(last.chunks(most).map(<[u8]>::len));
    sealed.extend(sealer.finish(last).unwrap());
    (sealed, lengths)
}

fn joined(pieces: &[Plaintext]) -> Vec<u8> {
    pieces.iter().flat_map(|piece| piece.to_vec()).collect()
}

/// An answer under a response's keys: what it says, sealed; and how long its chunks are.
fn answered(
    response: ResponseSealer,
    nonce: &[u8],
    chunked: bool,
    pad: usize,
    most: usize,
) -> Value {
    let (plain, sealed, chunks) = if chunked {
        let pieces = written(&answer(), ANSWERED, pad);
        let (sealed, lengths) = seal(response.chunked_with(nonce).unwrap(), &pieces, most);
        (joined(&pieces), sealed, Some(lengths))
    } else {
        let plain = bhttp::encode(&answer(), ANSWERED.concat().as_bytes(), pad).to_vec();
        let sealed = response.seal_with(nonce, &plain).unwrap();
        (plain, sealed, None)
    };
    json!({ "nonce": hex::encode(nonce), "plaintext": hex::encode(plain), "chunks": chunks, "sealed": hex::encode(sealed) })
}

fn outer(config: &KeyConfig, chunked: bool) -> Value {
    let (kem, aead) = (config.public().kem(), config.preferred());
    let head = question("confsec-router.invalid", "/compute-manifests", "application/octet-stream");
    let drawn = randomness(kem, 0x10 + config.key_id());
    let request = Request::with_rng(config, &mut FixedRng(drawn.clone())).unwrap();
    let (plain, sealed, chunks) = if chunked {
        let pieces = written(&head, ASKED, 1);
        let (sealed, lengths) = seal(request.chunked().unwrap().0, &pieces, ohttp::CHUNK);
        (joined(&pieces), sealed, Some(lengths))
    } else {
        let plain = bhttp::encode(&head, ASKED.concat().as_bytes(), 1);
        let sealed = request.seal(&plain).unwrap().0;
        (plain.to_vec(), sealed, None)
    };
    let response = open_outer(&sealed, chunked, &plain);
    let encapsulated_key = &sealed[schedule::HEADER..][..kem.encapsulated_len()];
    let nonce = &counting::<32>(0x40)[..aead.key_len()];
    let label = if chunked { "message/bhttp chunked request" } else { "message/bhttp request" };
    let header = schedule::header(config.key_id(), kem, aead);
    let secret = private(config).decapsulate(encapsulated_key).unwrap();
    json!({
        "key_id": config.key_id(),
        "aead": aead.id(),
        "chunked": chunked,
        "encapsulation_randomness": hex::encode(drawn),
        "encapsulated_key": hex::encode(encapsulated_key),
        "shared_secret": hex::encode(secret.as_bytes()),
        "info": hex::encode(schedule::info(label, &header)),
        "request": { "plaintext": hex::encode(plain), "chunks": chunks, "sealed": hex::encode(&sealed) },
        "response": answered(response, nonce, chunked, 1, ohttp::CHUNK),
    })
}

/// Opens what was just made.
fn open_outer(sealed: &[u8], chunked: bool, expected: &[u8]) -> ResponseSealer {
    let keys = gateway_keys();
    if !chunked {
        let opened = ohttp::open(&keys, sealed).unwrap();
        assert_eq!(&opened.plaintext[..], expected);
        return opened.response;
    }
    let mut stream = ohttp::RequestStream::new(keys, ohttp::REQUEST_LIMITS);
    let mut plaintext = Plaintext::default();
    stream.push(sealed, &mut plaintext).unwrap();
    let response = stream.finish(&mut plaintext).unwrap();
    assert_eq!(&plaintext[..], expected);
    response
}

/// The nodes that a question is sealed to: their names here, and their keys.
fn nodes() -> [(u8, PrivateKey); 3] {
    [(1, Kem::P256), (2, Kem::XWing), (3, Kem::P256)].map(|(id, kem)| (id, key(kem, 0x20 + id)))
}

fn inner(chunked: bool) -> Value {
    let (dek, body_nonce) = (counting::<32>(0x60), counting::<12>(0x90));
    let drawn = |(id, key): &(u8, PrivateKey)| randomness(key.kem(), 0xa0 + 0x10 * id);
    let recipients = nodes()
        .iter()
        .map(|node| {
            Recipient::with_rng(&TestCandidate::new(node.0, &node.1), &mut FixedRng(drawn(node)))
        })
        .collect::<Result<Vec<_>, _>>()
        .unwrap();
    let mut given = FixedRng([&dek[..], &body_nonce].concat());
    let head = question(host::WORKER, "/v1/chat/completions", "application/json");
    let (plain, body, chunks, keys) = if chunked {
        let pieces = written(&head, ASKED, inner::PADDING);
        let (sealer, keys, _) = client::seal_chunked_with(recipients, &mut given).unwrap();
        let (sealed, lengths) = seal(sealer, &pieces, inner::PADDING);
        (joined(&pieces), sealed, Some(lengths), keys)
    } else {
        let plain = bhttp::encode(&head, ASKED.concat().as_bytes(), inner::PADDING);
        let sealed = client::seal_with(recipients, &plain, &mut given).unwrap();
        (plain.to_vec(), sealed.body, None, sealed.keys)
    };
    let candidates = nodes().into_iter().zip(keys).map(|(node, sealed)| {
        let drawn = drawn(&node);
        candidate(node, drawn, &sealed.bytes, &body, chunked, &plain)
    });
    json!({
        "chunked": chunked,
        "dek": hex::encode(dek),
        "body_nonce": hex::encode(body_nonce),
        "request": { "plaintext": hex::encode(&plain), "chunks": chunks, "sealed": hex::encode(&body) },
        "candidates": candidates.collect::<Vec<_>>(),
    })
}

fn candidate(
    (id, key): (u8, PrivateKey),
    drawn: Vec<u8>,
    sealed_key: &[u8],
    body: &[u8],
    chunked: bool,
    expected: &[u8],
) -> Value {
    let kem = key.kem();
    let response = open_inner(sealed_key, body, &key, chunked, expected);
    let header = schedule::header(inner::KEY_ID, kem, Aead::Aes128Gcm);
    let label = if chunked { inner::CHUNKED_REQUEST } else { inner::REQUEST };
    let nonce = counting::<16>(0xc0 + id);
    json!({
        "id": id,
        "kem": kem.id(),
        "seed": hex::encode([0x20 + id; 32]),
        "private_key": hex::encode(&*key.to_bytes()),
        "public_key": hex::encode(key.public().to_bytes()),
        "encapsulation_randomness": hex::encode(drawn),
        "shared_secret": hex::encode(inner::open_key(sealed_key, chunked, &key).unwrap().as_bytes()),
        "info": hex::encode(schedule::info(label, &header)),
        "sealed_key": hex::encode(sealed_key),
        "replay_id": hex::encode(inner::replay_id(sealed_key, kem).unwrap()),
        "response": answered(response, &nonce, chunked, inner::PADDING, inner::PADDING),
    })
}

/// Opens what was just made.
fn open_inner(
    sealed_key: &[u8],
    body: &[u8],
    key: &PrivateKey,
    chunked: bool,
    expected: &[u8],
) -> ResponseSealer {
    if !chunked {
        let opened = inner::open(sealed_key, body, key).unwrap();
        assert_eq!(&opened.plaintext[..], expected);
        return opened.response;
    }
    let limits = inner::REQUEST_LIMITS;
    let mut stream = inner::RequestStream::new(sealed_key, key, limits).unwrap();
    let mut plaintext = Plaintext::default();
    stream.push(body, &mut plaintext).unwrap();
    let response = stream.finish(&mut plaintext).unwrap();
    assert_eq!(&plaintext[..], expected);
    response
}

/// To write the file anew after the protocol changed on purpose, run this test with `MARU_WRITE_VECTORS=1`.
#[test]
fn the_vectors_are_what_this_crate_makes() {
    let made = serde_json::to_string_pretty(&make()).unwrap() + "\n";
    if std::env::var_os("MARU_WRITE_VECTORS").is_some() {
        std::fs::create_dir_all(file().parent().unwrap()).unwrap();
        std::fs::write(file(), &made).unwrap();
    }

    assert!(
        std::fs::read_to_string(file()).unwrap() == made,
        "docs/protocols/vectors/confidential.json differs"
    );
}

/// Opens an answer of the file as a client does.
fn read(opener: ResponseOpener, sealed: &Value, chunked: bool, limits: crate::Limits) -> Vec<u8> {
    if !chunked {
        return opener.open(&bytes(sealed)).unwrap().to_vec();
    }
    let (mut stream, mut plaintext) = (opener.chunked(limits), Plaintext::default());
    stream.push(&bytes(sealed), &mut plaintext).unwrap();
    stream.finish(&mut plaintext).unwrap();
    plaintext.to_vec()
}

#[test]
fn the_answers_open_as_their_clients_open_them() {
    let file: Value = serde_json::from_str(&std::fs::read_to_string(file()).unwrap()).unwrap();
    let outer = file["outer"].as_array().unwrap();
    for case in outer {
        let configs = key_configs();
        let config = configs.iter().find(|it| case["key_id"] == it.key_id()).unwrap();
        let mut given = FixedRng(bytes(&case["encapsulation_randomness"]));
        let request = Request::with_rng(config, &mut given).unwrap();
        let chunked = case["chunked"].as_bool().unwrap();
        let opener = match chunked {
            true => request.chunked().unwrap().1,
            false => request.seal(&Plaintext::default()).unwrap().1,
        };
        let response = &case["response"];
        let opened = read(opener, &response["sealed"], chunked, ohttp::RESPONSE_LIMITS);
        assert_eq!(opened, bytes(&response["plaintext"]));
    }
    assert_eq!(outer.len(), 6);
    for case in file["inner"].as_array().unwrap() {
        let chunked = case["chunked"].as_bool().unwrap();
        for (node, candidate) in nodes().iter().zip(case["candidates"].as_array().unwrap()) {
            let mut given = FixedRng(bytes(&candidate["encapsulation_randomness"]));
            let recipient = Recipient::with_rng(&TestCandidate::new(node.0, &node.1), &mut given);
            let mut given = FixedRng(bytes(&case["dek"]));
            given.0.extend(bytes(&case["body_nonce"]));
            let recipients = vec![recipient.unwrap()];
            let answers = match chunked {
                true => client::seal_chunked_with(recipients, &mut given).unwrap().2,
                false => {
                    client::seal_with(recipients, &Plaintext::default(), &mut given)
                        .unwrap()
                        .answers
                }
            };
            let response = &candidate["response"];
            let opener = answers.of(&node.0).unwrap();
            let opened = read(opener, &response["sealed"], chunked, inner::RESPONSE_LIMITS);
            assert_eq!(opened, bytes(&response["plaintext"]));
        }
    }
}
