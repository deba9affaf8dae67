//! Plain completions in Ollama's format: a raw prompt, or a gap between a prompt and a suffix.

use std::borrow::Cow;

use chat_vocabulary::{ChatRequest, Completion, Image};
use serde::Serialize;

use super::request::{Common, common};

/// The body of `POST /api/generate`.
#[derive(Serialize)]
pub(super) struct Body<'a> {
    #[serde(flatten)]
    common: Common<'a>,
    prompt: Cow<'a, str>,
    raw: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    suffix: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<&'a str>,
}

/// The request in Ollama's format; the error names a part that Ollama does not support.
pub(super) fn body<'a>(
    request: &'a ChatRequest,
    completion: &'a Completion,
    num_ctx: Option<u32>,
) -> Result<Body<'a>, String> {
    let common = common(request, num_ctx)?;
    let images = request.messages.iter().flat_map(|message| message.content.images());
    Ok(Body {
        common,
        prompt: request.prompt(),
        raw: matches!(completion, Completion::Raw),
        suffix: completion.suffix(),
        images: images.map(Image::base64).collect(),
    })
}

#[cfg(test)]
mod tests {
    use chat_vocabulary::{Content, Message, Part, Role};
    use serde_json::json;

    use super::*;

    const PNG: &str = "iVBORw0KGgoAAAANSUhEUg==";

    #[test]
    fn a_raw_prompt_and_a_gap_have_ollamas_fields() {
        let image = Image::from_base64(PNG.to_owned()).unwrap();
        let content = Content::Parts(vec![Part::Text("a".to_owned()), Part::Image(image)]);
        let mut request = ChatRequest {
            model: Some("m".to_owned()),
            messages: vec![Message::new(Role::User, content)],
            ..ChatRequest::default()
        };
        let sent = |request: &ChatRequest, how: Completion| {
            let body = body(request, &how, Some(8192)).map_err(|_| "refused").unwrap();
            serde_json::to_value(body).unwrap()
        };
        let mut expected = json!({"model": "m", "prompt": "a", "raw": true, "images": [PNG], "stream": true,
            "truncate": false, "shift": false, "options": {"num_ctx": 8192}});
        assert_eq!(sent(&request, Completion::Raw), expected);

        request.messages = vec![Message::user("a")];
        expected.as_object_mut().unwrap().remove("images");
        expected["raw"] = false.into();
        expected["suffix"] = "b".into();
        assert_eq!(sent(&request, Completion::Insert("b".to_owned())), expected);

        request.options.ignore_eos = true;
        let refusal = body(&request, &Completion::Raw, None).map(drop).unwrap_err();
        assert!(refusal.starts_with("m does not support ignore_eos"), "{refusal}");
    }
}
