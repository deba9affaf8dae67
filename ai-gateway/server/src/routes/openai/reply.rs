//! Replies in OpenAI's shapes, whole and streamed.

use std::{collections::BTreeMap, sync::Arc};

use ai_gateway_api::chat::{
    ChatRequest, Delta, FinishReason, Json, ToolCall, ToolCallDelta, Usage,
};
use axum::{body::Bytes, response::Response};
use futures_util::stream;
use mesh_identity::Person;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::sse;
use crate::{
    App, Error,
    chat::{Ending, Listener, Run, Step},
    error::OpenAiError,
    now_ms,
};

/// Ends a stream that is whole.
const DONE: &[u8] = b"data: [DONE]\n\n";

/// Which of OpenAI's shapes a reply has.
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
    listener: Listener,
    kind: Kind,
    id: String,
    created: u64,
    model: String,
    ending: Ending,
    /// Whether the model called a tool.
    called: bool,
}

impl Reply {
    /// Asks, and waits until a model answers.
    pub(super) async fn begin(
        app: &Arc<App>,
        person: &Person,
        request: ChatRequest,
        kind: Kind,
    ) -> Result<Self, Error> {
        let (_, mut listener) = Run::start(app, "openai", person, request, None)?;
        let model = match listener.next().await {
            Some(Step::Model(model)) => model.to_string(),
            Some(Step::Failed(failure)) => return Err(failure.into()),
            Some(Step::Refused(exceeded)) => return Err(Error::Exceeded(exceeded)),
            Some(Step::Delta(_)) | None => String::new(),
        };
        Ok(Self {
            listener,
            kind,
            id: format!("{}-{}", kind.prefix(), Uuid::new_v4().simple()),
            created: now_ms() / 1000,
            model,
            ending: Ending::default(),
            called: false,
        })
    }

    /// The next delta; `None` at the end.
    async fn next(&mut self) -> Result<Option<Delta>, Error> {
        loop {
            match self.listener.next().await {
                Some(Step::Model(model)) => self.model = model.to_string(),
                Some(Step::Delta(delta)) => {
                    self.ending.take(&delta);
                    self.called |= !delta.tool_calls.is_empty();
                    return Ok(Some(delta));
                }
                Some(Step::Failed(failure)) => return Err(failure.into()),
                Some(Step::Refused(exceeded)) => return Err(Error::Exceeded(exceeded)),
                None => return Ok(None),
            }
        }
    }

    /// The whole reply as one object.
    pub(super) async fn whole(mut self) -> Result<Value, Error> {
        let mut whole = Whole::default();
        while let Some(delta) = self.next().await? {
            whole.take(delta);
        }
        let choice = match self.kind {
            Kind::Chat => json!({
                "index": 0,
                "logprobs": whole.logprobs(),
                "message": whole.message(),
                "finish_reason": self.finish_reason(),
            }),
            Kind::Text => json!({
                "index": 0,
                "logprobs": null,
                "text": whole.content,
                "finish_reason": self.finish_reason(),
            }),
        };
        let mut object = self.object(self.kind.whole(), vec![choice]);
        object["usage"] = usage(self.ending.usage.unwrap_or_default());
        Ok(object)
    }

    /// The reply as it comes, as server-sent events.
    pub(super) fn stream(self, with_usage: bool) -> Response {
        let next = match self.kind {
            Kind::Chat => Next::Role,
            Kind::Text => Next::Says,
        };
        let stream = Stream { reply: self, with_usage, next };
        sse::response(stream::unfold(stream, Stream::step))
    }

    /// Why it ended. Some servers say `stop` after a call of a tool, too; clients wait for `tool_calls`.
    fn finish_reason(&self) -> &'static str {
        let reason = self.ending.finish_reason.unwrap_or(FinishReason::Stop);
        let calls = reason == FinishReason::Stop && self.called;
        if calls { FinishReason::ToolCalls.as_str() } else { reason.as_str() }
    }

    fn object(&self, kind: &str, choices: Vec<Value>) -> Value {
        json!({
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "choices": choices,
        })
    }

    /// One event of a stream: what is said, or why it ended.
    fn chunk(&self, delta: &impl Serialize, finish_reason: Option<&str>) -> Bytes {
        let choice = match self.kind {
            Kind::Chat => json!({"index": 0, "delta": delta, "finish_reason": finish_reason}),
            Kind::Text => {
                json!({"index": 0, "text": delta, "logprobs": null, "finish_reason": finish_reason})
            }
        };
        sse::data(&self.object(self.kind.chunk(), vec![choice]))
    }

    /// What a delta says, as an event; none if it says nothing in this shape.
    fn says(&self, delta: Delta) -> Option<Bytes> {
        match self.kind {
            Kind::Text if delta.content.is_empty() => None,
            Kind::Text => Some(self.chunk(&delta.content, None)),
            Kind::Chat if delta.says() => {
                let logprobs = logprobs(&delta.logprobs);
                let said = Said::from(delta);
                let choice =
                    json!({"index": 0, "delta": said, "logprobs": logprobs, "finish_reason": null});
                Some(sse::data(&self.object(self.kind.chunk(), vec![choice])))
            }
            Kind::Chat => None,
        }
    }
}

