//! The test vectors of `docs/protocols/vectors/confidential.json`, read by the specification alone: nothing of this crate
//! is called.

use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signature, SigningKey, VerifyingKey};
use hkdf::Hkdf;
use hpke::{
    Deserializable as _, Kem, OpModeR, Serializable as _,
    aead::{AeadCtxR, AesGcm128, ChaCha20Poly1305},
    kdf::HkdfSha256,
    kem::{DhP256HkdfSha256, X25519HkdfSha256, XWing},
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

const FILE: &str = include_str!("../../../../docs/protocols/vectors/confidential.json");
const TAG: usize = 16;

fn file() -> Value {
    serde_json::from_str(FILE).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn number(value: &Value) -> u16 {
    value.as_u64().unwrap().try_into().unwrap()
}

/// HPKE's context of a suite, or a cipher with a key: opens one thing after another.
trait Open {
    fn open(&mut self, sealed: &[u8], last: bool) -> Vec<u8>;
    fn export(&self, label: &str, length: usize) -> Vec<u8>;
}

impl<A: hpke::aead::Aead, K: Kem> Open for AeadCtxR<A, HkdfSha256, K> {
    fn open(&mut self, sealed: &[u8], last: bool) -> Vec<u8> {
        Self::open(self, sealed, if last { b"final" } else { b"" }).unwrap()
    }

    fn export(&self, label: &str, length: usize) -> Vec<u8> {
        let mut secret = vec![0; length];
        Self::export(self, label.as_bytes(), &mut secret).unwrap();
        secret
    }
}

struct KeyedCipher {
    key: LessSafeKey,
    nonce: [u8; 12],
    count: u8,
}

impl KeyedCipher {
    fn new(cipher: &'static Algorithm, key: &[u8], nonce: &[u8]) -> Self {
        let key = LessSafeKey::new(UnboundKey::new(cipher, key).unwrap());
        Self { key, nonce: nonce.try_into().unwrap(), count: 0 }
    }
}

impl Open for KeyedCipher {
    fn open(&mut self, sealed: &[u8], last: bool) -> Vec<u8> {
        let mut nonce = self.nonce;
        nonce[11] ^= self.count;
        self.count += 1;
        let (aad, mut buffer) = (if last { &b"final"[..] } else { b"" }, sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.key.open_in_place(nonce, Aad::from(aad), &mut buffer).unwrap().to_vec()
    }

    fn export(&self, _: &str, _: usize) -> Vec<u8> {
        unreachable!("a cipher exports nothing")
    }
}

/// RFC 9180, section 5.1, with the shared secret compared on the way.
fn context(
    kem: u16,
    aead: u16,
    private: &[u8],
    enc: &[u8],
    info: &[u8],
    secret: &[u8],
) -> Box<dyn Open> {
    fn of<A: hpke::aead::Aead + 'static, K: Kem + 'static>(
        [private, enc, info, secret]: [&[u8]; 4],
    ) -> Box<dyn Open> {
        let private = K::PrivateKey::from_bytes(private).unwrap();
        let enc = K::EncappedKey::from_bytes(enc).unwrap();
        assert_eq!(K::decap(&private, None, &enc).unwrap().0[..], *secret);
        let mode = OpModeR::<K>::Base;
        Box::new(hpke::setup_receiver::<A, HkdfSha256, K>(&mode, &private, &enc, info).unwrap())
    }
    let all = [private, enc, info, secret];
    match (kem, aead) {
        (0x647a, 1) => of::<AesGcm128, XWing>(all),
        (0x647a, 3) => of::<ChaCha20Poly1305, XWing>(all),
        (0x0010, 1) => of::<AesGcm128, DhP256HkdfSha256>(all),
        (0x0010, 3) => of::<ChaCha20Poly1305, DhP256HkdfSha256>(all),
        (0x0020, 1) => of::<AesGcm128, X25519HkdfSha256>(all),
        other => panic!("{other:?}"),
    }
}

fn encapsulated_len(kem: u16) -> usize {
    match kem {
        0x647a => 1120,
        0x0010 => 65,
        _ => 32,
    }
}

fn info(label: &str, key_id: u8, kem: u16, aead: u16) -> Vec<u8> {
    let header = [&[key_id][..], &kem.to_be_bytes(), &[0, 1], &aead.to_be_bytes()].concat();
    [label.as_bytes(), &[0], &header].concat()
}

/// A length of RFC 9000, section 16, that is written as short as it can be; all here are below 16,384.
fn length(sealed: &[u8]) -> (usize, &[u8]) {
    match sealed[0] >> 6 {
        0 => (usize::from(sealed[0]), &sealed[1..]),
        1 => (usize::from(sealed[0] & 0x3f) << 8 | usize::from(sealed[1]), &sealed[2..]),
        _ => panic!("longer than needed"),
    }
}

/// Opens a message; in chunks if `chunks` says how long they are.
fn open(opener: &mut dyn Open, message: &Value, mut sealed: &[u8]) {
    let Some(chunks) = message["chunks"].as_array() else {
        return assert_eq!(opener.open(sealed, false), bytes(&message["plaintext"]));
    };
    let (mut plaintext, mut lengths) = (Vec::new(), Vec::new());
    loop {
        let (length, rest) = length(sealed);
        let last = length == 0;
        let (chunk, rest) = rest.split_at(if last { rest.len() } else { length });
        plaintext.extend(opener.open(chunk, last));
        lengths.push(Value::from(chunk.len() - TAG));
        if last {
            break;
        }
        sealed = rest;
    }
    assert_eq!((plaintext, &lengths), (bytes(&message["plaintext"]), chunks));
}

/// RFC 9458, section 4.4.
fn open_response(request: &dyn Open, label: &str, aead: u16, enc: &[u8], response: &Value) {
    let (cipher, len) = if aead == 1 { (&AES_128_GCM, 16) } else { (&CHACHA20_POLY1305, 32) };
    let sealed = bytes(&response["sealed"]);
    let (nonce, sealed) = sealed.split_at(len);
    assert_eq!(nonce, bytes(&response["nonce"]));
    let salt = [enc, nonce].concat();
    let prk = Hkdf::<Sha256>::new(Some(&salt), &request.export(label, len));
    let (mut key, mut base) = (vec![0; len], [0; 12]);
    prk.expand(b"key", &mut key).unwrap();
    prk.expand(b"nonce", &mut base).unwrap();
    open(&mut KeyedCipher::new(cipher, &key, &base), response, sealed);
}

#[test]
fn the_outer_layer_opens() {
    let file = file();
    let (mut configs, mut cases) = (Vec::new(), 0);
    for key in list(&file["gateway_keys"]) {
        let (id, kem) = (number(&key["key_id"]).to_be_bytes()[1], number(&key["kem"]));
        let ciphers = list(&key["aeads"]).iter().map(number);
        let pairs: Vec<u8> =
            ciphers.flat_map(|aead| [[0, 1], aead.to_be_bytes()].concat()).collect();
        let pairs = [&u16::try_from(pairs.len()).unwrap().to_be_bytes()[..], &pairs].concat();
        let config = [&[id][..], &kem.to_be_bytes(), &bytes(&key["public_key"]), &pairs].concat();
        assert_eq!(config, bytes(&key["key_config"]));
        configs.extend(u16::try_from(config.len()).unwrap().to_be_bytes());
        configs.extend(config);
        check_key(kem, key);
        for case in list(&file["outer"]).iter().filter(|case| case["key_id"] == key["key_id"]) {
            open_outer(kem, id, key, case);
            cases += 1;
        }
    }
    assert_eq!((configs, cases), (bytes(&file["ohttp_keys"]), 6));
}

/// The seed gives the private key, which gives the public one.
fn check_key(kem: u16, key: &Value) {
    fn of<K: Kem>(key: &Value, is_private: bool) {
        let seed = bytes(&key["seed"]);
        let private = match is_private {
            true => K::PrivateKey::from_bytes(&seed).unwrap(),
            false => K::derive_keypair(&seed).0,
        };
        assert_eq!(private.to_bytes()[..], bytes(&key["private_key"]));
        assert_eq!(K::sk_to_pk(&private).to_bytes()[..], bytes(&key["public_key"]));
    }
    match kem {
        0x647a => of::<XWing>(key, true),
        0x0010 => of::<DhP256HkdfSha256>(key, false),
        _ => of::<X25519HkdfSha256>(key, false),
    }
}

fn open_outer(kem: u16, id: u8, key: &Value, case: &Value) {
    let aead = number(&case["aead"]);
    let form = if case["chunked"] == true { "chunked " } else { "" };
    let label = |what: &str| format!("message/bhttp {form}{what}");
    let info = info(&label("request"), id, kem, aead);
    assert_eq!(info, bytes(&case["info"]));
    let sealed = bytes(&case["request"]["sealed"]);
    let (header, rest) = sealed.split_at(7);
    assert!(info.ends_with(header));
    let (enc, sealed) = rest.split_at(encapsulated_len(kem));
    assert_eq!(enc, bytes(&case["encapsulated_key"]));
    let (private, secret) = (bytes(&key["private_key"]), bytes(&case["shared_secret"]));
    let mut context = context(kem, aead, &private, enc, &info, &secret);
    open(&mut *context, &case["request"], sealed);
    open_response(&*context, &label("response"), aead, enc, &case["response"]);
}

#[test]
fn the_inner_layer_opens_for_each_candidate() {
    let file = file();
    for case in list(&file["inner"]) {
        let form = if case["chunked"] == true { "chunked-" } else { "" };
        let sealed = bytes(&case["request"]["sealed"]);
        let (nonce, sealed) = sealed.split_at(12);
        let dek = bytes(&case["dek"]);
        assert_eq!(nonce, bytes(&case["body_nonce"]));
        open(&mut KeyedCipher::new(&AES_256_GCM, &dek, nonce), &case["request"], sealed);
        assert_eq!(bytes(&case["request"]["plaintext"]).len() % 514, 0);
        for candidate in list(&case["candidates"]) {
            let kem = number(&candidate["kem"]);
            check_key(kem, candidate);
            let info = info(&format!("application/confsec-{form}req"), 0, kem, 1);
            assert_eq!(info, bytes(&candidate["info"]));
            let key = bytes(&candidate["sealed_key"]);
            let (header, rest) = key.split_at(7);
            assert!(info.ends_with(header));
            let (enc, sealed) = rest.split_at(encapsulated_len(kem));
            assert_eq!(Sha256::digest(enc)[..], bytes(&candidate["replay_id"]));
            let (private, secret) =
                (bytes(&candidate["private_key"]), bytes(&candidate["shared_secret"]));
            assert_eq!(opened_key(kem, &private, enc, &info, sealed), dek);
            let context = context(kem, 1, &private, enc, &info, &secret);
            let label = format!("application/confsec-{form}res");
            open_response(&*context, &label, 1, enc, &candidate["response"]);
            assert_eq!(bytes(&candidate["response"]["plaintext"]).len() % 514, 0);
        }
        assert_eq!(list(&case["candidates"]).len(), 3);
    }
}

/// The key of a request, whose associated data is no chunk's.
fn opened_key(kem: u16, private: &[u8], enc: &[u8], info: &[u8], sealed: &[u8]) -> Vec<u8> {
    fn of<K: Kem>([private, enc, info, sealed]: [&[u8]; 4]) -> Vec<u8> {
        let private = K::PrivateKey::from_bytes(private).unwrap();
        let enc = K::EncappedKey::from_bytes(enc).unwrap();
        let mode = OpModeR::<K>::Base;
        let mut context =
            hpke::setup_receiver::<AesGcm128, HkdfSha256, K>(&mode, &private, &enc, info).unwrap();
        context.open(sealed, b"multi-encap-key").unwrap()
    }
    let all = [private, enc, info, sealed];
    if kem == 0x647a { of::<XWing>(all) } else { of::<DhP256HkdfSha256>(all) }
}

fn public(seed: &Value) -> VerifyingKey {
    SigningKey::from_bytes(&bytes(seed).try_into().unwrap()).verifying_key()
}

fn decoded<const N: usize>(value: &Value) -> [u8; N] {
    URL_SAFE_NO_PAD.decode(value.as_str().unwrap()).unwrap().try_into().unwrap()
}

/// What a document says, if this key signed it.
fn signed(kind: &str, key: &VerifyingKey, document: &Value) -> (Value, Vec<u8>) {
    let payload = document["payload"].as_str().unwrap();
    let message = [b"maru-confidential/1 ", kind.as_bytes(), &[0], payload.as_bytes()].concat();
    let signature = Signature::from_bytes(&decoded(&document["signature"]));
    key.verify_strict(&message, &signature).unwrap();
    (serde_json::from_str(payload).unwrap(), message)
}

#[test]
fn the_documents_are_signed_below_the_identity() {
    let file = file();
    let documents = &file["documents"];
    let identity = public(&documents["identity_seed"]);
    assert_eq!(identity.to_bytes(), decoded(&documents["identity"]));
    let certified = |certificate: &Value, usage: &str, seed: &str| {
        let (certificate, _) = signed("certificate", &identity, certificate);
        let key = public(&documents[seed]);
        assert_eq!(
            (&certificate["for"], decoded(&certificate["key"])),
            (&usage.into(), key.to_bytes())
        );
        key
    };
    for (name, kind) in [("certificate", "certificate"), ("policy", "policy")] {
        let (_, message) = signed(kind, &identity, &documents[name]["document"]);
        assert_eq!(message, bytes(&documents[name]["signed"]));
    }
    let bundle = &documents["bundle"]["document"];
    let key = certified(&bundle["certificate"], "bundle", "bundle_seed");
    let (keys, message) = signed("bundle", &key, bundle);
    assert_eq!(message, bytes(&documents["bundle"]["signed"]));
    for (key, known) in list(&keys["keys"]).iter().zip(list(&file["gateway_keys"])) {
        let config = URL_SAFE_NO_PAD.decode(key["config"].as_str().unwrap()).unwrap();
        assert_eq!(config, bytes(&known["key_config"]));
    }

    let config = &documents["config"];
    let certificate = URL_SAFE_NO_PAD.decode(config["maru-certificate"].as_str().unwrap()).unwrap();
    let certificate: Value = serde_json::from_slice(&certificate).unwrap();
    let key = certified(&certificate, "config", "config_seed");
    let document =
        serde_json::json!({ "payload": config["body"], "signature": config["maru-signature"] });
    let (config, _) = signed("config", &key, &document);
    assert_eq!(config["bundle"], *bundle);
    assert_eq!(config["attestation"]["allowed_images"], documents["policy"]["document"]);

    let nonces = &documents["nonces"];
    let set: Vec<u8> = list(&nonces["nonces"]).iter().flat_map(bytes).collect();
    assert_eq!(set, bytes(&nonces["set"]));
    let bound = Sha256::digest([b"maru-confidential/1 nonces\0", &set[..]].concat());
    assert_eq!(bound[..], bytes(&nonces["bound"]));
}
