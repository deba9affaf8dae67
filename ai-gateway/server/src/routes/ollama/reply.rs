//! Replies in Ollama's formats: one JSON object per line, the last with `done`; or a single object.

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use axum::{
    body::{Body, Bytes},
    http::header,
    response::{IntoResponse as _, Response},
};
use chat_vocabulary::{ChatRequest, Delta, FinishReason, Json, ToolCall, ToolCallDelta};
use futures_util::stream;
use mesh_identity::Person;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    super::{
        begin::{ReplyReader, with_evidence},
        sse,
    },
    models::time,
};
use crate::{App, Error, error::ollama::OllamaError, models::Failure, openclaw::ModelRef};

/// The field with the node's evidence, if the headers were sent before the evidence was known.
const EVIDENCE: &str = "maru_evidence";

/// The field with the reason why a reply ended, if Ollama has no word for it.
const NOTICE: &str = "maru_notice";

/// Which of Ollama's formats a reply has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Of `/api/chat`.
    Chat,
    /// Of `/api/generate`.
    Generation,
}

impl Kind {
    /// The answer to a request without a question.
    pub(super) fn idle(self, model: &ModelRef, reason: &str) -> Value {
        let mut object = self.object(&model.to_string(), &LineContent::default());
        object["done"] = true.into();
        object["done_reason"] = reason.into();
        object
    }

    fn object(self, model: &str, line: &LineContent) -> Value {
        let mut object = json!({
            "model": model,
            "created_at": time(SystemTime::now()),
            "done": false,
        });
        match self {
            Self::Chat => {
                object["message"] = json!({ "role": "assistant", "content": line.content });
                line.add(&mut object["message"]);
            }
            Self::Generation => {
                object["response"] = line.content.as_str().into();
                line.add(&mut object);
            }
        }
        if !line.logprobs.is_empty() {
            object["logprobs"] = json!(line.logprobs);
        }
        object
    }
}

/// The content of one line, or of the whole reply.
#[derive(Default)]
struct LineContent {
    content: String,
    thinking: String,
    calls: Vec<Call>,
    logprobs: Vec<Json>,
}

impl LineContent {
    fn is_empty(&self) -> bool {
        self.content.is_empty()
            && self.thinking.is_empty()
            && self.calls.is_empty()
            && self.logprobs.is_empty()
    }

    /// Adds thoughts and calls, if there are any.
    fn add(&self, to: &mut Value) {
        if !self.thinking.is_empty() {
            to["thinking"] = self.thinking.as_str().into();
        }
        if !self.calls.is_empty() {
            to["tool_calls"] = json!(self.calls);
        }
    }
}

/// A tool call whose arguments are an object.
#[derive(Serialize)]
struct Call {
    #[serde(skip_serializing_if = "String::is_empty")]
    id: String,
    function: Function,
}

#[derive(Serialize)]
struct Function {
    index: u32,
    name: String,
    arguments: Json,
}

/// Collects the pieces of tool calls: Ollama's clients expect each call as a whole.
#[derive(Default)]
struct PendingCalls(BTreeMap<u32, ToolCall>);

impl PendingCalls {
    fn take(&mut self, piece: ToolCallDelta) {
        self.0.entry(piece.index).or_default().append(piece);
    }

    /// The calls, once the reply is over.
    fn finish(self) -> Result<Vec<Call>, Error> {
        let call = |(index, ToolCall { id, name, arguments })| {
            let text = if arguments.trim().is_empty() { "{}" } else { &arguments };
            let arguments = text.parse::<Json>().ok().filter(Json::is_object);
            let garbled = || {
                Failure::Garbled("the arguments of a tool call are not a JSON object".to_owned())
            };
            let arguments = arguments.ok_or_else(garbled)?;
            Ok(Call { id, function: Function { index, name, arguments } })
        };
        self.0.into_iter().map(call).collect()
    }
}

/// A reply that has begun.
pub(super) struct Reply {
    reader: ReplyReader,
    kind: Kind,
    begun: Instant,
    calls: PendingCalls,
}

impl Reply {
    /// Sends the request and waits until a model answers ([`ReplyReader::begin`]).
    pub(super) async fn begin(
        app: &Arc<App>,
        person: &Person,
        request: ChatRequest,
        kind: Kind,
    ) -> Result<Self, Error> {
        let begun = Instant::now();
        let reader = ReplyReader::begin(app, "ollama", person, request).await?;
        Ok(Self { reader, kind, begun, calls: PendingCalls::default() })
    }

    /// The content of the next line; `None` at the end.
    async fn next(&mut self) -> Result<Option<LineContent>, Error> {
        let delta = self.reader.next().await?;
        Ok(delta.map(|delta| self.take(delta)))
    }