fn usage(usage: Usage) -> Value {
    json!({
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens(),
    })
}

/// Likelihoods as OpenAI has them; null where none came.
fn logprobs(tokens: &[Json]) -> Value {
    if tokens.is_empty() { Value::Null } else { json!({"content": tokens, "refusal": null}) }
}

/// What a chunk adds.
#[derive(Serialize)]
struct Said {
    #[serde(skip_serializing_if = "String::is_empty")]
    content: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    reasoning_content: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Value>,
}

impl From<Delta> for Said {
    fn from(delta: Delta) -> Self {
        let call = |call: ToolCallDelta| {
            let mut function = json!({"arguments": call.arguments});
            if let Some(name) = call.name {
                function["name"] = name.into();
            }
            let mut piece = json!({"index": call.index, "function": function});
            if let Some(id) = call.id {
                piece["id"] = id.into();
                piece["type"] = "function".into();
            }
            piece
        };
        Self {
            content: delta.content,
            reasoning_content: delta.thinking,
            tool_calls: delta.tool_calls.into_iter().map(call).collect(),
        }
    }
}

/// A reply put together from its deltas.
#[derive(Default)]
struct Whole {
    content: String,
    thinking: String,
    calls: BTreeMap<u32, ToolCall>,
    logprobs: Vec<Json>,
}

impl Whole {
    fn take(&mut self, delta: Delta) {
        self.content.push_str(&delta.content);
        self.thinking.push_str(&delta.thinking);
        self.logprobs.extend(delta.logprobs);
        for piece in delta.tool_calls {
            let empty =
                || ToolCall { id: String::new(), name: String::new(), arguments: String::new() };
            let call = self.calls.entry(piece.index).or_insert_with(empty);
            call.id
                .push_str(piece.id.as_deref().filter(|_| call.id.is_empty()).unwrap_or_default());
            call.name.push_str(&piece.name.unwrap_or_default());
            call.arguments.push_str(&piece.arguments);
        }
    }

    fn message(&self) -> Value {
        let silent = self.content.is_empty() && !self.calls.is_empty();
        let content = if silent { Value::Null } else { self.content.as_str().into() };
        let mut message = json!({"role": "assistant", "content": content});
        if !self.thinking.is_empty() {
            message["reasoning_content"] = self.thinking.as_str().into();
        }
        if !self.calls.is_empty() {
            message["tool_calls"] = json!(self.calls.values().collect::<Vec<_>>());
        }
        message
    }

    fn logprobs(&self) -> Value {
        logprobs(&self.logprobs)
    }
}

/// A streamed reply.
struct Stream {
    reply: Reply,
    with_usage: bool,
    next: Next,
}

/// What a stream says next.
enum Next {
    /// Who speaks.
    Role,
    /// What is said.
    Says,
    /// Tokens counted.
    Usage,
    /// `[DONE]`.
    Done,
    /// Nothing.
    Nothing,
}

impl Stream {
    /// The next event, and what comes after it. Without `[DONE]` the reply was cut.
    async fn step(mut self) -> Option<(Bytes, Self)> {
        let event = match self.next {
            Next::Role => {
                self.next = Next::Says;
                self.reply.chunk(&json!({"role": "assistant", "content": ""}), None)
            }
            Next::Says => self.says().await,
            Next::Usage => {
                self.next = Next::Done;
                let mut object = self.reply.object(self.reply.kind.chunk(), Vec::new());
                object["usage"] = usage(self.reply.ending.usage.unwrap_or_default());
                sse::data(&object)
            }
            Next::Done => {
                self.next = Next::Nothing;
                Bytes::from_static(DONE)
            }
            Next::Nothing => return None,
        };
        Some((event, self))
    }

    async fn says(&mut self) -> Bytes {
        loop {
            match self.reply.next().await {
                Ok(Some(delta)) => {
                    if let Some(event) = self.reply.says(delta) {
                        return event;
                    }
                }
                Ok(None) => {
                    self.next = if self.with_usage { Next::Usage } else { Next::Done };
                    let nothing = match self.reply.kind {
                        Kind::Chat => json!({}),
                        Kind::Text => json!(""),
                    };
                    return self.reply.chunk(&nothing, Some(self.reply.finish_reason()));
                }
                Err(error) => {
                    self.next = Next::Nothing;
                    return sse::data(&OpenAiError(error).body());
                }
            }
        }
    }
}
