//! Texts as vectors of numbers.

use std::fmt;

/// Asks for a vector for each text.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct EmbedRequest {
    /// The model's id at the backend.
    pub model: String,
    /// The texts.
    pub input: Vec<String>,
    /// Numbers in each vector, for models that can shorten theirs; the model's own number if absent.
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

/// A vector for each text, in the order of the texts.
#[derive(Clone, PartialEq)]
pub struct Embeddings {
    /// The vectors.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens that the model read, if the backend counts them.
    pub prompt_tokens: Option<u32>,
}

impl fmt::Debug for Embeddings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Texts can be guessed from their vectors.
        f.debug_struct("Embeddings")
            .field("vectors", &self.vectors.len())
            .field("prompt_tokens", &self.prompt_tokens)
            .finish()
    }
}
