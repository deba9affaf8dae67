//! `POST /api/embed`, and the older `POST /api/embeddings`.

use std::fmt;

use serde_json::value::RawValue;

use super::HARMLESS;
use crate::chat::{
    DecodeError,
    decode::{Fields, List, is_text},
};

/// Most texts of one request; OpenAI's bound.
const INPUTS_MAX: usize = 2048;

/// A request for the vectors of texts.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct EmbedRequest {
    /// Which model makes them.
    pub model: String,
    /// The texts; none only loads the model.
    pub input: Vec<String>,
    /// Numbers in each vector; the model's own number if absent.
    pub dimensions: Option<u32>,
}

impl fmt::Debug for EmbedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbedRequest")
            .field("model", &self.model)
            .field("input", &self.input.len())
            .field("dimensions", &self.dimensions)
            .finish()
    }
}

/// Decodes the body of `POST /api/embed`.
///
/// # Errors
///
/// See [`DecodeError`].
pub fn decode_embed(body: &[u8]) -> Result<EmbedRequest, DecodeError> {
    let mut fields = Fields::parse(body, "")?;
    let input = fields.raw("input").map(texts).transpose()?.unwrap_or_default();
    let dimensions: Option<u32> = fields.take("dimensions", "a whole number")?;
    finish(fields, input, dimensions.filter(|&number| number != 0))
}

/// Decodes the body of `POST /api/embeddings`.
///
/// # Errors
///
/// See [`DecodeError`].
pub fn decode_embeddings(body: &[u8]) -> Result<EmbedRequest, DecodeError> {
    let mut fields = Fields::parse(body, "")?;
    let prompt = fields.text("prompt")?.filter(|prompt| !prompt.is_empty());
    finish(fields, prompt.into_iter().collect(), None)
}

fn finish(
    mut fields: Fields<'_>,
    input: Vec<String>,
    dimensions: Option<u32>,
) -> Result<EmbedRequest, DecodeError> {
    let model = fields.text("model")?.ok_or_else(|| fields.missing("model"))?;
    // Nothing of a sampler's options changes a vector.
    super::options::read(&mut fields)?;
    fields.finish(&HARMLESS)?;
    Ok(EmbedRequest { model, input, dimensions })
}

/// One text, or a list of them.
fn texts(raw: &RawValue) -> Result<Vec<String>, DecodeError> {
    let texts = if is_text(raw) {
        serde_json::from_str(raw.get()).map(|text| vec![text])
    } else {
        serde_json::from_str(raw.get()).and_then(|List::<INPUTS_MAX>(texts)| {
            texts.into_iter().map(|text| serde_json::from_str(text.get())).collect()
        })
    };
    let reason = || format!("must be a string, or a list of at most {INPUTS_MAX}");
    texts.map_err(|_| DecodeError::field("input", reason()))
}
