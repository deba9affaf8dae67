//! Tests of the client against a gateway made of `hpke-envelope`, over TCP.
//!
//! What they do not show: that the real gateway answers like this one (the end-to-end tests do), and that a file of
//! the agent's is needed (`agent.rs` tests its states).

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex, mpsc},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ai_gateway_api::{
    kind,
    memory::OwnMemory,
    sealed::{
        BindDevice, Chat, Ed25519Public, Event, Input, Operation, Request, encode_events, path,
    },
    wire::Fixed,
};
use chat_vocabulary::{FinishReason, Options};
use common::problem::Problem;
use ed25519_dalek::SigningKey;
use hpke_envelope::{
    Suite, device,
    gateway::{KeyRing, Settings},
};
use serde_json::json;
use testkit::server::{self, read_request};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
};

use super::{
    agent::Target, args::ChatFormat, connection::Connection, conversation::Conversation,
    pins::Membership, print::Surface, state::Directory, *,
};
use crate::fingerprint::Fingerprint;

const HOST: &str = "chat.maru.home.arpa";
const CANARY: &str = "canary in the coal mine";

/// What the gateway does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// Its clock is a day ahead.
    Clock,
    /// It has another identity than the network names.
    Stranger,
    /// It restarts after the keys were first fetched.
    Restart,
    /// It opens nothing.
    Deaf,
    /// It has bound every key to another node.
    Elsewhere,
    /// It forgets the first binding.
    Forgetful,
    /// The stream ends before `final`.
    Cut,
    /// A bit of the second chunk flips.
    Flip,
    /// No model answers.
    NoModel,
}

#[derive(Debug)]
struct Gateway {
    fault: Fault,
    ring: KeyRing,
    bound: Option<Ed25519Public>,
    /// Paths asked for, in order.
    asked: Vec<String>,
    requests: Vec<Request>,
    /// Everything that came over the wire.
    wire: Vec<u8>,
    /// Told when the first delta may be followed by the next.
    go_on: Release,
}

type Shared = Arc<Mutex<Gateway>>;

fn ring(seed: u8) -> KeyRing {
    KeyRing::new(SigningKey::from_bytes(&[seed; 32]), Settings::default(), 0, clock()).unwrap()
}

fn clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

impl Gateway {
    fn now(&self) -> u64 {
        clock() + if self.fault == Fault::Clock { 24 * 3_600_000 } else { 0 }
    }

    fn keys(&mut self) -> (u16, String) {
        let now = self.now();
        let document = self.ring.document(now).unwrap();
        if self.fault == Fault::Restart {
            self.ring = KeyRing::new(
                SigningKey::from_bytes(&[1; 32]),
                Settings::default(),
                document.epoch,
                now,
            )
            .unwrap();
            self.fault = Fault::None;
        }
        (200, serde_json::to_string(&document).unwrap())
    }

    fn bind(&mut self, body: &[u8]) -> (u16, String) {
        let bind = BindDevice::decode(body).unwrap();
        device::verify(&bind, self.ring.identity(), "n2", self.now()).unwrap();
        if self.fault == Fault::Elsewhere {
            return problem(409, kind::DEVICE_BOUND);
        }
        if self.fault == Fault::Forgetful {
            self.fault = Fault::None;
        } else {
            self.bound = Some(bind.device_pubkey);
        }
        (200, json!({"device_pubkey": bind.device_pubkey, "bound_at": 1}).to_string())
    }

    /// The events of a reply, each as it goes over the wire; or why not.
    fn chat(&mut self, body: &[u8]) -> Result<Vec<String>, (u16, String)> {
        let request = Request::decode(body).unwrap();
        self.requests.push(request.clone());
        if self.bound != Some(request.device_pubkey) {
            return Err(problem(403, kind::DEVICE));
        }
        if self.fault == Fault::Deaf {
            return Err(problem(400, kind::SEALED));
        }
        let mut opened = self
            .ring
            .open(&request, self.now(), OwnMemory)
            .map_err(|_| problem(400, kind::SEALED))?;
        let Operation::Chat(chat) = Operation::decode(&mut opened.plaintext, OwnMemory).unwrap()
        else {
            panic!("no chat")
        };
        assert_eq!(chat.input, Input::Text(CANARY.to_owned()));

        let mut sealer = opened.reply;
        let event = |name: &str, data: String| format!("event: {name}\ndata: {data}\n\n");
        let mut events = vec![event("start", serde_json::to_string(&sealer.start()).unwrap())];
        for text in ["Hel", "lo"] {
            let mut chunk = sealer.chunk(&encode_events(&[Event::Delta(text.to_owned())])).unwrap();
            if self.fault == Fault::Flip && text == "lo" {
                chunk.data.0[9] ^= 1;
            }
            events.push(event("chunk", serde_json::to_string(&chunk).unwrap()));
        }
        let last = match self.fault {
            Fault::NoModel => Event::Error {
                kind: kind::MODEL.to_owned(),
                message: "no model answers".to_owned(),
            },
            Fault::None
            | Fault::Clock
            | Fault::Stranger
            | Fault::Restart
            | Fault::Deaf
            | Fault::Elsewhere
            | Fault::Forgetful
            | Fault::Cut
            | Fault::Flip => Event::Finish(FinishReason::Stop),
        };
        if self.fault != Fault::Cut {
            let last = sealer.finish(&encode_events(&[last])).unwrap();
            events.push(event("final", serde_json::to_string(&last).unwrap()));
        }
        Ok(events)
    }
}

