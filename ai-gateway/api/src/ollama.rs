//! Ollama's requests, translated into the chat vocabulary.
//!
//! Taken is what `docs/protocols/ollama.md` lists. A field that would change the answer and that nobody here knows is
//! refused by name; those about memory and speed (`keep_alive`, `num_gpu` …) are ignored, and so is `num_ctx`: each
//! model has one context, which a client cannot change. Each takes the body: U+FFFD takes the place of half characters in
//! it, without a copy.

mod chat;
mod embed;
mod generate;
mod options;

use serde_json::value::RawValue;

use crate::chat::{
    ChatRequest, DecodeError, Effort, Image, Json, ResponseFormat,
    decode::{Fields, is_text},
};

pub use embed::{decode_embed, decode_embeddings};

/// Most images of one message.
const IMAGES_MAX: usize = 64;

/// Fields of a request that change no answer here. `truncate` and `shift` would let a conversation be cut: here it is
/// an error if it is too long.
const HARMLESS: [&str; 3] = ["keep_alive", "shift", "truncate"];

/// A request for text.
#[derive(Clone, Debug, PartialEq)]
pub enum TextRequest {
    /// An answer is wanted. Its `stream` is Ollama's: true unless the request says otherwise.
    Ask(Box<ChatRequest>),
    /// The model of this name shall be in memory, so that the next answer comes sooner.
    Load(String),
    /// The model of this name is not needed for now.
    Unload(String),
}

/// Decodes the body of `POST /api/chat`.
///
/// # Errors
///
/// See [`DecodeError`].
pub fn decode_chat(body: impl Into<Vec<u8>>) -> Result<TextRequest, DecodeError> {
    chat::read(Fields::parse(&mut body.into())?)
}

/// Decodes the body of `POST /api/generate`.
///
/// # Errors
///
/// See [`DecodeError`].
pub fn decode_generate(body: impl Into<Vec<u8>>) -> Result<TextRequest, DecodeError> {
    generate::read(Fields::parse(&mut body.into())?)
}

/// Decodes the body of `POST /api/show`: the name of a model.
///
/// # Errors
///
/// See [`DecodeError`].
pub fn decode_show(body: impl Into<Vec<u8>>) -> Result<String, DecodeError> {
    let mut body = body.into();
    let mut fields = Fields::parse(&mut body)?;
    let older = fields.text("name")?;
    // The command `ollama` sends the newer name, too, and leaves it empty.
    let newer = fields.text("model")?.filter(|name| !name.is_empty());
    let model = newer.or(older).ok_or_else(|| fields.missing("model"))?;
    fields.finish(&["options", "system", "template", "verbose"])?;
    Ok(model)
}

/// The fields that a chat and a generation share.
struct Common {
    model: String,
    request: ChatRequest,
    /// Whether the model may leave memory at once.
    unload: bool,
}

impl Common {
    fn read(fields: &mut Fields<'_>) -> Result<Self, DecodeError> {
        let model = fields.text("model")?.ok_or_else(|| fields.missing("model"))?;
        let format = fields.raw("format");
        let think = fields.raw("think");
        let mut options = options::read(fields)?;
        options.logprobs = fields.flag("logprobs")?;
        options.top_logprobs = fields.whole("top_logprobs", "a whole number from 0 to 20")?;
        if options.top_logprobs.is_some_and(|number| number > 20) {
            return Err(DecodeError::field("top_logprobs", "must be at most 20"));
        }
        let request = ChatRequest {
            model: Some(model.clone()),
            stream: fields.flag("stream")?.unwrap_or(true),
            response_format: format.map(shape).transpose()?.flatten(),
            reasoning_effort: think.map(effort).transpose()?,
            options,
            ..ChatRequest::default()
        };
        let unload = fields.raw("keep_alive").is_some_and(is_zero);
        Ok(Self { model, request, unload })
    }

    /// A request without a question.
    fn idle(self) -> TextRequest {
        if self.unload { TextRequest::Unload(self.model) } else { TextRequest::Load(self.model) }
    }
}

/// `"json"`, a schema, or an empty text for neither.
fn shape(raw: &RawValue) -> Result<Option<ResponseFormat>, DecodeError> {
    match raw.get() {
        "\"\"" => return Ok(None),
        "\"json\"" => return Ok(Some(ResponseFormat::JsonObject)),
        _ => {}
    }
    let schema =
        Json::from_raw(raw).map_err(|why| DecodeError::field("format", why.to_string()))?;
    if schema.is_object() {
        return Ok(Some(ResponseFormat::schema(schema)));
    }
    Err(DecodeError::field("format", "must be \"json\" or a JSON Schema object"))
}

fn effort(raw: &RawValue) -> Result<Effort, DecodeError> {
    match raw.get() {
        "false" => Ok(Effort::None),
        "true" | "\"medium\"" => Ok(Effort::Medium),
        "\"low\"" => Ok(Effort::Low),
        "\"high\"" => Ok(Effort::High),
        "\"max\"" => Ok(Effort::Xhigh),
        _ => Err(DecodeError::field("think", "must be true, false, low, medium, high or max")),
    }
}

/// Whether a duration is none: a number of seconds, or a text such as `5m`.
fn is_zero(raw: &RawValue) -> bool {
    let text = raw.get().trim_matches('"');
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    digits.parse::<f64>().is_ok_and(|number| number == 0.0)
}

/// A message's images: bare base64.
fn images(fields: &mut Fields<'_>) -> Result<Vec<Image>, DecodeError> {
    let image = |(at, raw): (String, &RawValue)| {
        if !is_text(raw) {
            return Err(DecodeError::field(at, "must be base64"));
        }
        let text: String = serde_json::from_str(raw.get()).map_err(DecodeError::Json)?;
        Image::from_base64(text).map_err(|why| DecodeError::field(at, why.to_string()))
    };
    fields.list::<IMAGES_MAX>("images")?.into_iter().map(image).collect()
}

#[cfg(test)]
mod tests;
