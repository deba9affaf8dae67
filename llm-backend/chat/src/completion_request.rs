//! OpenAI's older `POST /v1/completions`, which continues a text.

use serde_json::value::RawValue;

use crate::{
    completion::Completion,
    decode::{DecodeError, Fields, List, is_text},
    message::Message,
    options::Options,
    request::{ChatRequest, HARMLESS, StreamOptions, one_answer},
};

/// Decodes the body of `POST /v1/completions`. It becomes a chat of one message, because models that follow
/// instructions expect their own template around it; or, with a suffix, a gap to be filled.
///
/// It takes the body by value, because lone surrogates are replaced by U+FFFD in place.
///
/// # Errors
///
/// See [`DecodeError`].
pub fn decode_completion(body: impl Into<Vec<u8>>) -> Result<ChatRequest, DecodeError> {
    let mut body = body.into();
    let mut fields = Fields::parse(&mut body)?;
    let prompt = fields.raw("prompt").ok_or_else(|| fields.missing("prompt"))?;
    let prompt = one_text(prompt).ok_or_else(|| {
        DecodeError::field("prompt", "must be one string: send a request for each, without tokens")
    })?;
    let suffix = fields.text("suffix")?.filter(|suffix| !suffix.is_empty());
    let stream_options = fields.raw("stream_options");
    let stream_options = stream_options.map(|raw| StreamOptions::read(raw, "stream_options"));
    if fields.flag("echo")? == Some(true) {
        return Err(DecodeError::unknown("echo"));
    }
    // Here it is a number; in a chat it is a flag.
    if fields.whole::<u32>("logprobs", "a whole number")?.is_some() {
        return Err(DecodeError::field("logprobs", "is supported for chats only"));
    }
    if fields.whole::<u32>("best_of", "1")?.is_some_and(|best_of| best_of != 1) {
        return Err(DecodeError::field("best_of", "must be 1"));
    }
    let request = ChatRequest {
        model: fields.text("model")?,
        messages: vec![Message::user(prompt)],
        completion: suffix.map(Completion::Insert),
        stream: fields.flag("stream")?.unwrap_or_default(),
        stream_options: stream_options.transpose()?,
        options: Options::read(&mut fields)?,
        prompt_cache_key: fields.text("prompt_cache_key")?,
        ..ChatRequest::default()
    };
    one_answer(&mut fields)?;
    fields.finish(&HARMLESS)?;
    Ok(request)
}

/// A string, or a list of one.
fn one_text(raw: &RawValue) -> Option<String> {
    if is_text(raw) {
        return serde_json::from_str(raw.get()).ok();
    }
    let List::<1>(texts) = serde_json::from_str(raw.get()).ok()?;
    serde_json::from_str(texts.first()?.get()).ok()
}