    fn take(&mut self, delta: Delta) -> LineContent {
        delta.tool_calls.into_iter().for_each(|piece| self.calls.take(piece));
        let Delta { content, thinking, logprobs, .. } = delta;
        LineContent { content, thinking, logprobs, calls: Vec::new() }
    }

    /// The whole reply as one object.
    pub(super) async fn whole(mut self) -> Result<Response, Error> {
        let evidence = self.reader.evidence.take();
        let whole = axum::Json(self.all().await?).into_response();
        Ok(with_evidence(whole, evidence))
    }

    async fn all(mut self) -> Result<Value, Error> {
        let mut whole = LineContent::default();
        while let Some(line) = self.next().await? {
            whole.content.push_str(&line.content);
            whole.thinking.push_str(&line.thinking);
            whole.logprobs.extend(line.logprobs);
        }
        whole.calls = std::mem::take(&mut self.calls).finish()?;
        Ok(self.done(&whole))
    }

    /// The reply as a stream, with a line for each delta.
    pub(super) fn stream(mut self) -> Response {
        let evidence = self.reader.evidence.take();
        let mut lines = LineStream { reply: self, ready: VecDeque::new(), over: false };
        if lines.reply.reader.answered.is_none() {
            lines.push_empty();
        }
        let headers =
            [(header::CONTENT_TYPE, "application/x-ndjson"), (header::CACHE_CONTROL, "no-store")];
        let body = stream::unfold(lines, LineStream::step);
        with_evidence((headers, Body::from_stream(body)).into_response(), evidence)
    }

    /// The last object.
    fn done(&self, line: &LineContent) -> Value {
        let mut object = self.kind.object(&self.reader.model, line);
        // Ollama sends `stop` after a tool call, too.
        let reason = self.reader.ending.reason();
        let called = reason == FinishReason::ToolCalls;
        let reason = if called { FinishReason::Stop } else { reason };
        let usage = self.reader.ending.usage.unwrap_or_default();
        let ended = Instant::now();
        let answered = self.reader.answered.unwrap_or(ended);
        object["done"] = true.into();
        object["done_reason"] = reason.as_str().into();
        if let Some(notice) = self.reader.ending.notice() {
            object[NOTICE] = notice.into();
        }
        object["total_duration"] = nanoseconds(ended - self.begun).into();
        object["load_duration"] = 0.into();
        object["prompt_eval_count"] = usage.prompt_tokens.into();
        object["prompt_eval_duration"] = nanoseconds(answered - self.begun).into();
        object["eval_count"] = usage.completion_tokens.into();
        object["eval_duration"] = nanoseconds(ended - answered).into();
        object
    }
}

/// A duration in nanoseconds, as Ollama counts it.
pub(super) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A streamed reply. One that was cut ends with an error and has no line with `done`.
struct LineStream {
    reply: Reply,
    ready: VecDeque<Value>,
    over: bool,
}

impl LineStream {
    async fn step(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        loop {
            if let Some(object) = self.ready.pop_front() {
                return Some((Ok(format!("{object}\n").into()), self));
            }
            if self.over {
                return None;
            }
            if self.reply.reader.answered.is_none() {
                match self.reply.reader.wait(Some(sse::PING)).await {
                    Ok(true) => {}
                    Ok(false) => self.push_empty(),
                    Err(error) => self.fail(error),
                }
                continue;
            }
            match self.reply.next().await {
                Ok(Some(line)) if line.is_empty() => {}
                Ok(Some(line)) => {
                    self.push(self.reply.kind.object(&self.reply.reader.model, &line));
                }
                Ok(None) => self.finish(),
                Err(error) => self.fail(error),
            }
        }
    }

    /// Adds a line. The first line after the model began contains the evidence, unless the headers did.
    fn push(&mut self, mut object: Value) {
        if let Some(evidence) = self.reply.reader.evidence.take() {
            object[EVIDENCE] = serde_json::from_slice(evidence.as_bytes()).unwrap_or_default();
        }
        self.ready.push_back(object);
    }

    /// Adds a line without text, so that the client does not time out: NDJSON has no comments.
    fn push_empty(&mut self) {
        let empty = self.reply.kind.object(&self.reply.reader.model, &LineContent::default());
        self.ready.push_back(empty);
    }

    fn finish(&mut self) {
        self.over = true;
        match std::mem::take(&mut self.reply.calls).finish() {
            Ok(calls) => {
                let line = LineContent { calls, ..LineContent::default() };
                if !line.is_empty() {
                    self.push(self.reply.kind.object(&self.reply.reader.model, &line));
                }
                self.push(self.reply.done(&LineContent::default()));
            }
            Err(error) => self.fail(error),
        }
    }

    fn fail(&mut self, error: Error) {
        self.over = true;
        self.ready.push_back(OllamaError(error).body());
    }
}
