//! `POST /v1/chat/completions` and `POST /v1/completions`.

use std::{
    collections::VecDeque,
    io, mem,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Json,
    extract::State,
    response::{
        IntoResponse as _, Response,
        sse::{self, KeepAlive, Sse},
    },
};
use chassis::body::{BodyError, with_deadline};
use futures_util::{Stream, StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::sync::mpsc::Receiver;

use super::{
    error::ApiError,
    wire::{Envelope, Kind},
};
use crate::{
    engine::{Ending, Engine, Event, Grammar, Request},
    request::Body,
    thinking::{Parts, Thinking, ThinkingSplitter},
};

/// Longest request body, in bytes.
const BODY_MAX: usize = 4 << 20;
/// Timeout for receiving it.
const BODY_TIME: Duration = Duration::from_secs(60);
/// Interval of pings in a stream without other events.
const PING: Duration = Duration::from_secs(15);

/// Answers a conversation.
///
/// # Errors
///
/// 400 for a body that cannot be used or a prompt that is too long, 408 for a body that takes too long to arrive, 413
/// for a body of more than 4 MiB, 503 while the model is loading or if the queue is full, 500 if the engine fails.
pub(super) async fn completions(
    State(engine): State<Engine>,
    body: axum::body::Body,
) -> Result<Response, ApiError> {
    let body = Body::decode(read(body).await?, engine.name())?;
    answer(engine, body, Kind::Chat).await
}

/// Continues a prompt as it is, without the model's template.
///
/// # Errors
///
/// As [`completions`].
pub(super) async fn text_completions(
    State(engine): State<Engine>,
    body: axum::body::Body,
) -> Result<Response, ApiError> {
    let body = Body::decode_completion(read(body).await?, engine.name())?;
    answer(engine, body, Kind::Completion).await
}

async fn answer(engine: Engine, mut body: Body, kind: Kind) -> Result<Response, ApiError> {
    let model = engine.ask_for_model().await.ok_or(ApiError::Loading)?;
    body.check_tokens(model.llama().n_vocab().unsigned_abs())?;
    let (stream, usage) =
        (body.chat.stream, body.chat.stream_options.is_some_and(|options| options.include_usage));
    let (max_tokens, sampling, stops) =
        (body.max_tokens(), body.sampling(), mem::take(&mut body.chat.options.stop));
    let owner = body.chat.prompt_cache_key.take();
    // What follows a grammar, or a prompt of the caller's, is an answer.
    let is_free = body.grammar.is_none() && kind == Kind::Chat;
    let thinking = if is_free { model.thinking() } else { Thinking::Never };
    let splitter = ThinkingSplitter::new(thinking);

    // A long text takes a while to tokenize, a large schema to be made ready, and neither ends when the client leaves.
    let permit = engine.may_read().await;
    let ready = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let grammar = body.grammar.map(|text| Grammar::new(&model, &text).ok_or(ApiError::Engine));
        let prompt = match kind {
            Kind::Chat => model.prompt(&body.chat.messages)?,
            Kind::Completion => model.raw_prompt(&body.chat.prompt())?,
        };
        Ok::<_, ApiError>((prompt, grammar.transpose()?))
    });
    let (prompt, grammar) = ready.await.map_err(|_| ApiError::Engine)??;
    let (task, mut events) =
        engine.submit(Request { prompt, owner, max_tokens, stops, sampling, grammar })?;
    let envelope = envelope(&engine, task, kind);

    // There is no answer while it waits in the queue, so that the caller may still use another backend.
    match events.recv().await {
        Some(Event::Started) => {}
        Some(Event::Text(_) | Event::Ended(_) | Event::NoToken | Event::Failed) | None => {
            return Err(ApiError::Engine);
        }
    }
    if stream {
        let ping = KeepAlive::new().interval(PING).text("ping");
        return Ok(Sse::new(Reply::new(events, splitter, envelope, usage).into_stream())
            .keep_alive(ping)
            .into_response());
    }
    let (parts, ending) = collect(events, splitter).await?;
    Ok(Json(envelope.whole(&parts, &ending)).into_response())
}

