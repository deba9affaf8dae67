//! Bodies that do not come as they should, wherever the coordinator reads one: before registration at the port for everyone
//! and in a channel, after it as a node, and as an admin.
//!
//! They fail if one is answered otherwise than 413 or 408 in that surface's shape, if its sender may go on sending, or if
//! it takes room from whoever comes next. What a body takes in memory is seen by `chassis::body`'s own tests.

use std::{convert::Infallible, net::SocketAddr, path::PathBuf, pin::pin, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use coordinator::config::Config;
use futures_util::{Stream, StreamExt as _, future::join_all, stream};
use hyper::{
    Method, Request,
    client::conn::http2::{SendRequest, handshake},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
    sync::oneshot,
    time::timeout,
};

use crate::{
    device::Device,
    harness::{Coordinator, PATIENCE, whole},
    page::{form, invitation, over_https, waiting},
};

/// How long a body may take where it is to be late.
const SOON: Duration = Duration::from_secs(2);
const TOO_LARGE: u16 = 413;
const LATE: u16 = 408;

/// Largest body of a device, in bytes.
const DEVICES_MAX: usize = 64 * 1024;
/// So many of those are all that one origin of strangers may have held.
const STRANGERS_FULL: usize = 16;
/// The same of one node.
const NODES_FULL: usize = 4;
/// The same of the admin socket, of an admin's bodies.
const ADMINS_FULL: usize = 8;

async fn start(body_time: Duration) -> Coordinator {
    Coordinator::with(Config { body_time, ..over_https() }, None).await
}

/// A connection of some kind.
trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Where the coordinator listens.
enum Target {
    Port(SocketAddr),
    Socket(PathBuf),
}

/// How errors look.
#[derive(Clone, Copy)]
enum Shape {
    Text,
    Page,
    Problem,
}

/// A place where it reads bodies that come over HTTP/1.1.
struct Surface {
    name: &'static str,
    target: Target,
    /// First line and further lines of a request's head.
    line: String,
    head: String,
    /// A body that is taken.
    good: String,
    /// Largest body, in bytes.
    max: usize,
    shape: Shape,
}

/// What came back before the connection was closed.
struct Answer {
    status: u16,
    /// In lower case.
    head: String,
    body: String,
}

impl Surface {
    async fn connect(&self) -> Box<dyn Io> {
        match &self.target {
            Target::Port(address) => Box::new(TcpStream::connect(address).await.unwrap()),
            Target::Socket(path) => Box::new(UnixStream::connect(path).await.unwrap()),
        }
    }

    /// Sends a request whose body has this length and comes in these pieces; returns once the connection is closed, which is
    /// for the coordinator to do: the sender leaves it open.
    async fn send(&self, length: &str, pieces: impl Stream<Item = Vec<u8>>) -> Answer {
        let (mut reading, mut writing) = tokio::io::split(self.connect().await);
        let Self { line, head, .. } = self;
        let head = format!("{line} HTTP/1.1\r\nHost: coordinator.test\r\n{head}{length}\r\n\r\n");
        let write = async {
            let mut pieces = pin!(stream::iter([head.into_bytes()]).chain(pieces));
            while let Some(piece) = pieces.next().await {
                if writing.write_all(&piece).await.is_err() {
                    break;
                }
            }
            std::future::pending::<Infallible>().await
        };
        let read = async {
            let mut bytes = Vec::new();
            // A connection that is closed on what its sender still writes may end with an error.
            let _ = reading.read_to_end(&mut bytes).await;
            bytes
        };
        let closed = async {
            tokio::select! {
                bytes = read => bytes,
                never = write => match never {},
            }
        };
        let bytes = timeout(PATIENCE, closed).await.expect("the connection is closed");
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").expect(self.name);
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_lowercase(), body: body.to_owned() }
    }

    async fn refuses(&self, status: u16, length: &str, pieces: impl Stream<Item = Vec<u8>>) {
        let answer = self.send(length, pieces).await;
        let (name, body) = (self.name, &answer.body);
        assert_eq!(answer.status, status, "{name}: {body}");
        let (kind, says) = match (self.shape, status) {
            (Shape::Text, TOO_LARGE) => ("text/plain", "the body is too large\n"),
            (Shape::Text, _) => ("text/plain", "the body did not arrive in time\n"),
            (Shape::Page, _) => ("text/html", "The invitation did not arrive"),
            (Shape::Problem, _) => ("application/problem+json", "\"urn:maru:problem:body\""),
        };
        assert!(answer.head.contains(&format!("content-type: {kind}")), "{name}: {}", answer.head);
        assert!(body.contains(says), "{name}: {body}");
    }

    /// Sends the good body at once; it has to be taken.
    async fn takes_the_next(&self) {
        let length = format!("Connection: close\r\nContent-Length: {}", self.good.len());
        let answer = self.send(&length, stream::iter([self.good.clone().into_bytes()])).await;
        assert!((200..300).contains(&answer.status), "{}: {}", self.name, answer.body);
    }

    /// The same in chunks of one byte each.
    async fn takes_one_byte_chunks(&self) {
        let mut sent: Vec<u8> = Vec::new();
        for byte in self.good.bytes() {
            sent.extend([b"1\r\n".as_slice(), &[byte], b"\r\n"].concat());
        }
        sent.extend(b"0\r\n\r\n");
        let length = "Connection: close\r\nTransfer-Encoding: chunked";
        // However they are cut on their way.
        let pieces: Vec<_> = sent.chunks(1009).map(<[u8]>::to_vec).collect();

        let answer = self.send(length, stream::iter(pieces)).await;

        assert!((200..300).contains(&answer.status), "{}: {}", self.name, answer.body);
    }
}

