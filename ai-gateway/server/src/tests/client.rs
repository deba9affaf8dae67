//! The other side of the gateway's sockets: the agent, telmeet, and the apps behind them.

use std::{path::Path, time::Duration};

use ai_gateway_api::sealed::{
    Chat, Event, History, Input, Operation, ReplyPart, Request, decode_events, decode_keys, path,
};
use axum::{
    body::{Body, Bytes},
    http::{self, HeaderMap, Method, StatusCode, header},
};
use chat_vocabulary::Options;
use hpke_envelope::{
    Suite,
    client::{Keys, Reply, seal},
    device,
};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use mesh_identity::Header;
use serde_json::Value;
use telmeet_api::plugin;
use tokio::{io::AsyncWriteExt as _, net::UnixStream, time::timeout};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::{Member, TestGateway};
use crate::now_ms;

const SOON: Duration = Duration::from_secs(30);

/// An answer; dropping it closes the connection.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    body: Incoming,
    _driver: AbortOnDropHandle<()>,
}

impl Answer {
    /// The next piece of the body; `None` at its end, `Err` if it was cut.
    pub(super) async fn piece(&mut self) -> Option<Result<Bytes, hyper::Error>> {
        let frame = timeout(SOON, chassis::body::frame(&mut self.body)).await.expect("in time")?;
        Some(frame.map(|frame| frame.into_data().unwrap_or_default()))
    }

    pub(super) async fn text(mut self) -> String {
        let mut text = Vec::new();
        while let Some(piece) = self.piece().await {
            text.extend_from_slice(&piece.unwrap());
        }
        String::from_utf8(text).unwrap()
    }

    pub(super) async fn json(self) -> Value {
        let text = self.text().await;
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"))
    }

    /// Checks that it is this error of OpenAI's.
    pub(super) async fn openai_error(self, status: u16, code: &str) {
        assert_eq!(self.status.as_u16(), status);
        let error = self.json().await;
        assert_eq!(error["error"]["code"], code, "{error}");
    }

    /// Checks that it is this problem.
    pub(super) async fn problem(self, status: u16, kind: &str) -> Value {
        assert_eq!(self.status.as_u16(), status);
        let problem = self.json().await;
        assert_eq!(problem["type"], format!("urn:maru:problem:{kind}"), "{problem}");
        problem
    }
}

/// Sends a request as the process behind a socket does; `None` if the connection is refused.
pub(super) async fn try_send(
    socket: &Path,
    header: Option<&Header>,
    request: http::Request<Body>,
) -> Option<Answer> {
    send_after(socket, &header.map(|header| header.encode().unwrap()).unwrap_or_default(), request)
        .await
}

/// The same after these bytes; `None` also if the connection is cut before there is an answer.
pub(super) async fn send_after(
    socket: &Path,
    preface: &[u8],
    request: http::Request<Body>,
) -> Option<Answer> {
    let mut io = UnixStream::connect(socket).await.unwrap();
    io.write_all(preface).await.ok()?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await.ok()?;
    let driver = AbortOnDropHandle::new(tokio::spawn(async move { drop(connection.await) }));
    let response = timeout(SOON, sender.send_request(request)).await.expect("in time").ok()?;
    let (parts, body) = response.into_parts();
    Some(Answer { status: parts.status, headers: parts.headers, body, _driver: driver })
}

pub(super) fn request(
    method: Method,
    path: &str,
    host: &str,
    body: Option<&Value>,
) -> http::Request<Body> {
    let request = http::Request::builder().method(method).uri(path).header(header::HOST, host);
    match body {
        None => request.body(Body::empty()).unwrap(),
        Some(body) => request
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string()))
            .unwrap(),
    }
}

