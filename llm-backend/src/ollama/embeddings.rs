//! `/api/embed`.

use chat_vocabulary::count;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{EmbedRequest, Embeddings};

/// The request's body: a text that does not fit is an error.
pub(super) fn body(request: &EmbedRequest, num_ctx: Option<u32>) -> Value {
    let mut body = json!({"model": request.model, "input": request.input, "truncate": false});
    if let Some(dimensions) = request.dimensions {
        body["dimensions"] = dimensions.into();
    }
    if let Some(num_ctx) = num_ctx {
        body["options"] = json!({ "num_ctx": num_ctx });
    }
    body
}

#[derive(Deserialize)]
struct Answer {
    embeddings: Vec<Vec<f32>>,
    #[serde(default, deserialize_with = "count")]
    prompt_eval_count: Option<u32>,
}

/// Decodes the answer to `count` texts; `None` if it has another format or there is not one vector for each text.
#[must_use]
pub fn decode(body: &[u8], count: usize) -> Option<Embeddings> {
    let answer: Answer = serde_json::from_slice(body).ok()?;
    let all = answer.embeddings.len() == count;
    all.then_some(Embeddings {
        vectors: answer.embeddings,
        prompt_tokens: answer.prompt_eval_count,
    })
}
