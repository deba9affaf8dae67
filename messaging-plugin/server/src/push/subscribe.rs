//! Subscriptions to topics, as the app ntfy makes them (ntfy, "Subscribe via API").

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Json,
    body::Body,
    extract::{Path, Request, State},
    http::{Uri, header},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use chassis::{quota::Permit, websocket, write_timeout::WriteTimeout};
use common::websocket::{self as frames, Decoder, FrameError, Incoming};
use futures_util::stream;
use ruma::api::error::ErrorKind;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::broadcast::Receiver,
    time::{Instant, sleep_until},
};

use super::topics::{Message, Since, TOPICS_MAX};
use crate::{error::Error, homeserver::Homeserver, random, session::Visitor};

/// How often something is sent where nothing happens, so that the phone sees that the connection stands (ntfy's default).
const KEEPALIVE: Duration = Duration::from_secs(45);
/// How often in turn a phone may say nothing within that time, before the connection is closed.
const SILENCE_MAX: u32 = 3;
/// How long a phone may take to read.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// A subscription of a person to its topics.
#[derive(Debug)]
struct Subscription {
    /// The topics, as the request has them.
    names: String,
    topics: Vec<String>,
    /// To be sent before what comes.
    ready: VecDeque<String>,
    live: Receiver<Arc<Message>>,
    idle_at: Instant,
    _permit: Permit<String>,
}

/// What a subscriber is sent next.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Line(String),
    KeepAlive,
}

/// `GET /{topics}/json`: lines of JSON, which end at once with `poll`.
pub(super) async fn lines(
    State(homeserver): State<Arc<Homeserver>>,
    visitor: Visitor,
    Path(topics): Path<String>,
    uri: Uri,
) -> Result<Response, Error> {
    let is_poll =
        parameter(&uri, "poll").is_some_and(|poll| ["1", "true", "yes"].contains(&&*poll));
    let subscription = subscribe(&homeserver, &visitor, &topics, &uri, is_poll)?;
    let body = if is_poll {
        let lines: Vec<_> = subscription.ready.iter().flat_map(|line| [line, "\n"]).collect();
        Body::from(lines.concat())
    } else {
        Body::from_stream(stream::unfold(subscription, next_line))
    };
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson; charset=utf-8")], body).into_response())
}

async fn next_line(
    mut subscription: Subscription,
) -> Option<(Result<Bytes, Infallible>, Subscription)> {
    let mut line = match subscription.next().await? {
        Next::Line(line) => line,
        Next::KeepAlive => control("keepalive", &subscription.names).ok()?,
    };
    line.push('\n');
    Some((Ok(line.into()), subscription))
}

/// `GET /{topics}/ws`: a message of the WebSocket for each.
pub(super) async fn socket(
    State(homeserver): State<Arc<Homeserver>>,
    visitor: Visitor,
    Path(topics): Path<String>,
    request: Request,
) -> Result<Response, Error> {
    let subscription = subscribe(&homeserver, &visitor, &topics, request.uri(), false)?;
    Ok(websocket::accept(request, async |stream| {
        // A phone that disconnects is no error.
        drop(serve(WriteTimeout::new(stream, WRITE_TIMEOUT), subscription).await);
    }))
}

/// `GET /{topic}/auth`: whether the person may subscribe.
pub(super) async fn check(
    State(homeserver): State<Arc<Homeserver>>,
    visitor: Visitor,
    Path(topic): Path<String>,
) -> Result<Json<Value>, Error> {
    homeserver.push.topics.bind(visitor.person()?.id, &topic).map_err(|_| hidden())?;
    Ok(Json(json!({"success": true})))
}

/// `GET /{topic}?up=1`: apps ask it before they give the address away (UnifiedPush, "Server", discovery).
pub(super) async fn discover(uri: Uri) -> Result<Json<Value>, Error> {
    parameter(&uri, "up").ok_or(Error::Unrecognized)?;
    Ok(Json(json!({"unifiedpush": {"version": 1}})))
}

/// A value of the query.
fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let query = uri.query().unwrap_or_default().as_bytes();
    let mut pairs = url::form_urlencoded::parse(query);
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

fn hidden() -> Error {
    Error::forbidden("these topics are not yours")
}

