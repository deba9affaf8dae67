//! Ollama's requests, translated into the chat vocabulary.
//!
//! `docs/protocols/ollama.md` lists the supported fields. An unknown field that would change the answer is refused by
//! name; fields about memory and speed (`keep_alive`, `num_gpu` …) are ignored, and so is `num_ctx`: a client cannot
//! change a model's context size. Each function takes the body by value, because lone surrogates are replaced by U+FFFD
//! in place.

mod chat;
mod embed;
mod generate;
mod options;
mod request;

use crate::decode::{DecodeError, Fields};

pub use embed::{decode_embed, decode_embeddings};
pub use request::TextRequest;

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
    // The command `ollama` also sends the newer field, but leaves it empty.
    let newer = fields.text("model")?.filter(|name| !name.is_empty());
    let model = newer.or(older).ok_or_else(|| fields.missing("model"))?;
    fields.finish(&["options", "system", "template", "verbose"])?;
    Ok(model)
}

/// Whether this is the name of a model that Ollama forwards to its cloud: `NAME:cloud` or `NAME:SIZE-cloud`.
#[must_use]
pub fn is_cloud(model: &str) -> bool {
    let name = model.trim().to_ascii_lowercase();
    name.ends_with(":cloud") || name.ends_with("-cloud")
}

#[cfg(test)]
mod tests;
