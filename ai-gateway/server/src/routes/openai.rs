//! OpenAI's API, for apps that know no other: chat completions and the list of models.
//!
//! The mesh encrypts it; it is not sealed. Nothing of it is kept.

use std::sync::Arc;

use ai_gateway_api::chat::{self, ChatRequest, Usage};
use axum::{
    Extension, Json,
    body::Bytes,
    extract::State,
    response::{IntoResponse as _, Response},
};
use chassis::endpoint::{Endpoint, get, post};
use futures_util::stream;
use mesh_identity::Header;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Body, sse, whole};
use crate::{
    App, Error,
    chat::{Ending, Run, Step, compose},
    error::OpenAiError,
    now_ms,
};

/// Ends a stream that is whole.
const DONE: &[u8] = b"data: [DONE]\n\n";

/// Endpoints of this resource.
pub(super) fn endpoints() -> [Endpoint<Arc<App>>; 2] {
    [post("/v1/chat/completions", completions), get("/v1/models", models)]
}

/// Answers a chat, streamed or whole.
async fn completions(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Header>,
    body: Body,
) -> Result<Response, OpenAiError> {
    let request = chat::decode(&whole(body)?).map_err(Error::Chat)?;
    if request.messages.is_empty() {
        return Err(Error::Request("the conversation is empty").into());
    }
    let streamed = request.stream;
    let with_usage = request.stream_options.is_some_and(|options| options.include_usage);
    let mut reply = Reply::begin(&app, &caller, request).await?;
    if !streamed {
        return Ok(Json(reply.whole().await?).into_response());
    }
    // The first step is awaited here, so that a model that does not answer is a status, not a broken stream.
    reply.start().await?;
    let stream = Stream { reply, with_usage, next: Next::Role };
    Ok(sse::response(stream::unfold(stream, Stream::step)))
}

/// Lists the models.
async fn models(State(app): State<Arc<App>>) -> Json<Value> {
    let models = app.models.list().into_iter().map(|(model, window)| {
        json!({
            "id": model.to_string(),
            "object": "model",
            "created": 0,
            "owned_by": model.provider,
            "context_window": window,
        })
    });
    Json(json!({"object": "list", "data": models.collect::<Vec<_>>()}))
}

/// A reply in OpenAI's shape.
struct Reply {
    run: Run,
    id: String,
    created: u64,
    model: String,
    ending: Ending,
}

impl Reply {
    async fn begin(
        app: &Arc<App>,
        caller: &Header,
        mut request: ChatRequest,
    ) -> Result<Self, Error> {
        let person = caller.identity.person();
        let messages = std::mem::take(&mut request.messages);
        request.messages = compose(app, &person, request.model.as_deref(), messages).await?;
        Ok(Self {
            run: Run::new(app, "openai", &person, request, None)?,
            id: format!("chatcmpl-{}", Uuid::new_v4().simple()),
            created: now_ms() / 1000,
            model: String::new(),
            ending: Ending::default(),
        })
    }

    /// Waits until a model answers.
    async fn start(&mut self) -> Result<(), Error> {
        match self.run.next().await {
            Some(Step::Model(model)) => self.model = model.to_string(),
            Some(Step::Failed(failure)) => return Err(failure.into()),
            Some(Step::Delta(_)) | None => {}
        }
        Ok(())
    }

    /// The whole reply as one object.
    async fn whole(&mut self) -> Result<Value, Error> {
        self.start().await?;
        let mut text = String::new();
        while let Some(step) = self.run.next().await {
            match step {
                Step::Model(model) => self.model = model.to_string(),
                Step::Delta(delta) => {
                    self.ending.take(&delta);
                    text.push_str(&delta.content);
                }
                Step::Failed(failure) => return Err(failure.into()),
            }
        }
        let choice = json!({
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "finish_reason": self.finish_reason(),
        });
        let mut object = self.object("chat.completion", vec![choice]);
        object["usage"] = usage(self.ending.usage.unwrap_or_default());
        Ok(object)
    }

    fn finish_reason(&self) -> &'static str {
        self.ending.finish_reason.map_or("stop", chat::FinishReason::as_str)
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

    fn chunk(&self, delta: Value, finish_reason: Option<&str>) -> Bytes {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": finish_reason});
        sse::data(&self.object("chat.completion.chunk", vec![choice]))
    }
}

fn usage(usage: Usage) -> Value {
    json!({
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens(),
    })
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
    /// Text.
    Text,
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
                self.next = Next::Text;
                self.reply.chunk(json!({"role": "assistant", "content": ""}), None)
            }
            Next::Text => self.text().await,
            Next::Usage => {
                self.next = Next::Done;
                let mut object = self.reply.object("chat.completion.chunk", Vec::new());
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

    async fn text(&mut self) -> Bytes {
        loop {
            match self.reply.run.next().await {
                Some(Step::Delta(delta)) => {
                    self.reply.ending.take(&delta);
                    if !delta.content.is_empty() {
                        return self.reply.chunk(json!({"content": delta.content}), None);
                    }
                }
                Some(Step::Model(_)) => {}
                Some(Step::Failed(failure)) => {
                    self.next = Next::Nothing;
                    return sse::data(&OpenAiError(failure.into()).body());
                }
                None => {
                    self.next = if self.with_usage { Next::Usage } else { Next::Done };
                    return self.reply.chunk(json!({}), Some(self.reply.finish_reason()));
                }
            }
        }
    }
}
