//! Replies in OpenAI's formats, whole and streamed.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    body::Bytes,
    response::{IntoResponse as _, Response},
};
use chat_vocabulary::{
    ChatRequest, Delta, FinishReason, Json as Raw, ToolCall, ToolCallDelta, Usage,
};
use futures_util::{FutureExt as _, stream};
use mesh_identity::Person;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::{
    begin::{self, ReplyReader, with_evidence},
    sse,
};
use crate::{App, Error, error::openai::OpenAiError, now_ms};

/// Ends a complete stream.
const DONE: &[u8] = b"data: [DONE]\n\n";
/// Events that are ready at the same time are sent together, until they have this many bytes.
const PIECE_MAX: usize = 16 << 10;
/// First capacity of the buffer for events, in bytes: more than most events need.
const EVENT: usize = 512;

/// Which of OpenAI's formats a reply has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Of `/v1/chat/completions`.
    Chat,
    /// Of `/v1/completions`.
    Text,
}

impl Kind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Chat => "chatcmpl",
            Self::Text => "cmpl",
        }
    }

    const fn whole(self) -> &'static str {
        match self {
            Self::Chat => "chat.completion",
            Self::Text => "text_completion",
        }
    }

    const fn chunk(self) -> &'static str {
        match self {
            Self::Chat => "chat.completion.chunk",
            Self::Text => "text_completion",
        }
    }
}

/// A reply that has begun.
pub(super) struct Reply {
    reader: ReplyReader,
    kind: Kind,
    id: String,
    created: u64,
    /// Whether the model called a tool.
    called: bool,
}

impl Reply {
    /// Sends the request and waits until a model answers ([`ReplyReader::begin`]).
    pub(super) async fn begin(
        app: &Arc<App>,
        person: &Person,
        request: ChatRequest,
        kind: Kind,
    ) -> Result<Self, Error> {
        let reader = ReplyReader::begin(app, "openai", person, request).await?;
        let id = format!("{}-{}", kind.prefix(), Uuid::new_v4().simple());
        Ok(Self { reader, kind, id, created: now_ms() / 1000, called: false })
    }

    /// The next delta; `None` at the end.
    async fn next(&mut self) -> Result<Option<Delta>, Error> {
        let delta = self.reader.next().await?;
        self.called |= delta.as_ref().is_some_and(|delta| !delta.tool_calls.is_empty());
        Ok(delta)
    }

    /// The whole reply as one object.
    pub(super) async fn whole(mut self) -> Result<Response, Error> {
        let evidence = self.reader.evidence.take();
        let mut whole = CollectedReply::default();
        while let Some(delta) = self.next().await? {
            whole.take(delta);
        }
        let finish_reason = Some(self.finish_reason());
        let response = match self.kind {
            Kind::Chat => {
                let (logprobs, message) = (whole.logprobs(), whole.message());
                self.object(MessageChoice { index: 0, logprobs, message, finish_reason })
            }
            Kind::Text => {
                let text = &whole.content;
                self.object(TextChoice { index: 0, text, logprobs: None, finish_reason })
            }
        };
        Ok(with_evidence(response, evidence))
    }

    /// The reply as a stream of server-sent events.
    pub(super) fn stream(mut self, with_usage: bool) -> Response {
        let evidence = self.reader.evidence.take();
        let next = if self.reader.answered.is_none() {
            StreamState::Comment
        } else {
            StreamState::first(self.kind)
        };
        let stream = Stream { reply: self, with_usage, next };
        with_evidence(sse::response(stream::unfold(stream, Stream::step)), evidence)
    }

