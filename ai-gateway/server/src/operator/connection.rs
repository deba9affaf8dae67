//! One client's connection: the handshake, then requests one after another, and what is sent meanwhile.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::Request as HttpRequest,
    response::{IntoResponse as _, Response},
};
use chassis::{websocket, write_timeout::WriteTimeout};
use common::websocket::{Decoder, Incoming, ping, pong};
use mesh_identity::{Header, Person};
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    select,
    time::{Instant, sleep_until, timeout},
};

use super::{
    caller::Caller,
    connect::{Challenge, Connect, Connected},
    frame::{self, Failure, Request},
    hello, methods,
    outbox::{Outbox, POLICY},
    people::ConnectionPermit,
    policy::{FIRST_MESSAGE_MAX, MESSAGE_MAX, TICK},
};
use crate::{
    App, Error,
    bodies::{Holder, Reservation, SMALL},
    limits::{Exceeded, Kind, Limit},
    now_ms,
};

/// How long the handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(15);
/// After how many ticks without a sign of the client the connection is closed.
const SILENCE_MAX: u32 = 4;
/// How long a client may take to read.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How much is read at a time, in bytes.
const READ_AT_A_TIME: usize = 16 << 10;

/// Opens the WebSocket of a member. A person has a bounded number of connections.
pub(crate) fn open(app: Arc<App>, caller: Header, request: HttpRequest) -> Response {
    let outbox = Arc::new(Outbox::default());
    let person = caller.identity.person();
    let Ok(place) = app.operators.enter(&person, &caller.identity.node, &outbox) else {
        let limit = Exceeded { limit: Limit::Rate, retry_after_s: HANDSHAKE.as_secs() };
        return Error::Exceeded(limit).into_response();
    };
    let client = Client { app, caller, person, place, outbox };
    websocket::accept(request, async move |stream| {
        let (reader, writer) = tokio::io::split(WriteTimeout::new(stream, WRITE_TIMEOUT));
        let decoder = Decoder::new(FIRST_MESSAGE_MAX);
        let mut messages = MessageReader { client: &client, reader, decoder, reserved: None };
        let reading = async {
            let (status, reason) =
                client.serve(&mut messages).await.unwrap_or((NORMAL, String::new()));
            client.outbox.close(status, &reason);
            std::future::pending::<()>().await;
        };
        select! {
            () = reading => {}
            () = send(writer, &client.outbox) => {}
        }
    })
}

/// Status of a close frame: the connection did what it was for (RFC 6455, section 7.4.1).
const NORMAL: u16 = 1000;
/// The client sent data of a type that is not read.
const UNSUPPORTED: u16 = 1003;

/// Why the gateway closes a connection that it has no memory for.
const BUSY: &str = "the gateway is busy: connect again in a moment";

/// Why the connection is closed; nothing if the client ended it.
type End = Option<(u16, String)>;

/// A connected client, and what it may reach.
struct Client {
    app: Arc<App>,
    caller: Header,
    person: Person,
    place: ConnectionPermit,
    outbox: Arc<Outbox>,
}

/// The messages of a client.
struct MessageReader<'a, R> {
    client: &'a Client,
    reader: R,
    decoder: Decoder,
    /// Memory of a large message.
    reserved: Option<Reservation>,
}

impl Client {
    /// Serves requests until the connection is to be closed.
    async fn serve<R: AsyncRead + Unpin>(&self, messages: &mut MessageReader<'_, R>) -> End {
        let connected = match timeout(HANDSHAKE, self.handshake(messages)).await {
            Ok(Ok(connected)) => connected,
            Ok(Err(end)) => return end,
            Err(_) => return policy("connect within 15 seconds"),
        };
        messages.decoder.set_message_max(MESSAGE_MAX);
        loop {
            let text = match messages.next().await {
                Ok(text) => frame::cleaned(text),
                Err(end) => return end,
            };
            let Ok(request) = Request::parse(&text) else {
                return policy(&frame::NotARequest.to_string());
            };
            if let Some(result) = self.answer(&connected, &request).await.transpose() {
                self.outbox.text(&frame::response(&request.id, result.as_ref()));
            }
        }
    }

