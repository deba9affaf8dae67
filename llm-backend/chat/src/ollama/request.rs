//! A request for text: the common fields of a chat and a generation.

use serde_json::value::RawValue;

use super::options;
use crate::{
    decode::{DecodeError, Fields, is_text},
    format::ResponseFormat,
    image::Image,
    json::Json,
    options::Effort,
    request::ChatRequest,
};

/// Most images of one message.
const IMAGES_MAX: usize = 64;

/// Fields of a request that change no answer here. In Ollama, `truncate` and `shift` allow a conversation to be cut;
/// here a conversation that is too long is an error.
pub(super) const HARMLESS: [&str; 3] = ["keep_alive", "shift", "truncate"];

/// A request for text.
#[derive(Clone, Debug, PartialEq)]
pub enum TextRequest {
    /// Answer a chat. The default of its `stream` is Ollama's: true.
    Ask(Box<ChatRequest>),
    /// Load the model of this name, so that the next answer comes sooner.
    Load(String),
    /// Unload the model of this name.
    Unload(String),
}

/// The common fields of a chat and a generation.
pub(super) struct Common {
    model: String,
    pub(super) request: ChatRequest,
    /// Whether the model may be unloaded at once.
    unload: bool,
}

impl Common {
    pub(super) fn read(fields: &mut Fields<'_>) -> Result<Self, DecodeError> {
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
    pub(super) fn idle(self) -> TextRequest {
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

/// Whether a duration is zero: a number of seconds, or a text such as `5m`.
fn is_zero(raw: &RawValue) -> bool {
    let text = raw.get().trim_matches('"');
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    digits.parse::<f64>().is_ok_and(|number| number == 0.0)
}

/// A message's images: bare base64.
pub(super) fn images(fields: &mut Fields<'_>) -> Result<Vec<Image>, DecodeError> {
    let image = |(at, raw): (String, &RawValue)| {
        if !is_text(raw) {
            return Err(DecodeError::field(at, "must be base64"));
        }
        let text: String = serde_json::from_str(raw.get()).map_err(DecodeError::Json)?;
        Image::from_base64(text).map_err(|why| DecodeError::field(at, why.to_string()))
    };
    fields.list::<IMAGES_MAX>("images")?.into_iter().map(image).collect()
}
