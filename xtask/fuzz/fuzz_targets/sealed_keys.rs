//! Sealed chat with real keys: what was changed on its way is refused, and harms nothing.
//!
//! An input says what is sealed and how it is changed, never what the keys are: those are made anew.
#![no_main]

use libfuzzer_sys::fuzz_target;

use std::sync::Mutex;

use ai_gateway_api::{
    memory::OwnMemory,
    sealed::{self, BindDevice, Chunk, Final, KeyDocument, ReplyPart, Request, event},
    wire::{Bytes, Fixed},
};
use ed25519_dalek::{Signer as _, SigningKey};
use fuzz::Input;
use hpke_envelope::{
    Suite,
    client::{self, Keys, Reply},
    device,
    gateway::{KeyRing, OpenError, Opened, Reason, Settings},
};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// 2026-11-21, 14:00 UTC.
const NOW: u64 = 1_795_269_600_000;
/// How many requests one set of keys opens before it is made anew.
const LIFE: u64 = 500;
/// The published document, signed by the identity of this seed.
const VECTORS: &str = include_str!("../../../docs/protocols/vectors/sealed-chat.json");

static GATEWAY: Mutex<Option<Gateway>> = Mutex::new(None);

/// A gateway, its key document, and a device that may ask it.
struct Gateway {
    ring: KeyRing,
    document: KeyDocument,
    keys: Keys,
    device: SigningKey,
    asked: u64,
}

impl Gateway {
    fn new() -> Self {
        let identity = SigningKey::from_bytes(&[1; 32]);
        let mut ring = KeyRing::new(identity, Settings::default(), 0, NOW).unwrap();
        let document = ring.document(NOW).unwrap();
        let keys = Keys::verify(&document, ring.identity(), 0).unwrap();
        Self { ring, document, keys, device: SigningKey::from_bytes(&[2; 32]), asked: 0 }
    }

    fn seal(&mut self, suite: Suite, text: &[u8]) -> (Request, Reply) {
        self.asked += 1;
        let mut random = [0; 10];
        random[2..].copy_from_slice(&self.asked.to_be_bytes());
        let id = uuid::Builder::from_unix_timestamp_millis(NOW, &random).into_uuid();
        let key = self.keys.select(suite, NOW).unwrap();
        client::seal(&self.device, key, id, text, NOW).unwrap()
    }

    fn open(&mut self, request: &Request) -> Result<Opened, Reason> {
        match self.ring.open(request, NOW, OwnMemory) {
            Ok(opened) => Ok(opened),
            Err(OpenError::Refused(reason)) => Err(reason),
            Err(error @ (OpenError::CacheFull | OpenError::Random(_))) => panic!("{error}"),
        }
    }
}

/// What a device signs, by `docs/protocols/sealed-chat.md`.
fn transcript(request: &Request) -> Vec<u8> {
    let hash = |bytes: &Bytes| Sha256::digest(&bytes.0).to_vec();
    [
        b"maru-sealed-chat/1 signature\0".as_slice(),
        &request.key_id.0,
        &hash(&request.encapsulated_key),
        &hash(&request.ciphertext),
        b"maru-sealed-chat/1\0",
        request.request_id.as_bytes(),
        &request.timestamp.to_be_bytes(),
        &request.device_pubkey.0,
        b"application/json",
    ]
    .concat()
}

/// Changes one field's bytes.
fn edited<const N: usize>(bytes: [u8; N], script: &[u8]) -> [u8; N] {
    let mut changed = bytes.to_vec();
    fuzz::edit(&mut changed, script);
    changed.resize(N, 0);
    changed.try_into().unwrap_or(bytes)
}

/// Changes a request: its JSON, or a field, which may then be signed again.
fn forge(request: &Request, input: &mut Input<'_>, device: &SigningKey) -> Option<Request> {
    let what = input.byte();
    let script = input.bytes();
    let mut forged = request.clone();
    match what % 8 {
        0 => {
            let mut body = serde_json::to_vec(request).unwrap();
            fuzz::edit(&mut body, script);
            return Request::decode(&body).ok();
        }
        1 => forged.key_id = Fixed(edited(forged.key_id.0, script)),
        2 => fuzz::edit(&mut forged.encapsulated_key.0, script),
        3 => fuzz::edit(&mut forged.ciphertext.0, script),
        4 => forged.timestamp = u64::from_be_bytes(edited(forged.timestamp.to_be_bytes(), script)),
        5 => forged.request_id = Uuid::from_bytes(edited(forged.request_id.into_bytes(), script)),
        6 => forged.device_pubkey = Fixed(edited(forged.device_pubkey.0, script)),
        _ => forged.signature = Fixed(edited(forged.signature.0, script)),
    }
    let stranger = SigningKey::from_bytes(&[3; 32]);
    match what / 8 % 3 {
        0 => {}
        1 => forged.signature = Fixed(device.sign(&transcript(&forged)).to_bytes()),
        _ => {
            forged.device_pubkey = Fixed(stranger.verifying_key().to_bytes());
            forged.signature = Fixed(stranger.sign(&transcript(&forged)).to_bytes());
        }
    }
    Some(forged)
}