/// Padded to the largest body that is taken.
fn padded(body: &str, max: usize) -> String {
    format!("{body}{}", " ".repeat(max - body.len()))
}

/// All of them. The device that waits has its page until an invitation is taken there.
async fn surfaces(coordinator: &Coordinator) -> Vec<Surface> {
    const JSON: &str = "Content-Type: application/json\r\n";
    let port = || Target::Port(coordinator.address);
    let key = json!({ "name": "laptop", "access": "admin" });
    let key = coordinator.ok(Method::POST, "/api-keys", key).await;
    let key = key["key"].as_str().unwrap();
    let device = Device::new("phone");
    let (_, path) = waiting(coordinator, &device).await;
    let verified = json!({ "NodePublic": device.key() }).to_string();
    let user = |name: &str| padded(&json!({ "name": name }).to_string(), 10_000);
    vec![
        Surface {
            name: "what other relays ask",
            target: port(),
            line: "POST /verify".to_owned(),
            head: JSON.to_owned(),
            good: padded(&verified, 4 * 1024),
            max: 4 * 1024,
            shape: Shape::Text,
        },
        Surface {
            name: "the page of a device that waits",
            target: port(),
            line: format!("POST {path}"),
            head: "Content-Type: application/x-www-form-urlencoded\r\n".to_owned(),
            good: form(&invitation(coordinator, true).await),
            max: coordinator_core::invitation_form::FORM_MAX,
            shape: Shape::Page,
        },
        Surface {
            name: "the admin API over HTTPS",
            target: port(),
            line: "POST /api/v1/users".to_owned(),
            head: format!("{JSON}Authorization: Bearer {key}\r\n"),
            good: user("bob"),
            max: 1024 * 1024,
            shape: Shape::Problem,
        },
        Surface {
            name: "the admin socket",
            target: Target::Socket(coordinator.root.path().join("run/maru/coordinator/admin.sock")),
            line: "POST /api/v1/users".to_owned(),
            head: JSON.to_owned(),
            good: user("carol"),
            max: 1024 * 1024,
            shape: Shape::Problem,
        },
    ]
}

const CHUNKED: &str = "Transfer-Encoding: chunked";

fn chunks_without_end() -> impl Stream<Item = Vec<u8>> {
    stream::repeat([b"1000\r\n".as_slice(), &[b' '; 0x1000], b"\r\n"].concat())
}

#[tokio::test]
async fn a_body_that_is_too_long_or_has_no_end_is_answered_413_and_its_connection_is_closed() {
    let coordinator = start(PATIENCE).await;
    for surface in surfaces(&coordinator).await {
        let length = format!("Content-Length: {}", surface.max + 1);
        surface.refuses(TOO_LARGE, &length, stream::pending()).await;
        surface.refuses(TOO_LARGE, &length, stream::iter([vec![b' '; surface.max + 1]])).await;
        surface.refuses(TOO_LARGE, CHUNKED, chunks_without_end()).await;
        if let Target::Socket(_) = surface.target {
            for _ in 0..ADMINS_FULL {
                surface.refuses(TOO_LARGE, CHUNKED, chunks_without_end()).await;
            }
        }

        surface.takes_one_byte_chunks().await;
    }
}