    /// Why the reply ended. Some servers send `stop` after a tool call, too; clients expect `tool_calls`.
    fn finish_reason(&self) -> &'static str {
        let reason = self.reader.ending.reason();
        let calls = reason == FinishReason::Stop && self.called;
        if calls { FinishReason::ToolCalls.as_str() } else { reason.as_str() }
    }

    fn object(&self, choice: impl Serialize) -> Response {
        let usage = Some(self.reader.ending.usage.unwrap_or_default().into());
        let object = self.kind.whole();
        let maru_notice = self.reader.ending.notice();
        Json(Chunk { object, usage, maru_notice, ..self.chunk([choice]) }).into_response()
    }

    /// An object of a stream.
    fn chunk<C>(&self, choices: C) -> Chunk<'_, C> {
        Chunk {
            id: &self.id,
            object: self.kind.chunk(),
            created: self.created,
            model: &self.reader.model,
            choices,
            usage: None,
            maru_notice: None,
        }
    }

    /// Appends an event with this delta, or with the reason why the reply ended.
    fn push(
        &self,
        events: &mut Vec<u8>,
        delta: ChunkDelta<'_>,
        finish_reason: Option<&'static str>,
    ) {
        let maru_notice = finish_reason.and_then(|_| self.reader.ending.notice());
        match self.kind {
            Kind::Chat => {
                let logprobs = (!delta.logprobs.is_empty())
                    .then_some(Logprobs { content: delta.logprobs, refusal: None });
                let choice = ChatChoice { index: 0, delta, logprobs, finish_reason };
                sse::push(events, &Chunk { maru_notice, ..self.chunk([choice]) });
            }
            Kind::Text => {
                let text = delta.content.unwrap_or_default();
                let choice = TextChoice { index: 0, text, logprobs: None, finish_reason };
                sse::push(events, &Chunk { maru_notice, ..self.chunk([choice]) });
            }
        }
    }
}

/// An object, whole or of a stream, in the order in which OpenAI writes it.
#[derive(Serialize)]
struct Chunk<'a, C> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: C,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<OpenAiUsage>,
    /// Why the reply ended, if OpenAI has no word for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    maru_notice: Option<&'static str>,
}

#[derive(Serialize)]
struct MessageChoice<'a> {
    index: u32,
    logprobs: Option<Logprobs<'a>>,
    message: ReplyMessage<'a>,
    finish_reason: Option<&'static str>,
}

/// The message of a whole reply.
#[derive(Serialize)]
struct ReplyMessage<'a> {
    role: &'static str,
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    reasoning_content: &'a str,
    /// The same, as Ollama and newer vLLMs name it.
    #[serde(skip_serializing_if = "str::is_empty")]
    reasoning: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<&'a ToolCall>,
}

#[derive(Serialize)]
struct ChatChoice<'a> {
    index: u32,
    delta: ChunkDelta<'a>,
    logprobs: Option<Logprobs<'a>>,
    finish_reason: Option<&'static str>,
}

#[derive(Serialize)]
struct TextChoice<'a> {
    index: u32,
    text: &'a str,
    logprobs: Option<()>,
    finish_reason: Option<&'static str>,
}

/// Log probabilities in OpenAI's format.
#[derive(Serialize)]
struct Logprobs<'a> {
    content: &'a [Raw],
    refusal: Option<()>,
}

/// The number of tokens, in OpenAI's format.
#[derive(Serialize)]
struct OpenAiUsage {
    prompt_tokens: u32,
    completion_tokens: u32,
    total_tokens: u32,
}

impl From<Usage> for OpenAiUsage {
    fn from(usage: Usage) -> Self {
        let Usage { prompt_tokens, completion_tokens } = usage;
        Self { prompt_tokens, completion_tokens, total_tokens: usage.total_tokens() }
    }
}

/// The part of the reply in a chunk.
#[derive(Default, Serialize)]
struct ChunkDelta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    reasoning_content: &'a str,
    /// The same, as Ollama and newer vLLMs name it.
    #[serde(skip_serializing_if = "str::is_empty")]
    reasoning: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Value>,
    #[serde(skip)]
    logprobs: &'a [Raw],
}

impl<'a> From<&'a Delta> for ChunkDelta<'a> {
    fn from(delta: &'a Delta) -> Self {
        let call = |call: &ToolCallDelta| {
            let mut function = json!({"arguments": call.arguments});
            if let Some(name) = &call.name {
                function["name"] = name.as_str().into();
            }
            let mut piece = json!({"index": call.index, "function": function});
            if let Some(id) = &call.id {
                piece["id"] = id.as_str().into();
                piece["type"] = "function".into();
            }
            piece
        };
        Self {
            role: None,
            content: Some(delta.content.as_str()).filter(|content| !content.is_empty()),
            reasoning_content: &delta.thinking,
            reasoning: &delta.thinking,
            tool_calls: delta.tool_calls.iter().map(call).collect(),
            logprobs: &delta.logprobs,
        }
    }
}

/// A reply assembled from its deltas.
#[derive(Default)]
struct CollectedReply {
    content: String,
    thinking: String,
    calls: BTreeMap<u32, ToolCall>,
    logprobs: Vec<Raw>,
}