/// A request opens once, exactly as it was sealed; forgeries do not open, and do not spend it.
fn requests(gateway: &mut Gateway, suite: Suite, input: &mut Input<'_>) {
    let text = input.bytes();
    let (request, _) = gateway.seal(suite, text);
    assert_eq!(
        gateway.device.sign(&transcript(&request)).to_bytes(),
        request.signature.0,
        "the transcript is not the documented one"
    );
    let device = gateway.device.clone();
    if let Some(forged) = forge(&request, input, &device)
        && forged != request
    {
        assert!(gateway.open(&forged).is_err(), "a forgery opened: {forged:?}");
    }
    let opened = gateway.open(&request).unwrap();
    assert_eq!((&*opened.plaintext, opened.request_id), (text, request.request_id));
    assert_eq!(gateway.open(&request).unwrap_err(), Reason::Replayed);
}

/// The parts of a reply, with what each chunk says.
fn reply(opened: Opened, input: &mut Input<'_>) -> (Vec<ReplyPart>, Vec<Vec<u8>>) {
    let mut sealer = opened.reply;
    let mut parts = vec![ReplyPart::Start(sealer.start())];
    let mut texts: Vec<Vec<u8>> = Vec::new();
    for _ in 0..input.below(4) {
        texts.push(input.bytes().to_vec());
        parts.push(ReplyPart::Chunk(sealer.chunk(&texts[texts.len() - 1]).unwrap()));
    }
    texts.push(input.bytes().to_vec());
    parts.push(ReplyPart::Final(sealer.finish(&texts[texts.len() - 1]).unwrap()));
    (parts, texts)
}

/// A part after its JSON was changed; what no longer decodes does not arrive.
fn changed(part: &ReplyPart, script: &[u8]) -> Option<ReplyPart> {
    let (name, data) = match part {
        ReplyPart::Start(start) => (event::START, serde_json::to_vec(start)),
        ReplyPart::Chunk(chunk) => (event::CHUNK, serde_json::to_vec(chunk)),
        ReplyPart::Final(last) => (event::FINAL, serde_json::to_vec(last)),
    };
    let mut data = data.unwrap();
    fuzz::edit(&mut data, script);
    ReplyPart::decode(name, &data).ok()
}

/// Cuts, reorders, repeats, renames, changes; mixes with another reply of the same device.
fn tamper(parts: &mut Vec<ReplyPart>, other: &[ReplyPart], input: &mut Input<'_>) {
    while !input.is_empty() && !parts.is_empty() && parts.len() < 16 {
        let (what, at, other_at) =
            (input.byte(), input.below(parts.len()), input.below(parts.len()));
        match what % 7 {
            0 => drop(parts.remove(at)),
            1 => parts.swap(at, other_at),
            2 => parts.insert(other_at, parts[at].clone()),
            3 => parts.insert(at, input.pick(other).clone()),
            4 => match changed(&parts[at], input.bytes()) {
                Some(part) => parts[at] = part,
                None => drop(parts.remove(at)),
            },
            5 => {
                let seq = u64::from(input.byte());
                parts[at] = match &parts[at] {
                    ReplyPart::Chunk(Chunk { data, .. }) => {
                        ReplyPart::Final(Final { data: data.clone() })
                    }
                    ReplyPart::Final(Final { data }) => {
                        ReplyPart::Chunk(Chunk { seq, data: data.clone() })
                    }
                    start @ ReplyPart::Start(_) => start.clone(),
                };
            }
            _ => parts.truncate(at),
        }
    }
}

