//! Requests for embeddings: that to a backend, and OpenAI's `POST /v1/embeddings`.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::decode::{DecodeError, Fields, texts};

/// Most texts of one request; OpenAI's bound.
pub(crate) const INPUTS_MAX: usize = 2048;

/// A request for a vector of each text. `Debug` prints only their number.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct EmbedRequest {
    /// The model, by its name at the backend.
    pub model: String,
    /// The texts; Ollama only loads the model if there are none.
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

/// An OpenAI client's request for the vectors of texts. `Debug` prints only their number.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct EmbeddingRequest {
    /// The model; the gateway's primary model if absent.
    pub model: Option<String>,
    /// The texts, at least one.
    pub input: Vec<String>,
    /// Numbers in each vector; the model's own number if absent.
    pub dimensions: Option<u32>,
    /// Whether a vector is answered as base64 instead of a list of numbers.
    pub as_base64: bool,
}

impl EmbeddingRequest {
    /// Decodes a request body.
    ///
    /// It takes the body by value, because lone surrogates are replaced by U+FFFD in place.
    ///
    /// # Errors
    ///
    /// See [`DecodeError`].
    pub fn decode(body: impl Into<Vec<u8>>) -> Result<Self, DecodeError> {
        let mut body = body.into();
        let mut fields = Fields::parse(&mut body)?;
        let input = fields.raw("input").ok_or_else(|| fields.missing("input"))?;
        let input =
            texts::<INPUTS_MAX>(input).filter(|texts| !texts.is_empty()).ok_or_else(|| {
                let reason =
                    format!("must be a string, or a list of 1 to {INPUTS_MAX}, without tokens");
                DecodeError::field("input", reason)
            })?;
        let as_base64 = match fields.text("encoding_format")?.as_deref() {
            None | Some("float") => false,
            Some("base64") => true,
            Some(_) => {
                return Err(DecodeError::field("encoding_format", "must be float or base64"));
            }
        };
        let request = Self {
            model: fields.text("model")?,
            input,
            dimensions: fields.whole("dimensions", "a whole number")?,
            as_base64,
        };
        fields.finish(&["user"])?;
        Ok(request)
    }
}

impl fmt::Debug for EmbeddingRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddingRequest")
            .field("model", &self.model)
            .field("input", &self.input.len())
            .finish_non_exhaustive()
    }
}

/// A vector in the default format of OpenAI's clients: its numbers as little-endian `f32`, in base64.
#[must_use]
pub fn base64(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    STANDARD.encode(bytes)
}