#[tokio::test]
async fn a_body_that_stops_is_answered_408_and_its_connection_is_closed() {
    let coordinator = start(SOON).await;
    for surface in surfaces(&coordinator).await {
        let len = surface.max / 2 + 1;
        let announced = format!("Content-Length: {}", surface.max);
        let chunk = [format!("{len:x}\r\n").into_bytes(), vec![b' '; len]].concat();
        let stops = [(CHUNKED, chunk), (announced.as_str(), vec![b' '; len])];
        // Each takes half to all of the room for one; so those of the first time and of the second together take all there is.
        let (at_once, times) = if matches!(surface.target, Target::Socket(_)) {
            (ADMINS_FULL, 2)
        } else {
            (stops.len(), 1)
        };

        for _ in 0..times {
            let all = stops.iter().cycle().take(at_once);
            join_all(all.map(|(length, sent)| {
                let sent = stream::iter([sent.clone()]).chain(stream::pending());
                surface.refuses(LATE, length, sent)
            }))
            .await;
        }

        surface.takes_the_next().await;
    }
}

/// Requests in a device's channel, whose bodies come as they like.
#[derive(Clone)]
struct Channel(SendRequest<Body>);

impl Channel {
    async fn open(device: &Device, address: SocketAddr) -> Self {
        let io = TokioIo::new(device.noise(address).await);
        let (sender, connection) = handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    async fn ask(&mut self, path: &str, body: Body) -> (u16, String) {
        let request = Request::post(format!("http://coordinator.test{path}")).body(body).unwrap();
        let answer = async {
            self.0.ready().await.unwrap();
            let response = self.0.send_request(request).await.unwrap();
            (response.status().as_u16(), whole(response).await.unwrap())
        };
        let (status, body) = timeout(PATIENCE, answer).await.expect("an answer in time");
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// Sends a body of which there is always more, until the coordinator wants no more of it.
    async fn ask_without_end(&mut self, path: &str) -> (u16, String) {
        let (held, gone) = oneshot::channel::<Infallible>();
        let pieces = stream::repeat_with(move || {
            let _ = &held;
            Ok::<_, Infallible>(Bytes::from_static(&[b' '; 1024]))
        });
        let answer = self.ask(path, Body::from_stream(pieces)).await;
        timeout(PATIENCE, gone).await.expect("the sender is told to stop").unwrap_err();
        answer
    }
}

/// Sends so many bytes, and nothing more.
fn that_stops(len: usize) -> Body {
    let sent = stream::iter([Ok::<_, Infallible>(vec![b' '; len])]);
    Body::from_stream(sent.chain(stream::pending()))
}

/// In frames of one byte each, none before the runtime has looked at its sockets again, so that each is read before the next.
fn in_one_byte_frames(body: String) -> Body {
    Body::from_stream(stream::iter(body.into_bytes()).then(|byte| async move {
        tokio::task::yield_now().await;
        Ok::<_, Infallible>(vec![byte])
    }))
}

/// A device before its registration, or after it, and how many bodies at once are all that it may have held.
async fn device(coordinator: &Coordinator, is_node: bool) -> (Device, Channel, usize) {
    let device = Device::new("laptop");
    if is_node {
        let key = coordinator.key(json!({ "user": "alice", "pre_approved": true })).await;
        device.join(coordinator, &key).await;
    }
    let channel = Channel::open(&device, coordinator.address).await;
    (device, channel, if is_node { NODES_FULL } else { STRANGERS_FULL })
}

/// A request of this device, somewhat longer than it need be.
fn request(device: &Device) -> String {
    padded(&serde_json::to_string(&device.request()).unwrap(), 1000)
}

/// A device registers with this body, and is answered.
async fn is_answered(channel: &mut Channel, body: impl Into<Body>, is_node: bool) {
    let (status, answer) = channel.ask("/machine/register", body.into()).await;
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["MachineAuthorized"], json!(is_node), "{answer}");
}

const PATHS: [&str; 2] = ["/machine/register", "/machine/map"];

#[tokio::test]
async fn in_a_channel_a_body_that_is_too_long_or_has_no_end_is_answered_413_and_its_stream_is_closed()
 {
    for is_node in [false, true] {
        let coordinator = start(PATIENCE).await;
        let (device, mut channel, full) = device(&coordinator, is_node).await;
        let refused = (TOO_LARGE, "the body is too large".to_owned());
        for path in PATHS {
            let announced = Body::from(vec![b' '; DEVICES_MAX + 1]);
            assert_eq!(channel.ask(path, announced).await, refused);
            for _ in 0..full {
                assert_eq!(channel.ask_without_end(path).await, refused);
            }
        }

        is_answered(&mut channel, in_one_byte_frames(request(&device)), is_node).await;
    }
}

#[tokio::test]
async fn in_a_channel_a_body_that_stops_is_answered_408_and_its_stream_is_closed() {
    for is_node in [false, true] {
        let coordinator = start(SOON).await;
        let (device, mut channel, full) = device(&coordinator, is_node).await;
        let paths = PATHS.into_iter().cycle().take(full);

        let answers = join_all(paths.map(|path| {
            let mut channel = channel.clone();
            async move { channel.ask(path, that_stops(DEVICES_MAX / 2 + 1)).await }
        }));

        let refused = (LATE, "the body did not arrive in time".to_owned());
        assert_eq!(answers.await, vec![refused; full]);
        is_answered(&mut channel, request(&device), is_node).await;
    }
}

/// HTTP/2, by hand (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let [.., high, low] = payload.len().to_be_bytes();
    [&[0, high, low, kind, flags, 0, 0, 0, stream], payload].concat()
}

