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
    // The command `ollama` sends the newer name, too, and leaves it empty.
    let newer = fields.text("model")?.filter(|name| !name.is_empty());
    let model = newer.or(older).ok_or_else(|| fields.missing("model"))?;
    fields.finish(&["options", "system", "template", "verbose"])?;
    Ok(model)
}

#[cfg(test)]
mod tests;
