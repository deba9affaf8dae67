//! An app that speaks sealed chat itself, so that a test has the bytes in hand.
#![allow(dead_code, reason = "each test takes what it needs")]
#![allow(clippy::disallowed_methods, reason = "an end-to-end test runs on the real clock")]

use std::{
    net::TcpStream,
    time::{Duration, SystemTime},
};

use ai_gateway_api::{
    chat::Options,
    sealed::{Chat, Ed25519Public, Input, Operation, Request, decode_keys, path},
    wire::Fixed,
};
use ed25519_dalek::{Signer as _, SigningKey};
use hpke_envelope::{
    Suite,
    client::{Keys, seal},
    device,
};
use lab::{
    Seat,
    http::{self, Answer},
};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// The Host of the messenger's door.
pub(crate) const CHAT: &str = "chat.maru.internal";
/// The Host of the gateway's own door.
pub(crate) const OWN: &str = "chat.maru.internal:18789";

/// An app on a member's device.
pub(crate) struct App {
    seat: Seat,
    key: SigningKey,
    identity: Ed25519Public,
    keys: Keys,
}

impl App {
    /// An app whose device key belongs to nobody; `seed` tells it from others.
    pub(crate) fn new(seat: &Seat, seed: u8) -> Self {
        let status = seat.status().unwrap();
        let identity: Ed25519Public =
            status["gateway"]["identity"].as_str().unwrap().parse().unwrap();
        let document =
            http::request(seat.dial(80).unwrap(), "GET", path::KEYS, CHAT, &[], None).unwrap();
        let document = decode_keys(document.body().unwrap().as_bytes()).unwrap();
        let keys = Keys::verify(&document, identity, 0).unwrap();
        Self { seat: seat.clone(), key: SigningKey::from_bytes(&[seed; 32]), identity, keys }
    }

    /// An app whose device key is bound to its own device, as `maru chat` binds it.
    pub(crate) fn bound(seat: &Seat, seed: u8) -> Self {
        let app = Self::new(seat, seed);
        let stream = seat.dial(18789).unwrap();
        let answer =
            http::request(stream, "POST", path::DEVICES, OWN, &[], Some(&app.proof())).unwrap();
        assert_eq!(answer.status, 200);
        app
    }

    /// What binds its key to whoever sends it.
    pub(crate) fn proof(&self) -> String {
        let proof = device::prove(&self.key, self.identity, "test", now_ms());
        serde_json::to_string(&proof).unwrap()
    }

    /// A short question, sealed now.
    pub(crate) fn seal(&self) -> Request {
        self.seal_at(now_ms())
    }

    /// A short question, sealed at that time; the clock to choose a key by is the real one.
    pub(crate) fn seal_at(&self, time: u64) -> Request {
        let options = Options { max_tokens: Some(3), ..Options::default() };
        let input = Input::Text("Hello!".to_owned());
        let question = Operation::Chat(Chat { session: None, input, model: None, options });
        let key = self.keys.select(Suite::XWing, now_ms()).unwrap();
        seal(&self.key, key, Uuid::now_v7(), &question.encode(), time).unwrap().0
    }

    /// Signs a request as it now is, as `docs/protocols/sealed-chat.md` says, so that its
    /// signature is not what it is refused for.
    pub(crate) fn sign(&self, request: &mut Request) {
        let mut bytes = b"maru-sealed-chat/1 signature\0".to_vec();
        bytes.extend_from_slice(&request.key_id.0);
        bytes.extend_from_slice(&Sha256::digest(&request.encapsulated_key.0));
        bytes.extend_from_slice(&Sha256::digest(&request.ciphertext.0));
        bytes.extend_from_slice(b"maru-sealed-chat/1\0");
        bytes.extend_from_slice(request.request_id.as_bytes());
        bytes.extend_from_slice(&request.timestamp.to_be_bytes());
        bytes.extend_from_slice(&request.device_pubkey.0);
        bytes.extend_from_slice(b"application/json");
        request.signature = Fixed(self.key.sign(&bytes).to_bytes());
    }

    /// Sends a sealed request from the app's device through the messenger's door.
    pub(crate) fn send(&self, request: &Request, headers: &[(&str, &str)]) -> Answer<TcpStream> {
        let stream = self.seat.dial(80).unwrap();
        http::request(stream, "POST", path::CHAT, CHAT, headers, Some(&text(request))).unwrap()
    }
}

/// The body of a sealed request.
pub(crate) fn text(request: &Request) -> String {
    serde_json::to_string(request).unwrap()
}

/// The time, as requests carry it.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

/// How long an answer may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