/// Reads a body to its end, even if it is too long: a client that is still writing would not read the refusal.
async fn read(body: axum::body::Body) -> Result<Vec<u8>, ApiError> {
    let mut pieces = with_deadline(body, BODY_TIME).into_data_stream();
    let (mut bytes, mut total) = (Vec::new(), 0_usize);
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| match BodyError::of(&error) {
            BodyError::Timeout => ApiError::Late,
            BodyError::TooLarge | BodyError::NoMemory | BodyError::Incomplete => ApiError::Arrival,
        })?;
        total = total.saturating_add(piece.len());
        if total <= BODY_MAX {
            bytes.extend_from_slice(&piece);
        }
    }
    if total > BODY_MAX { Err(ApiError::TooLarge) } else { Ok(bytes) }
}

/// A streamed reply.
struct Reply {
    events: Receiver<Event>,
    splitter: ThinkingSplitter,
    envelope: Envelope,
    /// Whether tokens are counted at the end.
    usage: bool,
    /// Events that can be sent.
    ready: VecDeque<sse::Event>,
    /// Whether the reply has ended.
    over: bool,
}

impl Reply {
    /// Starts with the role, as llama-server does.
    fn new(
        events: Receiver<Event>,
        splitter: ThinkingSplitter,
        envelope: Envelope,
        usage: bool,
    ) -> Self {
        let ready = VecDeque::new();
        let mut reply = Self { events, splitter, envelope, usage, ready, over: false };
        if reply.envelope.kind == Kind::Chat {
            let role = json!({ "role": "assistant", "content": null });
            reply.send(&reply.envelope.chunk(&role, None));
        }
        reply
    }

    /// The events to send. An error breaks the connection, so that the client sees that the reply is cut.
    fn into_stream(self) -> impl Stream<Item = io::Result<sse::Event>> + Send + 'static {
        stream::unfold(self, |mut reply| async move {
            loop {
                if let Some(event) = reply.ready.pop_front() {
                    return Some((Ok(event), reply));
                }
                if reply.over {
                    return None;
                }
                match reply.events.recv().await {
                    Some(event) => reply.handle_event(event),
                    None => {
                        reply.over = true;
                        return Some((Err(io::ErrorKind::ConnectionAborted.into()), reply));
                    }
                }
            }
        })
    }

    fn handle_event(&mut self, event: Event) {
        match event {
            Event::Started => {}
            Event::Text(text) => {
                let parts = self.splitter.push(&text);
                self.send_parts(&parts);
            }
            Event::Ended(ending) => {
                self.over = true;
                let rest = self.splitter.finish();
                self.send_parts(&rest);
                self.send(&self.envelope.chunk(&json!({}), Some(ending.reason)));
                if self.usage {
                    self.send(&self.envelope.usage(&ending));
                }
                self.ready.push_back(sse::Event::default().data("[DONE]"));
            }
            Event::NoToken => self.fail(&ApiError::NoToken),
            Event::Failed => self.fail(&ApiError::Engine),
        }
    }

    fn send_parts(&mut self, parts: &Parts) {
        for (name, text) in [("reasoning_content", &parts.thinking), ("content", &parts.content)] {
            if !text.is_empty() {
                self.send(&self.envelope.chunk(&json!({ name: text }), None));
            }
        }
    }

    fn fail(&mut self, error: &ApiError) {
        self.over = true;
        self.send(&error.body());
    }

    fn send(&mut self, chunk: &Value) {
        self.ready.push_back(sse::Event::default().data(chunk.to_string()));
    }
}

/// Waits for the whole reply.
async fn collect(
    mut events: Receiver<Event>,
    mut splitter: ThinkingSplitter,
) -> Result<(Parts, Ending), ApiError> {
    let mut all = Parts::default();
    loop {
        match events.recv().await.unwrap_or(Event::Failed) {
            Event::Started => {}
            Event::Text(text) => all.append(&splitter.push(&text)),
            Event::Ended(ending) => {
                all.append(&splitter.finish());
                return Ok((all, ending));
            }
            Event::NoToken => return Err(ApiError::NoToken),
            Event::Failed => return Err(ApiError::Engine),
        }
    }
}

fn envelope(engine: &Engine, task: u64, kind: Kind) -> Envelope {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Envelope {
        kind,
        id: format!("{}-{:x}-{task}", kind.id(), now.as_micros()),
        created: now.as_secs(),
        model: engine.name().to_owned(),
    }
}