    /// Challenges the client, and reads its first request, which has to be `connect`.
    async fn handshake<R: AsyncRead + Unpin>(
        &self,
        messages: &mut MessageReader<'_, R>,
    ) -> Result<Connected, End> {
        let challenge = challenge().map_err(|_| policy(BUSY))?;
        let payload = json!({"nonce": challenge.nonce, "ts": challenge.ts});
        self.outbox.event("connect.challenge", &payload);
        let text = frame::cleaned(messages.next().await?);
        let request = Request::parse(&text).map_err(|error| policy(&error.to_string()))?;
        match self.accept(&request, &challenge) {
            Ok(connected) => {
                self.place.connected(connected.clone());
                let present = self.app.operators.present(Some(&self.person));
                let (id, names) = (self.place.id(), methods::names());
                let hello = hello::hello(&self.app, id, &connected, &present, &names).await;
                self.outbox.text(&frame::response(&request.id, Ok(&hello)));
                Ok(connected)
            }
            Err(failure) => {
                self.outbox.text(&frame::response::<()>(&request.id, Err(&failure)));
                Err(policy("connect failed"))
            }
        }
    }

    fn accept(&self, request: &Request<'_>, challenge: &Challenge) -> Result<Connected, Failure> {
        if request.method != "connect" {
            return Err(Failure::Invalid("the first request has to be connect".into()));
        }
        self.app.limiter.count(&self.caller, Kind::Read).map_err(Error::Exceeded)?;
        let is_admin = self.app.admins.contains(&self.person);
        request.params::<Connect<'_>>()?.check(challenge, is_admin).map_err(|refused| refused.0)
    }

    /// The response; nothing if the method sends its responses itself.
    async fn answer(
        &self,
        connected: &Connected,
        request: &Request<'_>,
    ) -> Result<Option<serde_json::Value>, Failure> {
        let method = methods::find(&request.method, connected.scopes);
        let kind = method.as_ref().map_or(Kind::Read, |method| method.kind());
        self.app.limiter.count(&self.caller, kind).map_err(Error::Exceeded)?;
        let (app, person, outbox) = (&self.app, &self.person, &self.outbox);
        let caller = Caller { app, person, connected, outbox };
        method?.run(&caller, request).await
    }
}

impl<R: AsyncRead + Unpin> MessageReader<'_, R> {
    /// The next message of text. Control frames are answered on the way.
    async fn next(&mut self) -> Result<String, End> {
        if self.decoder.held() <= SMALL {
            self.reserved = None;
        }
        loop {
            match self.decoder.decode() {
                Ok(Some(Incoming::Text(text))) => return Ok(text),
                Ok(Some(Incoming::Ping(payload))) => self.client.outbox.frame(pong(&payload)),
                Ok(Some(Incoming::Pong)) => {}
                Ok(Some(Incoming::Binary(_))) => {
                    return Err(Some((UNSUPPORTED, "send text".to_owned())));
                }
                Ok(Some(Incoming::Close)) => return Err(None),
                Ok(None) => self.read().await?,
                Err(error) => return Err(Some((error.status(), error.to_string()))),
            }
        }
    }

    async fn read(&mut self) -> Result<(), End> {
        if self.decoder.held() > SMALL && self.reserved.is_none() {
            let holder = Holder::Person(self.client.person.clone());
            let bodies = &self.client.app.bodies;
            let reserved = bodies.reserve(&holder, Some(MESSAGE_MAX), MESSAGE_MAX).await;
            self.reserved = Some(reserved.map_err(|_| policy(BUSY))?);
        }
        let mut bytes = vec![0; READ_AT_A_TIME];
        match self.reader.read(&mut bytes).await {
            Ok(0) | Err(_) => Err(None),
            Ok(count) => {
                self.client.outbox.heard();
                self.decoder.push(&bytes[..count]);
                Ok(())
            }
        }
    }
}

fn policy(reason: &str) -> End {
    Some((POLICY, reason.to_owned()))
}

fn challenge() -> Result<Challenge, getrandom::Error> {
    let mut nonce = [0; 32];
    getrandom::fill(&mut nonce)?;
    Ok(Challenge { nonce: hex::encode(nonce), ts: now_ms() })
}

/// Sends what waits, and a tick from time to time, until the connection is to be ended.
async fn send(mut writer: impl AsyncWrite + Unpin, outbox: &Outbox) {
    let mut tick_at = Instant::now() + TICK;
    loop {
        let frame = select! {
            frame = outbox.next() => frame,
            () = sleep_until(tick_at) => {
                tick_at += TICK;
                if !outbox.tick(SILENCE_MAX) {
                    return;
                }
                outbox.event("tick", &json!({"ts": now_ms()}));
                Some(ping())
            }
        };
        let Some(frame) = frame else { return };
        select! {
            written = writer.write_all(&frame) => if written.is_err() { return },
            () = outbox.overflowed() => return,
        }
    }
}