impl CollectedReply {
    fn take(&mut self, delta: Delta) {
        self.content.push_str(&delta.content);
        self.thinking.push_str(&delta.thinking);
        self.logprobs.extend(delta.logprobs);
        for piece in delta.tool_calls {
            self.calls.entry(piece.index).or_default().append(piece);
        }
    }

    fn message(&self) -> ReplyMessage<'_> {
        let only_calls = self.content.is_empty() && !self.calls.is_empty();
        ReplyMessage {
            role: "assistant",
            content: (!only_calls).then_some(self.content.as_str()),
            reasoning_content: &self.thinking,
            reasoning: &self.thinking,
            tool_calls: self.calls.values().collect(),
        }
    }

    fn logprobs(&self) -> Option<Logprobs<'_>> {
        let content = self.logprobs.as_slice();
        (!content.is_empty()).then_some(Logprobs { content, refusal: None })
    }
}

/// A streamed reply.
struct Stream {
    reply: Reply,
    with_usage: bool,
    next: StreamState,
}

/// The next event of a stream.
enum StreamState {
    /// A comment, so that the client does not time out.
    Comment,
    /// A comment once a model answers, with the evidence if there is any.
    Model,
    /// The role of the reply's author.
    Role,
    /// The parts of the reply.
    Deltas,
    /// The number of tokens.
    Usage,
    /// `[DONE]`.
    Done,
    /// No further event.
    End,
}

impl StreamState {
    /// The first event.
    const fn first(kind: Kind) -> Self {
        match kind {
            Kind::Chat => Self::Role,
            Kind::Text => Self::Deltas,
        }
    }
}

impl Stream {
    /// The next event, all others that are ready, and the rest of the stream. A reply that was cut ends without
    /// `[DONE]`.
    async fn step(mut self) -> Option<(Bytes, Self)> {
        let mut events = Vec::with_capacity(EVENT);
        let mut more = self.push(&mut events).await;
        while more && events.len() < PIECE_MAX {
            more = self.push(&mut events).now_or_never().unwrap_or(false);
        }
        (!events.is_empty()).then(|| (events.into(), self))
    }

    /// Appends the next event; false at the end. Dropping the future loses nothing.
    async fn push(&mut self, events: &mut Vec<u8>) -> bool {
        match self.next {
            StreamState::Comment => {
                self.next = StreamState::Model;
                events.extend_from_slice(sse::COMMENT);
            }
            StreamState::Model => match self.reply.reader.wait(None).await {
                Ok(_) => {
                    self.next = StreamState::first(self.reply.kind);
                    // The headers are sent already; clients skip comments.
                    match self.reply.reader.evidence.take() {
                        Some(evidence) => sse::push_comment(events, &begin::EVIDENCE, &evidence),
                        None => events.extend_from_slice(sse::COMMENT),
                    }
                }
                Err(error) => {
                    self.next = StreamState::End;
                    sse::push(events, &OpenAiError(error).body());
                }
            },
            StreamState::Role => {
                self.next = StreamState::Deltas;
                let delta = ChunkDelta {
                    role: Some("assistant"),
                    content: Some(""),
                    ..ChunkDelta::default()
                };
                self.reply.push(events, delta, None);
            }
            StreamState::Deltas => self.push_delta(events).await,
            StreamState::Usage => {
                self.next = StreamState::Done;
                let usage = Some(self.reply.reader.ending.usage.unwrap_or_default().into());
                let chunk = Chunk { usage, ..self.reply.chunk([(); 0]) };
                sse::push(events, &chunk);
            }
            StreamState::Done => {
                self.next = StreamState::End;
                events.extend_from_slice(DONE);
            }
            StreamState::End => return false,
        }
        true
    }

    /// Appends the next delta, or the end of the reply.
    async fn push_delta(&mut self, events: &mut Vec<u8>) {
        loop {
            match self.reply.next().await {
                Ok(Some(delta)) => {
                    let says = match self.reply.kind {
                        Kind::Chat => delta.says(),
                        Kind::Text => !delta.content.is_empty(),
                    };
                    if says {
                        return self.reply.push(events, ChunkDelta::from(&delta), None);
                    }
                }
                Ok(None) => {
                    self.next =
                        if self.with_usage { StreamState::Usage } else { StreamState::Done };
                    let reason = self.reply.finish_reason();
                    return self.reply.push(events, ChunkDelta::default(), Some(reason));
                }
                Err(error) => {
                    self.next = StreamState::End;
                    return sse::push(events, &OpenAiError(error).body());
                }
            }
        }
    }
}
