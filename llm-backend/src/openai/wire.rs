//! OpenAI's wire format, as far as it is not in the chat vocabulary.

use std::fmt;

use chat_vocabulary::{
    ChatRequest, Delta, FinishReason, Json, ModelInfo, StreamOptions, Usage, count_or_zero,
};
use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};
use serde_json::Value;

use super::calls::{CallPiece, Calls, or_default};
use crate::text::{PieceJoiner, TextPiece};

/// The request as it is sent: always streamed, with the usage at the end.
pub(crate) fn streaming(mut request: ChatRequest) -> ChatRequest {
    request.stream = true;
    request.stream_options = Some(StreamOptions { include_usage: true });
    request
}

/// One `chat.completion.chunk`, or an error instead.
#[derive(Deserialize)]
pub(super) struct Chunk {
    #[serde(default, rename = "choices", deserialize_with = "first")]
    pub(super) choice: Option<Choice>,
    #[serde(default)]
    pub(super) usage: Option<Usage>,
    #[serde(default)]
    pub(super) error: Option<Value>,
}

/// One of the alternatives; Maru requests only one.
#[derive(Deserialize)]
pub(super) struct Choice {
    #[serde(default, deserialize_with = "count_or_zero")]
    index: u32,
    #[serde(default, deserialize_with = "or_default")]
    delta: DeltaFields,
    /// The text in a chunk of `/v1/completions`, which has no delta.
    #[serde(default)]
    text: Option<TextPiece>,
    #[serde(default, deserialize_with = "or_default")]
    logprobs: Logprobs,
    #[serde(default)]
    finish_reason: Option<FinishReason>,
}

/// The part of the reply in a choice.
#[derive(Default, Deserialize)]
#[serde(default)]
struct DeltaFields {
    content: Option<TextPiece>,
    reasoning_content: Option<TextPiece>,
    /// vLLM's newer name for the same.
    reasoning: Option<TextPiece>,
    #[serde(deserialize_with = "or_default")]
    tool_calls: Vec<CallPiece>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Logprobs {
    #[serde(deserialize_with = "or_default")]
    content: Vec<Json>,
}

/// The state that the next chunk's delta depends on.
#[derive(Debug, Default)]
pub(super) struct ReplyState {
    content: PieceJoiner,
    thinking: PieceJoiner,
    calls: Calls,
}

impl Choice {
    /// Converts it to a delta of the chat vocabulary; `None` if the reply has too many calls.
    pub(super) fn into_delta(self, state: &mut ReplyState) -> Option<Delta> {
        let DeltaFields { content, reasoning_content, reasoning, tool_calls } = self.delta;
        let is_last = self.finish_reason.is_some();
        let mut tool_calls = state.calls.number(tool_calls)?;
        if is_last {
            tool_calls.extend(state.calls.finish());
        }
        Some(Delta {
            content: state.content.join(content.or(self.text), is_last),
            thinking: state.thinking.join(reasoning_content.or(reasoning), is_last),
            tool_calls,
            logprobs: self.logprobs.content,
            finish_reason: self.finish_reason,
            usage: None,
            evidence: None,
        })
    }
}

/// The answer of `/v1/models`.
#[derive(Deserialize)]
struct Models {
    data: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
    /// llama-server's.
    #[serde(default)]
    meta: Option<Meta>,
    /// vLLM's.
    #[serde(default)]
    max_model_len: Option<u32>,
}

#[derive(Deserialize)]
struct Meta {
    /// Tokens per conversation, as served.
    #[serde(default)]
    n_ctx: Option<u32>,
}

/// Decodes the answer of `/v1/models`, llama-server's and vLLM's; `None` if it is neither.
#[must_use]
pub fn decode_models(body: &[u8]) -> Option<Vec<ModelInfo>> {
    let info = |model: Model| ModelInfo {
        context_tokens: model.meta.and_then(|meta| meta.n_ctx).or(model.max_model_len),
        id: model.id,
        capabilities: None,
    };
    let models: Models = serde_json::from_slice(body).ok()?;
    Some(models.data.into_iter().map(info).collect())
}

/// Decodes the answer of `/slots`; `None` if it has another format.
#[must_use]
pub fn decode_slots(body: &[u8]) -> Option<Vec<Slot>> {
    serde_json::from_slice(body).ok()
}

/// Decodes the number of slots in the answer of llama-server's `/props`; `None` if it does not contain it.
#[must_use]
pub fn decode_props(body: &[u8]) -> Option<u32> {
    #[derive(Deserialize)]
    struct Props {
        total_slots: u32,
    }
    serde_json::from_slice(body).ok().map(|props: Props| props.total_slots)
}

/// One slot of llama-server or `maru-llm`, which generates one reply at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Slot {
    /// Its number, from 0.
    pub id: u32,
    /// Whether it is processing a prompt or generating.
    pub is_processing: bool,
    /// Tokens generated for the current reply, or for the last one.
    #[serde(default)]
    pub n_decoded: u32,
}

/// Reads the choice with index 0 from a list, if there is one. It does not allocate a list, because it runs for each
/// token.
fn first<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Choice>, D::Error> {
    struct First;
    impl<'de> Visitor<'de> for First {
        type Value = Option<Choice>;

        fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
            to.write_str("a list of choices")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut first = None;
            while let Some(choice) = list.next_element::<Choice>()? {
                if choice.index == 0 && first.is_none() {
                    first = Some(choice);
                }
            }
            Ok(first)
        }
    }
    from.deserialize_any(First)
}