fn problem(status: u16, kind: &str) -> (u16, String) {
    (status, serde_json::to_string(&Problem::new(kind, status, "refused")).unwrap())
}

/// Serves one request.
async fn serve(mut stream: TcpStream, gateway: Shared) {
    let request = read_request(&mut stream).await.unwrap();
    assert_eq!(request.header("host").and_then(|host| host.split(':').next()), Some(HOST));
    match answer(&gateway, request.path(), &request.body) {
        Ok((events, go_on)) => stream_events(stream, &events, go_on).await,
        Err((status, text)) => {
            let status = format!("{status} x\r\nconnection: close");
            let whole = server::response(&status, "application/json", &text);
            let _ = stream.write_all(whole.as_bytes()).await;
        }
    }
}

type Release = Option<tokio::sync::oneshot::Receiver<()>>;

/// A stream, or a plain answer.
fn answer(
    gateway: &Shared,
    asked: &str,
    body: &[u8],
) -> Result<(Vec<String>, Release), (u16, String)> {
    let mut gateway = gateway.lock().unwrap();
    gateway.asked.push(asked.to_owned());
    gateway.wire.extend_from_slice(body);
    match asked {
        path::KEYS => Err(gateway.keys()),
        path::DEVICES => Err(gateway.bind(body)),
        path::CHAT => gateway.chat(body).map(|events| (events, gateway.go_on.take())),
        other => panic!("{other}"),
    }
}

async fn stream_events(mut stream: TcpStream, events: &[String], go_on: Release) {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    let (first, rest) = events.split_at(2);
    stream.write_all((head.to_owned() + ": ping\n\n" + &first.concat()).as_bytes()).await.unwrap();
    if let Some(go_on) = go_on {
        go_on.await.unwrap();
    }
    let _ = stream.write_all(rest.concat().as_bytes()).await;
}

/// A gateway with the fault, and a client of it.
async fn pair(fault: Fault, suite: Suite) -> (Shared, Conversation, tempfile::TempDir) {
    let gateway = Gateway {
        fault,
        ring: ring(if fault == Fault::Stranger { 9 } else { 1 }),
        bound: None,
        asked: vec![],
        requests: vec![],
        wire: vec![],
        go_on: None,
    };
    let gateway = Arc::new(Mutex::new(gateway));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{HOST}:{}", listener.local_addr().unwrap().port());
    let served = Arc::clone(&gateway);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&served)));
        }
    });
    let addresses = [IpAddr::V4(Ipv4Addr::LOCALHOST)];
    let folder = tempfile::tempdir().unwrap();
    let target = Target {
        membership: membership("mkey:01"),
        identity: Fixed(SigningKey::from_bytes(&[1; 32]).verifying_key().to_bytes()),
        host: HOST.to_owned(),
        addresses: addresses.to_vec(),
        node: "n2".to_owned(),
    };
    let connection = Connection::with_urls(HOST, &addresses, url.clone(), url).unwrap();
    let directory = Directory::at(folder.path().join("chat")).unwrap();
    let conversation = Conversation::with_parts(target, connection, directory, suite).unwrap();
    (gateway, conversation, folder)
}

fn membership(coordinator: &str) -> Membership {
    Membership { network: "maru.home.arpa".to_owned(), coordinator: coordinator.to_owned() }
}

fn hello() -> Operation {
    Operation::Chat(Chat {
        session: Some("main".parse().unwrap()),
        input: Input::Text(CANARY.to_owned()),
        model: None,
        language: None,
        options: Options::default(),
    })
}

