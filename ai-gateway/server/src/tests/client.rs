//! The other side of the gateway's sockets: the agent, telmeet, and the apps behind them.

use std::path::Path;

use ai_gateway_api::sealed::{
    Chat, Event, History, Input, Operation, ReplyPart, Request, decode_events, decode_keys, path,
};
use axum::{
    body::Body,
    http::{self, Method},
};
use chat_vocabulary::Options;
use hpke_envelope::{
    Suite,
    client::{Keys, Reply, seal},
    device,
};
use mesh_identity::Header;
use serde_json::Value;
use telmeet_api::plugin;
use testkit::http::{Response, request};
use tokio::{io::AsyncWriteExt as _, net::UnixStream};
use uuid::Uuid;

use super::{Member, TestGateway};
use crate::now_ms;

/// Sends a request as the process behind a socket does; `None` if the connection is refused.
pub(super) async fn try_send(
    socket: &Path,
    header: Option<&Header>,
    request: http::Request<Body>,
) -> Option<Response> {
    send_after(socket, &header.map(|header| header.encode().unwrap()).unwrap_or_default(), request)
        .await
}

/// The same after these bytes; `None` also if the connection is cut before there is an answer.
pub(super) async fn send_after(
    socket: &Path,
    preface: &[u8],
    request: http::Request<Body>,
) -> Option<Response> {
    let mut io = UnixStream::connect(socket).await.unwrap();
    io.write_all(preface).await.ok()?;
    testkit::http::send(io, request).await
}

impl TestGateway {
    /// As an app of the member does, over mesh port 18789.
    pub(super) async fn ask(
        &self,
        who: &Member,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Response {
        let request = request(method, path, "chat.maru.home.arpa:18789", body);
        try_send(&self.agent_socket(), Some(&who.header), request).await.expect("an answer")
    }

    /// The same as a separate future, for the background.
    pub(super) fn sending(
        &self,
        who: &Member,
        path: &str,
        body: Value,
    ) -> impl Future<Output = Response> + Send + use<> {
        let (socket, header) = (self.agent_socket(), who.header.clone());
        let request = request(Method::POST, path, "chat.maru.home.arpa:18789", Some(&body));
        async move { try_send(&socket, Some(&header), request).await.expect("an answer") }
    }

    pub(super) async fn get(&self, who: &Member, path: &str) -> Response {
        self.ask(who, Method::GET, path, None).await
    }

    pub(super) async fn post(&self, who: &Member, path: &str, body: &Value) -> Response {
        self.ask(who, Method::POST, path, Some(body)).await
    }

    /// As telmeet does for the member.
    pub(super) async fn relay(
        &self,
        who: &Member,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Response {
        let mut header = who.header.clone();
        header.destination.set_port(80);
        let request = request(method, path, plugin::HOST, body);
        try_send(&self.plugin_socket(), Some(&header), request).await.expect("an answer")
    }

    pub(super) async fn bind(&self, who: &Member) -> Response {
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
    pub(super) async fn seal_text(
        &self,
        who: &Member,
        plaintext: &[u8],
        suite: Suite,
    ) -> (Request, Reply) {
        let document = self.relay(who, Method::GET, path::KEYS, None).await.text().await;
        let document = decode_keys(document.as_bytes()).unwrap();
        let keys = Keys::verify(&document, self.app.identity(), 0).unwrap();
        let key = keys.select(suite, now_ms()).unwrap();
        seal(&who.key, key, Uuid::now_v7(), plaintext, now_ms()).unwrap()
    }

    /// Sends a sealed request through telmeet's listener.
    pub(super) async fn send(&self, who: &Member, request: &Request) -> Response {
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
            message.content
        };
        events.into_iter().map(text).collect()
    }
}

pub(super) fn history(session: &str) -> Operation {
    Operation::History(History::all(session.parse().unwrap()))
}

pub(super) fn chat(session: Option<&str>, text: &str) -> Operation {
    Operation::Chat(Chat {
        session: session.map(|name| name.parse().unwrap()),
        input: Input::Text(text.to_owned()),
        model: None,
        language: None,
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
    answer: Response,
    reply: Reply,
    buffer: String,
    /// Whether `final` came.
    pub(super) whole: bool,
}

impl Stream {
    pub(super) fn new(answer: Response, reply: Reply) -> Self {
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
