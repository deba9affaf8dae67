//! A request for the next message.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::value::RawValue;

use crate::{
    completion::Completion,
    decode::{DecodeError, Fields, List},
    format::ResponseFormat,
    message::Message,
    options::{Effort, Options},
    tools::{Tool, ToolChoice},
};

/// Most messages of a conversation.
const MESSAGES_MAX: usize = 10_000;
/// Most tools; OpenAI's bound is 128.
const TOOLS_MAX: usize = 256;

/// Fields of a request that change no answer here: user, purpose, caches, prices and speed.
pub(crate) const HARMLESS: [&str; 11] = [
    "cache_prompt",
    "keep_alive",
    "metadata",
    "prediction",
    "prompt_cache_retention",
    "return_progress",
    "safety_identifier",
    "service_tier",
    "store",
    "timings_per_token",
    "user",
];

/// A request for the next message of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ChatRequest {
    /// Which model answers, as `provider/model`; the gateway's primary model if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The conversation so far, oldest first.
    pub messages: Vec<Message>,
    /// How the only message is continued, if it is a plain text and not a question. Not part of a chat's JSON: backends
    /// have another path for it.
    #[serde(skip)]
    pub completion: Option<Completion>,
    /// Whether the reply is streamed as server-sent events, token by token.
    pub stream: bool,
    /// Further parts of a streamed reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_options: Option<StreamOptions>,
    /// Tools that the model may call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Tool>,
    /// Which of them it calls; the model decides if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<ToolChoice>,
    /// Whether it may make several calls at once; the backend's choice if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallel_tool_calls: Option<bool>,
    /// The required format of the reply; any if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_format: Option<ResponseFormat>,
    /// How hard the model thinks before it answers; its own choice if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<Effort>,
    /// How the next token is chosen and when generation ends.
    #[serde(flatten)]
    pub options: Options,
    /// Whose prompts share a cache at the server: an opaque key. The gateway replaces what a client names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_cache_key: Option<String>,
    /// Whether `options.max_tokens` is a default and not the client's choice. Then, if the backend refuses it because
    /// it exceeds the context together with the conversation, the request is repeated without it and the reply's deltas
    /// are counted. Not part of the JSON.
    #[serde(skip)]
    pub usual_length: bool,
}

/// Further parts of a streamed reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StreamOptions {
    /// Whether a last chunk has the usage.
    pub include_usage: bool,
}

impl StreamOptions {
    pub(crate) fn read(raw: &RawValue, at: &str) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(raw, at)?;
        let include_usage = fields.flag("include_usage")?.unwrap_or_default();
        // The first hides the length of tokens, which the mesh's tunnel pads; no answer depends on either.
        fields.finish(&["include_obfuscation", "continuous_usage_stats"])?;
        Ok(Self { include_usage })
    }
}

impl ChatRequest {
    fn read(mut fields: Fields<'_>) -> Result<Self, DecodeError> {
        if !fields.has("messages") {
            return Err(fields.missing("messages"));
        }
        let messages = fields.list::<MESSAGES_MAX>("messages")?;
        let messages = messages.iter().map(|(at, raw)| Message::read(raw, at));
        let tools = fields.list::<TOOLS_MAX>("tools")?;
        let tools = tools.iter().map(|(at, raw)| Tool::read(raw, at));
        let nested = |raw: Option<_>| raw.map(|raw| StreamOptions::read(raw, "stream_options"));
        let choice = |raw: Option<_>| raw.map(|raw| ToolChoice::read(raw, "tool_choice"));
        let format = |raw: Option<_>| raw.map(|raw| ResponseFormat::read(raw, "response_format"));
        let request = Self {
            model: fields.text("model")?,
            messages: messages.collect::<Result<_, _>>()?,
            completion: None,
            stream: fields.flag("stream")?.unwrap_or_default(),
            stream_options: nested(fields.raw("stream_options")).transpose()?,
            tools: tools.collect::<Result<_, _>>()?,
            tool_choice: choice(fields.raw("tool_choice")).transpose()?,
            parallel_tool_calls: fields.flag("parallel_tool_calls")?,
            response_format: format(fields.raw("response_format")).transpose()?,
            reasoning_effort: fields
                .take("reasoning_effort", "none, minimal, low, medium, high or xhigh")?,
            options: Options::read(&mut fields)?,
            prompt_cache_key: fields.text("prompt_cache_key")?,
            usual_length: false,
        };
        one_answer(&mut fields)?;
        fields.finish(&HARMLESS)?;
        Ok(request)
    }

    /// The text of the last message, which a [`Completion`] continues.
    #[must_use]
    pub fn prompt(&self) -> Cow<'_, str> {
        self.messages.last().map(|message| message.content.text()).unwrap_or_default()
    }

    /// Whether any message holds an image.
    #[must_use]
    pub fn has_images(&self) -> bool {
        self.messages.iter().any(|message| message.content.images().next().is_some())
    }

    /// Whether the model may call tools.
    #[must_use]
    pub fn may_call(&self) -> bool {
        !self.tools.is_empty() && self.tool_choice != Some(ToolChoice::None)
    }
}

/// Refuses a request for more than one reply, or for other kinds than text.
pub(crate) fn one_answer(fields: &mut Fields<'_>) -> Result<(), DecodeError> {
    if fields.take::<f64>("n", "1")?.is_some_and(|n| n != 1.0) {
        return Err(DecodeError::field("n", "must be 1: send another request for another reply"));
    }
    if let Some(List::<8>(kinds)) = fields.take("modalities", "a list")?
        && kinds.iter().any(|kind| kind.get() != "\"text\"")
    {
        return Err(DecodeError::unknown("modalities"));
    }
    Ok(())
}

/// Decodes a request body.
///
/// It takes the body by value, because lone surrogates are replaced by U+FFFD in place.
///
/// # Errors
///
/// The body is not a chat request, or has unknown fields; see [`DecodeError`].
pub fn decode(body: impl Into<Vec<u8>>) -> Result<ChatRequest, DecodeError> {
    ChatRequest::read(Fields::parse(&mut body.into())?)
}

/// From text in memory only, because it borrows the JSON.
impl<'de> Deserialize<'de> for ChatRequest {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(from)?;
        Fields::open(raw, "").and_then(Self::read).map_err(D::Error::custom)
    }
}