/// Asks once; gives what was printed, and the error if there was one.
async fn ask(conversation: &mut Conversation) -> (String, Result<(), String>) {
    let mut printed = Vec::new();
    let mut printer = Printer::to(&mut printed, ChatFormat::Text, Surface::Pipe);
    let asked =
        conversation.ask(&hello(), &mut printer).await.map_err(|error| format!("{error:#}"));
    (String::from_utf8(printed).unwrap(), asked)
}

fn asked(gateway: &Shared) -> Vec<String> {
    gateway.lock().unwrap().asked.clone()
}

#[tokio::test]
async fn a_question_is_answered_in_both_suites_and_nothing_of_it_is_on_the_wire() {
    for suite in Suite::ALL {
        let (gateway, mut conversation, _folder) = pair(Fault::None, suite).await;

        assert_eq!(ask(&mut conversation).await, ("Hello\n".to_owned(), Ok(())));
        assert_eq!(ask(&mut conversation).await, ("Hello\n".to_owned(), Ok(())));

        assert_eq!(
            asked(&gateway),
            [path::KEYS, path::DEVICES, path::CHAT, path::KEYS, path::CHAT]
        );
        let wire = String::from_utf8(gateway.lock().unwrap().wire.clone()).unwrap();
        assert!(wire.contains("device_pubkey") && !wire.contains("coal"), "{wire}");
    }
}