fn subscribe(
    homeserver: &Homeserver,
    visitor: &Visitor,
    names: &str,
    uri: &Uri,
    is_poll: bool,
) -> Result<Subscription, Error> {
    let person = visitor.person()?.id;
    let now = homeserver.now().as_secs().into();
    let since = match parameter(uri, "since") {
        Some(since) => Since::parse(&since, now)
            .ok_or_else(|| Error::invalid("`since` is none, all, a time, a duration or an id"))?,
        None if is_poll => Since::Everything,
        None => Since::Nothing,
    };
    let topics: Vec<String> = names.split(',').take(TOPICS_MAX + 1).map(str::to_owned).collect();
    if topics.len() > TOPICS_MAX {
        return Err(Error::bad_request(
            ErrorKind::TooLarge,
            "a subscription has at most 64 topics",
        ));
    }
    let streams = &homeserver.push.streams;
    let permit = streams.take(visitor.0.identity.node.clone());
    let permit = permit.map_err(|_| Error::Limited { retry_after: KEEPALIVE })?;
    let subscribed = homeserver.push.topics.subscribe(person, &topics, &since, now);
    let (kept, live) = subscribed.map_err(|_| hidden())?;
    let mut ready: VecDeque<_> = kept.iter().map(|message| message.line.clone()).collect();
    if !is_poll {
        ready.push_front(control("open", names)?);
    }
    let (names, idle_at) = (names.to_owned(), Instant::now() + KEEPALIVE);
    Ok(Subscription { names, topics, ready, live, idle_at, _permit: permit })
}

/// A line that is no message.
fn control(event: &str, topics: &str) -> Result<String, Error> {
    let time = u64::from(ruma::MilliSecondsSinceUnixEpoch::now().as_secs());
    let line = json!({"id": random::message_id()?, "time": time, "event": event, "topic": topics});
    Ok(line.to_string())
}

impl Subscription {
    /// What is sent next; nothing once the subscriber lags behind: it subscribes again since its last message. May be
    /// dropped and called again.
    async fn next(&mut self) -> Option<Next> {
        if let Some(line) = self.ready.pop_front() {
            return Some(Next::Line(line));
        }
        loop {
            tokio::select! {
                message = self.live.recv() => {
                    let message = message.ok()?;
                    if self.topics.contains(&message.topic) {
                        self.idle_at = Instant::now() + KEEPALIVE;
                        return Some(Next::Line(message.line.clone()));
                    }
                }
                () = sleep_until(self.idle_at) => {
                    self.idle_at = Instant::now() + KEEPALIVE;
                    return Some(Next::KeepAlive);
                }
            }
        }
    }
}

/// Serves a WebSocket until the phone closes it, is silent or breaks the protocol.
async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    mut subscription: Subscription,
) -> std::io::Result<()> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (mut decoder, mut silence) = (Decoder::new(frames::CONTROL_MAX), 0);
    loop {
        let mut bytes = [0; frames::CONTROL_MAX];
        let frame = tokio::select! {
            next = subscription.next() => match next {
                Some(Next::Line(line)) => frames::text(&line),
                Some(Next::KeepAlive) if silence < SILENCE_MAX => {
                    silence += 1;
                    frames::ping()
                }
                Some(Next::KeepAlive) | None => return writer.write_all(&frames::close()).await,
            },
            count = reader.read(&mut bytes) => {
                let count = count?;
                silence = 0;
                decoder.push(&bytes[..count]);
                match replies(&mut decoder) {
                    Ok(Some(replies)) if count > 0 => replies,
                    Ok(_) | Err(_) => return writer.write_all(&frames::close()).await,
                }
            }
        };
        writer.write_all(&frame).await?;
    }
}

/// The frames that answer those which were received; nothing if the connection is to be closed. Nobody waits for what a phone
/// says.
fn replies(decoder: &mut Decoder) -> Result<Option<Vec<u8>>, FrameError> {
    let mut replies = Vec::new();
    while let Some(incoming) = decoder.decode()? {
        match incoming {
            Incoming::Ping(payload) => replies.extend(frames::pong(&payload)),
            Incoming::Text(_) | Incoming::Binary(_) | Incoming::Pong => {}
            Incoming::Close => return Ok(None),
        }
    }
    Ok(Some(replies))
}
