//! `POST /api/embed`, and the older `POST /api/embeddings`.

use serde_json::value::RawValue;

use super::{options, request::HARMLESS};
use crate::{
    decode::{DecodeError, Fields, is_text, texts},
    embedding::{EmbedRequest, INPUTS_MAX},
};

/// Decodes the body of `POST /api/embed`.
///
/// # Errors
///
/// See [`DecodeError`].
pub fn decode_embed(body: impl Into<Vec<u8>>) -> Result<EmbedRequest, DecodeError> {
    let mut body = body.into();
    let mut fields = Fields::parse(&mut body)?;
    let input = fields.raw("input").map(input).transpose()?.unwrap_or_default();
    let dimensions: Option<u32> = fields.whole("dimensions", "a whole number")?;
    finish(fields, input, dimensions.filter(|&number| number != 0))
}

/// Decodes the body of `POST /api/embeddings`.
///
/// # Errors
///
/// See [`DecodeError`].
pub fn decode_embeddings(body: impl Into<Vec<u8>>) -> Result<EmbedRequest, DecodeError> {
    let mut body = body.into();
    let mut fields = Fields::parse(&mut body)?;
    let prompt = fields.text("prompt")?.filter(|prompt| !prompt.is_empty());
    finish(fields, prompt.into_iter().collect(), None)
}

fn finish(
    mut fields: Fields<'_>,
    input: Vec<String>,
    dimensions: Option<u32>,
) -> Result<EmbedRequest, DecodeError> {
    let model = fields.text("model")?.ok_or_else(|| fields.missing("model"))?;
    // Sampling options do not change a vector.
    options::read(&mut fields)?;
    fields.finish(&HARMLESS)?;
    Ok(EmbedRequest { model, input, dimensions })
}

/// The texts of `input`: one, or a list of them. A single empty text counts as none, as in Ollama.
fn input(raw: &RawValue) -> Result<Vec<String>, DecodeError> {
    let mut texts = texts::<INPUTS_MAX>(raw).ok_or_else(|| {
        let reason = format!("must be a string, or a list of at most {INPUTS_MAX}");
        DecodeError::field("input", reason)
    })?;
    if is_text(raw) {
        texts.retain(|text| !text.is_empty());
    }
    Ok(texts)
}