/// The first delta is printed while the gateway still holds back the rest.
#[tokio::test]
async fn deltas_are_printed_as_they_come() {
    struct Signal(mpsc::Sender<Vec<u8>>);
    impl std::io::Write for Signal {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.send(bytes.to_vec()).unwrap();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let (gateway, mut conversation, _folder) = pair(Fault::None, Suite::XWing).await;
    let (go_on, held) = tokio::sync::oneshot::channel();
    gateway.lock().unwrap().go_on = Some(held);
    let (sender, printed) = mpsc::channel();
    let asking = tokio::spawn(async move {
        conversation
            .ask(&hello(), &mut Printer::to(Signal(sender), ChatFormat::Text, Surface::Pipe))
            .await
    });

    let first = tokio::task::spawn_blocking(move || {
        (printed.recv_timeout(Duration::from_secs(60)), printed)
    });
    let (first, printed) = first.await.unwrap();

    assert_eq!(first.unwrap(), b"Hel");
    assert!(printed.try_recv().is_err());
    go_on.send(()).unwrap();
    asking.await.unwrap().unwrap();
    assert_eq!(printed.try_iter().collect::<Vec<_>>().concat(), b"lo\n");
}

#[tokio::test]
async fn a_clock_off_by_a_day_is_told_before_anything_is_sealed() {
    let (gateway, mut conversation, _folder) = pair(Fault::Clock, Suite::XWing).await;

    let error = ask(&mut conversation).await.1.unwrap_err();

    assert!(error.contains("clock is 23h 59m") || error.contains("clock is 1d"), "{error}");
    assert!(error.contains("behind") && error.contains("nothing was sent"), "{error}");
    assert_eq!(asked(&gateway), [path::KEYS]);
}

#[tokio::test]
async fn another_gateway_is_sent_nothing() {
    let (gateway, mut conversation, _folder) = pair(Fault::Stranger, Suite::XWing).await;

    let error = ask(&mut conversation).await.1.unwrap_err();

    assert!(error.contains("not this network's gateway; nothing was sent"), "{error}");
    assert_eq!(asked(&gateway), [path::KEYS]);
}

#[tokio::test]
async fn a_gateway_that_was_known_by_another_identity_is_asked_for_nothing() {
    let (gateway, mut conversation, folder) = pair(Fault::None, Suite::XWing).await;
    let directory = Directory::at(folder.path().join("chat")).unwrap();
    let (before, now) = (Fixed([5; 32]), gateway.lock().unwrap().ring.identity());
    directory.accept(&membership("mkey:01"), before).unwrap();

    let error = ask(&mut conversation).await.1.unwrap_err();

    let [before, now] = [before, now].map(|identity| Fingerprint::of(identity).to_string());
    let command = format!("maru chat --accept-identity {now}`");
    for words in [&before, &command, "nothing was sent"] {
        assert!(error.contains(words), "{words}: {error}");
    }
    assert_eq!(asked(&gateway), [""; 0]);

    // Another fingerprint than the one that is offered accepts nothing.
    let error = conversation.recognise(before.parse().ok()).unwrap_err().to_string();
    assert!(error.contains(&now) && error.contains("nothing was accepted"), "{error}");
    assert!(ask(&mut conversation).await.1.is_err());
    assert_eq!(asked(&gateway), [""; 0]);

    conversation.recognise(now.parse().ok()).unwrap();
    assert_eq!(ask(&mut conversation).await, ("Hello\n".to_owned(), Ok(())));
    conversation.recognise(None).unwrap();
}

#[tokio::test]
async fn who_proved_itself_first_is_known_from_then_on() {
    let (gateway, mut conversation, folder) = pair(Fault::None, Suite::XWing).await;
    let directory = Directory::at(folder.path().join("chat")).unwrap();
    let identity = gateway.lock().unwrap().ring.identity();
    // The gateway of another coordinator, in a network of the same name, is no reason to stop.
    directory.accept(&membership("mkey:02"), Fixed([5; 32])).unwrap();

    assert_eq!(ask(&mut conversation).await.1, Ok(()));
    assert_eq!(directory.pinned(&membership("mkey:01")).unwrap(), Some(identity));

    // One that signs by another key than the network names never becomes known.
    let (_gateway, mut conversation, folder) = pair(Fault::Stranger, Suite::XWing).await;
    let directory = Directory::at(folder.path().join("chat")).unwrap();
    assert!(ask(&mut conversation).await.1.is_err());
    assert_eq!(directory.pinned(&membership("mkey:01")).unwrap(), None);
}

#[tokio::test]
async fn keys_that_are_gone_are_fetched_again_once_under_the_same_request_id() {
    let (gateway, mut conversation, _folder) = pair(Fault::Restart, Suite::XWing).await;

    assert_eq!(ask(&mut conversation).await, ("Hello\n".to_owned(), Ok(())));

    assert_eq!(asked(&gateway), [path::KEYS, path::DEVICES, path::CHAT, path::KEYS, path::CHAT]);
    let gateway = gateway.lock().unwrap();
    let [first, second] = &gateway.requests[..] else { panic!("{:?}", gateway.requests) };
    assert_eq!(first.request_id, second.request_id);
    assert_ne!(first.encapsulated_key, second.encapsulated_key);
}

#[tokio::test]
async fn a_second_refusal_is_reported() {
    let (gateway, mut conversation, _folder) = pair(Fault::Deaf, Suite::XWing).await;

    let error = ask(&mut conversation).await.1.unwrap_err();

    assert!(error.contains("could not open"), "{error}");
    assert_eq!(asked(&gateway).iter().filter(|path| *path == path::CHAT).count(), 2);
}

#[tokio::test]
async fn a_key_bound_to_another_node_is_named_with_its_file() {
    let (_gateway, mut conversation, folder) = pair(Fault::Elsewhere, Suite::XWing).await;

    let error = ask(&mut conversation).await.1.unwrap_err();

    let file = folder.path().join("chat/device.key");
    assert!(error.contains("another node") && error.contains(file.to_str().unwrap()), "{error}");
}

#[tokio::test]
async fn a_forgotten_binding_is_made_again() {
    let (gateway, mut conversation, _folder) = pair(Fault::Forgetful, Suite::XWing).await;

    assert_eq!(ask(&mut conversation).await, ("Hello\n".to_owned(), Ok(())));

    assert_eq!(asked(&gateway), [path::KEYS, path::DEVICES, path::CHAT, path::DEVICES, path::CHAT]);
}

#[tokio::test]
async fn a_reply_that_is_not_whole_is_said_so_beside_what_came() {
    for (fault, printed, what) in [
        (Fault::Cut, "Hello\n", "cut off before its end"),
        (Fault::Flip, "Hel\n", "changed in transit"),
        (Fault::NoModel, "Hello\n", "no model answers"),
    ] {
        let (_gateway, mut conversation, _folder) = pair(fault, Suite::XWing).await;

        let (text, error) = ask(&mut conversation).await;

        assert_eq!(text, printed, "{fault:?}");
        let error = error.unwrap_err();
        assert!(error.contains(what), "{error}");
    }
}

#[tokio::test]
async fn a_gateway_that_is_not_there_is_said_so() {
    let addresses = [IpAddr::V4(Ipv4Addr::LOCALHOST)];
    // Nothing listens on the discard port.
    let url = format!("http://{HOST}:9");
    let connection = Connection::with_urls(HOST, &addresses, url.clone(), url).unwrap();

    let error = format!("{:#}", connection.keys().await.unwrap_err());

    assert!(error.contains("cannot be reached") && error.contains("maru status"), "{error}");
}
