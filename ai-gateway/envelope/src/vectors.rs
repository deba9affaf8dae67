//! The test vectors of `docs/protocols/vectors/sealed-chat.json`: made by this crate, and read back without it.

use std::{convert::Infallible, path::PathBuf};

use ai_gateway_api::{
    sealed::{
        BindDevice, Chat, Ed25519Public, Event, Input, KeyDocument, Operation, Request,
        encode_events,
    },
    wire::Fixed,
};
use chacha20poly1305::{AeadInPlace as _, ChaCha20Poly1305, KeyInit as _};
use chat_vocabulary::{Evidence, FinishReason, Options, Usage};
use ed25519_dalek::{Signature, SigningKey, VerifyingKey};
use hkdf::Hkdf;
use hpke::{
    Deserializable as _, Kem, OpModeR, Serializable as _,
    kem::{X25519HkdfSha256, XWing},
    rand_core::{TryCryptoRng, TryRng},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::{
    KeyConfig, Suite, client, device, document,
    fixture::NOW,
    reply::{ReplySealer, reply_keys},
    suite::PrivateKey,
    transcript,
};

const DAY: u64 = 24 * 3_600_000;
/// The node that the device key is bound to.
const NODE: &str = "n2";

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocols/vectors/sealed-chat.json")
}

/// SHA-256 of a seed and a counter, as reproducible randomness.
struct Repeatable(u64);