/// What came back, as kind and payload.
fn frames(mut bytes: &[u8]) -> Vec<(u8, &[u8])> {
    let mut frames = Vec::new();
    while let [_, high, low, kind, _, _, _, _, _, rest @ ..] = bytes {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        let Some((payload, after)) = rest.split_at_checked(len) else { break };
        frames.push((*kind, payload));
        bytes = after;
    }
    frames
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ENHANCE_YOUR_CALM: [u8; 4] = [0, 0, 0, 11];

/// A registration whose body comes in so many frames of one byte, all at once, and a last one.
fn at_once(small: usize, body: &str) -> Vec<u8> {
    let (path, authority) = ("/machine/register", "coordinator.test");
    // `:method: POST`, `:scheme: http`, `:path`, `:authority` (RFC 7541, appendix A and section 6.2.2).
    let mut head = vec![0x83, 0x86];
    for (name, value) in [(4, path), (1, authority)] {
        head.extend([name, u8::try_from(value.len()).unwrap()]);
        head.extend(value.as_bytes());
    }
    let begin = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(SETTINGS, 0, 0, &[])];
    let head = frame(HEADERS, END_HEADERS, 1, &head);
    [begin.concat(), head, frame(DATA, 0, 1, b" ").repeat(small)]
        .into_iter()
        .chain([frame(DATA, END_STREAM, 1, body.as_bytes())])
        .collect::<Vec<_>>()
        .concat()
}

/// Each frame that nobody has read takes memory beside its byte, so a channel may have few of them. Who sends more is told
/// why the channel ends; a client that goes on writing instead of reading that sees a broken pipe.
#[tokio::test]
async fn in_a_channel_small_frames_are_bounded_until_they_are_read() {
    const UNREAD: usize = 128;
    for is_node in [false, true] {
        let coordinator = start(PATIENCE).await;
        let (device, mut other, _) = device(&coordinator, is_node).await;
        let body = serde_json::to_string(&device.request()).unwrap();

        let mut channel = device.noise(coordinator.address).await;
        channel.write_all(&at_once(UNREAD, &body)).await.unwrap();
        channel.flush().await.unwrap();
        let mut answer = Vec::new();
        while !frames(&answer).iter().any(|(kind, _)| *kind == HEADERS) {
            let read = timeout(PATIENCE, channel.read_buf(&mut answer)).await;
            assert_ne!(read.expect("an answer in time").unwrap(), 0, "it is not closed");
        }
        let (_, head) = *frames(&answer).iter().find(|(kind, _)| *kind == HEADERS).unwrap();
        assert!(head.contains(&0x88), "`:status: 200` (RFC 7541, appendix A)");

        let mut channel = device.noise(coordinator.address).await;
        channel.write_all(&at_once(UNREAD + 1, &body)).await.unwrap();
        channel.flush().await.unwrap();
        let mut answer = Vec::new();
        timeout(PATIENCE, channel.read_to_end(&mut answer)).await.expect("it is closed").unwrap();
        let all = frames(&answer);
        assert!(all.iter().all(|(kind, _)| *kind != HEADERS), "{all:?}");
        let (_, why) = *all.iter().find(|(kind, _)| *kind == GOAWAY).expect("it is told why");
        assert_eq!(why[4..8], ENHANCE_YOUR_CALM);

        is_answered(&mut other, in_one_byte_frames(request(&device)), is_node).await;
    }
}