impl TestGateway {
    /// As an app of the member does, over mesh port 18789.
    pub(super) async fn ask(
        &self,
        who: &Member,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Answer {
        let request = request(method, path, "chat.maru.internal:18789", body);
        try_send(&self.agent_socket(), Some(&who.header), request).await.expect("an answer")
    }

    /// The same in a future of its own, for the background.
    pub(super) fn sending(
        &self,
        who: &Member,
        path: &str,
        body: Value,
    ) -> impl Future<Output = Answer> + Send + use<> {
        let (socket, header) = (self.agent_socket(), who.header.clone());
        let request = request(Method::POST, path, "chat.maru.internal:18789", Some(&body));
        async move { try_send(&socket, Some(&header), request).await.expect("an answer") }
    }

    pub(super) async fn get(&self, who: &Member, path: &str) -> Answer {
        self.ask(who, Method::GET, path, None).await
    }

    pub(super) async fn post(&self, who: &Member, path: &str, body: &Value) -> Answer {
        self.ask(who, Method::POST, path, Some(body)).await
    }

    /// As telmeet does for the member.
    pub(super) async fn relay(
        &self,
        who: &Member,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Answer {
        let mut header = who.header.clone();
        header.destination.set_port(80);
        let request = request(method, path, plugin::HOST, body);
        try_send(&self.plugin_socket(), Some(&header), request).await.expect("an answer")
    }

    pub(super) async fn bind(&self, who: &Member) -> Answer {
        self.post(who, path::DEVICES, &self.proof(who)).await
    }

    /// What binds the member's key to the member's node.
    pub(super) fn proof(&self, who: &Member) -> Value {
        let node = &who.header.identity.node;
        let proof = device::prove(&who.key, self.app.identity(), node, now_ms());
        serde_json::to_value(proof).unwrap()
    }

    /// A sealed request of the member, and what opens its reply.
    pub(super) async fn seal(
        &self,
        who: &Member,
        operation: &Operation,
        suite: Suite,
    ) -> (Request, Reply) {
        self.seal_text(who, &operation.encode(), suite).await
    }

    /// The same with a plaintext that may be no operation.
    async fn seal_text(&self, who: &Member, plaintext: &[u8], suite: Suite) -> (Request, Reply) {
        let document = self.relay(who, Method::GET, path::KEYS, None).await.text().await;
        let document = decode_keys(document.as_bytes()).unwrap();
        let keys = Keys::verify(&document, self.app.identity(), 0).unwrap();
        let key = keys.select(suite, now_ms()).unwrap();
        seal(&who.key, key, Uuid::now_v7(), plaintext, now_ms()).unwrap()
    }

    /// Sends a sealed request through telmeet's listener.
    pub(super) async fn send(&self, who: &Member, request: &Request) -> Answer {
        let body = serde_json::to_value(request).unwrap();
        self.relay(who, Method::POST, path::CHAT, Some(&body)).await
    }

    /// Asks something under the seal and gives the events of the whole reply.
    pub(super) async fn sealed(&self, who: &Member, operation: &Operation) -> Vec<Event> {
        self.sealed_text(who, &operation.encode()).await
    }

    /// The same with a plaintext that may be no operation.
    pub(super) async fn sealed_text(&self, who: &Member, plaintext: &[u8]) -> Vec<Event> {
        let (request, reply) = self.seal_text(who, plaintext, Suite::XWing).await;
        let answer = self.send(who, &request).await;
        assert_eq!(answer.status, 200);
        let mut stream = Stream::new(answer, reply);
        let mut all = Vec::new();
        while let Some(events) = stream.next().await {
            all.extend(events);
        }
        all
    }

    /// Says something in a session and gives the reply's text.
    pub(super) async fn say(&self, who: &Member, session: &str, text: &str) -> String {
        text_of(&self.sealed(who, &chat(Some(session), text)).await)
    }

    /// What the member's session holds.
    pub(super) async fn history(&self, who: &Member, session: &str) -> Vec<String> {
        let events = self.sealed(who, &history(session)).await;
        let text = |event| {
            let Event::Message(message) = event else { panic!("{event:?}") };
            message.content.text().into_owned()
        };
        events.into_iter().map(text).collect()
    }
}

pub(super) fn history(session: &str) -> Operation {
    Operation::History(History { session: session.parse().unwrap() })
}

pub(super) fn chat(session: Option<&str>, text: &str) -> Operation {
    Operation::Chat(Chat {
        session: session.map(|name| name.parse().unwrap()),
        input: Input::Text(text.to_owned()),
        model: None,
        options: Options::default(),
    })
}

pub(super) fn text_of(events: &[Event]) -> String {
    let text =
        |event: &Event| if let Event::Delta(text) = event { text.clone() } else { String::new() };
    events.iter().map(text).collect()
}

/// A sealed reply as it comes.
pub(super) struct Stream {
    answer: Answer,
    reply: Reply,
    buffer: String,
    /// Whether `final` came.
    pub(super) whole: bool,
}

impl Stream {
    pub(super) fn new(answer: Answer, reply: Reply) -> Self {
        Self { answer, reply, buffer: String::new(), whole: false }
    }

    /// The events of the next part; `None` at the end, whole or cut.
    pub(super) async fn next(&mut self) -> Option<Vec<Event>> {
        loop {
            if let Some((event, rest)) = self.buffer.split_once("\n\n") {
                let (name, data) = event.split_once('\n').unwrap();
                let name = name.strip_prefix("event: ").unwrap();
                let data = data.strip_prefix("data: ").unwrap();
                let part = ReplyPart::decode(name, data.as_bytes()).unwrap();
                self.whole |= matches!(part, ReplyPart::Final(_));
                self.buffer = rest.to_owned();
                match self.reply.handle(&part).unwrap() {
                    Some(plaintext) => return Some(decode_events(&plaintext).unwrap()),
                    None => continue,
                }
            }
            let piece = self.answer.piece().await?.ok()?;
            self.buffer.push_str(std::str::from_utf8(&piece).unwrap());
        }
    }
}
