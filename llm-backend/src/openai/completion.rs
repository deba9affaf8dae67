//! `/v1/completions`: plain completions of a raw prompt, or of a gap between a prompt and a suffix.

use std::borrow::Cow;

use chat_vocabulary::{
    Capability, ChatRequest, Completion, Effort, Options, ResponseFormat, StreamOptions,
};
use serde::Serialize;

/// The body.
#[derive(Serialize)]
pub(super) struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    prompt: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suffix: Option<&'a str>,
    stream: bool,
    stream_options: StreamOptions,
    #[serde(flatten)]
    options: &'a Options,
}

/// The body for a plain completion; the error names a part of the request that this path does not support.
pub(super) fn body<'a>(
    request: &'a ChatRequest,
    completion: &'a Completion,
) -> Result<Body<'a>, &'static str> {
    if let Some(feature) = lacking(request) {
        return Err(feature);
    }
    Ok(Body {
        model: request.model.as_deref(),
        prompt: request.prompt(),
        suffix: completion.suffix(),
        stream: true,
        stream_options: StreamOptions { include_usage: true },
        options: &request.options,
    })
}

/// The first feature that would change the answer and that servers do not support here, or read differently.
fn lacking(request: &ChatRequest) -> Option<&'static str> {
    let thinks = request.reasoning_effort.is_some_and(|effort| effort != Effort::None);
    let shaped = request.response_format.as_ref().is_some_and(|it| *it != ResponseFormat::Text);
    let needs = [
        (request.has_images(), Capability::Vision.as_str()),
        (thinks, Capability::Thinking.as_str()),
        (shaped, "response_format"),
        (request.options.wants_logprobs(), "logprobs"),
    ];
    needs.into_iter().find_map(|(needed, feature)| needed.then_some(feature))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn request(more: &Value) -> ChatRequest {
        let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "a"}]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        chat_vocabulary::decode(body.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn prompt_suffix_and_options_are_sent_and_nothing_else() {
        let request = request(&json!({"max_tokens": 5, "stop": ["x"], "reasoning_effort": "none"}));
        let sent = |completion: &Completion| {
            serde_json::to_value(body(&request, completion).unwrap_or_else(|what| panic!("{what}")))
        };
        let mut expected = json!({"model": "m", "prompt": "a", "stream": true, "max_tokens": 5, "stop": ["x"],
            "stream_options": {"include_usage": true}});
        assert_eq!(sent(&Completion::Raw).unwrap(), expected);
        expected["suffix"] = "b".into();
        assert_eq!(sent(&Completion::Insert("b".to_owned())).unwrap(), expected);
    }

    #[test]
    fn features_that_the_path_lacks_are_refused() {
        let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgoAAAAN"}});
        for (more, what) in [
            (json!({"messages": [{"role": "user", "content": [image]}]}), "vision"),
            (json!({"reasoning_effort": "low"}), "thinking"),
            (json!({"response_format": {"type": "json_object"}}), "response_format"),
            (json!({"top_logprobs": 1}), "logprobs"),
        ] {
            assert_eq!(body(&request(&more), &Completion::Raw).err(), Some(what));
        }
    }
}
