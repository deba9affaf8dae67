//! An app that speaks sealed chat itself, so that a test has the bytes in hand.

use std::{
    net::TcpStream,
    time::{Duration, SystemTime},
};

use ai_gateway_api::{
    sealed::{
        Chat, Ed25519Public, Event, History, Input, Operation, ReplyPart, Request, decode_events,
        decode_keys, event_decoder, path,
    },
    wire::Fixed,
};
use chat_vocabulary::Options;
use ed25519_dalek::{Signer as _, SigningKey};
use hpke_envelope::{
    Suite,
    client::{Keys, Reply, seal},
    device,
};
use lab::Instance;
use sha2::{Digest as _, Sha256};
use testkit::blocking::http::{self, Response};
use uuid::Uuid;

/// The Host of the messenger's listener.
pub(crate) const CHAT: &str = "chat.maru.home.arpa";
/// The Host of the gateway's own listener.
pub(crate) const OWN: &str = "chat.maru.home.arpa:18789";

/// An app on a member's device.
pub(crate) struct App {
    instance: Instance,
    key: SigningKey,
    identity: Ed25519Public,
    keys: Keys,
}

impl App {
    /// An app whose device key belongs to nobody; `seed` tells it from others.
    pub(crate) fn new(instance: &Instance, seed: u8) -> Self {
        let status = instance.status().unwrap();
        let identity: Ed25519Public =
            status["gateway"]["identity"].as_str().unwrap().parse().unwrap();
        let document =
            http::request(instance.dial(80).unwrap(), "GET", path::KEYS, CHAT, &[], None).unwrap();
        let document = decode_keys(document.body().unwrap().as_bytes()).unwrap();
        let keys = Keys::verify(&document, identity, 0).unwrap();
        Self {
            instance: instance.clone(),
            key: SigningKey::from_bytes(&[seed; 32]),
            identity,
            keys,
        }
    }

    /// An app whose device key is bound to its own device, as `maru chat` binds it.
    pub(crate) fn bound(instance: &Instance, seed: u8) -> Self {
        let app = Self::new(instance, seed);
        let stream = instance.dial(18789).unwrap();
        let answer =
            http::request(stream, "POST", path::DEVICES, OWN, &[], Some(&app.proof())).unwrap();
        assert_eq!(answer.status, 200);
        app
    }

    /// What binds its key to whoever sends it.
    pub(crate) fn proof(&self) -> String {
        let status = self.instance.status().unwrap();
        let node = status["node"]["stable_id"].as_str().unwrap();
        let proof = device::prove(&self.key, self.identity, node, now_ms());
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
        let question =
            Operation::Chat(Chat { session: None, input, model: None, options, language: None });
        let key = self.keys.select(Suite::XWing, now_ms()).unwrap();
        seal(&self.key, key, Uuid::now_v7(), &question.encode(), time).unwrap().0
    }

    /// An operation, sealed now, and what opens its reply.
    pub(crate) fn seal_operation(&self, operation: &Operation) -> (Request, Reply) {
        let key = self.keys.select(Suite::X25519, now_ms()).unwrap();
        seal(&self.key, key, Uuid::now_v7(), &operation.encode(), now_ms()).unwrap()
    }

    /// Asks from the app's device on the gateway's own listener; the events of the whole reply.
    pub(crate) fn ask(&self, operation: &Operation) -> Vec<Event> {
        let (request, reply) = self.seal_operation(operation);
        let stream = self.instance.dial(18789).unwrap();
        let body = Some(text(&request));
        let answer = http::request(stream, "POST", path::CHAT, OWN, &[], body.as_deref()).unwrap();
        let (status, body) = (answer.status, answer.body().unwrap());
        assert_eq!(status, 200, "{body}");
        open(reply, &body)
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

    /// Sends a sealed request from the app's device through the messenger's listener.
    pub(crate) fn send(&self, request: &Request, headers: &[(&str, &str)]) -> Response<TcpStream> {
        let stream = self.instance.dial(80).unwrap();
        http::request(stream, "POST", path::CHAT, CHAT, headers, Some(&text(request))).unwrap()
    }
}

/// The next message of a session, answered in a few words.
pub(crate) fn say(session: &str, text: &str) -> Operation {
    Operation::Chat(Chat {
        session: Some(session.parse().unwrap()),
        input: Input::Text(text.to_owned()),
        model: None,
        language: None,
        options: Options { max_tokens: Some(3), ..Options::default() },
    })
}

/// What a session holds.
pub(crate) fn history(session: &str) -> Operation {
    Operation::History(History::all(session.parse().unwrap()))
}

/// The events of a whole reply.
pub(crate) fn open(mut reply: Reply, body: &str) -> Vec<Event> {
    let (mut decoder, mut parts, mut events) = (event_decoder(), Vec::new(), Vec::new());
    let part =
        |name: &str, data: &str| parts.push(ReplyPart::decode(name, data.as_bytes()).unwrap());
    decoder.push(body.as_bytes(), part).unwrap();
    for part in parts {
        if let Some(plaintext) = reply.handle(&part).unwrap() {
            events.extend(decode_events(&plaintext).unwrap());
        }
    }
    reply.end().expect("the reply is whole");
    events
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