impl TryRng for Repeatable {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("KEMs draw bytes")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!("KEMs draw bytes")
    }

    fn try_fill_bytes(&mut self, into: &mut [u8]) -> Result<(), Infallible> {
        for block in into.chunks_mut(32) {
            self.0 += 1;
            block.copy_from_slice(&Sha256::digest(self.0.to_be_bytes())[..block.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for Repeatable {}

fn identity() -> SigningKey {
    SigningKey::from_bytes(&[0x11; 32])
}

fn app() -> SigningKey {
    SigningKey::from_bytes(&[0x22; 32])
}

fn key(suite: Suite, seed: u8) -> (PrivateKey, KeyConfig) {
    PrivateKey::derive(suite, &Zeroizing::new([seed; 32]))
}

fn private_bytes(key: &PrivateKey) -> Vec<u8> {
    match key {
        PrivateKey::XWing(key) => key.to_bytes().to_vec(),
        PrivateKey::X25519(key) => key.to_bytes().to_vec(),
    }
}

fn make() -> Value {
    let publish = |seed, since| {
        Suite::ALL.map(|suite| key(suite, seed).1.publish(since, since + DAY + 3_600_000)).to_vec()
    };
    let document = document::sign(
        &identity(),
        NOW,
        NOW + 12_345,
        publish(0x33, NOW),
        publish(0x44, NOW + DAY),
    );
    let bind = device::prove(&app(), document.identity, NODE, NOW + 12_400);
    let bind = BindDevice { name: "maru chat".to_owned(), ..bind };
    json!({
        "version": 1,
        "about": "Test vectors of docs/protocols/sealed-chat.md. Objects named document, bind, request and data are \
                  as on the wire; bind_node is text; other byte strings are hexadecimal. Private keys are HPKE's serialized ones.",
        "identity_seed": hex::encode(identity().to_bytes()),
        "device_seed": hex::encode(app().to_bytes()),
        "document_signed": hex::encode(transcript::signed_document(&document)),
        "bind_signed": hex::encode(transcript::signed_device(document.identity, bind.device_pubkey, bind.timestamp, NODE)),
        "bind_node": NODE,
        "document": document,
        "bind": bind,
        "cases": Suite::ALL.map(make_case),
    })
}

fn make_case(suite: Suite) -> Value {
    let (private, config) = key(suite, 0x33);
    let plaintext = Operation::Chat(Chat {
        session: Some("main".parse().unwrap()),
        input: Input::Text("안녕, Maru?".to_owned()),
        model: Some("llamacpp/smollm2".to_owned()),
        language: None,
        options: Options { max_tokens: Some(64), ..Options::default() },
    })
    .encode();
    let id = uuid::Builder::from_unix_timestamp_millis(NOW + 12_500, &[0x55; 10]).into_uuid();
    let sealed = client::seal_with_rng(
        &app(),
        &config,
        id,
        &plaintext,
        NOW + 12_600,
        &mut Repeatable(u64::from(suite.kem())),
    );
    let (request, _) = sealed.unwrap();
    let info = transcript::info(suite, config.id());
    let aad = transcript::aad(id, request.timestamp, request.device_pubkey);
    let opened =
        private.open(&request.encapsulated_key.0, &info, &aad, &request.ciphertext.0).unwrap();
    let nonce = [0x66; 32];
    let keys = reply_keys(&opened.secret, &request.encapsulated_key.0, &nonce).unwrap();
    json!({
        "suite": suite.to_string(),
        "private_key": hex::encode(private_bytes(&private)),
        "key_config": hex::encode(crate::suite::config_bytes(suite.kem(), 1, 3, &public(&config))),
        "info": hex::encode(info),
        "aad": hex::encode(aad),
        "plaintext": String::from_utf8(plaintext).unwrap(),
        "signed": hex::encode(transcript::signed_request(&request)),
        "request": request,
        "exported_secret": hex::encode(*opened.secret),
        "reply": make_reply(ReplySealer::new(keys, nonce).unwrap()),
    })
}

fn public(config: &KeyConfig) -> Vec<u8> {
    config.publish(0, 0).public_key.0
}

fn make_reply(mut sealer: ReplySealer) -> Vec<Value> {
    let delta = |text: &str| encode_events(&[Event::Delta(text.to_owned())]);
    let evidence = Evidence {
        class: "NITRO".to_owned(),
        image: "maru-compute 0.1.0 smollm2".to_owned(),
        node: uuid::Builder::from_unix_timestamp_millis(NOW, &[0x77; 10]).into_uuid().to_string(),
        verified_at: NOW + 12_000,
    };
    let middle = [
        encode_events(&[Event::Model("lab/smollm2".to_owned()), Event::Evidence(evidence)]),
        delta("안녕"),
        delta(&"하세요! ".repeat(12)),
    ];
    let usage = Usage { prompt_tokens: 9, completion_tokens: 13 };
    let last = encode_events(&[Event::Usage(usage), Event::Finish(FinishReason::Stop)]);
    let text = |plaintext: Vec<u8>| String::from_utf8(plaintext).unwrap();
    let mut parts = vec![json!({"event": "start", "data": sealer.start()})];
    for plaintext in middle {
        let data = sealer.chunk(&plaintext).unwrap();
        parts.push(json!({"event": "chunk", "data": data, "plaintext": text(plaintext)}));
    }
    let data = sealer.finish(&last).unwrap();
    parts.push(json!({"event": "final", "data": data, "plaintext": text(last)}));
    parts
}

/// To write the file again after an intended change of the protocol, run this test with `MARU_WRITE_VECTORS=1`.
#[test]
fn the_vectors_are_what_this_crate_makes() {
    let made = serde_json::to_string_pretty(&make()).unwrap() + "\n";
    if std::env::var_os("MARU_WRITE_VECTORS").is_some() {
        std::fs::create_dir_all(file().parent().unwrap()).unwrap();
        std::fs::write(file(), &made).unwrap();
    }

    assert!(
        std::fs::read_to_string(file()).unwrap() == made,
        "docs/protocols/vectors/sealed-chat.json differs"
    );
}

// The code below follows only the specification and does not call this crate.

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn verify(key: Ed25519Public, signed: &[u8], signature: [u8; 64]) {
    VerifyingKey::from_bytes(&key.0)
        .unwrap()
        .verify_strict(signed, &Signature::from_bytes(&signature))
        .unwrap();
}

fn unpad(padded: &[u8]) -> &[u8] {
    let (length, rest) = padded.split_at(4);
    let length = u32::from_be_bytes(length.try_into().unwrap()).try_into().unwrap();
    assert!(rest[length..].iter().all(|&byte| byte == 0) && padded.len().is_power_of_two());
    &rest[..length]
}

#[test]
fn the_vectors_open_by_the_specification_alone() {
    let file: Value = serde_json::from_str(&std::fs::read_to_string(file()).unwrap()).unwrap();
    let document: KeyDocument = serde_json::from_value(file["document"].clone()).unwrap();
    let signed = bytes(&file["document_signed"]);
    assert!(signed.starts_with(&[b"maru-sealed-chat/1 keys\0", &document.identity.0[..]].concat()));
    verify(document.identity, &signed, document.signature.0);
    let bind: BindDevice = serde_json::from_value(file["bind"].clone()).unwrap();
    let signed_bind = [
        b"maru-sealed-chat/1 device/2\0",
        &document.identity.0[..],
        &bind.device_pubkey.0,
        &bind.timestamp.to_be_bytes(),
        file["bind_node"].as_str().unwrap().as_bytes(),
    ]
    .concat();
    assert_eq!(signed_bind, bytes(&file["bind_signed"]));
    verify(bind.device_pubkey, &signed_bind, bind.signature.0);

    let cases = file["cases"].as_array().unwrap();
    for (case, key) in cases.iter().zip(&document.current) {
        let config = bytes(&case["key_config"]);
        assert_eq!(Sha256::digest(&config)[..8], key.key_id.0);
        assert!(signed.windows(config.len()).any(|window| window == config));
        match key.kem {
            0x647a => read_case::<XWing>(case, key.kem),
            0x0020 => read_case::<X25519HkdfSha256>(case, key.kem),
            other => panic!("{other}"),
        }
    }
    assert_eq!(cases.len(), 2);
}

fn read_case<K: Kem>(case: &Value, kem: u16) {
    let request: Request = serde_json::from_value(case["request"].clone()).unwrap();
    let suite = [&kem.to_be_bytes()[..], &[0, 1, 0, 3]].concat();
    let info = [b"maru-sealed-chat/1 request\0", &request.key_id.0[..], &suite].concat();
    let aad = [
        b"maru-sealed-chat/1\0",
        &request.request_id.as_bytes()[..],
        &request.timestamp.to_be_bytes(),
        &request.device_pubkey.0,
        b"application/json",
    ]
    .concat();
    let hash = |bytes: &[u8]| Sha256::digest(bytes).to_vec();
    let signed = [
        b"maru-sealed-chat/1 signature\0",
        &request.key_id.0[..],
        &hash(&request.encapsulated_key.0),
        &hash(&request.ciphertext.0),
        &aad,
    ]
    .concat();
    assert_eq!(
        (&info, &aad, &signed),
        (&bytes(&case["info"]), &bytes(&case["aad"]), &bytes(&case["signed"]))
    );
    verify(request.device_pubkey, &signed, request.signature.0);

    let private = K::PrivateKey::from_bytes(&bytes(&case["private_key"])).unwrap();
    let enc = K::EncappedKey::from_bytes(&request.encapsulated_key.0).unwrap();
    let mut context =
        hpke::setup_receiver::<hpke::aead::ChaCha20Poly1305, hpke::kdf::HkdfSha256, K>(
            &OpModeR::Base,
            &private,
            &enc,
            &info,
        )
        .unwrap();
    let padded = context.open(&request.ciphertext.0, &aad).unwrap();
    assert_eq!(unpad(&padded), case["plaintext"].as_str().unwrap().as_bytes());
    let mut secret = [0; 32];
    context.export(b"maru-sealed-chat/1 reply", &mut secret).unwrap();
    assert_eq!(secret[..], bytes(&case["exported_secret"]));
    read_reply(case["reply"].as_array().unwrap(), &request.encapsulated_key.0, &secret);
}

fn read_reply(parts: &[Value], encapsulated_key: &[u8], secret: &[u8]) {
    let (start, sealed) = parts.split_first().unwrap();
    let nonce: Fixed<32> = serde_json::from_value(start["data"]["response_nonce"].clone()).unwrap();
    let prk = Hkdf::<Sha256>::new(Some(&[encapsulated_key, &nonce.0].concat()), secret);
    let (mut key, mut base) = ([0; 32], [0; 12]);
    prk.expand(b"key", &mut key).unwrap();
    prk.expand(b"nonce", &mut base).unwrap();
    for (count, part) in sealed.iter().enumerate() {
        let last = count == sealed.len() - 1;
        assert_eq!(part["event"], if last { "final" } else { "chunk" });
        assert_eq!(part["data"].get("seq"), (!last).then(|| json!(count)).as_ref());
        let data: ai_gateway_api::wire::Bytes =
            serde_json::from_value(part["data"]["data"].clone()).unwrap();
        let mut nonce = base;
        nonce[11] ^= u8::try_from(count).unwrap();
        let (mut buffer, aad) = (data.0, if last { &b"final"[..] } else { b"" });
        ChaCha20Poly1305::new(&key.into())
            .decrypt_in_place(&nonce.into(), aad, &mut buffer)
            .unwrap();
        assert_eq!(unpad(&buffer), part["plaintext"].as_str().unwrap().as_bytes());
    }
}