/// Whatever happens on the way, what a client reads is how the reply begins, and whole only if all of it came.
fn replies(gateway: &mut Gateway, suite: Suite, input: &mut Input<'_>) {
    let (asked, mut reader) = gateway.seal(suite, b"one");
    let (mut parts, texts) = reply(gateway.open(&asked).unwrap(), input);
    let (asked, _) = gateway.seal(Suite::X25519, b"two");
    let (other, _) = reply(gateway.open(&asked).unwrap(), &mut Input::new(b"\x02\x01a\x01b\x01c"));
    let sent = parts.clone();
    tamper(&mut parts, &other, input);
    let (mut read, mut broken) = (0, false);
    for part in &parts {
        match reader.handle(part) {
            Ok(text) => {
                assert!(!broken, "a broken reply goes on");
                if let Some(text) = text {
                    assert_eq!(texts.get(read), Some(&*text));
                    read += 1;
                }
            }
            Err(_) => broken = true,
        }
    }
    let done = reader.is_done();
    assert!(!done || read == texts.len(), "whole without all of it");
    assert!(parts != sent || done, "what came as it was sent is refused");
    assert_eq!(reader.end().is_ok(), done && !broken);
}

/// The document with the ids that its keys have by themselves: those are derived, not signed.
fn signed_part(document: &KeyDocument, genuine: &KeyDocument) -> KeyDocument {
    let mut document = document.clone();
    for (keys, known) in
        [(&mut document.current, &genuine.current), (&mut document.next, &genuine.next)]
    {
        keys.iter_mut().zip(known).for_each(|(key, known)| key.key_id = known.key_id);
    }
    document
}

/// A key document is the gateway's own, or refused; an older one than was seen is refused. What is not signed leads to
/// no other key.
fn documents(gateway: &Gateway, input: &mut Input<'_>) {
    let genuine = &gateway.document;
    let seen = u64::from_be_bytes(edited(genuine.epoch.to_be_bytes(), input.bytes()));
    let mut body = serde_json::to_vec(genuine).unwrap();
    fuzz::edit(&mut body, input.rest());
    let Ok(document) = sealed::decode_keys(&body) else { return };
    let verified = Keys::verify(&document, gateway.ring.identity(), seen);
    let expected = signed_part(&document, genuine) == *genuine && document.epoch >= seen;
    assert_eq!(verified.is_ok(), expected, "{document:?}");
    let Ok(keys) = verified else { return };
    let _ = keys.check_clock(seen, seen);
    for suite in Suite::ALL {
        let selected = keys.select(suite, NOW);
        assert!(selected.is_none() || selected == gateway.keys.select(suite, NOW), "another key");
        assert!(selected.is_some() || document != *genuine);
    }
}

/// A device's key is bound by what it signed for this gateway and this node, and by nothing else.
fn bindings(gateway: &Gateway, input: &mut Input<'_>) {
    let mut node = b"n1".to_vec();
    let identity = gateway.ring.identity();
    let genuine = device::prove(&gateway.device, identity, "n1", NOW);
    fuzz::edit(&mut node, input.bytes());
    let mut body = serde_json::to_vec(&genuine).unwrap();
    fuzz::edit(&mut body, input.rest());
    let Ok(bind) = BindDevice::decode(body) else { return };
    let node = String::from_utf8_lossy(&node);
    // The name for the list is not signed.
    let same = BindDevice { name: genuine.name.clone(), ..bind.clone() } == genuine;
    assert_eq!(device::verify(&bind, identity, &node, NOW).is_ok(), same && node == "n1");
}

/// Bytes from anywhere: the published document, or one that its identity did not sign.
fn published(body: &[u8]) {
    let Ok(document) = sealed::decode_keys(body) else { return };
    let vectors: serde_json::Value = serde_json::from_str(VECTORS).unwrap();
    let genuine: KeyDocument = serde_json::from_value(vectors["document"].clone()).unwrap();
    let verified = Keys::verify(&document, genuine.identity, 0);
    assert_eq!(verified.is_ok(), signed_part(&document, &genuine) == genuine);
}

fuzz_target!(|bytes: &[u8]| {
    if bytes.first() == Some(&b'{') {
        return published(bytes);
    }
    let mut guard = GATEWAY.lock().unwrap();
    let gateway = match guard.take() {
        Some(known) if known.asked < LIFE => guard.insert(known),
        Some(_) | None => guard.insert(Gateway::new()),
    };
    let mut input = Input::new(bytes);
    let what = input.byte();
    let suite = if what & 0x80 == 0 { Suite::X25519 } else { Suite::XWing };
    match what % 4 {
        0 => requests(gateway, suite, &mut input),
        1 => replies(gateway, suite, &mut input),
        2 => documents(gateway, &mut input),
        _ => bindings(gateway, &mut input),
    }
});
