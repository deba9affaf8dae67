//! What texts are as vectors of numbers.

use std::fmt;

/// A vector for each text, in the order of the texts.
#[derive(Clone, PartialEq)]
pub struct Embeddings {
    /// The vectors.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens that the model read, if the backend counts them.
    pub prompt_tokens: Option<u32>,
}

impl Embeddings {
    /// How many numbers all vectors have together.
    #[must_use]
    pub fn numbers(&self) -> usize {
        self.vectors.iter().map(Vec::len).sum()
    }
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
