//! `/v1/embeddings`.

use chat_vocabulary::Usage;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{EmbedRequest, Embeddings};

/// The request's body: it asks for numbers, not base64.
pub(super) fn body(request: &EmbedRequest) -> Value {
    let mut body =
        json!({"model": request.model, "input": request.input, "encoding_format": "float"});
    if let Some(dimensions) = request.dimensions {
        body["dimensions"] = dimensions.into();
    }
    body
}

#[derive(Deserialize)]
struct List {
    data: Vec<Item>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Item {
    index: usize,
    embedding: Vec<f32>,
}

/// Decodes the answer to `count` texts; `None` if it has another format or there is not one vector for each text.
#[must_use]
pub fn decode_embeddings(body: &[u8], count: usize) -> Option<Embeddings> {
    let list: List = serde_json::from_slice(body).ok()?;
    let mut data = list.data;
    data.sort_by_key(|item| item.index);
    let each_once = data.iter().map(|item| item.index).eq(0..count);
    let vectors = data.into_iter().map(|item| item.embedding).collect();
    let prompt_tokens = list.usage.map(|usage| usage.prompt_tokens);
    each_once.then_some(Embeddings { vectors, prompt_tokens })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn vectors_come_in_the_order_of_the_texts() {
        let body = r#"{"object":"list","data":[{"index":1,"embedding":[3]},{"index":0,"embedding":[1,-2.5]}],
            "usage":{"prompt_tokens":4,"total_tokens":4}}"#;
        let expected =
            Embeddings { vectors: vec![vec![1.0, -2.5], vec![3.0]], prompt_tokens: Some(4) };
        assert_eq!(decode_embeddings(body.as_bytes(), 2), Some(expected));
        for count in [0, 1, 3] {
            assert_eq!(decode_embeddings(body.as_bytes(), count), None, "{count}");
        }
    }

    #[test]
    fn a_repeated_index_is_refused() {
        let body = r#"{"data":[{"index":0,"embedding":[3]},{"index":0,"embedding":[1]}]}"#;
        assert_eq!(decode_embeddings(body.as_bytes(), 2), None);
    }

    proptest! {
        #[test]
        fn any_answer_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..128), count in any::<usize>()) {
            prop_assert_eq!(decode_embeddings(&bytes, count), None);
        }
    }
}
